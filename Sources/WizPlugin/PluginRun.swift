// A plugin's life without a process around it, and a registry without a plugin: what the library for tests is made of.

/// A plugin that lives in this process.
package final class PluginRun: Sendable {
    private let life: PluginLife
    private let stop: StopSwitch

    /// Prepares a life; the variables are those that a host would set, WIZ_ENDPOINT and WIZ_TICKET among them.
    package init(
        _ plugin: any Plugin,
        info: PluginInfo,
        config: Value,
        variables: [String: String],
        whenReady: @escaping @Sendable () -> Void,
        whenFailed: @escaping @Sendable (any Error) -> Void
    ) {
        let stop = StopSwitch()
        var life = PluginLife(
            plugin,
            info: info,
            config: config,
            environment: PluginEnvironment(variables: variables),
            stop: stop
        )
        life.whenReady = whenReady
        life.whenFailed = whenFailed
        self.life = life
        self.stop = stop
    }

    /// Lives until it is stopped.
    ///
    /// - Returns: the code with which its process would exit.
    package func run() async -> Int32 { await life.run() }

    /// Stops it as SIGTERM does.
    package func terminate() { stop.request(.signal(15)) }
}

extension ServiceRegistry {
    /// A registry over a connection that belongs to no plugin's life; declared methods without a handler are unimplemented.
    package convenience init(_ mesh: MeshConnection, name: String, logger: Logger) {
        let plugin = PluginInfo(
            name: name,
            version: "0.0.0",
            description: "",
            services: [],
            capabilities: [],
            permissions: [],
            concurrency: nil,
            drainTimeout: .seconds(5)
        )
        let watch = RegistryWatch(mesh, logger: logger)
        self.init(Surroundings(plugin: plugin, logger: logger, mesh: mesh, watch: watch) { _ in }) { call, _ in
            throw MeshError(.unimplemented, "\(call.service).\(call.method) has no handler")
        }
    }

    /// Ends what follows the registry; the connection stays.
    package func stopWatching() { surroundings.watch.stop() }
}

/// Runs something with a bound; nil when time ran out or the present task was cancelled first.
package func withBound<Result: Sendable>(
    _ bound: Duration,
    _ operation: @escaping @Sendable () async -> Result
) async -> Result? {
    await withTimeout(bound, operation)
}
