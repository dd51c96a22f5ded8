// The command line of the benchmark's processes: `--name value` pairs and `--flags`. Pure.

/// What is wrong with a run, in a sentence.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Parsed arguments.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: some Sequence<String>) throws {
        var name: String?
        for argument in arguments {
            if argument.hasPrefix("--") {
                if let name { values[name] = "" }
                name = String(argument.dropFirst(2))
            } else if let known = name {
                values[known] = argument
                name = nil
            } else {
                throw BenchError("unexpected argument '\(argument)': options are written --name value")
            }
        }
        if let name { values[name] = "" }
    }

    /// True when the option was given.
    func has(_ name: String) -> Bool { values[name] != nil }

    /// The option's text; nil when it was not given.
    func optional(_ name: String) -> String? { values[name] }

    /// The option's text, which must have been given.
    func text(_ name: String) throws -> String {
        guard let value = values[name], !value.isEmpty else { throw BenchError("the option --\(name) is missing") }
        return value
    }

    /// The option as a number.
    func number(_ name: String, default fallback: Int) throws -> Int {
        guard let value = values[name] else { return fallback }
        guard let number = Int(value) else { throw BenchError("--\(name) wants a number, not '\(value)'") }
        return number
    }
}
