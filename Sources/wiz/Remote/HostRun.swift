// One run of a plugin host whose broker is elsewhere: the connection to it, the relay by which sandboxed plugins reach it, the
// host itself and its service. What `wiz up` does beside a broker of its own, this does without.

import Broker
import ConfigDocument
import Glibc
import Logging
import Manifest
import MeshClient
import MeshProtocol
import PluginHost
import SemanticVersion
import Synchronization

/// A host that this process runs.
final class HostRun: ForegroundRun {
    static let parts = "the plugins"

    let host: PluginHost
    private let name: String
    /// Where the broker is.
    private let endpoint: String
    private let mesh: MeshConnection
    private let relay: ByteRelay?
    private let folder: HostFolder
    private let control: MeshControl
    private let printer: LogPrinter
    private let watching = Mutex<[Task<Void, Never>]>([])

    private init(
        name: String,
        endpoint: String,
        host: PluginHost,
        mesh: MeshConnection,
        relay: ByteRelay?,
        folder: HostFolder,
        control: MeshControl,
        printer: LogPrinter
    ) {
        self.name = name
        self.endpoint = endpoint
        self.host = host
        self.mesh = mesh
        self.relay = relay
        self.folder = folder
        self.control = control
        self.printer = printer
    }

    /// Connects to the broker and makes the relay; starts no plugin yet.
    ///
    /// Without a name it goes by that of its principal, as the broker tells it.
    static func begin(
        _ file: MeshFile,
        name: String?,
        broker: BrokerOptions,
        printer: LogPrinter
    ) async throws -> HostRun {
        var broker = broker
        broker.name = name ?? "wiz-host"
        let mesh = try await broker.connect()
        do {
            let name = name ?? mesh.session?.principal ?? "remote"
            let folder = try HostFolder(of: name)
            do { return try begin(file, name: name, broker: broker, mesh, in: folder, printer) } catch {
                folder.remove()
                throw error
            }
        } catch {
            await mesh.close()
            throw error
        }
    }

    private static func begin(
        _ file: MeshFile,
        name: String,
        broker: BrokerOptions,
        _ mesh: MeshConnection,
        in folder: HostFolder,
        _ printer: LogPrinter
    ) throws -> HostRun {
        for warning in file.warnings { printer.print("wiz", warning, mark: .warning) }
        let reader = MeshFileReader(file)
        let relay = try relay(to: broker.resolvedEndpoint, in: folder)
        let control = MeshControl(mesh, endpoint: relay?.endpoint, serverKey: mesh.configuration.keys?.server)
        let host = PluginHost(
            options(file, name: name, folder: folder, broker: broker, hasRelay: relay != nil),
            control: control,
            launcher: SystemLauncher(),
            sources: { try PluginSource.list(try reader.read()) },
            event: { printer.show($0) }
        )
        return HostRun(
            name: name,
            endpoint: broker.resolvedEndpoint,
            host: host,
            mesh: mesh,
            relay: relay,
            folder: folder,
            control: control,
            printer: printer
        )
    }

    /// The way of plugins without a network to a broker on tcp; nil where the broker has a socket on this machine.
    private static func relay(to endpoint: String, in folder: HostFolder) throws(CommandFailure) -> ByteRelay? {
        guard let target = RelayTarget(endpoint: endpoint) else { return nil }
        do {
            return try ByteRelay(at: folder.plugins + "/mesh.sock", to: target, mode: 0o666)
        } catch {
            throw CommandFailure(.failed, "the socket of the plugins cannot be made: \(error)")
        }
    }

    private static func options(
        _ file: MeshFile,
        name: String,
        folder: HostFolder,
        broker: BrokerOptions,
        hasRelay: Bool
    ) -> HostOptions {
        let place = file.path.lastIndex(of: "/").map { String(file.path[..<$0]) } ?? "."
        let state = variable("STATE_DIRECTORY").map { String($0.prefix { $0 != ":" }) }
        let socket = broker.resolvedEndpoint.dropFirst("ipc://".count)
        let run = String(socket[..<(socket.lastIndex(of: "/") ?? socket.startIndex)])
        var options = HostOptions(
            name: name,
            workFolder: folder.work,
            dataFolder: (state ?? absolutePath(place) + "/.wiz") + "/data",
            // Never the run folder itself: by the socket there the user alone lets somebody in.
            meshFolder: hasRelay ? folder.plugins : run + "/plugins"
        )
        options.timing.mesh = try? SemanticVersion(WizmeshVersion.current)
        return options
    }

    func startPlugins() async throws -> [PluginStatus] {
        watch()
        try await host.start()
        try await HostService(host).provide(on: mesh, version: WizmeshVersion.current)
        await host.settle()
        return await host.statuses.filter { $0.state != .ready && $0.state != .discovered }
    }

    func reload() async {
        do {
            let changed = try await host.regrant()
            let text = changed.isEmpty ? "nothing has changed" : "in force: plugins \(changed.joined(separator: " "))"
            printer.print("wiz", "the list of plugins was read again: \(text)", mark: .good)
        } catch {
            printer.print("wiz", "the list of plugins has problems; everything stays as it was: \(error)", mark: .bad)
        }
    }

    /// Returns when the connection has ended for good.
    func ended() async -> (any Error)? {
        for await case .closed(let error) in mesh.states { return error }
        return nil
    }

    func report(problems: [PluginStatus], leftOut: [LeftOutPlugin]) async -> ReadyReport {
        let plugins = PluginsReport(
            statuses: await host.statuses,
            offers: await mesh.offers(),
            problems: problems,
            leftOut: leftOut
        )
        let document: [JSON.Entry] = [
            .init(key: "ready", value: .boolean(true)), .init(key: "host", value: .string(name)),
            .init(key: "endpoint", value: .string(endpoint)), .init(key: "pid", value: .integer(Int64(getpid()))),
        ]
        let style = Terminal.output.style
        let text =
            style.green("ready") + ": host \(name) for \(endpoint), \(plugins.countText)\n"
            + style.dim("       Ctrl-C stops everything") + "\n\n"
        return ReadyReport(document: .mapping(document + plugins.fields), text: plugins.text + text)
    }

    func stop() async {
        for task in watching.withLock({ $0 }) { task.cancel() }
        await host.stop()
        await mesh.close()
        await relay?.stop()
        folder.remove()
    }

    // MARK: - The broker

    private func watch() {
        let states = mesh.states
        let telling = Task { [weak self] in
            var isLost = false
            for await state in states { self?.tell(state, &isLost) }
        }
        let looking = Task { [weak self] in
            var lost = LostSessions()
            var epoch = self?.mesh.session?.epoch
            let begin = ContinuousClock.now
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(1)) } catch { return }
                await self?.look(&lost, &epoch, now: begin.duration(to: .now))
            }
        }
        watching.withLock { $0 += [telling, looking] }
    }

    private func tell(_ state: ConnectionState, _ isLost: inout Bool) {
        switch state {
        case .connected where isLost:
            isLost = false
            printer.print("wiz", "connected to the broker again", mark: .good)
        case .disconnected(let error, _) where !isLost:
            isLost = true
            printer.print("wiz", "the broker is away, the plugins stay: \(error.message)", mark: .warning)
        case .connecting, .connected, .disconnected, .closed: break
        }
    }

    /// Starts the plugins again whose processes the broker does not know any more, one after the other.
    private func look(_ lost: inout LostSessions, _ epoch: inout UInt64?, now: Duration) async {
        guard let session = mesh.session, let sessions = await control.sessions() else { return }
        let serving = await host.statuses.flatMap(\.processes).filter { $0.state == .ready && !$0.isShadow }
        // On a socket of this machine plugins notice by themselves that their tickets are good no longer; with keys of their
        // own they are not even let in.
        let isNewBroker = session.epoch != epoch && relay != nil
        let plugins = lost.look(
            serving: serving.map(\.label),
            sessions: Set(sessions.map(\.label)),
            isNewBroker: isNewBroker,
            now: now
        )
        epoch = session.epoch
        for plugin in plugins {
            guard !Task.isCancelled, mesh.session?.epoch == session.epoch else { return }
            let reason = isNewBroker ? "the broker was started anew" : "the broker does not know its process any more"
            printer.print(plugin, "\(reason): it is started again with new keys", mark: .warning)
            let outcome = try? await host.restart(plugin)
            if case .promoted? = outcome { continue }
            printer.print(plugin, outcome?.sentence ?? "it is not there any more", mark: .bad)
        }
    }
}
