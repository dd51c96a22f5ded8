// The options that `call` and `bench` share: whom a call is for and how it is bounded.

import ArgumentParser
import MeshClient
import MeshProtocol

/// How the payload is to be read.
enum PayloadType: String, ExpressibleByArgument, CaseIterable {
    case json
    case text
    case bytes
}

/// How urgent a call is.
enum BandArgument: String, ExpressibleByArgument, CaseIterable {
    case background
    case normal
    case interactive

    var band: Band {
        switch self {
        case .background: .background
        case .normal: .normal
        case .interactive: .interactive
        }
    }
}

/// Whom a call is for and how it is bounded.
struct CallArguments: ParsableArguments {
    @Argument(help: "SERVICE.METHOD or SERVICE@RANGE.METHOD, such as echo.say or 'echo@^1.2.say'.")
    var method: String

    @Flag(help: "Take SERVICE for a capability: any provider with that tag will do.")
    var capability = false

    @Option(
        name: .customLong("where"),
        help: "With --capability: a condition on attributes, such as model=tiny; may be repeated."
    )
    var conditions: [String] = []

    @Option(
        help: "The longest that the call may take in all, such as 2s. Default: the method's, else 5 s; streams: none."
    )
    var deadline: DurationArgument?

    @Option(help: "How urgent it is.")
    var band = BandArgument.normal

    @Option(help: "Calls with the same key go to the same worker.")
    var affinity = ""

    @Option(help: "How the payload is to be read.")
    var type = PayloadType.json

    func validate() throws {
        guard conditions.isEmpty || capability else {
            throw ValidationError(
                "--where goes with --capability: conditions choose among the providers of a capability"
            )
        }
    }

    /// Whom the call is for.
    func target() throws -> CallTarget {
        let reference = try MethodReference(method)
        let conditions = conditions.joined(separator: ";")
        return capability
            ? .capability(
                reference.name,
                range: reference.range,
                conditions: conditions,
                method: reference.method
            )
            : .service(reference.name, range: reference.range, method: reference.method)
    }

    /// How it is bounded.
    var options: CallOptions {
        CallOptions(deadline: deadline?.duration, band: band.band, affinity: affinity)
    }
}
