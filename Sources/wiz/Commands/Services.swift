// `wiz services`: what the mesh offers.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Services: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the services, their versions, methods and workers.",
        aliases: ["ls"]
    )

    @Argument(help: "Only this service.")
    var service: String?
    @Option(help: "Only versions in this range.")
    var range: String?
    @Option(help: "Only services with this capability.")
    var capability: String?
    @Flag(name: .shortAndLong, help: "Show each method with its properties.")
    var long = false
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var filter: [JSON.Entry] = []
        if let service { filter.append(.init(key: "service", value: .string(service))) }
        if let range { filter.append(.init(key: "range", value: .string(range))) }
        if let capability { filter.append(.init(key: "capability", value: .string(capability))) }
        let entries = filter
        let items = try await broker.withMesh { [service] mesh in
            let items = try await mesh.list("services", entries)
            if items.isEmpty, let service {
                throw CommandFailure(
                    .notFound,
                    "there is no service \(service)" + (entries.count > 1 ? " of that kind" : ""),
                    hint: await mesh.serviceSuggestion(service)
                )
            }
            return items
        }
        if long, !output.json {
            Terminal.output.write(items.map { details($0, Terminal.output.style) }.joined(separator: "\n"))
            return
        }
        var table = Table([
            .text("SERVICE") { $0.bold($1) }, .text("VERSION"), .number("WORKERS"), .number("BUSY"), .number("QUEUED"),
            .text("METHODS"), .text("ATTRIBUTES") { $0.dim($1) },
        ])
        for item in items {
            let providers = item["providers"]?.items ?? []
            let alive = providers.count { $0.text("state") == "alive" }
            let busy = providers.reduce(0) { $0 + $1.number("inFlight") }
            let room = providers.reduce(0) { $0 + $1.number("capacity") }
            table.add([
                item.text("service"), item.text("version"),
                alive == providers.count ? "\(alive)" : "\(alive)/\(providers.count)",
                providers.isEmpty ? "-" : "\(busy)/\(room)", "\(item.number("queued"))",
                (item["methods"]?.items ?? []).map { $0.text("name") }.joined(separator: " "),
                tags(item),
            ])
        }
        output.show(
            .list(items),
            table,
            empty: entries.isEmpty
                ? "No services yet. Plugins bring them: `wiz up`, or start a plugin with WIZ_ENDPOINT set."
                : "No service is of that kind."
        )
    }

    private func tags(_ item: JSON) -> String {
        let attributes = (item["attributes"]?.entries ?? []).map { "\($0.key)=\($0.value.plain)" }
        return (item.texts("capabilities").map { "#" + $0 } + attributes).joined(separator: " ")
    }

    private func details(_ item: JSON, _ style: Style) -> String {
        var text = style.bold(item.text("service") + "@" + item.text("version")) + "  " + style.dim(tags(item)) + "\n"
        for method in item["methods"]?.items ?? [] {
            var notes: [String] = []
            if method["idempotent"]?.boolean == true { notes.append("idempotent") }
            if method["requestStream"]?.boolean == true { notes.append("takes a stream") }
            if method["replyStream"]?.boolean == true { notes.append("answers with a stream") }
            let deadline = method.number("deadlineMilliseconds")
            if deadline > 0 { notes.append("deadline \(Units.text(.milliseconds(deadline)))") }
            let permissions = method.texts("permissions")
            if !permissions.isEmpty { notes.append("needs " + permissions.joined(separator: ", ")) }
            text += "  ." + clean(method.text("name")) + "  " + style.dim(notes.joined(separator: " · ")) + "\n"
        }
        for provider in item["providers"]?.items ?? [] {
            text += "  " + style.state(provider.text("state"))
            text += " \(clean(provider.text("name"))) session \(provider.number("session"))"
            text += style.dim(" busy \(provider.number("inFlight"))/\(provider.number("capacity"))") + "\n"
        }
        return text
    }
}
