// `wiz plugins`: which plugins are connected, instance by instance.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Plugins: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the plugins and their instances.")

    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let items = try await broker.withMesh { try await $0.list("plugins") }
        var table = Table([
            .text("PLUGIN") { $0.bold($1) }, .text("VERSION"), .text("STATE") { $0.state($1) }, .number("SESSION"),
            .number("PID"), .number("CALLS"), .text("UP"), .text("SERVICES"),
        ])
        for item in items {
            for instance in item["instances"]?.items ?? [] {
                let number = instance.text("instance")
                table.add([
                    item.text("name") + (number.isEmpty ? "" : "#" + number), instance.text("version"),
                    instance.text("state"), "\(instance.number("session"))", instance["process"]?.plain ?? "-",
                    "\(instance.number("leasesHeld"))",
                    Units.text(.milliseconds(instance.number("connectedMilliseconds"))),
                    item.texts("services").joined(separator: " "),
                ])
            }
        }
        output.show(.list(items), table, empty: "No plugins are connected.")
    }
}
