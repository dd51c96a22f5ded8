// Loads the JSON vectors in Tests/Vectors/semver, and makes random input from a seed for the property tests.
// The only file of these tests that touches the file system.

import Foundation

enum Vectors {
    static func load<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appending(components: "Vectors", "semver", "\(name).json")
        return try JSONDecoder().decode(Value.self, from: Data(contentsOf: file))
    }
}

/// SplitMix64: the same seed gives the same inputs on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Random versions and ranges that keep to the grammar, drawn from few numbers so that they often meet.
struct TextMaker {
    static let identifiers = ["0", "1", "a", "b", "-", "a1"]

    var generator: SeededGenerator
    var numbers = ["0", "1", "2"]

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &generator) }

    mutating func pick(_ choices: [String]) -> String { choices[below(choices.count)] }

    mutating func number() -> String { pick(numbers) }

    mutating func prerelease() -> String {
        guard below(3) == 0 else { return "" }
        return "-" + pick(Self.identifiers) + (below(2) == 0 ? "" : "." + pick(Self.identifiers))
    }

    mutating func build() -> String { below(8) == 0 ? "+" + pick(["1", "b.007", "-"]) : "" }

    mutating func version() -> String {
        "\(number()).\(number()).\(number())" + prerelease() + build()
    }

    mutating func partial() -> String {
        switch below(6) {
        case 0: pick(["x", "X", "*", "x.x", "*.*.*"])
        case 1: number() + pick(["", ".x", ".*.x"]) + build()
        case 2: number() + "." + number() + pick(["", ".x", ".X"])
        default: version()
        }
    }

    mutating func set() -> String {
        if below(5) == 0 { return partial() + " - " + partial() }
        let operators = ["", "", "^", "~", "~> ", "<", "<=", ">", ">=", ">= ", "="]
        return (0..<(1 + below(3))).map { _ in pick(operators) + partial() }.joined(separator: " ")
    }

    mutating func range() -> String {
        (0..<(1 + below(3))).map { _ in set() }.joined(separator: pick(["||", " || "]))
    }

    /// Bytes that look like a range here and there, and break every rule elsewhere.
    mutating func hostile(length: Int) -> String {
        let alphabet = Array("0123456789.xX*-+^~<>=|v ab\t\u{0}\u{e9}\u{1F4A5}e\u{301}".unicodeScalars)
        var scalars = String.UnicodeScalarView()
        for _ in 0..<length { scalars.append(alphabet[below(alphabet.count)]) }
        return String(scalars)
    }
}
