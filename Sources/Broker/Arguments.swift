// The arguments of the service `mesh`: JSON, read strictly, so that a refusal names every problem and the shape that
// would do.

import BrokerCore
import ConfigDocument
import MeshProtocol

/// A call to the service `mesh` that cannot be answered.
struct Refusal: Error {
    let failure: Failure

    init(_ failure: Failure) { self.failure = failure }

    init(_ status: Status, _ message: String, hint: String = "") {
        failure = Failure(status, message: message, hint: hint)
    }
}

/// What every paged method takes, and its filters.
struct PageArguments {
    /// Where the page begins, as the last one told.
    var after: String?
    var limit: Int
}

/// A call's arguments.
struct Arguments {
    /// The method, for messages.
    let method: String
    let bytes: [UInt8]

    /// Reads the arguments.
    ///
    /// - Parameters:
    ///   - shape: What they look like, for refusals.
    ///   - keys: The keys they may have.
    ///   - read: Takes the values; problems are noted by the fields.
    /// - Returns: What was read.
    /// - Throws: every problem, as INVALID_ARGUMENT.
    func read<Value>(
        _ shape: String,
        keys: [String],
        _ read: (ConfigMapping) -> Value?
    ) throws(Refusal) -> Value {
        do {
            let document = try ConfigDocument(
                bytes: bytes.isEmpty ? Array("{}".utf8) : bytes,
                source: "arguments",
                format: .json
            )
            return try document.decode { read($0.mapping(keys)) }
        } catch {
            throw Refusal(.invalidArgument, "mesh.\(method): \(error)", hint: "the arguments are \(shape)")
        }
    }

    /// Reads the arguments of a paged method.
    func page() throws(Refusal) -> PageArguments {
        try read(#"{"after": cursor?, "limit": number?}"#, keys: ["after", "limit"]) { PageArguments($0) }
    }

    /// Refuses arguments where there are none.
    func none() throws(Refusal) {
        try read("{}", keys: []) { _ in () }
    }
}

extension PageArguments {
    init(_ fields: ConfigMapping) {
        after = fields["after"].cursor()
        limit = fields["limit"].integer(in: 1...10_000) ?? 100
    }
}

extension ConfigField {
    /// A cursor as a page gave it: a string, a number, or null for the beginning.
    func cursor() -> String? {
        switch value() {
        case nil, .null: return nil
        case .integer(let number): return String(number)
        default: return string(allowsEmpty: false, maximumLength: 1024)
        }
    }
}
