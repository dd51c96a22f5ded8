// `wiz logs`: what plugins wrote, kept by their hosts, and what they write now.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what plugins wrote.",
        discussion: """
            Examples:
              wiz logs                 the last lines of all plugins, in the order of time
              wiz logs chat -f         those of one, and what it writes from now on
              wiz logs chat --json     one object for each line

            A host keeps the last 1000 lines of each plugin, also those of processes that ended.
            """
    )

    @Argument(help: "Plugins, or processes such as chat#1. Default: all.", completion: .pluginNames)
    var plugins: [String] = []
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("So many lines of each plugin.", valueName: "n"))
    var lines = 50
    @Flag(name: [.short, .long], help: "Go on with what is written from now on; Ctrl-C ends.")
    var follow = false
    @Flag(name: [.customLong("stderr")], help: "Only what was written to standard error.")
    var onlyErrors = false
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if !(0...1000).contains(lines) { throw ValidationError("--lines takes a number from 0 to 1000") }
    }

    func run() async throws {
        let isQuiet = output.json
        try await broker.withMesh { [self] mesh in
            let hosts = try await mesh.hosts()
            for host in hosts.silent where !isQuiet { note("\(host.service) did not answer: \(host.reason)") }
            let sources = try sources(hosts)
            let printer = LogPrinter(asJSON: isQuiet, waits: true)
            for plugin in hosts.plugins {
                for process in plugin.item["processes"]?.items ?? [] { printer.makeRoom(for: process.text("instance")) }
            }
            let past = try await past(sources, mesh)
            if past.isEmpty, lines > 0, !follow, !isQuiet { note("nothing has been written yet") }
            for line in past { show(line, printer) }
            if follow { try await watch(sources, mesh, printer) }
        }
    }

    /// A host and the plugin that is asked for; nil asks for all.
    struct Source: Hashable, Sendable {
        let service: String
        let plugin: String?
        let instance: String?
    }

    private func sources(_ hosts: Hosts) throws -> [Source] {
        guard !plugins.isEmpty else {
            guard !hosts.services.isEmpty else { throw Hosts.unknown("", among: [], hasHosts: false) }
            return hosts.services.map { Source(service: $0, plugin: nil, instance: nil) }
        }
        return try plugins.map { name in
            let plugin = try hosts.required(name)
            return Source(
                service: plugin.service,
                plugin: plugin.name,
                instance: name.contains("#") ? name : nil
            )
        }
    }

    private func past(_ sources: [Source], _ mesh: MeshConnection) async throws -> [JSON] {
        guard lines > 0 else { return [] }
        var all: [JSON] = []
        for source in sources {
            let stream = try await open(source, mesh, lines: lines, follow: false)
            for try await chunk in stream { all += elements(chunk).filter { matches($0, source) } }
        }
        return all.enumerated().sorted {
            ($0.element.number("time"), $0.offset) < ($1.element.number("time"), $1.offset)
        }.map(\.element)
    }

    private func watch(_ sources: [Source], _ mesh: MeshConnection, _ printer: LogPrinter) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for source in sources {
                group.addTask {
                    let stream = try await open(source, mesh, lines: 0, follow: true)
                    for try await chunk in stream {
                        for line in elements(chunk) where matches(line, source) { show(line, printer) }
                    }
                }
            }
            try await group.waitForAll()
            try Task.checkCancellation()
        }
    }

    private func open(
        _ source: Source,
        _ mesh: MeshConnection,
        lines: Int,
        follow: Bool
    ) async throws -> CallStream {
        var arguments: [JSON.Entry] = [
            .init(key: "lines", value: .integer(Int64(lines))), .init(key: "follow", value: .boolean(follow)),
        ]
        if let plugin = source.plugin { arguments.append(.init(key: "plugin", value: .string(plugin))) }
        // A stream that follows has no end of its own, and is idle for as long as nothing is written.
        let long = Duration.seconds(7 * 24 * 3600)
        return try await mesh.openStream(
            .service(source.service, method: "logs"),
            payload: .json(text: JSON.mapping(arguments).json),
            options: follow
                ? CallOptions(deadline: long, firstChunk: long, idle: long) : CallOptions(deadline: .seconds(30))
        )
    }

    private func elements(_ chunk: Payload) -> [JSON] {
        let value = chunk.value
        if case .list(let items) = value { return items }
        return [value]
    }

    private func matches(_ line: JSON, _ source: Source) -> Bool {
        if onlyErrors, line.text("output") != "stderr" { return false }
        guard let instance = source.instance else { return true }
        let label = line.text("instance")
        return label == instance || label.hasPrefix(instance + "@")
    }

    private func show(_ line: JSON, _ printer: LogPrinter) {
        if output.json {
            Terminal.output.line(line.json)
            return
        }
        let label = line.text("instance")
        printer.print(
            label.isEmpty ? line.text("plugin") : label,
            line.text("text"),
            mark: line.text("output") == "host" ? .warning : .line,
            at: line.number("time")
        )
    }
}
