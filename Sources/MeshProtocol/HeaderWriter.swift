// Writes the fields of a header in order, at the end of a byte array that the caller owns and reuses. Pure.

/// Appends little-endian fields to a buffer; never refuses.
///
/// Sentences for people are cut to their limit. Names, keys and lists are written as they are, since half a name is
/// another name: one over its limit makes a header that the receiver refuses, naming the field, and that
/// ``HeaderFields/validate()`` refuses before it is sent. A text or list that its length field cannot count makes a
/// header over ``WireLimits/headerByteCount``, refused before any field is read.
struct HeaderWriter {
    /// Appends an integer.
    @inline(__always)
    static func integer<Value: FixedWidthInteger>(_ value: Value, to buffer: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) }
    }

    /// Appends a name, key or other text for programs, whole.
    static func text(_ text: String, to buffer: inout [UInt8]) {
        var text = text
        text.withUTF8 { bytes(UnsafeRawBufferPointer($0), to: &buffer) }
    }

    /// Appends a text for people, cut at a character's end when it is too long.
    static func sentence(_ text: String, maximum: Int, to buffer: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            var end = Swift.min(utf8.count, maximum)
            while end < utf8.count, end > 0, utf8[end] & 0xC0 == 0x80 { end -= 1 }
            bytes(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: utf8[0..<end])), to: &buffer)
        }
    }

    /// Appends a text that is at hand as bytes, whole.
    static func bytes(_ bytes: UnsafeRawBufferPointer, to buffer: inout [UInt8]) {
        integer(UInt16(clamping: bytes.count), to: &buffer)
        buffer.append(contentsOf: bytes)
    }

    /// Appends the number of a list's elements.
    static func count(_ count: Int, to buffer: inout [UInt8]) {
        integer(UInt16(clamping: count), to: &buffer)
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
        let words = (prefixWord(verb, flags, contentType, status), id.rawValue.littleEndian)
        withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) }
    }

    /// The first eight bytes of a header, as a number that stands in memory as they stand on the wire.
    @inline(__always)
    static func prefixWord(_ verb: Verb, _ flags: UInt16, _ contentType: ContentType, _ status: Status) -> UInt64 {
        let low = UInt64(ProtocolVersion.current.rawValue) | UInt64(verb.rawValue) << 8 | UInt64(flags) << 16
        return (low | UInt64(contentType.rawValue) << 32 | UInt64(status.rawValue) << 48).littleEndian
    }

    /// The first two bytes of a header of this version.
    @inline(__always)
    static func verbWord(_ verb: Verb) -> UInt16 {
        UInt16(ProtocolVersion.current.rawValue) | UInt16(verb.rawValue) << 8
    }

    /// Two numbers of four bytes as one of eight that stands in memory as they stand on the wire.
    @inline(__always)
    static func pair(_ first: UInt32, _ second: UInt32) -> UInt64 {
        (UInt64(first) | UInt64(second) << 32).littleEndian
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
