// Brokers in temporary folders, plugins that write down what happens to them, and waiting with a bound.

import Broker
import Glibc
import Synchronization
import Testing

@testable import WizPlugin

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/wiz-sdk-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var status = stat()
        guard path.hasPrefix("/tmp/wiz-sdk-"), lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR, let listing = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { remove(path + "/" + name) }
        }
        closedir(listing)
        rmdir(path)
    }

    /// Writes a file below the folder, and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String) -> String {
        let file = path + "/" + name
        if let stream = fopen(file, "w") {
            fputs(text, stream)
            fclose(stream)
        }
        return file
    }
}

/// A broker of its own, and a client of it.
final class TestMesh: Sendable {
    let folder = TemporaryFolder()
    let broker: Broker
    let client: MeshConnection

    var endpoint: String { "ipc://" + folder.path + "/run/mesh.sock" }

    init() async throws {
        broker = try Self.startBroker(folder)
        client = try await MeshConnection.connect(
            MeshConfiguration(endpoint: "ipc://" + folder.path + "/run/mesh.sock", name: "tester")
        )
    }

    static func startBroker(_ folder: TemporaryFolder) throws -> Broker {
        let logger = Logger(label: "broker") { _ in SwiftLogNoOpLogHandler() }
        return try Broker.start(BrokerConfiguration(runFolder: folder.path + "/run"), logger: logger)
    }

    /// Starts a broker where another one has just ended; what spawns a process at that moment may hold its lock for a blink.
    static func startNextBroker(_ folder: TemporaryFolder) async throws -> Broker {
        let end = ContinuousClock.now + .seconds(5)
        while true {
            do {
                return try startBroker(folder)
            } catch {
                guard ContinuousClock.now < end else { throw error }
                await Task.yield()
            }
        }
    }

    func end() async {
        await client.close()
        await broker.stop()
    }

    /// Calls a method with JSON.
    func call(
        _ service: String,
        _ method: String,
        _ input: Value = [:],
        options: CallOptions = .init()
    ) async throws
        -> Value
    {
        let reply = try await client.call(
            .service(service, method: method),
            payload: .json(input),
            options: options
        )
        return reply.payload.isEmpty ? .null : try reply.payload.decode(Value.self)
    }
}

extension TestMesh {
    /// Returns once a service is there.
    func awaitService(_ name: String) async throws {
        let stream = try await client.openStream(
            .service("mesh", method: "watch"),
            options: CallOptions(idle: CallOptions.unbounded)
        )
        for try await chunk in stream where chunk.text.contains("\"service\":\"\(name)\"") { return }
    }
}

/// Runs a test with a mesh of its own.
func withMesh(_ body: (TestMesh) async throws -> Void) async throws {
    let mesh = try await TestMesh()
    do {
        try await body(mesh)
    } catch {
        await mesh.end()
        throw error
    }
    await mesh.end()
}

/// What happened, in order, and waiting for it.
final class Journal: Sendable {
    private struct State {
        var entries: [String] = []
        var waiters: [(entry: String, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var entries: [String] { state.withLock { $0.entries } }

    func note(_ entry: String) {
        let woken = state.withLock { state in
            state.entries.append(entry)
            let woken = state.waiters.filter { $0.entry == entry }
            state.waiters.removeAll { $0.entry == entry }
            return woken
        }
        for waiter in woken { waiter.continuation.resume() }
    }

    /// Returns once the entry has been noted; the test's time limit bounds it.
    func wait(for entry: String) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if !state.entries.contains(entry) { state.waiters.append((entry, continuation)) }
                return state.entries.contains(entry)
            }
            if isThere { continuation.resume() }
        }
    }
}

/// A plugin made of closures.
final class ScriptedPlugin: Plugin {
    let journal: Journal
    let onInitialize: @Sendable (PluginConfig) async throws -> Void
    let onRegister: @Sendable (ServiceRegistry) async throws -> Void
    let onExecute: @Sendable (String, Value, PluginContext) async throws -> Value

    convenience init() { self.init(journal: Journal()) }

    init(
        journal: Journal,
        initialize: @escaping @Sendable (PluginConfig) async throws -> Void = { _ in },
        register: @escaping @Sendable (ServiceRegistry) async throws -> Void = { _ in },
        execute: @escaping @Sendable (String, Value, PluginContext) async throws -> Value = { _, _, _ in nil }
    ) {
        self.journal = journal
        onInitialize = initialize
        onRegister = register
        onExecute = execute
    }

    func initialize(_ config: PluginConfig) async throws {
        journal.note("initialize")
        try await onInitialize(config)
    }

    func register(_ registry: ServiceRegistry) async throws {
        journal.note("register")
        try await onRegister(registry)
        journal.note("registered")
    }

    func execute(_ method: String, _ params: Value, _ context: PluginContext) async throws -> Value {
        try await onExecute(method, params, context)
    }

    func teardown() async throws { journal.note("teardown") }

    func onError(_ error: any Error) { journal.note("error: \(error)") }
}

/// A plugin that lives in this process.
final class RunningPlugin: Sendable {
    let stop = StopSwitch()
    let exitCode: Task<Int32, Never>

    init(_ plugin: ScriptedPlugin, _ manifest: Value, _ mesh: TestMesh, config: Value = [:]) throws {
        let life = PluginLife(
            plugin,
            info: try PluginInfo(manifest),
            config: config,
            environment: PluginEnvironment(variables: ["WIZ_ENDPOINT": mesh.endpoint, "WIZ_PLUGIN_FOLDER": "/nowhere"]),
            stop: stop
        )
        let journal = plugin.journal
        exitCode = Task {
            let code = await life.run()
            journal.note("exit \(code)")
            return code
        }
    }

    /// Asks it to drain, as the broker does.
    func requestDrain() { stop.request(.drainRequested(reason: "a test", grace: nil)) }

    /// Stops it as SIGTERM does.
    func end() async -> Int32 {
        stop.request(.signal(SIGTERM))
        return await exitCode.value
    }
}
