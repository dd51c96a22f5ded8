// A cursor over UTF-8 bytes, and the few byte classes the version and range grammars need.
// Everything here looks at each byte a bounded number of times, so parsing is linear in the input.
// The grammars are pure ASCII: a byte of 0x80 or more never belongs to any class below.

/// A read position in a byte buffer; reading past the end gives nil, never a trap.
struct ByteCursor {
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position >= bytes.count }

    /// The byte at the cursor, or nil at the end.
    var current: UInt8? { peek(0) }

    /// The byte `distance` places ahead of the cursor, or nil past the end.
    func peek(_ distance: Int) -> UInt8? {
        let index = position + distance
        return index < bytes.count ? bytes[index] : nil
    }

    /// Moves past the current byte when it is `byte`, and says whether it did.
    mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    /// Moves past every byte that satisfies `condition` and returns how many there were.
    @discardableResult
    mutating func skip(while condition: (UInt8) -> Bool) -> Int {
        let start = position
        while let byte = current, condition(byte) { position += 1 }
        return position - start
    }

    @discardableResult
    mutating func skipSpace() -> Int { skip { $0.isSpace } }

    /// The text between `start` and the cursor.
    func text(from start: Int) -> String {
        String(decoding: bytes[start..<position], as: UTF8.self)
    }
}

extension UInt8 {
    /// Space, tab, line feed, vertical tab, form feed or carriage return.
    var isSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }

    var isDigit: Bool { (0x30...0x39).contains(self) }

    var isLetter: Bool { (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) }

    /// A byte that may stand in a prerelease or build identifier: `[0-9A-Za-z-]`.
    var isIdentifier: Bool { isDigit || isLetter || self == .hyphen }

    /// A byte that stands for any number in a range: `x`, `X` or `*`.
    var isWildcard: Bool { self == 0x78 || self == 0x58 || self == .star }

    static var star: UInt8 { 0x2A }
    static var plus: UInt8 { 0x2B }
    static var hyphen: UInt8 { 0x2D }
    static var dot: UInt8 { 0x2E }
    static var zero: UInt8 { 0x30 }
    static var less: UInt8 { 0x3C }
    static var equals: UInt8 { 0x3D }
    static var greater: UInt8 { 0x3E }
    static var caret: UInt8 { 0x5E }
    static var letterV: UInt8 { 0x76 }
    static var pipe: UInt8 { 0x7C }
    static var tilde: UInt8 { 0x7E }
}
