// A plugin as a process: from the environment to the exit code. `PluginLife` is the part that tests can run.

internal import CLinuxShims
internal import Glibc

/// Runs a plugin as this process.
enum PluginProcess {
    static func run(_ make: () -> any Plugin) async {
        let environment = PluginEnvironment.own
        let level = environment.logLevel
        LoggingSystem.bootstrap { _ in LineLog(logLevel: level) }
        wiz_ignore_signal(SIGPIPE)
        let parent = wiz_parent_process_id()
        let stop = StopSwitch()
        let info: PluginInfo
        let config: Value
        do throws(PluginError) {
            info = try PluginInfo(folder: environment.folder)
            config = try environment.config()
        } catch {
            LineLog.write("error: \(error)")
            exit(PluginExit.configuration)
        }
        Sentry(watchesInput: environment.isHosted, allowance: info.drainTimeout * 2 + .seconds(2), stop: stop).start()
        if environment.isHosted {
            wiz_set_parent_death_signal(SIGTERM)
            // The host may have gone before the line above.
            if wiz_parent_process_id() != parent { stop.request(.hostGone) }
        }
        let life = PluginLife(make(), info: info, config: config, environment: environment, stop: stop)
        exit(await life.run())
    }
}

/// The life of a plugin, from its connection to its exit code.
struct PluginLife {
    let plugin: any Plugin
    let info: PluginInfo
    let config: Value
    let environment: PluginEnvironment
    let stop: StopSwitch
    let logger: Logger
    /// Is called once everything is registered.
    var whenReady: @Sendable () -> Void = {}
    /// Hears why it did not start, or ended.
    var whenFailed: @Sendable (any Error) -> Void = { _ in }

    init(
        _ plugin: any Plugin,
        info: PluginInfo,
        config: Value,
        environment: PluginEnvironment,
        stop: StopSwitch
    ) {
        self.plugin = plugin
        self.info = info
        self.config = config
        self.environment = environment
        self.stop = stop
        logger = Logger(label: info.name)
    }

    /// Connects, serves and leaves.
    ///
    /// - Returns: the exit code.
    func run() async -> Int32 {
        let mesh: MeshConnection
        do {
            mesh = try await connect()
        } catch {
            return stop.cause == nil ? report(error, "could not join the mesh") : PluginExit.success
        }
        let watch = RegistryWatch(mesh, logger: logger)
        let result = await live(mesh, watch)
        watch.stop()
        await mesh.close()
        return result
    }

    private func connect() async throws -> MeshConnection {
        var configuration: MeshConfiguration
        do throws(MeshError) {
            configuration = try .fromEnvironment(
                name: environment["WIZ_PLUGIN_NAME"] ?? info.name,
                version: info.version,
                environment: environment.variables,
                logger: logger
            )
        } catch {
            throw PluginError.configuration("\(error)")
        }
        configuration.leavesWhenDrained = false
        let connecting = Task { [configuration] in try await MeshConnection.connect(configuration) }
        stop.whenRequested { _ in connecting.cancel() }
        do {
            return try await connecting.value
        } catch let error as MeshError where error.status == .unavailable || error.isRetryable {
            throw PluginError.notReady(reason: "\(error)", retryAfter: error.retryAfter)
        }
    }

    private func live(_ mesh: MeshConnection, _ watch: RegistryWatch) async -> Int32 {
        mesh.onDrainRequested { [stop] in stop.request(.drainRequested(reason: $0.reason, grace: $0.grace)) }
        let states = mesh.states
        let watching = Task { [stop] in
            for await case .closed(let error) in states { stop.request(.connectionEnded(error)) }
        }
        defer { watching.cancel() }
        let starting = Task { [self] in try await start(mesh, watch) }
        stop.whenRequested { _ in starting.cancel() }
        do {
            try await starting.value
        } catch {
            let code = stop.cause == nil ? report(error, "could not start") : PluginExit.success
            await tearDown()
            return code
        }
        let cause = await stop.wait()
        logger.info("stopping: \(cause)")
        await drain(mesh, cause)
        await tearDown()
        if case .connectionEnded(let error?) = cause { return report(error, "lost the mesh") }
        return PluginExit.success
    }

    private func start(_ mesh: MeshConnection, _ watch: RegistryWatch) async throws {
        let plugin = plugin
        let surroundings = Surroundings(plugin: info, logger: logger, mesh: mesh, watch: watch) { plugin.onError($0) }
        try await plugin.initialize(
            PluginConfig(
                plugin: info,
                values: config,
                folder: environment.folder,
                dataFolder: environment["WIZ_DATA"],
                logger: logger,
                mesh: mesh
            )
        )
        try Task.checkCancellation()
        let registry = ServiceRegistry(surroundings) { call, context in
            try .json(await plugin.execute(call.method, call.payload.input(), context))
        }
        try await plugin.register(registry)
        try await registry.registerDeclared()
        try Task.checkCancellation()
        let services = registry.registrations.map(\.service.title).joined(separator: ", ")
        logger.info("ready: \(info.name) \(info.version)\(services.isEmpty ? "" : " provides \(services)")")
        whenReady()
    }

    private func drain(_ mesh: MeshConnection, _ cause: StopCause) async {
        var bound = info.drainTimeout
        if case .drainRequested(_, let grace?) = cause { bound = min(bound, grace) }
        let isDrained: Void? = await withTimeout(bound) { try? await mesh.drain() }
        if isDrained == nil { logger.warning("calls were still running after \(bound): they are cancelled") }
    }

    private func tearDown() async {
        let plugin = plugin
        let logger = logger
        let isDone: Void? = await withTimeout(info.drainTimeout) {
            do {
                try await plugin.teardown()
            } catch {
                plugin.onError(error)
                logger.error("teardown failed: \(error)")
            }
        }
        if isDone == nil { logger.warning("teardown took longer than \(info.drainTimeout): left behind") }
    }

    private func report(_ error: any Error, _ what: String) -> Int32 {
        plugin.onError(error)
        whenFailed(error)
        LineLog.write("error: \(info.name) \(what): \(error)")
        return PluginExit.code(for: error)
    }
}
