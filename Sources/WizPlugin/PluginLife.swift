// The life of a plugin, from its connection to its exit code: the part that runs in tests, too.

/// The life of a plugin, from its connection to its exit code.
struct PluginLife {
    let plugin: any Plugin
    let info: PluginInfo
    let config: Value
    let environment: PluginEnvironment
    let stop: StopSwitch
    let logger: Logger
    private let activeCalls = ActiveCalls()
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
        var info = info
        info.generation = environment.generation
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
        let readiness = Readiness(mesh: mesh, logger: logger)
        do {
            try await starting.value
        } catch {
            let isStopped = stop.cause != nil
            let code = isStopped ? PluginExit.success : report(error, "could not start")
            if !isStopped, case PluginError.notReady(let reason, let delay) = error {
                await readiness.notReady(reason, retryAfter: delay)
            }
            await tearDown(within: info.drainTimeout)
            return code
        }
        let telling = Task { await readiness.tell() }
        let readyFile = environment["WIZ_READY_FILE"].map { ReadyFile($0, following: mesh.states, logger: logger) }
        let cause = await stop.wait()
        let begin = ContinuousClock.now
        readyFile?.end()
        telling.cancel()
        logger.info("stopping: \(cause)")
        await drain(mesh, cause)
        await tearDown(within: info.drainTimeout - begin.duration(to: .now))
        if case .connectionEnded(let error?) = cause { return report(lost(error), "lost the mesh") }
        return PluginExit.success
    }

    /// What the end of the connection means: a broker that started anew does not know this process's ticket any more, which is
    /// no fault of the plugin; a new process has a new one.
    private func lost(_ error: MeshError) -> any Error {
        guard error.status == .unauthenticated else { return error }
        return PluginError.notReady(reason: "\(error)", retryAfter: nil)
    }

    private func start(_ mesh: MeshConnection, _ watch: RegistryWatch) async throws {
        let plugin = plugin
        let egressProxy = environment.egressProxy
        let surroundings = Surroundings(
            plugin: info,
            logger: logger,
            mesh: mesh,
            watch: watch,
            egressProxy: egressProxy,
            activeCalls: activeCalls
        ) { plugin.onError($0) }
        try await plugin.initialize(
            PluginConfig(
                plugin: info,
                values: try checkedConfig(),
                folder: environment.folder,
                dataFolder: environment["WIZ_DATA"],
                egressProxy: egressProxy,
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

    /// The settings, with what `plugin.json` gives for those that are not set.
    private func checkedConfig() throws(PluginError) -> Value {
        guard let schema = info.configSchema else { return config }
        let check = SchemaCheck(schema)
        let config = check.completed(config)
        let problems = check.problems(of: config)
        guard !problems.isEmpty else { return config }
        throw .configuration(
            "the config of \(info.name) in the mesh file is not valid: " + problems.joined(separator: "; ")
        )
    }

    /// Takes no new calls and gives those in flight their time.
    ///
    /// Calls that take longer go back to the broker with BYE, which gives them to another worker where that does no harm;
    /// their handlers are cancelled and have a moment to end, so that teardown finds nothing in use.
    private func drain(_ mesh: MeshConnection, _ cause: StopCause) async {
        var bound = info.drainTimeout
        if case .drainRequested(_, let grace?) = cause { bound = min(bound, grace) }
        let isDrained: Void? = await withTimeout(bound) { try? await mesh.drain() }
        guard isDrained == nil else { return }
        logger.warning("calls were still running after \(bound): they are cancelled")
        await mesh.close()
        let activeCalls = activeCalls
        let isIdle: Void? = await withTimeout(Self.cancelBound) { await activeCalls.idle() }
        if isIdle == nil { logger.warning("a handler does not heed its cancellation: left behind") }
    }

    /// How long cancelled handlers may take to end before teardown begins.
    private static let cancelBound = Duration.milliseconds(500)

    /// Tears down within what is left of the time for stopping, a second at least.
    private func tearDown(within left: Duration) async {
        let plugin = plugin
        let logger = logger
        let bound = max(left, .seconds(1))
        let isDone: Void? = await withTimeout(bound) {
            do {
                try await plugin.teardown()
            } catch {
                plugin.onError(error)
                logger.error("teardown failed: \(error)")
            }
        }
        if isDone == nil { logger.warning("teardown took longer than \(bound): left behind") }
    }

    private func report(_ error: any Error, _ what: String) -> Int32 {
        plugin.onError(error)
        whenFailed(error)
        LineLog.write("error: \(info.name) \(what): \(error)")
        return PluginExit.code(for: error)
    }
}
