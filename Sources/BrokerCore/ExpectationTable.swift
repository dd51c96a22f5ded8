// What hosts have said that they can start: the expectations that stand, and whose they are. Their services are the
// registry's, as latent providers.

public import MeshProtocol
import SemanticVersion

/// What a host says that it can start.
public struct Expectation: Hashable, Sendable {
    /// A service that it will provide.
    public struct Service: Hashable, Sendable {
        /// The service.
        public var service: String
        /// Its version.
        public var version: String
        /// Its methods, as PROVIDE would describe them.
        public var methods: [MethodDescription]
        /// Its attributes.
        public var attributes: [Attribute]
        /// Its capability tags.
        public var capabilities: [String]
        /// Calls that may wait for it; nil: as many as for any service.
        public var queueCount: Int?
        /// Describes a service that can be started.
        public init(
            service: String,
            version: String,
            methods: [MethodDescription],
            attributes: [Attribute] = [],
            capabilities: [String] = [],
            queueCount: Int? = nil
        ) {
            self.service = service
            self.version = version
            self.methods = methods
            self.attributes = attributes
            self.capabilities = capabilities
            self.queueCount = queueCount
        }
    }

    /// Whom to start: the plugin, which is also the principal that must be allowed to provide the services.
    public var owner: String
    /// What it will provide.
    public var services: [Service]
    /// Describes what can be started.
    public init(owner: String, services: [Service]) {
        self.owner = owner
        self.services = services
    }
}

/// One expectation that stands.
struct StandingExpectation {
    var owner: String
    var session: SessionIndex
    var pools: [PoolIndex]
}

/// All expectations that stand.
struct ExpectationTable {
    var standing: [UInt64: StandingExpectation] = [:]
    private var lastID: UInt64 = 0
    /// Services of them all.
    private(set) var serviceCount = 0
    /// Wakes up while calls wait for a provider.
    var timer = TimerID.none

    mutating func newID() -> UInt64 {
        lastID += 1
        return lastID
    }

    mutating func insert(_ expectation: StandingExpectation, as id: UInt64) {
        serviceCount += expectation.pools.count
        standing[id] = expectation
    }

    mutating func remove(_ id: UInt64) -> StandingExpectation? {
        guard let removed = standing.removeValue(forKey: id) else { return nil }
        serviceCount -= removed.pools.count
        return removed
    }

    /// The expectations of a session, in order.
    func made(by session: SessionIndex) -> [UInt64] {
        standing.filter { $0.value.session == session }.keys.sorted()
    }
}

/// What a timer of the registry is for.
enum RegistryTimer: UInt32 {
    /// Tell again that calls wait for a provider.
    case demand
    /// Returning providers have had their time.
    case returning
}
