// One run of a mesh in this process: the broker, the plugins of the mesh file as processes, and their log. Starts in order,
// stops in reverse within bounds.

import Broker
import ConfigDocument
import Glibc
import Logging
import Manifest
import MeshClient
import MeshProtocol
import PluginHost

/// A mesh that this process runs.
final class MeshRun: Sendable {
    /// How long an orderly stop may take in all.
    static let stopBound = Duration.seconds(20)

    let file: MeshFile
    let broker: Broker
    let printer: LogPrinter
    private let watcher: MeshConnection
    private let host: PluginHost

    private init(file: MeshFile, broker: Broker, printer: LogPrinter, watcher: MeshConnection, host: PluginHost) {
        self.file = file
        self.broker = broker
        self.printer = printer
        self.watcher = watcher
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
            let watcher = try await MeshConnection.connect(
                MeshConfiguration(
                    endpoint: endpoint,
                    name: "wiz-up",
                    version: WizmeshVersion.current,
                    logger: Logger(label: "wiz") { _ in SwiftLogNoOpLogHandler() }
                )
            )
            let plugins = try specifications(of: file)
            let hooks = hooks(broker, watcher, endpoint: endpoint, plugins: plugins, printer: printer)
            return MeshRun(
                file: file,
                broker: broker,
                printer: printer,
                watcher: watcher,
                host: PluginHost(hooks: hooks)
            )
        } catch {
            await broker.stop(immediately: true)
            throw error
        }
    }

    /// Starts the plugins; returns when all are registered.
    func startPlugins() async throws {
        do {
            try await host.start(try Self.specifications(of: file))
        } catch let failure as PluginStartFailure {
            throw CommandFailure(
                .pluginFailed,
                "\(failure.instance) could not start: \(failure.reason)"
                    + (failure.lastLines.isEmpty
                        ? "" : "\nIt last wrote:\n" + failure.lastLines.map { "    " + $0 }.joined(separator: "\n")),
                hint:
                    "Check it with `wiz validate --built \(folder(of: failure.instance))`, or start the mesh without it.",
                details: [.init(key: "plugin", value: .string(failure.instance.plugin))]
            )
        }
    }

    /// How each plugin process is doing.
    func statuses() async -> [PluginHost.Status] { await host.statuses }

    /// What each process offers, as `service@version`.
    func offers() async -> [Int32: [String]] {
        guard let sessions = try? await watcher.list("sessions"), let services = try? await watcher.list("services")
        else {
            return [:]
        }
        var processes: [Int64: Int32] = [:]
        for session in sessions {
            if let process = session["process"]?.integer {
                processes[session.number("session")] = Int32(clamping: process)
            }
        }
        var offers: [Int32: [String]] = [:]
        for service in services {
            for provider in service["providers"]?.items ?? [] {
                guard let process = processes[provider.number("session")] else { continue }
                offers[process, default: []].append(service.text("service") + "@" + service.text("version"))
            }
        }
        return offers
    }

    /// Reads the mesh file again.
    func reload() {
        do {
            let changed = try broker.reload(file.path)
            printer.print(
                "wiz",
                changed.isEmpty
                    ? "mesh file read again: nothing has changed" : "in force: \(changed.joined(separator: ", "))",
                mark: .good
            )
        } catch {
            printer.print("wiz", "the mesh file has problems; everything stays as it was: \(error)", mark: .bad)
        }
    }

    /// Stops the plugins in reverse order, then the broker.
    func stop() async {
        await host.stop()
        await watcher.close()
        await broker.stop()
    }

    private func folder(of instance: InstanceID) -> String {
        file.plugins.first { $0.name == instance.plugin }?.folder ?? instance.plugin
    }

    private static func specifications(of file: MeshFile) throws -> [PluginSpecification] {
        var problems: [ConfigProblem] = []
        var plugins: [PluginSpecification] = []
        for entry in file.plugins where entry.instances > 0 {
            do throws(ConfigErrors) {
                plugins.append(
                    try PluginSpecification(
                        folder: entry.folder,
                        name: entry.name,
                        executable: entry.executable,
                        arguments: entry.arguments,
                        environment: entry.environment,
                        config: entry.config,
                        instances: entry.instances
                    )
                )
            } catch {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw ConfigErrors(problems) }
        return plugins
    }

    private static func hooks(
        _ broker: Broker,
        _ watcher: MeshConnection,
        endpoint: String,
        plugins: [PluginSpecification],
        printer: LogPrinter
    ) -> HostHooks {
        let manifests = Dictionary(plugins.map { ($0.name, $0.manifest) }) { first, _ in first }
        return HostHooks(
            endpoint: endpoint,
            // The plugin presents itself by WIZ_PLUGIN_NAME, so that two of one folder are told apart.
            ticket: { instance in try broker.issueTicket(name: instance.plugin, principal: instance.plugin) },
            awaitReady: { instance, process in
                let services = manifests[instance.plugin]?.provides.count ?? 0
                try await watcher.awaitSession(of: instance, process: process, services: services)
            },
            ended: { process, cause in broker.processEnded(process, cause: "\(cause)") },
            event: { printer.show($0) }
        )
    }
}

extension MeshConnection {
    /// Returns once a plugin process is connected and has registered so many services.
    func awaitSession(of instance: InstanceID, process: Int32, services: Int) async throws {
        while true {
            try Task.checkCancellation()
            let isThere = try await list("sessions").contains { session in
                guard session.text("principal") == instance.plugin, session.number("services") >= services else {
                    return false
                }
                if let number = session["process"]?.integer { return number == Int64(process) }
                return session.text("instance") == String(instance.number)
            }
            if isThere { return }
            try await Task.sleep(for: .milliseconds(15))
        }
    }
}

extension LogPrinter {
    /// Prints what a host tells.
    func show(_ event: HostEvent) {
        switch event {
        case .started(let id, let process):
            makeRoom(for: "\(id)")
            if asJSON { print("\(id)", "started", fields: [.init(key: "process", value: .integer(Int64(process)))]) }
        case .ready(let id, let process, let after):
            print("\(id)", "ready after \(Units.text(after)), pid \(process)", mark: .good)
        case .line(let id, let output, let text):
            print("\(id)", text, fields: [.init(key: "stream", value: .string(output.rawValue))])
        case .exited(let id, _, let cause, let ranFor, _):
            let text = "ended: \(cause) after \(Units.text(ranFor))"
            print("\(id)", text, mark: cause.isSuccess || cause == .signalled(SIGTERM) ? .line : .warning)
        case .restarting(let id, let delay): print("\(id)", "starts again in \(Units.text(delay))", mark: .warning)
        case .left(let id, let reason):
            switch reason {
            case .configuration:
                print("\(id)", "is not started again: exit 78 says that its configuration is wrong", mark: .bad)
            case .finished, .temporary: print("\(id)", "is not started again (\(reason.rawValue))", mark: .warning)
            case .stopping: break
            }
        case .late(let id, let reason): print("\(id)", reason, mark: .warning)
        }
    }
}
