// A mesh inside a test: a real broker on a socket in a folder of its own, plugins that live in the test's process, and
// stand-ins for the services that they need. Touches that folder and nothing else.

import Broker
import Synchronization
public import WizPlugin

/// A mesh for one test.
///
/// ```swift
/// @Test func `it greets`() async throws {
///     try await withTestMesh { mesh in
///         try await mesh.run(Greeter())
///         let answer: String = try await mesh.call("greeter.greet", ["name": "Ada"])
///         #expect(answer == "Hello, Ada!")
///     }
/// }
/// ```
///
/// Every wait has a bound, and what did not come within it is told in a sentence. Plugins may call, publish and subscribe
/// as they like unless the mesh is strict.
public final class TestMesh: Sendable {
    /// How long anything may take unless a call says otherwise.
    public let bound: Duration
    /// The tester's registry: finds services, and registers stand-ins.
    public let registry: ServiceRegistry

    private let folder: TemporaryFolder
    private let rules: TestRules
    private let broker: Mutex<Broker>
    private let plugins = Mutex<[TestPlugin]>([])

    /// Where peers connect.
    public var endpoint: String { folder.endpoint }
    /// The tester's connection, which may do everything.
    public var client: MeshConnection { registry.mesh }

    private init(
        _ folder: TemporaryFolder,
        _ rules: TestRules,
        _ broker: Broker,
        _ client: MeshConnection,
        _ bound: Duration
    ) {
        self.folder = folder
        self.rules = rules
        self.broker = Mutex(broker)
        self.bound = bound
        registry = ServiceRegistry(client, name: TestMesh.tester, logger: silentLogger)
    }

    /// Starts a broker and connects a tester to it.
    ///
    /// - Parameters:
    ///   - isStrict: Whether plugins may do only what ``allow(_:_:_:)`` allows, as in a mesh whose file grants nothing.
    ///   - bound: How long anything may take unless a call says otherwise.
    /// - Returns: the mesh; stop it with ``stop()``.
    /// - Throws: why the broker cannot start: libzmq is missing, or the temporary folder cannot be made.
    public static func start(isStrict: Bool = false, bound: Duration = .seconds(10)) async throws -> TestMesh {
        let folder = try TemporaryFolder()
        let rules = TestRules(isStrict: isStrict, path: folder.path + "/mesh.yaml")
        let broker = try startBroker(folder, rules)
        do {
            let client = try await MeshConnection.connect(
                MeshConfiguration(endpoint: folder.endpoint, name: tester, logger: silentLogger)
            )
            return TestMesh(folder, rules, broker, client, bound)
        } catch {
            await broker.stop(immediately: true)
            throw error
        }
    }

    /// Stops the plugins, the last one first, then the broker.
    public func stop() async {
        for plugin in plugins.withLock({ $0 }).reversed() { _ = try? await plugin.stop() }
        registry.stopWatching()
        await client.close()
        await broker.withLock { $0 }.stop(immediately: true)
    }

    /// Stops the broker and starts another one in its place.
    ///
    /// The tester and its stand-ins come back by themselves. A plugin came with a one-time ticket that the new broker does not
    /// know: it ends, and where a host would start it again, the test runs it again.
    /// - Throws: why the second one cannot start.
    public func restartBroker() async throws {
        await broker.withLock { $0 }.stop(immediately: true)
        let next = try Self.startBroker(folder, rules)
        broker.withLock { $0 = next }
    }

    // MARK: Plugins

    /// Runs a plugin in this process, and returns once it is ready.
    ///
    /// - Parameters:
    ///   - plugin: The plugin.
    ///   - folder: The folder with its `plugin.json`; nil: the nearest one above the test's own file.
    ///   - config: Its settings, as the mesh file would give them.
    ///   - permissions: The named permissions that it is granted; nil: those that `plugin.json` asks for.
    ///   - file: The test's file.
    /// - Returns: the running plugin; the mesh stops it at its end.
    /// - Throws: ``TestFailure`` when it ends or is not ready within the bound, and what its start threw when it failed.
    @discardableResult
    public func run(
        _ plugin: some Plugin,
        manifest folder: String? = nil,
        config: Value = [:],
        permissions: [String]? = nil,
        file: String = #filePath
    ) async throws -> TestPlugin {
        let folder = try folder ?? Self.pluginFolder(above: file)
        let info = try PluginInfo(folder: folder)
        return try await run(plugin, info: info, folder: folder, config: config, permissions: permissions)
    }

    /// Runs a plugin whose manifest is at hand: `try PluginInfo(["name": "greeter", "version": "1.0.0"])`.
    ///
    /// - Throws: as ``run(_:manifest:config:permissions:file:)``.
    @discardableResult
    public func run(
        _ plugin: some Plugin,
        info: PluginInfo,
        folder: String = ".",
        config: Value = [:],
        permissions: [String]? = nil
    ) async throws -> TestPlugin {
        let broker = broker.withLock { $0 }
        rules.add(info, permissions: permissions ?? info.permissions)
        try broker.reload(rules.write())
        let running = TestPlugin(
            plugin,
            info: info,
            config: config,
            variables: [
                "WIZ_ENDPOINT": endpoint, "WIZ_TICKET": try broker.issueTicket(name: info.name),
                "WIZ_PLUGIN_NAME": info.name, "WIZ_PLUGIN_FOLDER": folder,
                "WIZ_DATA": self.folder.path + "/data/" + info.name,
            ],
            bound: bound
        )
        plugins.withLock { $0.append(running) }
        try await running.awaitReady()
        return running
    }

    /// Provides a stand-in for a service that the plugin under test needs.
    ///
    /// - Parameters:
    ///   - service: The service's name.
    ///   - version: Its version.
    ///   - capacity: How many calls may be in handlers at a time.
    ///   - capabilities: Tags for look-up.
    ///   - build: Names the methods.
    /// - Returns: the registration, by which the service can be taken back.
    /// - Throws: as ``ServiceRegistry/registerService(_:version:capacity:weight:attributes:capabilities:_:)``.
    @discardableResult
    public func provide(
        _ service: String,
        version: String = "1.0.0",
        capacity: Int? = nil,
        capabilities: [String]? = nil,
        _ build: (inout ServiceBuilder) throws -> Void
    ) async throws -> Registration {
        try await registry.registerService(
            service,
            version: version,
            capacity: capacity,
            capabilities: capabilities,
            build
        )
    }

    /// Grants something to a plugin, or to `"*"`, as a rule of the mesh file would; also before the plugin runs.
    ///
    /// - Parameters:
    ///   - plugin: The plugin's name.
    ///   - action: What it may do.
    ///   - target: To what: `ui.>`, `llm.complete`, a topic.
    /// - Throws: when the rule is none.
    public func allow(_ plugin: String, _ action: TestAction, _ target: String) throws {
        rules.allow(plugin, action, target)
        try broker.withLock { $0 }.reload(rules.write())
    }

    // MARK: Calls

    /// Calls a method, JSON in and out, as somebody who may do everything.
    ///
    /// - Parameters:
    ///   - method: `service.method`.
    ///   - input: The parameters.
    ///   - options: Bounds, urgency, affinity.
    /// - Returns: the answer.
    /// - Throws: ``MeshError``.
    public func call<Output: Decodable>(
        _ method: String,
        _ input: some Encodable & Sendable = Nothing(),
        options: CallOptions = CallOptions()
    ) async throws -> Output {
        let (service, name) = try Self.split(method)
        return try await registry.handle(service).call(name, input, options: options)
    }

    /// Calls a method that answers with a stream, and collects it.
    ///
    /// - Throws: ``MeshError``.
    public func collect<Chunk: Decodable>(
        _ method: String,
        _ input: some Encodable & Sendable = Nothing(),
        of chunk: Chunk.Type = Chunk.self,
        options: CallOptions = CallOptions(deadline: .seconds(10))
    ) async throws -> [Chunk] {
        let (service, name) = try Self.split(method)
        var chunks: [Chunk] = []
        for try await chunk in try await registry.handle(service).stream(name, input, of: Chunk.self, options: options)
        {
            chunks.append(chunk)
        }
        return chunks
    }

    /// Waits until a service is there.
    ///
    /// - Throws: ``PluginError/notReady(reason:retryAfter:)`` saying what there is instead.
    public func service(_ name: String, range: String = "") async throws -> ServiceHandle {
        try await registry.requireService(name, range: range, within: bound)
    }

    /// Waits until a service is gone.
    ///
    /// - Throws: ``TestFailure`` when it is still there after the bound.
    public func awaitGone(_ name: String, range: String = "") async throws {
        let updates = registry.handle(name, range: range).updates
        let isGone = await withBound(bound) {
            for await state in updates where !state.isAvailable { return true }
            return false
        }
        guard isGone == true else { throw TestFailure("the service \(name) is still there after \(bound)") }
    }

    // MARK: Parts

    private static let tester = "tester"

    private static func startBroker(_ folder: TemporaryFolder, _ rules: TestRules) throws -> Broker {
        var configuration = try BrokerConfiguration(MeshFile(reading: rules.write()))
        configuration.runFolder = folder.runFolder
        return try Broker.start(configuration, logger: silentLogger)
    }

    private static func split(_ method: String) throws(MeshError) -> (service: String, method: String) {
        guard let dot = method.lastIndex(of: "."), dot != method.startIndex else {
            throw MeshError(.invalidArgument, "\"\(method)\" names no method", hint: "Write service.method.")
        }
        return (String(method[..<dot]), String(method[method.index(after: dot)...]))
    }

    private static func pluginFolder(above file: String) throws(TestFailure) -> String {
        var path = Substring(file)
        while let slash = path.lastIndex(of: "/") {
            path = path[..<slash]
            if TemporaryFolder.isFile(path + "/plugin.json") { return String(path) }
        }
        throw TestFailure("no folder above \(file) has a plugin.json; name it: run(MyPlugin(), manifest: \"path\")")
    }
}

/// Runs a test with a mesh of its own, which is stopped at the end.
///
/// - Throws: what the test throws, and as ``TestMesh/start(isStrict:bound:)``.
@discardableResult
public func withTestMesh<Result>(
    isStrict: Bool = false,
    bound: Duration = .seconds(10),
    _ body: (TestMesh) async throws -> Result
) async throws -> Result {
    let mesh = try await TestMesh.start(isStrict: isStrict, bound: bound)
    do {
        let result = try await body(mesh)
        await mesh.stop()
        return result
    } catch {
        await mesh.stop()
        throw error
    }
}

/// Something did not happen, or not in time.
public struct TestFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What, and what to look at.
    public let description: String

    init(_ description: String) { self.description = description }
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
