// The sixteen bytes that every header begins with. Pure.

/// The common part of every header: enough to know what follows and whom it concerns.
public struct HeaderPrefix: Hashable, Sendable {
    /// What the frame asks or tells.
    public var verb: Verb
    /// The verb's flags.
    public var flags: UInt16
    /// What the payload holds.
    public var contentType: ContentType
    /// How something ended (END, FAIL, REFUSE, REJECT, CANCEL, BYE); zero elsewhere.
    public var status: Status
    /// The request, lease or subscription.
    public var id: WireID
    /// The length of the prefix.
    public static let byteCount = 16

    /// Reads the prefix of a header.
    ///
    /// - Throws: ``DecodeError`` when the header is too short, too long, of another version or of an unknown verb.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> HeaderPrefix {
        var reader = HeaderReader(bytes)
        return try read(from: &reader)
    }

    static func read(from reader: inout HeaderReader) throws(DecodeError) -> HeaderPrefix {
        guard reader.bytes.count <= WireLimits.headerByteCount else {
            throw reader.error(
                "header",
                at: 0,
                .oversized(count: reader.bytes.count, maximum: WireLimits.headerByteCount)
            )
        }
        let version: UInt8 = try reader.integer("version")
        guard version == ProtocolVersion.current.rawValue else {
            throw reader.error("version", at: 0, .unknownValue(UInt64(version)))
        }
        let verb: Verb = try reader.choice("verb")
        reader.verb = verb
        let flags: UInt16 = try reader.integer("flags")
        let contentType: UInt16 = try reader.integer("contentType")
        let status: UInt16 = try reader.integer("status")
        let id: UInt64 = try reader.integer("id")
        return HeaderPrefix(
            verb: verb,
            flags: flags,
            contentType: ContentType(rawValue: contentType),
            status: Status(rawValue: status),
            id: WireID(rawValue: id)
        )
    }

    /// The prefix of a header of fixed length in the usual case; nil when anything is unusual, for ``read(from:)`` to say
    /// what.
    @inline(__always)
    static func usual(
        _ verb: Verb,
        byteCount: Int,
        knownFlags: UInt16 = 0,
        _ bytes: UnsafeRawBufferPointer
    ) -> HeaderPrefix? {
        guard bytes.count == byteCount, byteCount >= Self.byteCount else { return nil }
        let word = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        let flags = UInt16(truncatingIfNeeded: word >> 16)
        guard UInt16(truncatingIfNeeded: word) == HeaderWriter.verbWord(verb), flags & ~knownFlags == 0 else {
            return nil
        }
        return HeaderPrefix(
            verb: verb,
            flags: flags,
            contentType: ContentType(rawValue: UInt16(truncatingIfNeeded: word >> 32)),
            status: Status(rawValue: UInt16(truncatingIfNeeded: word >> 48)),
            id: WireID(rawValue: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        )
    }

    /// Reads the prefix and checks the verb and its flags.
    static func read(
        _ expected: Verb,
        knownFlags: UInt16 = 0,
        from reader: inout HeaderReader
    ) throws(DecodeError) -> HeaderPrefix {
        let prefix = try read(from: &reader)
        guard prefix.verb == expected else {
            throw reader.error("verb", at: 1, .unknownValue(UInt64(prefix.verb.rawValue)))
        }
        let unknown = prefix.flags & ~knownFlags
        guard unknown == 0 else { throw reader.error("flags", at: 2, .unknownFlags(unknown)) }
        return prefix
    }

    /// The status, which must not be OK.
    func failure(_ reader: HeaderReader) throws(DecodeError) -> Status {
        guard status != .ok else { throw reader.error("status", at: 6, .unknownValue(0)) }
        return status
    }

    /// The id as a peer's own request.
    func request(_ reader: HeaderReader) throws(DecodeError) -> RequestID {
        guard let request = RequestID(id) else {
            throw reader.error("id", at: 8, .malformed("must be a request id: 1 to 2^63 - 1"))
        }
        return request
    }
}

/// A header of one verb: its fields, and the way to bytes and back.
public protocol HeaderFields: Hashable, Sendable {
    /// The verb that the fields belong to.
    static var verb: Verb { get }
    /// Reads a whole header.
    ///
    /// - Throws: ``DecodeError`` naming the field and its offset; hostile bytes never trap.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Self
    /// Appends the header to a buffer.
    func encode(to buffer: inout [UInt8])
}

extension HeaderFields {
    /// Reads a whole header from an array.
    public static func decode(_ bytes: [UInt8]) throws(DecodeError) -> Self {
        try bytes.span.bytes.withUnsafeBytes { (raw) throws(DecodeError) in try decode(raw) }
    }

    /// Throws what a receiver of this header would: an SDK asks before it sends what its user named.
    ///
    /// - Throws: ``DecodeError`` naming the field that is too long, empty or otherwise wrong.
    public func validate() throws(DecodeError) { _ = try Self.decode(encoded()) }

    /// The header as an array of its own.
    public func encoded() -> [UInt8] {
        var buffer: [UInt8] = []
        encode(to: &buffer)
        return buffer
    }
}
