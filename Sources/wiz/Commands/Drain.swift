// `wiz drain`: lets a session finish its calls and leave.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a session finish its calls and leave.",
        discussion: "It gets no new calls; after the grace its session is ended. `wiz plugins` shows the numbers."
    )

    @Argument(help: "The session's number, or a plugin's name for all its sessions.")
    var session: String
    @Option(help: "How long its calls may take.")
    var grace = DurationArgument(.seconds(30))
    @Option(help: "The reason that it is told.")
    var reason: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (session, grace, reason) = (session, grace.duration, reason)
        let numbers = try await broker.withMesh { mesh in
            let numbers = try await mesh.sessionNumbers(of: session)
            for number in numbers {
                var entries: [JSON.Entry] = [
                    .init(key: "session", value: .integer(number)),
                    .init(key: "graceMilliseconds", value: .integer(Units.milliseconds(grace))),
                ]
                if let reason { entries.append(.init(key: "reason", value: .string(reason))) }
                _ = try await mesh.ask("drain", .mapping(entries))
            }
            return numbers
        }
        output.done(
            .object(["sessions": .list(numbers.map { .integer($0) })]),
            "Draining \(numbers.map { "session \($0)" }.joined(separator: ", "))."
        )
    }
}

extension MeshConnection {
    /// The numbers of sessions: one given as a number, or all of a name.
    func sessionNumbers(of text: String) async throws -> [Int64] {
        if let number = Int64(text) { return [number] }
        let parts = text.split(separator: "#", maxSplits: 1).map(String.init)
        let numbers = try await list("sessions").filter { session in
            session.text("name") == parts[0] && (parts.count < 2 || session.text("instance") == parts[1])
        }.map { $0.number("session") }
        guard !numbers.isEmpty else {
            throw CommandFailure(
                .notFound,
                "no session is called \(text)",
                hint: "`wiz sessions` lists them; type a number, a name or name#instance."
            )
        }
        return numbers
    }
}
