// Conditions on a provider's attributes: `model=tiny;contextLength>=4096`. Parsed once for each call by capability.
// Pure.

import MeshProtocol

/// Why a text is not a list of conditions.
struct ConditionsError: Error, Hashable, Sendable {
    /// Where, in bytes from the start.
    var offset: Int
    /// What is wrong, as a sentence.
    var message: String
}

/// Conditions that must all hold.
///
/// Both sides are compared as numbers when both are decimal numbers, else as text, by bytes. When the condition's value
/// is a number and the attribute's is not, no order holds between them.
struct Conditions: Hashable, Sendable {
    private enum Comparison: Sendable {
        case equal, unequal, less, lessOrEqual, greater, greaterOrEqual
    }

    private struct Condition: Hashable, Sendable {
        var name: String
        var comparison: Comparison
        var value: String
        var number: Number?
    }

    private var conditions: [Condition] = []

    /// Parses conditions joined by `;`; an empty text has none and always holds.
    ///
    /// Spaces around names and values do not count.
    init(_ text: String) throws(ConditionsError) {
        guard !text.utf8.allSatisfy({ $0 == UInt8(ascii: " ") }) else { return }
        var offset = 0
        for part in text.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false) {
            conditions.append(try Self.parse(Array(part), at: offset))
            offset += part.count + 1
        }
    }

    /// True when there are none.
    var isEmpty: Bool { conditions.isEmpty }

    /// True when every condition holds.
    ///
    /// An attribute that is not there satisfies only `!=`.
    func matches(_ attributes: [Attribute]) -> Bool {
        for condition in conditions {
            let attribute = attributes.first { $0.name == condition.name }
            guard let attribute else {
                if condition.comparison == .unequal { continue }
                return false
            }
            guard Self.holds(attribute.value, condition) else { return false }
        }
        return true
    }

    private static func holds(_ value: String, _ condition: Condition) -> Bool {
        let order: Order
        if let right = condition.number {
            if let left = Number(value) {
                order = left.compared(to: right)
            } else {
                order = .none
            }
        } else {
            // Bytes of UTF-8, so that the order is the same everywhere, whatever Unicode's tables say.
            order =
                value.utf8.elementsEqual(condition.value.utf8)
                ? .same : value.utf8.lexicographicallyPrecedes(condition.value.utf8) ? .before : .after
        }
        return switch condition.comparison {
        case .equal: order == .same
        case .unequal: order != .same
        case .less: order == .before
        case .lessOrEqual: order == .before || order == .same
        case .greater: order == .after
        case .greaterOrEqual: order == .after || order == .same
        }
    }

    // MARK: Parsing

    private static func parse(_ part: [UInt8], at offset: Int) throws(ConditionsError) -> Condition {
        var place = part.firstIndex { $0 != UInt8(ascii: " ") } ?? part.count
        let start = place
        while place < part.count, isNameByte(part[place]) { place += 1 }
        let name = String(decoding: part[start..<place], as: UTF8.self)
        guard !name.isEmpty else {
            let message =
                start == part.count
                ? "a condition is missing here"
                : "an attribute's name of letters, digits, '-', '_' or '.' must stand here"
            throw ConditionsError(offset: offset + start, message: message)
        }
        while place < part.count, part[place] == UInt8(ascii: " ") { place += 1 }
        let operatorPlace = place
        guard let comparison = comparison(part, &place) else {
            throw ConditionsError(
                offset: offset + operatorPlace,
                message: "one of = != < <= > >= must follow the name \"\(name)\""
            )
        }
        while place < part.count, part[place] == UInt8(ascii: " ") { place += 1 }
        var end = part.count
        while end > place, part[end - 1] == UInt8(ascii: " ") { end -= 1 }
        if place < end, "=<>!".utf8.contains(part[place]) {
            throw ConditionsError(
                offset: offset + operatorPlace,
                message: "unknown comparison; the comparisons are = != < <= > >="
            )
        }
        let value = String(decoding: part[place..<end], as: UTF8.self)
        if value.isEmpty, comparison != .equal, comparison != .unequal {
            throw ConditionsError(offset: offset + place, message: "a value must follow the comparison of \"\(name)\"")
        }
        return Condition(name: name, comparison: comparison, value: value, number: Number(value))
    }

    private static func comparison(_ part: [UInt8], _ place: inout Int) -> Comparison? {
        guard place < part.count else { return nil }
        let hasEqual = place + 1 < part.count && part[place + 1] == UInt8(ascii: "=")
        switch part[place] {
        case UInt8(ascii: "="):
            place += 1
            return .equal
        case UInt8(ascii: "!") where hasEqual:
            place += 2
            return .unequal
        case UInt8(ascii: "<"):
            place += hasEqual ? 2 : 1
            return hasEqual ? .lessOrEqual : .less
        case UInt8(ascii: ">"):
            place += hasEqual ? 2 : 1
            return hasEqual ? .greaterOrEqual : .greater
        default:
            return nil
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
            || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
    }

    private enum Order {
        case before, same, after, none
    }

    /// A decimal number, kept exact while it is a whole one of 64 bits.
    private struct Number: Hashable, Sendable {
        var whole: Int64?
        var real: Double

        /// Reads `[+-]digits[.digits][e[+-]digits]`; nil for anything else, `nan`, `inf` and hexadecimal included.
        init?(_ text: String) {
            guard let first = text.utf8.first(where: { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else {
                return nil
            }
            let isDecimal = text.utf8.allSatisfy {
                ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || "+-.eE".utf8.contains($0)
            }
            guard isDecimal, first >= UInt8(ascii: "0"), first <= UInt8(ascii: "9"), let real = Double(text),
                real.isFinite
            else { return nil }
            self.real = real
            whole = Int64(text)
        }

        func compared(to other: Number) -> Order {
            if let left = whole, let right = other.whole {
                return left == right ? .same : left < right ? .before : .after
            }
            return real == other.real ? .same : real < other.real ? .before : .after
        }
    }
}
