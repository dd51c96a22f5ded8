// A plugin's view of the registry: what it provides and what it uses.

import Synchronization

/// Registers services and finds those of others.
public final class ServiceRegistry: Sendable {
    /// What `plugin.json` says.
    public let plugin: PluginInfo
    /// The connection, for what the registry does not cover.
    public let mesh: MeshConnection
    /// Writes to the plugin's log.
    public let logger: Logger

    let surroundings: Surroundings
    private let execute: ServiceBuilder.Handler
    private let registered = Mutex<[Registration]>([])

    init(_ surroundings: Surroundings, execute: @escaping ServiceBuilder.Handler) {
        self.surroundings = surroundings
        self.execute = execute
        plugin = surroundings.plugin
        mesh = surroundings.mesh
        logger = surroundings.logger
    }

    /// The services that have been registered so far.
    public var registrations: [Registration] { registered.withLock { $0 } }

    /// Registers a service; returns once the broker has it, and calls may come from then on.
    ///
    /// It is registered again by itself after a reconnect. What is nil is taken from the entry of `plugin.json`'s `provides`
    /// with this name (and version, when it names several), which also goes to the broker as the methods' description; then
    /// from the plugin: its version, its `limits.concurrency` as capacity (16 without). Methods that the entry declares
    /// and the closure does not name go to ``Plugin/execute(_:_:_:)``.
    /// - Parameters:
    ///   - name: The service's name.
    ///   - version: Its version.
    ///   - capacity: How many calls may be in handlers at a time.
    ///   - weight: Its share of the work where shares are weighted; 100 is usual.
    ///   - attributes: Properties for look-up.
    ///   - capabilities: Tags for look-up; those of the plugin are added.
    ///   - build: Names the methods.
    /// - Returns: the registration, by which capacity can be changed or the service taken back.
    /// - Throws: ``MeshError`` when the broker refuses; ``PluginError/configuration(_:)`` when there is no method.
    @discardableResult
    public func registerService(
        _ name: String,
        version: String? = nil,
        capacity: Int? = nil,
        weight: Int? = nil,
        attributes: [String: String]? = nil,
        capabilities: [String]? = nil,
        _ build: (inout ServiceBuilder) throws -> Void
    ) async throws -> Registration {
        var builder = ServiceBuilder()
        try build(&builder)
        let table = try ServiceTable(
            name,
            version: version,
            options: .init(capacity: capacity, weight: weight, attributes: attributes, capabilities: capabilities),
            builder: builder,
            plugin: plugin,
            execute: execute
        )
        return try await provide(table)
    }

    private func provide(_ table: ServiceTable) async throws -> Registration {
        let surroundings = surroundings
        for method in table.unanswered {
            logger.warning("\(table.description.name).\(method) is declared as a stream and not registered: left out")
        }
        let registration = try await mesh.provide(table.description) { call in
            do {
                return try await surroundings.activeCalls.run {
                    try await table.handler(call.method)(call, PluginContext(call, surroundings))
                }
            } catch {
                if !(error is CancellationError), !Task.isCancelled { surroundings.onError(error) }
                throw error
            }
        }
        registered.withLock { $0.append(registration) }
        Task {
            do {
                try await registration.ended()
            } catch let error as MeshError where error.status != .cancelled {
                surroundings.logger.error("\(table.description.title) is not registered any more: \(error)")
                surroundings.onError(error)
            } catch {
                // Closed from this side.
            }
        }
        return registration
    }

    /// Registers the services of `plugin.json` that have not been registered by name: all their methods go to `execute`.
    func registerDeclared() async throws {
        for declared in plugin.services {
            guard !registrations.contains(where: { $0.service.name == declared.name }) else { continue }
            try await registerService(declared.name, version: declared.version) { _ in }
        }
    }

    /// Finds a service that is there now, or that a host starts when it is called.
    ///
    /// - Parameters:
    ///   - name: The service's name.
    ///   - range: The versions that will do; empty: any release.
    /// - Returns: a handle that follows the service from here on; nil when there is none. Use
    ///   ``handle(_:range:)`` for one that may come later.
    /// - Throws: ``MeshError`` when the registry cannot be read; `CancellationError` when the task is cancelled.
    public func getService(_ name: String, range: String = "") async throws -> ServiceHandle? {
        let handle = handle(name, range: range)
        return try await handle.state().isAvailable ? handle : nil
    }

    /// Finds a service by its typed client.
    ///
    /// - Throws: as ``getService(_:range:)``.
    public func getService<Client: ServiceClient>(_ client: Client.Type = Client.self) async throws -> Client? {
        try await getService(Client.service, range: Client.range).map(Client.init)
    }

    /// Waits until a service is there.
    ///
    /// - Parameters:
    ///   - name: The service's name.
    ///   - range: The versions that will do; empty: any release.
    ///   - bound: How long to wait.
    /// - Returns: a handle that follows the service from here on.
    /// - Throws: ``PluginError/notReady(reason:retryAfter:)`` saying what there is instead; ``MeshError`` when the range
    ///   is not one; `CancellationError` when the task is cancelled.
    public func requireService(
        _ name: String,
        range: String = "",
        within bound: Duration = .seconds(30)
    ) async throws -> ServiceHandle {
        let handle = handle(name, range: range)
        _ = try surroundings.watch.checkedRange(range)
        let updates = handle.updates
        let isThere = await withTimeout(bound) {
            for await state in updates where state.isAvailable { return true }
            return false
        }
        try Task.checkCancellation()
        guard isThere == true else {
            throw PluginError.notReady(
                reason: "\(handle) is required and did not come within \(bound): \(surroundings.watch.explain(name))",
                retryAfter: nil
            )
        }
        return handle
    }

    /// Waits until a service is there, and gives its typed client.
    ///
    /// - Throws: as ``requireService(_:range:within:)``.
    public func requireService<Client: ServiceClient>(
        _ client: Client.Type = Client.self,
        within bound: Duration = .seconds(30)
    ) async throws -> Client {
        Client(try await requireService(Client.service, range: Client.range, within: bound))
    }

    /// A handle for a service that may be there, come or go: calls find a provider when they are made.
    public func handle(_ name: String, range: String = "") -> ServiceHandle {
        ServiceHandle(name: name, range: range, mesh: mesh, watch: surroundings.watch)
    }
}

/// Runs something with a bound; nil when time ran out or the present task was cancelled first.
///
/// What does not heed its cancellation is left behind.
func withTimeout<Result: Sendable>(
    _ bound: Duration,
    _ operation: @escaping @Sendable () async -> Result
) async -> Result? {
    let (results, continuation) = AsyncStream<Result?>.makeStream()
    let work = Task { continuation.yield(await operation()) }
    let clock = Task {
        try? await Task.sleep(for: bound)
        continuation.yield(nil)
    }
    defer {
        work.cancel()
        clock.cancel()
    }
    for await result in results { return result }
    return nil
}
