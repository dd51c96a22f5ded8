// Reads the fields of a header in order, checking each against the bytes that are left. Pure; never allocates but for
// the strings it returns, never traps on any input.

/// A cursor over a header's bytes.
///
/// It must not outlive the buffer it was made from.
public struct HeaderReader {
    /// The header.
    @usableFromInline let bytes: UnsafeRawBufferPointer
    /// Where the next field begins.
    @usableFromInline var offset: Int
    /// The verb, for errors.
    @usableFromInline var verb: Verb?

    /// Starts at the first byte of a header.
    @inlinable public init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        self.offset = 0
        self.verb = nil
    }

    /// Makes the error for a field that began at an offset.
    func error(_ field: StaticString, at offset: Int, _ problem: DecodeError.Problem) -> DecodeError {
        DecodeError(verb: verb, field: field, offset: offset, problem: problem)
    }

    /// Reads a little-endian integer.
    @inline(__always)
    mutating func integer<Value: FixedWidthInteger>(
        _ field: StaticString,
        as type: Value.Type = Value.self
    ) throws(DecodeError) -> Value {
        let width = MemoryLayout<Value>.size
        guard bytes.count - offset >= width else {
            throw error(field, at: offset, .truncated(needed: width, available: bytes.count - offset))
        }
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: Value.self)
        offset += width
        return Value(littleEndian: value)
    }

    /// Reads a field that this version keeps at zero.
    mutating func zero<Value: FixedWidthInteger>(_ field: StaticString, as type: Value.Type) throws(DecodeError) {
        let start = offset
        guard try integer(field, as: type) == 0 else { throw error(field, at: start, .mustBeZero) }
    }

    /// Reads an enumeration's number.
    mutating func choice<Value: RawRepresentable>(
        _ field: StaticString,
        as type: Value.Type = Value.self
    ) throws(DecodeError) -> Value where Value.RawValue == UInt8 {
        let start = offset
        let raw: UInt8 = try integer(field)
        guard let value = Value(rawValue: raw) else { throw error(field, at: start, .unknownValue(UInt64(raw))) }
        return value
    }

    /// Reads a text's length and checks it; the text's place in the header is returned, its bytes are not looked at.
    @inline(__always)
    mutating func slice(_ field: StaticString, maximum: Int) throws(DecodeError) -> TextSlice {
        let start = offset
        let count = Int(try integer(field, as: UInt16.self))
        guard count <= maximum else { throw error(field, at: start, .tooLong(count: count, maximum: maximum)) }
        guard bytes.count - offset >= count else {
            throw error(field, at: start, .truncated(needed: count, available: bytes.count - offset))
        }
        let slice = TextSlice(offset: UInt32(truncatingIfNeeded: offset), count: UInt32(truncatingIfNeeded: count))
        offset += count
        return slice
    }

    /// Reads a text.
    mutating func text(
        _ field: StaticString,
        maximum: Int,
        required: Bool = false
    ) throws(DecodeError) -> String {
        let start = offset
        let place = try slice(field, maximum: maximum)
        guard place.count > 0 || !required else { throw error(field, at: start, .empty) }
        guard let text = String(validating: place.bytes(in: bytes), as: UTF8.self) else {
            throw error(field, at: start, .notUTF8)
        }
        return text
    }

    /// Reads the number of a list's elements.
    mutating func count(_ field: StaticString, maximum: Int) throws(DecodeError) -> Int {
        let start = offset
        let count = Int(try integer(field, as: UInt16.self))
        guard count <= maximum else { throw error(field, at: start, .tooLong(count: count, maximum: maximum)) }
        return count
    }

    /// Fails when bytes are left.
    func finish() throws(DecodeError) {
        guard offset == bytes.count else {
            throw error("end", at: offset, .trailingBytes(count: bytes.count - offset))
        }
    }
}

/// Where a text stands in a header: a way to look at it without making a `String`.
public struct TextSlice: Hashable, Sendable {
    /// Bytes from the header's start.
    public var offset: UInt32
    /// Length in bytes.
    public var count: UInt32
    /// Names a place.
    @inlinable public init(offset: UInt32, count: UInt32) {
        self.offset = offset
        self.count = count
    }
    /// True when there is no text.
    @inlinable public var isEmpty: Bool { count == 0 }
    /// The text's bytes, in the header it was read from.
    ///
    /// A place outside of `header` gives no bytes.
    @inlinable public func bytes(in header: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let start = Int(offset)
        let end = start + Int(count)
        guard end <= header.count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: header[start..<end])
    }
    /// The text, with bytes that are not UTF-8 replaced.
    public func string(in header: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes(in: header), as: UTF8.self)
    }
}

/// What a header's text fields are read as: `String` for those who keep them, ``TextSlice`` for the broker's hot path.
public protocol HeaderText: Hashable, Sendable {
    /// Reads one text field.
    static func read(
        _ field: StaticString,
        maximum: Int,
        from reader: inout HeaderReader
    ) throws(DecodeError) -> Self
    /// The text's length in bytes.
    var byteCount: Int { get }
}

extension String: HeaderText {
    /// Reads a text and checks that it is UTF-8.
    public static func read(
        _ field: StaticString,
        maximum: Int,
        from reader: inout HeaderReader
    ) throws(DecodeError) -> String {
        try reader.text(field, maximum: maximum)
    }
    /// The length in UTF-8.
    public var byteCount: Int { utf8.count }
}

extension TextSlice: HeaderText {
    /// Reads a text's place and checks that it is UTF-8: what the broker passes on must be readable by who gets it.
    public static func read(
        _ field: StaticString,
        maximum: Int,
        from reader: inout HeaderReader
    ) throws(DecodeError) -> TextSlice {
        let start = reader.offset
        let slice = try reader.slice(field, maximum: maximum)
        guard slice.isUTF8(in: reader.bytes) else { throw reader.error(field, at: start, .notUTF8) }
        return slice
    }

    /// True when the text's bytes are UTF-8; ASCII, looked at in words, is the usual case.
    @inline(__always)
    func isUTF8(in header: UnsafeRawBufferPointer) -> Bool {
        if isEmpty { return true }
        let text = bytes(in: header)
        return Self.isASCII(text) || Self.isValid(text)
    }

    /// True when no byte has its high bit.
    @inline(__always)
    static func isASCII(_ text: UnsafeRawBufferPointer) -> Bool {
        var high: UInt64 = 0
        if text.count >= 8 {
            for place in stride(from: 0, to: text.count - 8, by: 8) {
                high |= text.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            }
            high |= text.loadUnaligned(fromByteOffset: text.count - 8, as: UInt64.self)
        } else if text.count >= 4 {
            high = UInt64(text.loadUnaligned(as: UInt32.self))
            high |= UInt64(text.loadUnaligned(fromByteOffset: text.count - 4, as: UInt32.self))
        } else {
            for byte in text { high |= UInt64(byte) }
        }
        return high & 0x8080_8080_8080_8080 == 0
    }

    @inline(never)
    private static func isValid(_ text: UnsafeRawBufferPointer) -> Bool {
        text.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
    }
    /// The length.
    public var byteCount: Int { Int(count) }
}
