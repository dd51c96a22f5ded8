// What is wrong in a configuration file, and where: one problem, all the problems of a file, and their JSON form.
// A problem always names the place (file, line, column, JSON pointer), and where it can, what was expected and what to
// write instead. Pure values, no input or output.

/// A place in a text: line and column, both from 1, columns counted in Unicode scalars.
public struct ConfigPosition: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The line, from 1.
    public let line: Int
    /// The column in Unicode scalars, from 1.
    public let column: Int

    /// The place at a line and a column.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The first character of a text.
    public static let start = ConfigPosition(line: 1, column: 1)

    /// The form `line:column`.
    public var description: String { "\(line):\(column)" }

    /// Whether one place comes before another in the text.
    public static func < (left: ConfigPosition, right: ConfigPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One thing that is wrong in a configuration file.
public struct ConfigProblem: Hashable, Sendable, CustomStringConvertible {
    /// The name of the file, as the reader was told it.
    public let source: String
    /// The line, from 1.
    public let line: Int
    /// The column in Unicode scalars, from 1.
    public let column: Int
    /// The JSON pointer (RFC 6901) of the value; empty for the whole document.
    public let pointer: String
    /// What is wrong.
    public let message: String
    /// What would be right, as a noun phrase ("a whole number from 1 to 64").
    public let expected: String?
    /// Text to write instead, when one is likely meant.
    public let suggestion: String?

    /// A problem at a place.
    public init(
        source: String,
        position: ConfigPosition,
        pointer: String,
        message: String,
        expected: String? = nil,
        suggestion: String? = nil
    ) {
        self.source = source
        self.line = position.line
        self.column = position.column
        self.pointer = pointer
        self.message = message
        self.expected = expected
        self.suggestion = suggestion
    }

    /// The place in the file.
    public var position: ConfigPosition { ConfigPosition(line: line, column: column) }

    /// One line for people: `file:line:column pointer: message; expected …; did you mean "…"?`.
    public var description: String {
        var text = "\(source):\(line):\(column)"
        if !pointer.isEmpty { text += " \(pointer)" }
        text += ": \(message)"
        if let expected { text += "; expected \(expected)" }
        if let suggestion { text += "; did you mean \(quoted(suggestion))?" }
        return text
    }
}

/// Every problem found in one file, in the order of the text.
public struct ConfigErrors: Error, Hashable, Sendable, CustomStringConvertible {
    /// The most problems that are kept for one file.
    public static let limit = 200

    /// The problems, sorted by place; at least one.
    public let problems: [ConfigProblem]
    /// How many more there were than are kept.
    public let omitted: Int

    /// The problems, sorted and without repetitions.
    public init(_ problems: [ConfigProblem], omitted: Int = 0) {
        var seen = Set<ConfigProblem>()
        self.problems =
            problems
            .filter { seen.insert($0).inserted }
            .sorted { ($0.position, $0.pointer, $0.message) < ($1.position, $1.pointer, $1.message) }
        self.omitted = omitted
    }

    /// Just one problem.
    public init(_ problem: ConfigProblem) {
        self.init([problem])
    }

    /// One line for each problem.
    public var description: String {
        var lines = problems.map(\.description)
        if omitted > 0 { lines.append("… and \(omitted) more") }
        return lines.joined(separator: "\n")
    }

    /// The form for `--json` and editors.
    public var report: ConfigReport { ConfigReport(valid: false, problems: problems.map(\.record), omitted: omitted) }
}

extension ConfigProblem {
    /// The form for `--json` and editors.
    public var record: ConfigReport.Problem {
        ConfigReport.Problem(
            file: source,
            line: line,
            column: column,
            pointer: pointer,
            message: message,
            expected: expected,
            suggestion: suggestion
        )
    }
}

/// The machine-readable outcome of reading a file; its member names are the JSON keys.
public struct ConfigReport: Encodable, Hashable, Sendable {
    /// One problem; keys without a value are left out of the JSON.
    public struct Problem: Encodable, Hashable, Sendable {
        /// The name of the file.
        public let file: String
        /// The line, from 1.
        public let line: Int
        /// The column in Unicode scalars, from 1.
        public let column: Int
        /// The JSON pointer of the value.
        public let pointer: String
        /// What is wrong.
        public let message: String
        /// What would be right.
        public let expected: String?
        /// Text to write instead.
        public let suggestion: String?
    }

    /// Whether the file is good.
    public let valid: Bool
    /// The problems, sorted by place.
    public let problems: [Problem]
    /// How many more there were.
    public let omitted: Int

    /// The report of a file without problems.
    public static let valid = ConfigReport(valid: true, problems: [], omitted: 0)
}

/// Collects the problems of one file while it is read, so that all of them can be told at once.
final class ProblemCollector {
    let source: String
    private(set) var problems: [ConfigProblem]
    private(set) var omitted = 0

    init(source: String, problems: [ConfigProblem] = []) {
        self.source = source
        self.problems = problems
    }

    func add(
        _ message: String,
        at position: ConfigPosition,
        pointer: String,
        expected: String? = nil,
        suggestion: String? = nil
    ) {
        guard problems.count < ConfigErrors.limit else {
            omitted += 1
            return
        }
        problems.append(
            ConfigProblem(
                source: source,
                position: position,
                pointer: pointer,
                message: message,
                expected: expected,
                suggestion: suggestion
            )
        )
    }

    var errors: ConfigErrors? { problems.isEmpty ? nil : ConfigErrors(problems, omitted: omitted) }
}
