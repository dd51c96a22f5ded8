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
final class MeshRun: Sendable {
    /// How long an orderly stop may take in all.
    static let stopBound = Duration.seconds(20)

    let file: MeshFile
    /// Reads the file again.
    let reader: MeshFileReader
    let broker: Broker
    let printer: LogPrinter
    /// The host of the plugins.
    let host: PluginHost
    private let mesh: MeshConnection

    private init(
        file: MeshFile,
        reader: MeshFileReader,
        broker: Broker,
        printer: LogPrinter,
        mesh: MeshConnection,
        host: PluginHost
    ) {
        self.file = file
        self.reader = reader
        self.broker = broker
        self.printer = printer
        self.mesh = mesh
        self.host = host
    }

    /// Starts the broker of a mesh file, and no plugin yet.
    static func begin(_ file: MeshFile, printer: LogPrinter) async throws -> MeshRun {
        let configuration: BrokerConfiguration
        do { configuration = try BrokerConfiguration(file) } catch {
            throw CommandFailure(.invalidArgument, error.description)
        }
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
            return MeshRun(file: file, reader: reader, broker: broker, printer: printer, mesh: mesh, host: host)
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

    /// Starts the plugins; returns when none is on its way to being ready any more.
    ///
    /// - Returns: the plugins that are not ready, and are not just waiting for a call.
    func startPlugins() async throws -> [PluginStatus] {
        try await host.start()
        try await HostService(host).provide(on: mesh, version: WizmeshVersion.current)
        await host.settle()
        return await host.statuses.filter { $0.state != .ready && $0.state != .discovered }
    }

    /// How each plugin is doing.
    func statuses() async -> [PluginStatus] { await host.statuses }

    /// What each process offers, as `service@version`, by its label.
    func offers() async -> [String: [String]] {
        guard let sessions = try? await mesh.list("sessions"), let services = try? await mesh.list("services") else {
            return [:]
        }
        var labels: [Int64: String] = [:]
        for session in sessions { labels[session.number("session")] = session.text("instance") }
        var offers: [String: [String]] = [:]
        for service in services {
            for provider in service["providers"]?.items ?? [] {
                guard let label = labels[provider.number("session")] else { continue }
                offers[label, default: []].append(service.text("service") + "@" + service.text("version"))
            }
        }
        return offers
    }

    /// Reads the mesh file again.
    func reload() async {
        do {
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

    /// Stops the plugins in reverse order, then the broker.
    func stop() async {
        await host.stop()
        await mesh.close()
        await broker.stop()
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
