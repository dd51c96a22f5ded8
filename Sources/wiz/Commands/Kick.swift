// `wiz kick`: ends a session at once.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Kick: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End a session at once.",
        discussion: "Calls that it works at fail with UNAVAILABLE. To let it finish them, use `wiz drain`."
    )

    @Argument(help: "The session's number, or a plugin's name for all its sessions.")
    var session: String
    @Option(help: "The reason that it is told.")
    var reason: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (session, reason) = (session, reason)
        let numbers = try await broker.withMesh { mesh in
            let numbers = try await mesh.sessionNumbers(of: session)
            for number in numbers {
                var entries: [JSON.Entry] = [.init(key: "session", value: .integer(number))]
                if let reason { entries.append(.init(key: "reason", value: .string(reason))) }
                _ = try await mesh.ask("kick", .mapping(entries))
            }
            return numbers
        }
        output.done(
            .object(["sessions": .list(numbers.map { .integer($0) })]),
            "Ended \(numbers.map { "session \($0)" }.joined(separator: ", "))."
        )
    }
}
