// The two errors this module throws. Each says what is wrong, at which UTF-8 offset, and what to type instead when it can.
// The text they carry is cut short and printable, so hostile input cannot flood or forge a log.

/// Why a text is not a version.
public struct VersionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let problem: SyntaxProblem
    /// Where it is wrong: a UTF-8 offset into the text.
    public let offset: Int
    /// The text, cut short and with unprintable bytes shown as "?".
    public let excerpt: String
    /// A valid version the author may have meant.
    public let suggestion: String?

    init(_ fault: SyntaxFault, bytes: [UInt8], suggestion: String?) {
        problem = fault.problem
        offset = fault.offset
        excerpt = printable(bytes)
        self.suggestion = suggestion
    }

    /// The error in one sentence.
    public var description: String {
        sentence(subject: "version", excerpt: excerpt, problem: problem, offset: offset, suggestion: suggestion)
    }
}

/// Why a text is not a version range.
public struct RangeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let problem: SyntaxProblem
    /// Where it is wrong: a UTF-8 offset into the text.
    public let offset: Int
    /// The text, cut short and with unprintable bytes shown as "?".
    public let excerpt: String
    /// A valid range the author may have meant.
    public let suggestion: String?

    init(_ fault: SyntaxFault, bytes: [UInt8], suggestion: String?) {
        problem = fault.problem
        offset = fault.offset
        excerpt = printable(bytes)
        self.suggestion = suggestion
    }

    /// The error in one sentence.
    public var description: String {
        sentence(subject: "range", excerpt: excerpt, problem: problem, offset: offset, suggestion: suggestion)
    }
}
