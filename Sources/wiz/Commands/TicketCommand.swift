// `wiz ticket`: a one-time ticket for a process that another host, or a person, starts.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Ticket: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a one-time ticket for a plugin or client that you start yourself.",
        discussion: """
            Example:
              WIZ_TICKET=$(wiz ticket guest) wiz call echo.say '{"text":"hi"}' --name guest

            The ticket is good once, for a minute. It is a secret: hand it over in the environment, not on a command line.
            """
    )

    @Argument(help: "The name that the process says hello with.")
    var name: String
    @Option(help: "Who it will be to the mesh. Default: the principal of that name.")
    var principal: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var entries: [JSON.Entry] = [.init(key: "name", value: .string(name))]
        if let principal { entries.append(.init(key: "principal", value: .string(principal))) }
        let arguments = JSON.mapping(entries)
        let answer = try await broker.withMesh { try await $0.ask("ticket", arguments) }
        output.show(answer) { _ in answer.text("ticket") + "\n" }
    }
}
