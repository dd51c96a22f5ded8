// A version by SemVer 2.0.0, read as npm's node-semver reads it in strict mode.
// Equality, hashing and order are all precedence: build metadata never counts. `isIdentical(to:)` compares it too.

/// A semantic version such as `1.4.0-beta.2+sha.5114f85`.
///
/// `==`, `hash(into:)` and `<` all follow SemVer precedence, so they agree with each other: build metadata is kept and
/// printed but never compared, and `1.0.0+a == 1.0.0+b`. Use ``isIdentical(to:)`` to tell such versions apart.
/// The text of every version made here reads back as an equal version, so long as it keeps to ``maximumLength``.
public struct SemanticVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The greatest number a version component may have: 2^53 - 1, as in node-semver.
    public static let maximumNumber: UInt64 = 9_007_199_254_740_991

    /// The longest version text that is read, in bytes: 256, as in node-semver.
    public static let maximumLength = 256

    /// The number that changes when callers must change.
    public let major: UInt64
    /// The number that changes when something is added.
    public let minor: UInt64
    /// The number that changes when something is mended.
    public let patch: UInt64
    /// The identifiers after `-`; empty for a released version.
    public let prerelease: [Identifier]
    /// The identifiers after `+`; they never influence precedence.
    public let build: [String]

    /// Reads a version; white space around it and one leading `v` are allowed, `=1.2.3` and `1.2` are not.
    public init(_ text: some StringProtocol) throws(VersionError) {
        let bytes = Array(text.utf8.prefix(Self.maximumLength + 1))
        var cursor = ByteCursor(bytes)
        do {
            self = try cursor.version()
        } catch {
            throw VersionError(error, bytes: bytes, suggestion: Repair.version(bytes))
        }
    }

    /// Makes a version from its parts.
    ///
    /// The result is always a version of the grammar: numbers above ``maximumNumber`` become that number, characters
    /// that build metadata cannot have become hyphens, and empty build identifiers are left out.
    public init(major: UInt64, minor: UInt64, patch: UInt64, prerelease: [Identifier] = [], build: [String] = []) {
        self.major = min(major, Self.maximumNumber)
        self.minor = min(minor, Self.maximumNumber)
        self.patch = min(patch, Self.maximumNumber)
        self.prerelease = prerelease
        self.build = build.filter { !$0.isEmpty }.map { text in
            String(decoding: text.utf8.map { $0.isIdentifier ? $0 : .hyphen }, as: UTF8.self)
        }
    }

    /// Trusts the caller: all parts keep to the grammar.
    init(checked core: (UInt64, UInt64, UInt64), prerelease: [Identifier], build: [String] = []) {
        (major, minor, patch) = core
        self.prerelease = prerelease
        self.build = build
    }

    /// Whether the version is a prerelease.
    public var isPrerelease: Bool { !prerelease.isEmpty }

    /// The version as text, without a leading `v`, with its build metadata.
    public var description: String {
        build.isEmpty ? precedenceText : precedenceText + "+" + build.joined(separator: ".")
    }

    /// The version as text without build metadata.
    var precedenceText: String {
        let core = "\(major).\(minor).\(patch)"
        return prerelease.isEmpty ? core : core + "-" + prerelease.map(\.description).joined(separator: ".")
    }

    /// Whether the versions agree in every part, build metadata included.
    public func isIdentical(to other: SemanticVersion) -> Bool {
        self == other && build == other.build
    }

    /// Whether neither version precedes the other; the same as `==`.
    public func hasSamePrecedence(as other: SemanticVersion) -> Bool { self == other }

    /// Whether this version has the lower precedence; the same as `<`.
    public func precedes(_ other: SemanticVersion) -> Bool { self < other }

    /// Whether the versions have the same precedence.
    public static func == (lhs: SemanticVersion, rhs: SemanticVersion) -> Bool {
        lhs.hasSameCore(as: rhs) && lhs.prerelease == rhs.prerelease
    }

    /// Whether `lhs` has the lower precedence.
    public static func < (lhs: SemanticVersion, rhs: SemanticVersion) -> Bool {
        if lhs.major != rhs.major { return lhs.major < rhs.major }
        if lhs.minor != rhs.minor { return lhs.minor < rhs.minor }
        if lhs.patch != rhs.patch { return lhs.patch < rhs.patch }
        if lhs.prerelease.isEmpty || rhs.prerelease.isEmpty {
            return !lhs.prerelease.isEmpty && rhs.prerelease.isEmpty
        }
        return lhs.prerelease.lexicographicallyPrecedes(rhs.prerelease)
    }

    /// Hashes what counts for precedence.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(major)
        hasher.combine(minor)
        hasher.combine(patch)
        hasher.combine(prerelease)
    }
}

extension SemanticVersion {
    static let zero = SemanticVersion(checked: (0, 0, 0), prerelease: [])

    func hasSameCore(as other: SemanticVersion) -> Bool {
        major == other.major && minor == other.minor && patch == other.patch
    }

    /// major.minor.patch without the prerelease.
    var core: SemanticVersion { SemanticVersion(checked: (major, minor, patch), prerelease: []) }

    /// The lowest version with these three numbers: `1.2.3-0` for `1.2.3` and all its prereleases.
    var lowestPrerelease: SemanticVersion {
        SemanticVersion(checked: (major, minor, patch), prerelease: [Identifier(0)])
    }

    /// The lowest prerelease above this prerelease: `1.2.3-a.0` for `1.2.3-a`.
    var nextPrerelease: SemanticVersion {
        SemanticVersion(checked: (major, minor, patch), prerelease: prerelease + [Identifier(0)])
    }

    /// The lowest released version above this released version, or nil when all three numbers are at their greatest.
    var nextRelease: SemanticVersion? {
        let limit = Self.maximumNumber
        if patch < limit { return SemanticVersion(checked: (major, minor, patch + 1), prerelease: []) }
        if minor < limit { return SemanticVersion(checked: (major, minor + 1, 0), prerelease: []) }
        return major < limit ? SemanticVersion(checked: (major + 1, 0, 0), prerelease: []) : nil
    }
}
