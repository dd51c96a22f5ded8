// The private mesh of a conformance run: a broker in a folder below /tmp, its operator's connection, and what happened to
// sessions and services, in order. The plugin may do in it whatever it asks for.

import Broker
import ConfigDocument
import Glibc
import Logging
import Manifest
import MeshClient
import MeshProtocol
import Synchronization

/// A mesh in which one plugin is looked at.
final class ConformanceMesh: Sendable {
    /// Something that the broker told.
    struct Notice: Sendable {
        var topic: String
        var process: Int32
        var cause: String
    }

    let folder: String
    let client: MeshConnection
    private let broker: Mutex<Broker>
    private let heard = Mutex<[Notice]>([])
    private let listening = Mutex<Task<Void, Never>?>(nil)

    var endpoint: String { "ipc://\(folder)/run/mesh.sock" }
    /// What the broker has told so far.
    var notices: [Notice] { heard.withLock { $0 } }

    private init(_ folder: String, _ broker: Broker, _ client: MeshConnection) {
        self.folder = folder
        self.broker = Mutex(broker)
        self.client = client
    }

    /// Starts the mesh for a plugin, and for those beside it.
    static func start(_ plugins: [PluginManifest]) async throws -> ConformanceMesh {
        var template = Array("/tmp/wiz-conform-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw CommandFailure(.failed, "no folder can be made in /tmp: \(String(cString: strerror(errno)))")
        }
        let folder = String(cString: made)
        let broker = try startBroker(folder, plugins)
        let client = try await MeshConnection.connect(
            MeshConfiguration(
                endpoint: "ipc://\(folder)/run/mesh.sock",
                name: "wiz-conformance",
                version: WizmeshVersion.current,
                logger: silent
            )
        )
        let mesh = ConformanceMesh(folder, broker, client)
        await mesh.listen()
        return mesh
    }

    /// Stops the broker and starts another one in its place.
    func restartBroker(_ plugins: [PluginManifest]) async throws {
        await broker.withLock { $0 }.stop(immediately: true)
        let next = try Self.startBroker(folder, plugins)
        broker.withLock { $0 = next }
    }

    func stop() async {
        listening.withLock { $0 }?.cancel()
        await client.close()
        await broker.withLock { $0 }.stop(immediately: true)
        removeTree(folder)
    }

    /// A one-time ticket; with a label for a process whose services wait for their promotion.
    func ticket(for plugin: String, shadow label: String? = nil, instance: String? = nil) async throws -> String {
        var arguments: [JSON.Entry] = [.init(key: "name", value: .string(plugin))]
        if let label = label ?? instance { arguments.append(.init(key: "instance", value: .string(label))) }
        if label != nil { arguments.append(.init(key: "stage", value: .string("shadow"))) }
        return try await client.ask("ticket", .mapping(arguments)).text("ticket")
    }

    /// The session of a process, as `mesh.sessions` shows it.
    func session(of process: Int32) async throws -> JSON? {
        try await client.list("sessions").first { $0["process"]?.integer == Int64(process) }
    }

    /// Calls that a session works on, cancelled ones that it has not acknowledged among them.
    func callsHeld(by process: Int32) async throws -> Int64? {
        guard let session = try await session(of: process)?.number("session") else { return nil }
        return try await client.list("services").flatMap { $0["providers"]?.items ?? [] }
            .filter { $0.number("session") == session }
            .reduce(0) { $0 + $1.number("inFlight") }
    }

    private static let silent = Logger(label: "conformance") { _ in SwiftLogNoOpLogHandler() }

    private static func startBroker(_ folder: String, _ plugins: [PluginManifest]) throws -> Broker {
        let path = folder + "/mesh.yaml"
        guard let file = fopen(path, "w") else { throw CommandFailure(.failed, "\(path) cannot be written") }
        fputs(meshFile(plugins).json, file)
        fclose(file)
        var configuration = try BrokerConfiguration(MeshFile(reading: path))
        configuration.runFolder = folder + "/run"
        return try Broker.start(configuration, logger: silent)
    }

    /// What the plugins ask for is granted, and they may call, publish and subscribe as they like.
    private static func meshFile(_ plugins: [PluginManifest]) -> JSON {
        var principals: [JSON.Entry] = []
        var rules: [JSON] = []
        for plugin in plugins {
            let permissions = (plugin.permissions + plugin.optionalPermissions).map { JSON.string($0.name) }
            principals.append(
                .init(
                    key: plugin.name,
                    value: .object(["roles": .list([.string("plugin")]), "permissions": .list(permissions)])
                )
            )
            let tags = plugin.capabilities + plugin.provides.flatMap(\.capabilities)
            for service in Set(plugin.provides.map(\.service) + [plugin.name] + tags.map { "capability." + $0 })
                .sorted()
            {
                rules.append(.object(["allow": .string(plugin.name), "provide": .string(service)]))
            }
            for action in ["call", "publish", "subscribe"] {
                rules.append(
                    .mapping([
                        .init(key: "allow", value: .string(plugin.name)), .init(key: action, value: .string(">")),
                    ])
                )
            }
        }
        // Callers of the checks have every permission that a method asks for.
        let needed = Set(plugins.flatMap { $0.provides.flatMap { $0.methods.flatMap(\.permissions) } }).sorted()
        principals.append(
            .init(
                key: "operator",
                value: .object([
                    "roles": .list([.string("operator")]), "permissions": .list(needed.map { .string($0) }),
                ])
            )
        )
        return .object(["mesh": .string("conformance"), "principals": .mapping(principals), "rules": .list(rules)])
    }

    private func listen() async {
        guard let events = try? await client.subscribe("mesh.>") else { return }
        let task = Task { [weak self] in
            do {
                for try await event in events {
                    guard let value = try? JSON(parsing: event.payload.text), let fields = value["fields"] else {
                        continue
                    }
                    let notice = Notice(
                        topic: event.topic,
                        process: Int32(fields.text("process")) ?? 0,
                        cause: fields.text("cause")
                    )
                    self?.heard.withLock { $0.append(notice) }
                }
            } catch {
                // The connection has ended, and with it the run.
            }
        }
        listening.withLock { $0 = task }
    }
}

/// Waits until something holds, looking every few milliseconds.
///
/// - Returns: whether it came to hold within the bound.
func holds(within bound: Duration, _ condition: () async throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + bound
    while true {
        if try await condition() { return true }
        guard ContinuousClock.now < end else { return false }
        try await Task.sleep(for: .milliseconds(5))
    }
}
