// `wiz drain`: lets a session finish its calls and leave.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a session finish its calls and leave.",
        discussion: "It gets no new calls; after the grace its session is ended. `wiz sessions` shows what to type."
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
        let numbers = try await list("sessions").filter { session in
            let title = session.sessionTitle
            // "echo" is all of echo's, "echo#1" its first process, of whichever generation.
            return text == "\(session.number("session"))" || text == title || text == session.text("name")
                || title.hasPrefix(text + "@")
        }.map { $0.number("session") }
        guard !numbers.isEmpty else {
            throw CommandFailure(
                .notFound,
                Int64(text) == nil ? "no session is called \(text)" : "there is no session \(text)",
                hint: "`wiz sessions` lists them; type a number, a name, or a process such as echo#1."
            )
        }
        return numbers
    }
}

extension JSON {
    /// What a session is called: its name, with its label where it has one.
    var sessionTitle: String { processTitle(text("name"), text("instance")) }
}

/// A name with a label, which mostly begins with the name: `echo#1@1`.
func processTitle(_ name: String, _ label: String) -> String {
    label.isEmpty || label == name ? name : label.hasPrefix(name + "#") ? label : name + "#" + label
}
