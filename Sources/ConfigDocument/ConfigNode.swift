// The tree that a configuration text becomes: values that remember where they stood, and the same values without places
// for what is passed on unread (a plugin's own settings, a JSON Schema). Pure values, no input or output.

/// A value in a configuration text, with its place.
public struct ConfigNode: Sendable {
    /// What the value is.
    public enum Content: Sendable {
        /// `null`, or nothing at all in YAML.
        case null
        /// `true` or `false`.
        case boolean(Bool)
        /// A whole number that 64 bits can hold.
        case integer(Int64)
        /// Any other number.
        case number(Double)
        /// A string.
        case string(String)
        /// A list.
        case list([ConfigNode])
        /// A mapping, in the order of the text; keys are unique.
        case mapping([Entry])
    }

    /// A key and its value in a mapping.
    public struct Entry: Sendable {
        /// The key.
        public let key: String
        /// Where the key stands.
        public let keyPosition: ConfigPosition
        /// The value.
        public let value: ConfigNode
    }

    /// What the value is.
    public let content: Content
    /// Where it begins.
    public let position: ConfigPosition
    /// How a number, a boolean or null was written; empty for everything else.
    let spelling: String

    init(_ content: Content, at position: ConfigPosition, spelling: String = "") {
        self.content = content
        self.position = position
        self.spelling = spelling
    }

    /// What the value is called in a message ("a string", "a list").
    public var kindName: String {
        switch content {
        case .null: "null"
        case .boolean: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .list: "a list"
        case .mapping: "a mapping"
        }
    }

    /// The value without its places.
    public var value: ConfigValue {
        switch content {
        case .null: .null
        case .boolean(let flag): .boolean(flag)
        case .integer(let number): .integer(number)
        case .number(let number): .number(number)
        case .string(let text): .string(text)
        case .list(let nodes): .list(nodes.map(\.value))
        case .mapping(let entries): .mapping(entries.map { ConfigValue.Entry(key: $0.key, value: $0.value.value) })
        }
    }
}

/// A configuration value without places, to be passed on as it is.
public enum ConfigValue: Hashable, Sendable {
    /// Null.
    case null
    /// A boolean.
    case boolean(Bool)
    /// A whole number.
    case integer(Int64)
    /// Any other finite number.
    case number(Double)
    /// A string.
    case string(String)
    /// A list.
    case list([ConfigValue])
    /// A mapping in its written order.
    case mapping([Entry])

    /// A key and its value.
    public struct Entry: Hashable, Sendable {
        /// The key.
        public let key: String
        /// The value.
        public let value: ConfigValue

        /// A key with a value.
        public init(key: String, value: ConfigValue) {
            self.key = key
            self.value = value
        }
    }

    /// The value under a key, if this is a mapping that has it.
    public subscript(key: String) -> ConfigValue? {
        guard case .mapping(let entries) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// The value as compact JSON.
    public var json: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .boolean(let flag): text += flag ? "true" : "false"
        case .integer(let number): text += String(number)
        case .number(let number): text += number.isFinite ? String(number) : "null"
        case .string(let string): text += quoted(string)
        case .list(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .mapping(let entries):
            text += "{"
            for (index, entry) in entries.enumerated() {
                if index > 0 { text += "," }
                text += quoted(entry.key) + ":"
                entry.value.write(to: &text)
            }
            text += "}"
        }
    }
}

/// A text as a JSON string, quotes included.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default:
            if scalar.value < 0x20 || scalar.value == 0x7F {
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result + "\""
}

/// A text quoted for a message, shortened when it is long.
func shown(_ text: String) -> String {
    text.count <= 80 ? quoted(text) : quoted(String(text.prefix(77)) + "…")
}

/// A JSON pointer one step further down.
func pointerStep(_ base: String, _ step: String) -> String {
    var result = base + "/"
    for character in step {
        switch character {
        case "~": result += "~0"
        case "/": result += "~1"
        default: result.append(character)
        }
    }
    return result
}
