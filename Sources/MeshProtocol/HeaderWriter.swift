// Writes the fields of a header in order, at the end of a byte array that the caller owns and reuses. Pure.

/// Appends little-endian fields to a buffer. Texts that are too long are cut at a character's end, never refused: what a
/// sender may say is checked where it is made, and a sentence for people may always be shortened.
struct HeaderWriter {
    /// Appends an integer.
    @inline(__always)
    static func integer<Value: FixedWidthInteger>(_ value: Value, to buffer: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) }
    }

    /// Appends a text with its length.
    static func text(_ text: String, maximum: Int, to buffer: inout [UInt8]) {
        var text = text
        let count = text.withUTF8 { bytes in
            var end = Swift.min(bytes.count, maximum)
            while end < bytes.count, end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
            integer(UInt16(truncatingIfNeeded: end), to: &buffer)
            buffer.append(contentsOf: bytes[0..<end])
            return end
        }
        assert(count <= maximum)
    }

    /// Appends raw bytes with their length; they have been read from a header, so they fit.
    static func bytes(_ bytes: UnsafeRawBufferPointer, to buffer: inout [UInt8]) {
        integer(UInt16(truncatingIfNeeded: bytes.count), to: &buffer)
        buffer.append(contentsOf: bytes)
    }

    /// Appends the sixteen bytes that every header begins with.
    @inline(__always)
    static func prefix(
        _ verb: Verb,
        flags: UInt16 = 0,
        contentType: ContentType = .bytes,
        status: Status = .ok,
        id: WireID,
        to buffer: inout [UInt8]
    ) {
        integer(ProtocolVersion.current.rawValue, to: &buffer)
        integer(verb.rawValue, to: &buffer)
        integer(flags, to: &buffer)
        integer(contentType.rawValue, to: &buffer)
        integer(status.rawValue, to: &buffer)
        integer(id.rawValue, to: &buffer)
    }
}

/// A version of the wire protocol; peers agree on one in HELLO and WELCOME.
public struct ProtocolVersion: RawRepresentable, Hashable, Sendable, Comparable {
    /// The number: the first byte of every header.
    public let rawValue: UInt8
    /// Takes any number.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The version that this code speaks.
    public static let current = ProtocolVersion(rawValue: 1)
    /// Orders versions by their number.
    public static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool { left.rawValue < right.rawValue }
}
