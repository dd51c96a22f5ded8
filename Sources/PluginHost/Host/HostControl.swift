// What a host asks of the broker, and what it hears from it. `MeshControl` is the real one, over a connection of the host;
// tests bring their own.

public import Manifest
public import MeshClient

/// The broker, as a plugin host needs it.
public protocol HostControl: Sendable {
    /// The broker's endpoint, as the plugins reach it.
    var endpoint: String { get }

    /// Begins to listen; returns once nothing that happens from here on is missed.
    ///
    /// - Parameter hear: Hears readiness, demand and the like, one at a time.
    /// - Throws: why nothing can be heard.
    func listen(_ hear: @escaping @Sendable (HostInput) -> Void) async throws

    /// Lets a process in that is about to start: a one-time ticket, and keys where it needs them.
    ///
    /// - Throws: why the broker gives no ticket.
    /// - Returns: with what the process presents itself.
    func admit(_ label: InstanceLabel, stage: LaunchStage) async throws -> Admission

    /// Puts instances in service and takes others out of it, in one step; bounded in time.
    ///
    /// - Returns: what kept the broker from it; nil: it is done.
    func promote(
        _ instances: [InstanceLabel],
        retire: [InstanceLabel],
        grace: Duration,
        reason: String
    ) async -> String?

    /// Lets calls wait for services that nobody provides.
    func expect(_ plugin: String, _ number: ExpectationNumber, _ services: [ProvidedService]) async

    /// Lets no calls wait any more.
    func unexpect(_ number: ExpectationNumber) async

    /// How busy a plugin is; nil when it cannot be had.
    func load(_ plugin: String) async -> PluginLoad?

    /// Tells that a process has ended.
    func exited(_ label: InstanceLabel, process: Int32?, cause: String) async

    /// The sessions of labelled instances as they are now; nil when they cannot be had.
    func sessions() async -> [InstanceSession]?

    /// Publishes an event as JSON.
    func publish(_ topic: String, json: String) async

    /// Ends the connection.
    func close() async
}

/// With what a process presents itself to the broker.
public struct Admission: Hashable, Sendable {
    /// The ticket, which is good once.
    public var ticket: String
    /// Keys that were made for this process; nil: it needs none.
    public var keys: MeshConfiguration.Keys?

    /// A ticket, and keys.
    public init(ticket: String, keys: MeshConfiguration.Keys? = nil) {
        self.ticket = ticket
        self.keys = keys
    }
}

/// The session of an instance.
public struct InstanceSession: Hashable, Sendable {
    /// Which instance.
    public var label: InstanceLabel
    /// How many services it has registered.
    public var serviceCount: Int
    /// Whether it has said that it is ready; nil when the broker does not tell.
    public var isReady: Bool?

    /// A session.
    public init(label: InstanceLabel, serviceCount: Int, isReady: Bool?) {
        self.label = label
        self.serviceCount = serviceCount
        self.isReady = isReady
    }
}
