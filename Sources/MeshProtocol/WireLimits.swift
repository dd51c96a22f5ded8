// The limits that the codec itself keeps, before any policy: each with its reason. Pure.

/// Bounds of the wire format (docs/PROTOCOL.md, "Limits").
public enum WireLimits {
    /// A header: enough for a PROVIDE with 200 methods; what is larger is not a header.
    public static let headerByteCount = 64 * 1024
    /// The payload of a BATCH: what libzmq writes in a few system calls, and no more than one message waits behind.
    public static let batchByteCount = 64 * 1024
    /// The name of a service, method, plugin, capability, permission or attribute: fits a log line and a topic word.
    public static let nameByteCount = 96
    /// A version or a range: node-semver's own bound.
    public static let versionByteCount = 256
    /// A topic or pattern: libzmq-based peers mishandle longer ones, and 200 bytes are 20 words.
    public static let topicByteCount = 200
    /// The value of an attribute, an affinity key, a set of conditions: keys are ids, not documents.
    public static let valueByteCount = 512
    /// A sentence for people: a long paragraph.
    public static let messageByteCount = 2048
    /// A ticket: 32 random bytes in hex, with room for another form.
    public static let ticketByteCount = 128
    /// Methods in one PROVIDE.
    public static let methodCount = 256
    /// Attributes in one PROVIDE.
    public static let attributeCount = 64
    /// Capabilities in one PROVIDE.
    public static let capabilityCount = 64
    /// Permissions that one method requires.
    public static let permissionCount = 16
    /// Calls made from within calls: a loop of services ends here, not in the deadline.
    public static let hopCount: UInt8 = 32
}
