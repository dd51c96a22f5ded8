// `wiz sessions`: every peer of the broker, plugins and clients.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Sessions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List every peer of the broker.")

    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let items = try await broker.withMesh { try await $0.list("sessions") }
        var table = Table([
            .number("SESSION"), .text("NAME") { $0.bold($1) }, .text("PRINCIPAL"), .text("STATE") { $0.state($1) },
            .number("PID"), .text("UP"), .number("CALLS"), .number("IN FLIGHT"), .number("WORK"), .number("SUBS"),
            .number("OFFENCES"),
        ])
        for item in items {
            table.add([
                "\(item.number("session"))", item.sessionTitle,
                item.text("principal"), item.text("state"), item["process"]?.plain ?? "-",
                Units.text(.milliseconds(item.number("connectedMilliseconds"))), "\(item.number("callsMade"))",
                "\(item.number("callsInFlight"))", "\(item.number("leasesHeld"))", "\(item.number("subscriptions"))",
                "\(item.number("offences"))",
            ])
        }
        output.show(.list(items), table, empty: "No sessions.")
    }
}
