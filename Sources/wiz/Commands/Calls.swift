// `wiz calls`: the calls that are in flight.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Calls: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the calls in flight.",
        discussion: "The first column is what `wiz cancel` takes."
    )

    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let items = try await broker.withMesh { try await $0.list("calls") }
            .filter { $0.text("service") != "mesh" }
        var table = Table([
            .text("CALL") { $0.cyan($1) }, .text("METHOD") { $0.bold($1) }, .text("VERSION"), .text("PHASE"),
            .text("AGE"), .text("LEFT"), .text("CALLER"), .text("WORKER"), .text("BAND"), .text("CHUNKS"),
        ])
        for item in items {
            table.add([
                item.text("lease"), item.text("service") + "." + item.text("method"), item.text("version"),
                item.text("phase"), Units.text(.milliseconds(item.number("ageMilliseconds"))),
                item["remainingMilliseconds"]?.integer.map { Units.text(.milliseconds($0)) } ?? "-",
                item.text("caller"), item.text("workerName"), item.text("band"),
                "\(item.number("requestChunks"))↑ \(item.number("replyChunks"))↓",
            ])
        }
        output.show(.list(items), table, empty: "No calls are in flight.")
    }
}
