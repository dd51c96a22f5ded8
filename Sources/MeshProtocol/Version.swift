// The release of Wizmesh and the version of its protocol, for everything that shows them.

/// The version of this release.
public enum WizmeshVersion {
    /// The release, a semantic version.
    public static let current = "0.1.0"
    /// The version of the wire protocol that it speaks.
    public static let wireProtocol = 1
}
