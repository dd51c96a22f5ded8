// Reads JSON exactly as RFC 8259 has it, remembering places. A key given twice is a problem but not the end; a mistake in
// the grammar is the end, told with what stood there and what should have. Pure: works on a text, bounded in depth.

struct JSONReader {
    private let scalars: [Unicode.Scalar]
    private var index = 0
    private var line = 1
    private var column = 1
    private var path = ""
    private let collector: ProblemCollector
    private let limits: ConfigLimits

    init(text: String, collector: ProblemCollector, limits: ConfigLimits) {
        self.scalars = Array(text.unicodeScalars)
        self.collector = collector
        self.limits = limits
    }

    /// The whole text's value, or nil after a mistake in the grammar, which is then among the problems.
    mutating func document() -> ConfigNode? {
        do throws(Stop) {
            skipSpace()
            let root = try value(depth: 0)
            skipSpace()
            if let extra = peek {
                try fail("unexpected \(name(extra)) after the value", expected: "the end of the file")
            }
            return root
        } catch {
            return nil
        }
    }

    /// The problem is already noted.
    private struct Stop: Error {}

    private var place: ConfigPosition { ConfigPosition(line: line, column: column) }
    private var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func advance() {
        let scalar = scalars[index]
        index += 1
        if scalar == "\n" || (scalar == "\r" && peek != "\n") {
            line += 1
            column = 1
        } else if scalar != "\r" {
            column += 1
        }
    }

    private mutating func skipSpace() {
        while let scalar = peek, scalar == " " || scalar == "\n" || scalar == "\t" || scalar == "\r" { advance() }
    }

    private func fail(_ message: String, at place: ConfigPosition? = nil, expected: String? = nil) throws(Stop) -> Never
    {
        collector.add(message, at: place ?? self.place, pointer: path, expected: expected)
        throw Stop()
    }

    private func name(_ scalar: Unicode.Scalar?) -> String {
        guard let scalar else { return "end of the file" }
        return scalar.value > 0x20 && scalar.value != 0x7F
            ? quoted(String(scalar)) : "character U+\(hexadecimal(scalar.value))"
    }

    private mutating func value(depth: Int) throws(Stop) -> ConfigNode {
        let start = place
        switch peek {
        case "{": return ConfigNode(.mapping(try mapping(depth: try deeper(depth))), at: start)
        case "[": return ConfigNode(.list(try list(depth: try deeper(depth))), at: start)
        case "\"": return ConfigNode(.string(try string()), at: start)
        case "'": try fail("strings stand in double quotes in JSON", expected: "a value")
        case "/", "#": try fail("comments are not allowed in JSON", expected: "a value")
        case let scalar? where scalar == "-" || isDigit(scalar): return try number()
        case let scalar? where scalar.properties.isAlphabetic: return try word()
        default: try fail("unexpected \(name(peek))", expected: "a value")
        }
    }

    private func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.value >= 0x30 && scalar.value <= 0x39 }

    private func deeper(_ depth: Int) throws(Stop) -> Int {
        guard depth < limits.depth else {
            try fail("too many lists and mappings inside each other", expected: "at most \(limits.depth) levels")
        }
        return depth + 1
    }

    private mutating func mapping(depth: Int) throws(Stop) -> [ConfigNode.Entry] {
        let outer = path
        var entries: [ConfigNode.Entry] = []
        var lines: [String: Int] = [:]
        advance()
        skipSpace()
        if peek == "}" {
            advance()
            return entries
        }
        while true {
            guard peek == "\"" else { try failAtKey() }
            let keyPlace = place
            let key = try string()
            path = pointerStep(outer, key)
            skipSpace()
            guard peek == ":" else { try fail("unexpected \(name(peek)) after a key", expected: "\":\"") }
            advance()
            skipSpace()
            let node = try value(depth: depth)
            if let line = lines[key] {
                collector.add("key \(shown(key)) is given twice, first on line \(line)", at: keyPlace, pointer: path)
            } else {
                lines[key] = keyPlace.line
                entries.append(ConfigNode.Entry(key: key, keyPosition: keyPlace, value: node))
            }
            path = outer
            if try endsAfterItem(close: "}") { return entries }
        }
    }

    private mutating func list(depth: Int) throws(Stop) -> [ConfigNode] {
        let outer = path
        var nodes: [ConfigNode] = []
        advance()
        skipSpace()
        if peek == "]" {
            advance()
            return nodes
        }
        while true {
            path = pointerStep(outer, String(nodes.count))
            if peek == "]" { try fail("a comma before \"]\"", expected: "a value") }
            nodes.append(try value(depth: depth))
            path = outer
            if try endsAfterItem(close: "]") { return nodes }
        }
    }

    /// Reads a comma (false) or the closing bracket (true).
    private mutating func endsAfterItem(close: Unicode.Scalar) throws(Stop) -> Bool {
        skipSpace()
        guard let scalar = peek, scalar == "," || scalar == close else {
            try fail("unexpected \(name(peek))", expected: "\",\" or \"\(close)\"")
        }
        advance()
        skipSpace()
        return scalar == close
    }

    private func failAtKey() throws(Stop) -> Never {
        switch peek {
        case "}": try fail("a comma before \"}\"", expected: "a key in double quotes")
        case "/", "#": try fail("comments are not allowed in JSON", expected: "a key in double quotes")
        default: try fail("unexpected \(name(peek))", expected: "a key in double quotes")
        }
    }

    private mutating func word() throws(Stop) -> ConfigNode {
        let start = place
        var text = ""
        while let scalar = peek, scalar.properties.isAlphabetic || scalar == "_" || isDigit(scalar) {
            text.unicodeScalars.append(scalar)
            advance()
        }
        switch text {
        case "true": return ConfigNode(.boolean(true), at: start, spelling: text)
        case "false": return ConfigNode(.boolean(false), at: start, spelling: text)
        case "null": return ConfigNode(.null, at: start, spelling: text)
        default:
            try fail(
                "\(shown(text)) is not JSON",
                at: start,
                expected: "true, false, null, or a string in double quotes"
            )
        }
    }

    private mutating func number() throws(Stop) -> ConfigNode {
        let start = place
        var text = ""
        while let scalar = peek, isDigit(scalar) || "+-.eE".unicodeScalars.contains(scalar) {
            text.unicodeScalars.append(scalar)
            advance()
        }
        guard isJSONNumber(text), let number = Double(text), number.isFinite else {
            try fail(
                "\(shown(text)) is not a number that JSON allows",
                at: start,
                expected: "a number such as 12 or 0.5"
            )
        }
        if let integer = Int64(text) { return ConfigNode(.integer(integer), at: start, spelling: text) }
        return ConfigNode(.number(number), at: start, spelling: text)
    }

    private mutating func string() throws(Stop) -> String {
        let start = place
        var text = String.UnicodeScalarView()
        advance()
        while let scalar = peek {
            switch scalar {
            case "\"":
                advance()
                return String(text)
            case "\\":
                text.append(try escape())
            case _ where scalar.value < 0x20:
                try fail("\(name(scalar)) inside a string; write it as an escape such as \\n")
            default:
                text.append(scalar)
                advance()
            }
        }
        try fail("a string that begins here never ends", at: start, expected: "a closing \"")
    }

    private mutating func escape() throws(Stop) -> Unicode.Scalar {
        let start = place
        advance()
        let simple: [Unicode.Scalar: Unicode.Scalar] = [
            "\"": "\"", "\\": "\\", "/": "/", "b": "\u{8}", "f": "\u{C}", "n": "\n", "r": "\r", "t": "\t",
        ]
        if let scalar = peek, let meaning = simple[scalar] {
            advance()
            return meaning
        }
        guard peek == "u" else {
            try fail(
                "\"\\\" before \(name(peek)) is not an escape",
                at: start,
                expected: "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"
            )
        }
        let unit = try codeUnit(from: start)
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard unit < 0xDC00, peek == "\\" else { try fail("half of a surrogate pair", at: start) }
        advance()
        guard peek == "u" else { try fail("half of a surrogate pair", at: start) }
        let second = try codeUnit(from: start)
        guard (0xDC00..<0xE000).contains(second) else { try fail("half of a surrogate pair", at: start) }
        let value = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00)
        guard let scalar = Unicode.Scalar(value) else { try fail("half of a surrogate pair", at: start) }
        return scalar
    }

    /// Reads `uXXXX`.
    private mutating func codeUnit(from start: ConfigPosition) throws(Stop) -> UInt32 {
        advance()
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = peek.flatMap({ Character($0).hexDigitValue }), peek?.isASCII == true else {
                try fail("\\u needs four hexadecimal digits", at: start)
            }
            value = value << 4 | UInt32(digit)
            advance()
        }
        return value
    }
}

/// A code point in the four digits or more that are usual for it.
func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

/// Whether a text follows JSON's grammar of numbers.
func isJSONNumber(_ text: String) -> Bool {
    var rest = text.utf8[...]
    func digits() -> Int {
        let run = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
        rest = rest[run.endIndex...]
        return run.count
    }
    if rest.first == UInt8(ascii: "-") { rest.removeFirst() }
    let startsWithZero = rest.first == UInt8(ascii: "0")
    let count = digits()
    guard count > 0, !startsWithZero || count == 1 else { return false }
    if rest.first == UInt8(ascii: ".") {
        rest.removeFirst()
        guard digits() > 0 else { return false }
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
        rest.removeFirst()
        if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() }
        guard digits() > 0 else { return false }
    }
    return rest.isEmpty
}
