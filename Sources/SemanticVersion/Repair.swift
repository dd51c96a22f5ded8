// Guesses what the author of an invalid version or range meant, for the "did you mean" of an error.
// A guess is offered only when it parses, so a suggestion is never wrong in itself. Long input gets none.

enum Repair {
    private static let longest = 200

    /// A valid version near `bytes`, or nil.
    static func version(_ bytes: [UInt8]) -> String? {
        guard bytes.count <= longest, isPrintable(bytes) else { return nil }
        var cursor = ByteCursor(bytes)
        cursor.skip { !$0.isDigit }
        guard !cursor.isAtEnd else { return nil }
        var words = mainWords(&cursor).map { $0 == "x" ? "0" : $0 }
        while words.count < 3 { words.append("0") }
        let text = words.prefix(3).joined(separator: ".") + qualifier(&cursor)
        cursor.skip { !$0.isSpace && !$0.isDigit }
        cursor.skipSpace()
        guard cursor.isAtEnd else { return nil }
        var check = ByteCursor(Array(text.utf8))
        return (try? check.version()) == nil ? nil : text
    }

    /// A valid range near `bytes`, or nil.
    static func range(_ bytes: [UInt8]) -> String? {
        guard bytes.count <= longest, isPrintable(bytes) else { return nil }
        let text = spaced(bytes).split(separator: UInt8.pipe).map(set).joined(separator: " || ")
        let repaired = Array(text.utf8)
        guard !repaired.isEmpty, repaired != bytes, (try? RangeParser.parse(repaired)) != nil else { return nil }
        return text
    }

    private static func isPrintable(_ bytes: [UInt8]) -> Bool {
        bytes.allSatisfy { (0x20...0x7E).contains($0) || $0.isSpace }
    }

    /// Commas and ampersands become spaces, and a space parts an operand from an operator that touches it.
    private static func spaced(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes {
            if byte == 0x2C || byte == 0x26 || byte.isSpace {
                result.append(0x20)
                continue
            }
            if isOperator(byte), let last = result.last, last.isIdentifier || last == .star { result.append(0x20) }
            result.append(byte)
        }
        return result
    }

    private static func isOperator(_ byte: UInt8) -> Bool {
        [.less, .greater, .equals, .caret, .tilde].contains(byte)
    }

    private static func set(_ bytes: ArraySlice<UInt8>) -> String {
        var terms: [String] = []
        var cursor = ByteCursor(Array(bytes))
        cursor.skipSpace()
        while !cursor.isAtEnd {
            terms.append(term(&cursor))
            cursor.skipSpace()
        }
        return terms.isEmpty ? "*" : terms.joined(separator: " ")
    }

    /// One operator and its operand, each brought into a form the grammar knows.
    private static func term(_ cursor: inout ByteCursor) -> String {
        let start = cursor.position
        cursor.skip(while: isOperator)
        let prefix = Set(cursor.bytes[start..<cursor.position])
        cursor.skipSpace()
        cursor.skip { $0 == .equals || $0 == .letterV || $0 == 0x56 }
        let wordStart = cursor.position
        let isHyphen = cursor.current == .hyphen && (cursor.peek(1)?.isSpace ?? true)
        guard !isHyphen, let first = cursor.current, first.isDigit || first.isWildcard else {
            cursor.skip { !$0.isSpace }
            let word = cursor.text(from: wordStart)
            return ["latest", "any", "all"].contains(word) ? "*" : symbol(prefix) + word
        }
        var words = mainWords(&cursor)
        let hasTooMany = words.count > 3
        if let wild = words.firstIndex(of: "x"), let last = words.lastIndex(where: { $0 != "x" }), last > wild {
            words = hasTooMany ? words.filter { $0 != "x" } : Array(words[...wild])
        }
        words = Array(words.prefix(3))
        var tail = qualifier(&cursor)
        if words.contains("x") {
            tail = ""
        } else if words.count < 3, tail.hasPrefix("-") {
            words += Array(repeating: "0", count: 3 - words.count)
        }
        cursor.skip { !$0.isSpace }
        let operand = words == ["x"] ? "*" : words.joined(separator: ".") + tail
        return symbol(prefix) + operand
    }

    private static func symbol(_ prefix: Set<UInt8>) -> String {
        if prefix.contains(.caret) { return "^" }
        if prefix.contains(.tilde) { return "~" }
        let equals = prefix.contains(.equals) ? "=" : ""
        if prefix.contains(.less) { return "<" + equals }
        return prefix.contains(.greater) ? ">" + equals : ""
    }

    /// The dotted numbers and wildcards at the cursor, without needless zeros; a wildcard is "x".
    private static func mainWords(_ cursor: inout ByteCursor) -> [String] {
        var words: [String] = []
        while let byte = cursor.current, byte.isDigit || byte.isWildcard {
            let start = cursor.position
            if byte.isDigit {
                cursor.skip { $0.isDigit }
                words.append(withoutZeros(cursor.text(from: start)))
            } else {
                cursor.position += 1
                words.append("x")
            }
            guard cursor.current == .dot else { break }
            cursor.skip { $0 == .dot }
        }
        return words
    }

    /// What follows the numbers: a prerelease, which may lack its hyphen, and build metadata.
    private static func qualifier(_ cursor: inout ByteCursor) -> String {
        let prerelease = identifiers(&cursor).map(withoutZeros).joined(separator: ".")
        let build = cursor.take(.plus) ? identifiers(&cursor).joined(separator: ".") : ""
        return (prerelease.isEmpty ? "" : "-" + prerelease) + (build.isEmpty ? "" : "+" + build)
    }

    private static func identifiers(_ cursor: inout ByteCursor) -> [String] {
        _ = cursor.take(.hyphen)
        let start = cursor.position
        cursor.skip { $0.isIdentifier || $0 == .dot }
        return cursor.text(from: start).split(separator: ".").map(String.init)
    }

    private static func withoutZeros(_ word: String) -> String {
        guard word.utf8.allSatisfy(\.isDigit) else { return word }
        let rest = word.drop { $0 == "0" }
        return rest.isEmpty ? "0" : String(rest)
    }
}
