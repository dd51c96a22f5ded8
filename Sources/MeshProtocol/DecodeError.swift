// Why bytes are not a header. Pure.

/// A header that cannot be read: which field, at which offset, and what is wrong.
public struct DecodeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with a field.
    public enum Problem: Hashable, Sendable {
        /// The header ends before the field does.
        case truncated(needed: Int, available: Int)
        /// The header goes on after its last field.
        case trailingBytes(count: Int)
        /// The header is longer than any header may be.
        case oversized(count: Int, maximum: Int)
        /// The number means nothing here.
        case unknownValue(UInt64)
        /// Flag bits that this verb does not have.
        case unknownFlags(UInt16)
        /// A text or a list is longer than it may be.
        case tooLong(count: Int, maximum: Int)
        /// A text that must not be empty is.
        case empty
        /// The bytes are not UTF-8.
        case notUTF8
        /// The text breaks the grammar of its field.
        case malformed(String)
        /// A field that must be zero or absent here is not.
        case mustBeZero
    }

    /// The verb, once it has been read.
    public var verb: Verb?
    /// The field, as the specification names it.
    public var field: StaticString
    /// Where the field begins, in bytes from the start of the header.
    public var offset: Int
    /// What is wrong.
    public var problem: Problem

    /// Makes an error.
    public init(verb: Verb? = nil, field: StaticString, offset: Int, problem: Problem) {
        self.verb = verb
        self.field = field
        self.offset = offset
        self.problem = problem
    }

    /// One sentence: verb, field, offset, problem.
    public var description: String {
        let verbName = verb.map { $0.name + " " } ?? ""
        return "\(verbName)header, field \"\(field)\" at byte \(offset): \(reason)"
    }

    private var reason: String {
        switch problem {
        case .truncated(let needed, let available): "needs \(needed) bytes, \(available) are left"
        case .trailingBytes(let count): "\(count) bytes follow the last field"
        case .oversized(let count, let maximum): "\(count) bytes, at most \(maximum) are allowed"
        case .unknownValue(let value): "the value \(value) is not known in this protocol version"
        case .unknownFlags(let bits):
            "the flag bits 0x\(String(bits, radix: 16)) are not known in this protocol version"
        case .tooLong(let count, let maximum): "length \(count), at most \(maximum) is allowed"
        case .empty: "must not be empty"
        case .notUTF8: "is not UTF-8"
        case .malformed(let why): why
        case .mustBeZero: "must be zero or empty here"
        }
    }

    /// Errors are the same when they say the same.
    public static func == (left: DecodeError, right: DecodeError) -> Bool {
        left.verb == right.verb && left.offset == right.offset && left.problem == right.problem
            && left.field.description == right.field.description
    }

    /// Hashes what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(verb)
        hasher.combine(offset)
        hasher.combine(problem)
        hasher.combine(field.description)
    }
}
