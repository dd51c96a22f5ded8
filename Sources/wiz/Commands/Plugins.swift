// `wiz plugins`: the plugins of the mesh: what their hosts say of them, and who is connected without a host.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Plugins: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the plugins with their states and processes.",
        discussion: "A plugin that does not run is listed with the reason; `wiz why NAME` tells the whole chain."
    )

    @Flag(help: "Print only the names, one a line.")
    var names = false
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (items, hosts) = try await broker.withMesh { mesh in
            (try await mesh.list("plugins"), try await mesh.hosts())
        }
        let view = PluginView(sessions: items, hosts: hosts)
        if names {
            for name in view.names { Terminal.output.line(clean(name)) }
            return
        }
        output.show(.list(view.json), view.table, empty: "No plugins are connected.")
        guard !output.json else { return }
        for line in view.remarks { note(line) }
    }
}

/// Sessions and hosts together.
struct PluginView {
    let sessions: [JSON]
    let hosts: Hosts

    var names: [String] {
        Set(sessions.map { $0.text("name") } + hosts.plugins.map(\.name)).subtracting([""]).sorted()
    }

    /// The plugins as JSON: those with sessions with what their host says, then those without.
    var json: [JSON] {
        let connected = sessions.map { item -> JSON in
            guard let hosted = hosts.plugin(item.text("name")) else { return item }
            return .mapping(item.entries + [.init(key: "hosted", value: hostedJSON(hosted))])
        }
        let names = Set(sessions.map { $0.text("name") })
        let others = hosts.plugins.filter { !names.contains($0.name) }.map { hosted in
            JSON.object([
                "name": .string(hosted.name), "state": .string(hosted.state), "instances": .list([]),
                "services": .list([]), "hosted": hostedJSON(hosted),
            ])
        }
        return connected + others
    }

    private func hostedJSON(_ plugin: HostedPlugin) -> JSON {
        .mapping([.init(key: "host", value: .string(plugin.host))] + plugin.item.entries)
    }

    var table: Table {
        var table = Table([
            .text("PLUGIN") { $0.bold($1) }, .text("VERSION"), .text("STATE") { $0.state($1) }, .text("HOST"),
            .number("SESSION"), .number("PID"), .number("CALLS"), .text("UP"), .number("RESTARTS"), .text("SERVICES"),
        ])
        for name in names {
            let item = sessions.first { $0.text("name") == name }
            let hosted = hosts.plugin(name)
            var instances = item?["instances"]?.items ?? []
            for process in hosted?.item["processes"]?.items ?? [] {
                let index = instances.firstIndex { isSame($0, process) }
                let instance = index.map { instances.remove(at: $0) }
                table.add(row(name, item, hosted, process: process, instance: instance))
            }
            for instance in instances { table.add(row(name, item, hosted, process: nil, instance: instance)) }
            if item == nil, hosted?.item["processes"]?.items.isEmpty ?? true {
                table.add(row(name, nil, hosted, process: nil, instance: nil))
            }
        }
        return table
    }

    private func isSame(_ instance: JSON, _ process: JSON) -> Bool {
        let label = process.text("instance")
        if !label.isEmpty, instance.text("instance") == label { return true }
        guard let number = process["process"]?.integer else { return false }
        return instance["process"]?.integer == number
    }

    private func row(
        _ name: String,
        _ item: JSON?,
        _ hosted: HostedPlugin?,
        process: JSON?,
        instance: JSON?
    ) -> [String] {
        let label = process?.text("instance") ?? instance.map { processTitle(name, $0.text("instance")) } ?? name
        let version = instance?.text("version") ?? hosted?.item.text("version") ?? ""
        let state = process?.text("state") ?? instance?.text("state") ?? hosted?.state ?? ""
        let up = instance?["connectedMilliseconds"]?.integer ?? process?["ageMilliseconds"]?.integer
        return [
            label.isEmpty ? name : label, version, state, hosted?.host ?? "-",
            instance.map { "\($0.number("session"))" } ?? "-",
            (instance?["process"] ?? process?["process"])?.plain ?? "-",
            instance.map { "\($0.number("leasesHeld"))" } ?? "-",
            up.map { Units.text(.milliseconds($0)) } ?? "-", hosted?.item["restarts"]?.plain ?? "-",
            instance == nil ? "" : (item?.texts("services") ?? []).joined(separator: " "),
        ]
    }

    /// What is to be said of plugins that are not well.
    var remarks: [String] {
        let well: Set = ["ready", "stopped", ""]
        let plugins = hosts.plugins.filter { !well.contains($0.state) || !$0.reason.isEmpty }.map { plugin in
            let reason = plugin.reason.isEmpty ? plugin.state : "\(plugin.state): \(plugin.reason)"
            return "\(plugin.name) is \(reason) · wiz why \(plugin.name)"
        }
        return plugins + hosts.silent.map { "\($0.service) did not answer: \($0.reason)" }
    }
}
