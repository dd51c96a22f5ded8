// What a handler knows about the call that it answers, and its way onward.

/// The call that a handler answers.
///
/// Calls made while it is answered, through ``mesh`` or a ``ServiceHandle``, are its children: they inherit its deadline
/// and trace, and are cancelled with it. Cancellation is the task's own: `Task.isCancelled`, `Task.checkCancellation()`.
public struct PluginContext: Sendable {
    /// The plugin that answers.
    public let plugin: PluginInfo
    /// The service, as it was registered.
    public let service: String
    /// The service's version.
    public let version: String
    /// The method.
    public let method: String
    /// The caller's principal, as the broker found it.
    public let caller: String
    /// When the caller stops waiting; nil when the call has no bound.
    public let deadline: ContinuousClock.Instant?
    /// The trace that the call belongs to.
    public let trace: TraceContext
    /// The caller's affinity key; may be empty.
    public let affinity: String
    /// The urgency.
    public let band: Band
    /// The unix socket of the proxy through which the hosts that `plugin.json` names are reached; nil when the plugin has the
    /// whole network, or none.
    public let egressProxy: String?
    /// Writes to the plugin's log.
    public let logger: Logger
    /// The connection; nil in tests without a mesh.
    public let mesh: MeshConnection?

    /// Puts a context together, as for a test.
    public init(
        plugin: PluginInfo,
        service: String,
        version: String,
        method: String,
        caller: String = "",
        deadline: ContinuousClock.Instant? = nil,
        trace: TraceContext = .none,
        affinity: String = "",
        band: Band = .normal,
        egressProxy: String? = nil,
        logger: Logger = Logger(label: "plugin"),
        mesh: MeshConnection? = nil
    ) {
        self.plugin = plugin
        self.service = service
        self.version = version
        self.method = method
        self.caller = caller
        self.deadline = deadline
        self.trace = trace
        self.affinity = affinity
        self.band = band
        self.egressProxy = egressProxy
        self.logger = logger
        self.mesh = mesh
    }

    init(_ call: IncomingCall, _ surroundings: Surroundings) {
        self.init(
            plugin: surroundings.plugin,
            service: call.service,
            version: call.version,
            method: call.method,
            caller: call.context.caller,
            deadline: call.context.deadline,
            trace: call.context.trace,
            affinity: call.context.affinity,
            band: call.context.band,
            egressProxy: surroundings.egressProxy,
            logger: surroundings.logger,
            mesh: surroundings.mesh
        )
    }

    /// How long the caller still waits, never negative; nil when the call has no bound.
    public var remaining: Duration? { deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) } }

    /// Whether the caller has given up, a clock ran out, or the plugin stops.
    public var isCancelled: Bool { Task.isCancelled }

    /// Tells whoever listens how far the work has come: an event of the topic `plugin.NAME.progress`.
    ///
    /// Progress is a courtesy: it is sent without waiting for the broker, and where the plugin may not publish the topic it
    /// is lost silently.
    /// - Parameters:
    ///   - fraction: From 0 to 1.
    ///   - message: What is being done, for people.
    public func progress(_ fraction: Double, _ message: String = "") async {
        let report = ProgressReport(
            service: service,
            method: method,
            caller: caller,
            fraction: fraction.isFinite ? min(1, max(0, fraction)) : 0,
            message: message
        )
        guard let mesh, let payload = try? Payload.json(report) else { return }
        try? await mesh.publish(
            topic: "plugin.\(plugin.name).progress",
            payload: payload,
            options: PublishOptions(acknowledge: false)
        )
    }
}

/// The JSON of a progress event.
struct ProgressReport: Codable, Hashable {
    var service: String
    var method: String
    var caller: String
    var fraction: Double
    var message: String
}

/// What all parts of a running plugin share.
struct Surroundings: Sendable {
    let plugin: PluginInfo
    let logger: Logger
    let mesh: MeshConnection
    let watch: RegistryWatch
    var egressProxy: String?
    var activeCalls = ActiveCalls()
    /// Hears of the errors of handlers.
    let onError: @Sendable (any Error) -> Void
}
