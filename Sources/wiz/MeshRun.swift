// One run of a mesh in this process: the broker, a host for the plugins of the mesh file, and their log. The host reaches the
// broker like any other, by its service `mesh`. Plugins stop in reverse order, then the broker, within bounds.

import Broker
import ConfigDocument
import Glibc
import Logging
import Manifest
import MeshClient
import MeshProtocol
import PluginHost
import SemanticVersion

/// A mesh that this process runs.
final class MeshRun: ForegroundRun {
    static let parts = "the plugins, then the broker"

    private let file: MeshFile
    /// Whether there is a mesh file, and not only folders of plugins.
    private let hasFile: Bool
    private let broker: Broker
    let printer: LogPrinter
    /// The host of the plugins.
    let host: PluginHost
    private let mesh: MeshConnection
    /// A run folder of its own, which goes with it.
    private let ownFolder: String?

    private init(
        file: MeshFile,
        hasFile: Bool,
        broker: Broker,
        printer: LogPrinter,
        mesh: MeshConnection,
        host: PluginHost,
        ownFolder: String?
    ) {
        self.file = file
        self.hasFile = hasFile
        self.ownFolder = ownFolder
        self.broker = broker
        self.printer = printer
        self.mesh = mesh
        self.host = host
    }

    /// Starts the broker of a mesh file, and no plugin yet.
    ///
    /// - Parameters:
    ///   - file: The mesh file.
    ///   - isAlone: The run folder is a new one, whatever the file and the environment say.
    ///   - printer: Prints what happens.
    /// - Returns: the mesh.
    /// - Throws: why the broker cannot start.
    static func begin(_ file: MeshFile, isAlone: Bool = false, printer: LogPrinter) async throws -> MeshRun {
        var configuration: BrokerConfiguration
        do { configuration = try BrokerConfiguration(file) } catch {
            throw CommandFailure(.invalidArgument, error.description)
        }
        // Without a mesh file there is nothing to read again.
        if access(file.path, F_OK) != 0 { configuration.meshFilePath = nil }
        guard isAlone else { return try await begin(file, configuration, ownFolder: nil, printer) }
        let folder = try temporaryFolder()
        configuration.runFolder = folder
        do { return try await begin(file, configuration, ownFolder: folder, printer) } catch {
            removeTree(folder)
            throw error
        }
    }

    private static func temporaryFolder() throws(CommandFailure) -> String {
        var template = Array("/tmp/wizmesh-dev-XXXXXX".utf8CString)
        guard let folder = mkdtemp(&template) else {
            throw CommandFailure(.failed, "no folder can be made in /tmp: \(String(cString: strerror(errno)))")
        }
        return String(cString: folder)
    }

    private static func begin(
        _ file: MeshFile,
        _ configuration: BrokerConfiguration,
        ownFolder: String?,
        _ printer: LogPrinter
    ) async throws -> MeshRun {
        let logger = Logger(label: "broker") { _ in
            PrintingLogHandler(printer, source: "broker", level: file.logLevel)
        }
        let broker: Broker
        do { broker = try Broker.start(configuration, logger: logger) } catch {
            throw CommandFailure(.failed, "the broker cannot start: \(error)")
        }
        do {
            guard let endpoint = broker.endpoints.first else {
                throw CommandFailure(.failed, "the broker listens nowhere")
            }
            let mesh = try await MeshConnection.connect(
                MeshConfiguration(
                    endpoint: endpoint,
                    name: "wiz-up",
                    version: WizmeshVersion.current,
                    logger: Logger(label: "wiz") { _ in PrintingLogHandler(printer, source: "wiz", level: .warning) }
                )
            )
            let reader = MeshFileReader(file)
            let host = PluginHost(
                options(file, run: configuration.runFolder),
                control: MeshControl(mesh),
                launcher: SystemLauncher(),
                sources: { try PluginSource.list(try reader.read()) },
                event: { printer.show($0) }
            )
            return MeshRun(
                file: file,
                hasFile: configuration.meshFilePath != nil,
                broker: broker,
                printer: printer,
                mesh: mesh,
                host: host,
                ownFolder: ownFolder
            )
        } catch {
            await broker.stop(immediately: true)
            throw error
        }
    }

    private static func options(_ file: MeshFile, run: String) -> HostOptions {
        let folder = file.path.lastIndex(of: "/").map { String(file.path[..<$0]) } ?? "."
        var options = HostOptions(
            name: "local",
            workFolder: run + "/host",
            dataFolder: absolutePath(folder) + "/.wiz/data",
            // Never the run folder itself: by the socket there the user alone lets somebody in.
            meshFolder: run + "/plugins"
        )
        options.timing.mesh = try? SemanticVersion(WizmeshVersion.current)
        return options
    }

    func startPlugins() async throws -> [PluginStatus] {
        try await host.start()
        try await HostService(host).provide(on: mesh, version: WizmeshVersion.current)
        await host.settle()
        return await host.statuses.filter { $0.state != .ready && $0.state != .discovered }
    }

    /// How each plugin is doing.
    func statuses() async -> [PluginStatus] { await host.statuses }

    func ended() async -> (any Error)? {
        await broker.waitUntilStopped()
        return nil
    }

    func report(problems: [PluginStatus], leftOut: [LeftOutPlugin]) async -> ReadyReport {
        let plugins = PluginsReport(
            statuses: await statuses(),
            offers: await mesh.offers(),
            problems: problems,
            leftOut: leftOut
        )
        let endpoints = broker.endpoints
        let document: [JSON.Entry] = [
            .init(key: "ready", value: .boolean(true)), .init(key: "mesh", value: .string(file.mesh)),
            .init(key: "endpoints", value: .list(endpoints.map { .string($0) })),
            .init(key: "pid", value: .integer(Int64(getpid()))),
            .init(key: "publicKey", value: broker.publicKey.map { .string($0) } ?? .null),
        ]
        let style = Terminal.output.style
        let endpoint = endpoints.first ?? ""
        var text = style.green("ready") + ": mesh \(file.mesh) at \(endpoint), \(plugins.countText)\n"
        for other in endpoints.dropFirst() { text += "       and at \(other)\n" }
        if let key = broker.publicKey { text += "       with the public key \(key)\n" }
        let prefix = endpoint == "ipc://" + BrokerOptions.runFolder + "/mesh.sock" ? "" : "WIZ_ENDPOINT=\(endpoint) "
        text += style.dim("       In another terminal: \(prefix)wiz services · Ctrl-C stops everything") + "\n\n"
        return ReadyReport(document: .mapping(document + plugins.fields), text: plugins.text + text)
    }

    func reload() async {
        do {
            guard hasFile else {
                printer.print("wiz", "there is no mesh file to read again; a plugin is reloaded by: wiz reload NAME")
                return
            }
            let changed = try broker.reload(file.path)
            let plugins = try await host.regrant()
            let all = changed + (plugins.isEmpty ? [] : ["plugins \(plugins.joined(separator: " "))"])
            printer.print(
                "wiz",
                all.isEmpty ? "mesh file read again: nothing has changed" : "in force: \(all.joined(separator: ", "))",
                mark: .good
            )
        } catch {
            printer.print("wiz", "the mesh file has problems; everything stays as it was: \(error)", mark: .bad)
        }
    }

    func stop() async {
        await host.stop()
        await mesh.close()
        await broker.stop()
        if let ownFolder { removeTree(ownFolder) }
    }
}

extension PluginSource {
    /// The plugins of a mesh file that this machine runs.
    static func list(_ file: MeshFile) throws -> [PluginSource] {
        file.plugins.filter { $0.isRun && $0.host == nil }.map(PluginSource.init)
    }

    init(_ entry: PluginEntry) {
        self.init(folder: entry.folder)
        name = entry.name
        executable = entry.executable
        arguments = entry.arguments
        environment = entry.environment
        config = entry.config
        instances = entry.instances
        activation = entry.activation
        reload = entry.reload
        idle = entry.idle
        enforcement = Enforcement(rawValue: entry.enforcement.rawValue) ?? .require
        limits = ProcessLimits(
            memoryBytes: entry.limits.memoryMB.map { Int64($0) << 20 },
            cpuPercent: entry.limits.cpuPercent,
            processCount: entry.limits.pids,
            openFileCount: entry.limits.openFiles
        )
        grant = entry.grant
    }
}

extension LogPrinter {
    /// Prints what a host tells.
    func show(_ event: HostEvent) {
        switch event {
        case .started(let label, let process):
            makeRoom(for: "\(label)")
            if asJSON { print("\(label)", "started", fields: [.init(key: "process", value: .integer(Int64(process)))]) }
        case .ready(let label, let process, let after):
            let pid = process.map { ", pid \($0)" } ?? ""
            print("\(label)", "ready after \(Units.text(after))\(pid)", mark: .good)
        case .line(let label, let output, let text):
            print("\(label)", text, fields: [.init(key: "stream", value: .string(output.rawValue))])
        case .draining(let label, _, let reason): print("\(label)", "finishes: \(reason)")
        case .exited(let label, _, let cause, let ranFor, _, let isWanted):
            let text = "ended: \(cause) after \(Units.text(ranFor))"
            print("\(label)", text, mark: isWanted || cause.isSuccess ? .line : .warning)
        case .changed(let change): show(change)
        case .reload(let plugin, let generation, let text): print("\(plugin)@\(generation)", text)
        case .note(let plugin, let text): print(plugin, text, mark: .warning)
        }
    }

    private func show(_ change: PluginChange) {
        let text = change.state.rawValue + (change.cause.isEmpty ? "" : ": \(change.cause)")
        switch change.state {
        case .backoff: print(change.plugin, "starts again soon: \(change.cause)", mark: .warning)
        case .blocked, .suspect: print(change.plugin, text, mark: .warning)
        case .quarantined: print(change.plugin, text, mark: .bad)
        case .stopped where !change.cause.isEmpty: print(change.plugin, text)
        case .discovered, .starting, .ready, .draining, .stopped:
            if asJSON {
                print(change.plugin, text, fields: [.init(key: "state", value: .string(change.state.rawValue))])
            }
        }
    }
}
