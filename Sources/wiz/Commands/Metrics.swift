// `wiz metrics`: calls, failures and latencies by method, and the broker's counters.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

struct Metrics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show calls, failures and latencies by method.")

    @Flag(help: "Print everything in the format that Prometheus reads.")
    var prometheus = false
    @Flag(help: "Show the broker's counters instead.")
    var counters = false
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        if prometheus {
            let text = try await broker.withMesh { mesh in
                try await mesh.call(
                    .service("mesh", range: "^1", method: "metrics"),
                    payload: .json(text: #"{"format":"prometheus"}"#)
                ).payload.text
            }
            Terminal.output.write(text)
            return
        }
        if counters {
            let answer = try await broker.withMesh { try await $0.ask("counters") }
            output.show(answer) { _ in counterText(answer) }
            return
        }
        let items = try await broker.withMesh { try await $0.list("metrics") }
        var table = Table([
            .text("METHOD") { $0.bold($1) }, .text("VERSION"), .number("CALLS"), .number("FAILED"), .number("P50"),
            .number("P90"), .number("P99"), .number("P99.9"), .number("MAX"), .number("QUEUED P99"),
        ])
        for item in items {
            let failed = (item["errors"]?.entries ?? []).reduce(Int64(0)) { $0 + ($1.value.integer ?? 0) }
            let total = item["total"] ?? .null
            let times = ["p50", "p90", "p99", "p999", "max"].map { Units.text(microseconds: total.number($0)) }
            table.add(
                [
                    item.text("service") + "." + item.text("method"), item.text("version"),
                    Units.grouped(item.number("calls")), Units.grouped(failed),
                ] + times + [Units.text(microseconds: item["queue"]?.number("p99") ?? 0)]
            )
        }
        output.show(.list(items), table, empty: "No calls have been made yet.")
    }

    private func counterText(_ answer: JSON) -> String {
        var lines: [(String, Int64)] = []
        for entry in answer.entries {
            if let number = entry.value.integer { lines.append((entry.key, number)) }
            for inner in entry.value.entries where inner.value.integer ?? 0 > 0 {
                lines.append(("\(entry.key) \(inner.key)", inner.value.integer ?? 0))
            }
        }
        let width = lines.reduce(0) { max($0, $1.0.count) } + 2
        return lines.map { pad($0.0, to: width) + Units.grouped($0.1) + "\n" }.joined()
    }
}
