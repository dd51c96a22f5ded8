// JSON as `wiz` handles it: the values of ConfigDocument, so that what people type is answered with a place when it is
// wrong, and a printer that indents and colours a document without touching its numbers.

import ConfigDocument

/// A JSON value.
typealias JSON = ConfigValue

extension ConfigValue {
    /// Reads JSON of a reply or an argument.
    init(parsing text: String, source: String = "JSON") throws(ConfigErrors) {
        let limits = ConfigLimits(bytes: 64 << 20, depth: 256)
        self = try ConfigDocument(text: text, source: source, format: .json, limits: limits).root.value
    }

    /// Makes an object.
    static func object(_ entries: KeyValuePairs<String, JSON>) -> JSON {
        .mapping(entries.map { Entry(key: $0.key, value: $0.value) })
    }

    /// The text of a string; nil for everything else.
    var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// A whole number; nil for everything else.
    var integer: Int64? {
        guard case .integer(let number) = self else { return nil }
        return number
    }

    /// A boolean; nil for everything else.
    var boolean: Bool? {
        guard case .boolean(let flag) = self else { return nil }
        return flag
    }

    /// The elements of a list; empty for everything else.
    var items: [JSON] {
        guard case .list(let items) = self else { return [] }
        return items
    }

    /// The entries of an object; empty for everything else.
    var entries: [Entry] {
        guard case .mapping(let entries) = self else { return [] }
        return entries
    }

    /// The text under a key; empty when there is none.
    func text(_ key: String) -> String { self[key]?.string ?? "" }

    /// The number under a key; 0 when there is none.
    func number(_ key: String) -> Int64 { self[key]?.integer ?? 0 }

    /// The texts of the list under a key.
    func texts(_ key: String) -> [String] { self[key]?.items.compactMap(\.string) ?? [] }

    /// The value as people read it in a table: texts without quotes.
    var plain: String {
        switch self {
        case .string(let text): text
        case .null: "-"
        default: json
        }
    }
}

/// Indents JSON text, and colours it on a terminal; numbers and strings stay as they were written.
func prettyJSON(_ text: String, _ style: Style) -> String {
    var printer = JSONPrinter(style: style)
    return printer.print(Array(text.utf8))
}

private struct JSONPrinter {
    let style: Style
    var out = ""
    var isKey: [Bool] = []

    init(style: Style) { self.style = style }

    mutating func print(_ bytes: [UInt8]) -> String {
        var index = 0
        var expectsKey = false
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let close = next(bytes, index + 1)
                out.unicodeScalars.append(Unicode.Scalar(byte))
                if let close, bytes[close] == byte + 2 {
                    out.unicodeScalars.append(Unicode.Scalar(bytes[close]))
                    index = close
                } else {
                    isKey.append(byte == UInt8(ascii: "{"))
                    expectsKey = byte == UInt8(ascii: "{")
                    newLine()
                }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                _ = isKey.popLast()
                newLine()
                out.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ","):
                out += ","
                expectsKey = isKey.last ?? false
                newLine()
            case UInt8(ascii: ":"):
                out += ": "
                expectsKey = false
            case UInt8(ascii: "\""):
                let end = stringEnd(bytes, index)
                let text = clean(String(decoding: bytes[index...end], as: UTF8.self))
                out += expectsKey ? style.blue(text) : style.green(text)
                index = end
            case 0x20, 0x09, 0x0A, 0x0D: break
            default:
                let end = bytes[index...].firstIndex { ",]} \n\r\t".utf8.contains($0) } ?? bytes.count
                out += style.yellow(String(decoding: bytes[index..<end], as: UTF8.self))
                index = end - 1
            }
            index += 1
        }
        return out
    }

    private mutating func newLine() { out += "\n" + String(repeating: "  ", count: isKey.count) }

    private func next(_ bytes: [UInt8], _ start: Int) -> Int? {
        bytes[min(start, bytes.count)...].firstIndex { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    }

    private func stringEnd(_ bytes: [UInt8], _ start: Int) -> Int {
        var index = start + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index, bytes.count - 1)
    }
}
