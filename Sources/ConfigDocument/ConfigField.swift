// A cursor on one value of a document: typed getters that note a problem and go on, so that a decoder reads straight
// through and every problem comes out at once. A getter answers nil for a key that is not there, silently: say
// `required()` first if it must be. Below a value of the wrong type nothing more is reported.

/// One value of a document, present or not, as a decoder sees it.
public struct ConfigField {
    enum State {
        case present(ConfigNode)
        case absent
        /// Something above is wrong and was reported.
        case broken
    }

    let state: State
    /// The JSON pointer of the value.
    public let pointer: String
    let place: ConfigPosition
    let document: ConfigDocument
    let collector: ProblemCollector

    init(state: State, pointer: String, place: ConfigPosition, document: ConfigDocument, _ collector: ProblemCollector)
    {
        self.state = state
        self.pointer = pointer
        self.place = place
        self.document = document
        self.collector = collector
    }

    /// The value with its place; nil if it is absent.
    public var node: ConfigNode? {
        if case .present(let node) = state { return node }
        return nil
    }

    /// Whether the value is there.
    public var isPresent: Bool { node != nil }

    /// Where the value begins; where it is absent, the mapping that lacks it.
    public var position: ConfigPosition { node?.position ?? place }

    /// Notes a problem with this value.
    public func report(_ message: String, expected: String? = nil, suggestion: String? = nil) {
        collector.add(message, at: position, pointer: pointer, expected: expected, suggestion: suggestion)
    }

    /// This field; notes a problem if the value is absent.
    public func required() -> ConfigField {
        if case .absent = state {
            let key = pointer.split(separator: "/").last.map(String.init) ?? ""
            collector.add("key \(quoted(unescaped(key))) is missing", at: place, pointer: parent)
            return ConfigField(state: .broken, pointer: pointer, place: place, document: document, collector)
        }
        return self
    }

    private var parent: String {
        guard let slash = pointer.lastIndex(of: "/") else { return "" }
        return String(pointer[..<slash])
    }

    private func unescaped(_ step: String) -> String {
        var result = ""
        var escaped = false
        for character in step {
            if escaped {
                result.append(character == "1" ? "/" : "~")
                escaped = false
            } else if character == "~" {
                escaped = true
            } else {
                result.append(character)
            }
        }
        return result
    }

    func mismatch(_ node: ConfigNode, expected: String, suggestion: String? = nil) {
        let found =
            switch node.content {
            case .null where node.spelling.isEmpty: "nothing"
            case .boolean, .integer, .number, .null: node.spelling
            case .string(let text): shown(text)
            case .list, .mapping: node.kindName
            }
        report("found \(found)", expected: expected, suggestion: suggestion)
    }

    // MARK: Scalars

    /// A string.
    ///
    /// - Parameters:
    ///   - allowsEmpty: Whether "" will do.
    ///   - maximumLength: The most UTF-8 bytes.
    /// - Returns: The string, or nil if it is absent or wrong.
    public func string(allowsEmpty: Bool = true, maximumLength: Int = 65_536) -> String? {
        guard let node else { return nil }
        guard case .string(let text) = node.content else {
            let isScalar = !node.spelling.isEmpty
            mismatch(node, expected: "a string", suggestion: isScalar ? "\"\(node.spelling)\"" : nil)
            return nil
        }
        if text.isEmpty, !allowsEmpty {
            report("the string is empty", expected: "at least one character")
            return nil
        }
        guard text.utf8.count <= maximumLength else {
            report("the string is too long: \(text.utf8.count) bytes", expected: "at most \(maximumLength) bytes")
            return nil
        }
        return text
    }

    /// A string that a parser turns into something; what the parser throws becomes the problem.
    ///
    /// - Parameters:
    ///   - what: What the text is called in the problem ("range").
    ///   - expected: What would be right.
    ///   - parse: The parser; its error's description ends the message.
    /// - Returns: What the parser made, or nil if the value is absent or wrong.
    public func parsed<Value>(
        as what: String,
        expected: String? = nil,
        _ parse: (String) throws -> Value
    ) -> Value? {
        guard let text = string() else { return nil }
        do {
            return try parse(text)
        } catch {
            report("\(what) \(shown(text)) is not valid: \(error)", expected: expected)
            return nil
        }
    }

    /// A whole number in a range.
    public func integer(in range: ClosedRange<Int> = Int.min...Int.max) -> Int? {
        guard let node else { return nil }
        let isBounded = range.lowerBound > Int.min || range.upperBound < Int.max
        let expected =
            !isBounded
            ? "a whole number"
            : range.upperBound == Int.max
                ? "a whole number from \(range.lowerBound) up"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .integer(let number) = node.content, let value = Int(exactly: number), range.contains(value) else {
            var suggestion: String?
            if case .string(let text) = node.content, let number = Int(text), range.contains(number) {
                suggestion = String(number)
            }
            mismatch(node, expected: expected, suggestion: suggestion)
            return nil
        }
        return value
    }

    /// A number in a range.
    public func number(
        in range: ClosedRange<Double> = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
    )
        -> Double?
    {
        guard let node else { return nil }
        let value: Double? =
            switch node.content {
            case .integer(let number): Double(number)
            case .number(let number): number
            default: nil
            }
        guard let value, range.contains(value) else {
            let isBounded = range.upperBound < Double.greatestFiniteMagnitude
            mismatch(
                node,
                expected: isBounded ? "a number from \(range.lowerBound) to \(range.upperBound)" : "a number"
            )
            return nil
        }
        return value
    }

    /// `true` or `false`.
    public func boolean() -> Bool? {
        guard let node else { return nil }
        if case .boolean(let flag) = node.content { return flag }
        var suggestion: String?
        if case .string(let text) = node.content {
            let words = ["yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"]
            suggestion = words[text.lowercased()]
        }
        mismatch(node, expected: "true or false", suggestion: suggestion)
        return nil
    }

    /// A duration such as "5s", "250ms" or "1.5h"; a plain number too if it is said what unit it has.
    public func duration(
        in range: ClosedRange<Duration> = .zero ... .seconds(366 * 86400),
        bareUnit: DurationUnit? = nil
    ) -> Duration? {
        guard let node else { return nil }
        let value: Duration? =
            switch node.content {
            case .string(let text): parseDuration(text)
            case .integer(let number): bareUnit.flatMap { multiply(number, $0) }
            default: nil
            }
        guard let value else {
            let bare = bareUnit.map { ", or a whole number of \($0)" } ?? ""
            var suggestion: String?
            if case .integer(let number) = node.content, number >= 0 { suggestion = "\"\(number)ms\"" }
            if case .string(let text) = node.content, Int(text) != nil { suggestion = text + "ms" }
            mismatch(node, expected: "a duration such as \"5s\" or \"250ms\"\(bare)", suggestion: suggestion)
            return nil
        }
        guard range.contains(value) else {
            mismatch(
                node,
                expected: "a duration from \(formatDuration(range.lowerBound)) to \(formatDuration(range.upperBound))"
            )
            return nil
        }
        return value
    }

    private func multiply(_ number: Int64, _ unit: DurationUnit) -> Duration? {
        let (nanoseconds, overflow) = number.multipliedReportingOverflow(by: unit.nanoseconds)
        return overflow ? nil : .nanoseconds(nanoseconds)
    }

    /// A number of bytes: a whole number, or text such as "64KiB" or "1.5GiB".
    public func byteCount(in range: ClosedRange<Int> = 0...Int.max) -> Int? {
        guard let node else { return nil }
        let value: Int? =
            switch node.content {
            case .string(let text): parseByteCount(text)
            case .integer(let number): Int(exactly: number)
            default: nil
            }
        guard let value, value >= 0 else {
            mismatch(node, expected: "a number of bytes such as 4096 or \"64KiB\"")
            return nil
        }
        guard range.contains(value) else {
            let upper = range.upperBound == Int.max ? " up" : " to \(formatByteCount(range.upperBound))"
            mismatch(node, expected: "from \(formatByteCount(range.lowerBound))\(upper)")
            return nil
        }
        return value
    }

    /// One of some words.
    public func oneOf(_ words: [String]) -> String? {
        guard let node else { return nil }
        if case .string(let text) = node.content {
            if words.contains(text) { return text }
            mismatch(node, expected: alternatives(words), suggestion: nearest(to: text, among: words))
        } else {
            mismatch(node, expected: alternatives(words))
        }
        return nil
    }

    /// One of an enumeration's raw values.
    public func oneOf<Choice>(_ type: Choice.Type = Choice.self) -> Choice?
    where Choice: CaseIterable & RawRepresentable, Choice.RawValue == String {
        oneOf(type.allCases.map(\.rawValue)).flatMap(Choice.init(rawValue:))
    }

    /// The value as it is, whatever it is.
    public func value() -> ConfigValue? { node?.value }
}

/// "a", "b" or "c".
func alternatives(_ words: [String]) -> String {
    let texts = words.map(quoted)
    guard let last = texts.last, texts.count > 1 else { return texts.first ?? "nothing" }
    return texts.dropLast().joined(separator: ", ") + " or " + last
}
