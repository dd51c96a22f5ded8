// The registry: what sessions provide, found by service and version and by capability, and the pools that calls choose
// from. It knows nothing of calls but their number and their place in queues; the core gives work out.

import MeshProtocol
import SemanticVersion

/// A registration's place in a pool.
struct Membership: BitwiseCopyable {
    var pool: PoolIndex
    /// Where it stands in ``PoolSlot/members``.
    var place: UInt32
}

/// One service of one session.
struct RegistrationSlot {
    enum State {
        case free
        case live
        /// In no pool and found by nobody until its session is promoted.
        case shadow
        /// Withdrawn, with calls still in flight.
        case withdrawn
    }

    var state = State.free
    var session = SessionIndex.none
    var sessionNumber: UInt64 = 0
    var request: UInt64 = 0
    var service = ""
    var version = SemanticVersion(major: 0, minor: 0, patch: 0)
    var methods: [MethodDescription] = []
    var attributes: [Attribute] = []
    var capabilities: [String] = []
    var capacity: UInt32 = 0
    var weight: UInt32 = 100
    var inFlight: UInt32 = 0
    /// How many calls it was seen to take, when it has just refused one more.
    var ceiling = UInt32.max
    /// What its session allows: alive, not draining.
    var sessionTakesWork = true
    /// The pools it is in; its home, the exact one, first.
    var memberships: [Membership] = []
    /// Which of its pools is served next.
    var turn = 0
    /// The payload of its PROVIDE.
    var body = BodyHandle.none
    var bodyByteCount = 0
    /// Grows with each registration, so that the newest can be told.
    var age: UInt64 = 0

    var isUsable: Bool { state == .live && sessionTakesWork && capacity > 0 }
    /// How many calls it may be given.
    var room: UInt32 { min(capacity, ceiling) }
    var hasRoom: Bool { isUsable && inFlight < room }
    func method(_ name: String) -> MethodDescription? { methods.first { $0.name == name } }
}

/// One change, as it is remembered for watchers.
struct RegistryLogEntry {
    var revision: UInt64
    var kind: RegistryChange.Kind
    var session: UInt64
    var service: String
    var version: SemanticVersion
    var versionText: String
}

/// All registrations and pools.
struct Registry {
    /// The versions of a service that have providers, the highest first.
    struct Versions {
        var version: SemanticVersion
        var pool: PoolIndex
    }

    var registrations: [RegistrationSlot] = []
    var pools: [PoolSlot] = []
    private var freeRegistrations: [UInt32] = []
    private var freePools: [UInt32] = []
    private(set) var services: [String: [Versions]] = [:]
    /// Their names in order.
    private(set) var names = NameIndex()
    private(set) var tags: [String: [RegistrationIndex]] = [:]
    private(set) var derived: [PoolKey: PoolIndex] = [:]
    private var derivedByTag: [String: [PoolIndex]] = [:]
    private var derivedByService: [String: [PoolIndex]] = [:]
    var balances: [String: Balance] = [:]
    private(set) var registrationCount = 0
    /// Registrations that wait to be promoted.
    private(set) var shadowCount = 0
    /// Pools that have latent providers.
    var latentPools: [PoolIndex] = []
    /// The same by capability.
    var latentTags: [String: [PoolIndex]] = [:]
    private var nextAge: UInt64 = 0
    /// Set when a route may lead elsewhere than before; the core clears it when it drops its route cache.
    var routesChanged = false
    /// Pools that have become usable or unusable, for the core to look at.
    var changedPools: [PoolIndex] = []

    static var derivedPoolCount: Int { 4_096 }
    /// Methods that the providers of one service and version may have named, since it was first provided.
    static var methodCount: Int { 4_096 }
    /// Ways in which the providers of one service and version may describe a method.
    static var variantCount: Int { 16 }

    // MARK: Registrations

    /// Adds a registration to its home pool and to the derived pools that it belongs in; a shadow to none.
    mutating func add(_ slot: RegistrationSlot, isShadow: Bool) -> RegistrationIndex {
        let index: RegistrationIndex
        if let raw = freeRegistrations.popLast() {
            index = RegistrationIndex(raw: raw)
            registrations[index.at] = slot
        } else {
            index = RegistrationIndex(registrations.count)
            registrations.append(slot)
        }
        nextAge += 1
        registrations[index.at].age = nextAge
        registrations[index.at].state = isShadow ? .shadow : .live
        registrationCount += 1
        if isShadow { shadowCount += 1 } else { join(index) }
        return index
    }

    /// Puts a shadow in service.
    mutating func promote(_ index: RegistrationIndex) {
        precondition(
            registrations[index.at].state == .shadow,
            "promote(_:) in state \(registrations[index.at].state)"
        )
        registrations[index.at].state = .live
        shadowCount -= 1
        join(index)
    }

    /// Takes a registration out of all pools.
    ///
    /// Its slot stays while calls are in flight.
    mutating func withdraw(_ index: RegistrationIndex) {
        switch registrations[index.at].state {
        case .live: leave(index)
        case .shadow: shadowCount -= 1
        case .free, .withdrawn: preconditionFailure("withdraw(_:) in state \(registrations[index.at].state)")
        }
        registrations[index.at].state = .withdrawn
        registrationCount -= 1
        releaseIfIdle(index)
    }

    /// Frees a withdrawn registration when its last call has ended.
    mutating func releaseIfIdle(_ index: RegistrationIndex) {
        guard registrations[index.at].state == .withdrawn, registrations[index.at].inFlight == 0 else { return }
        registrations[index.at] = RegistrationSlot()
        freeRegistrations.append(index.raw)
    }

    /// Enters a registration in the indexes and pools, by its present description.
    mutating func join(_ index: RegistrationIndex) {
        let service = registrations[index.at].service
        let home = exactPool(of: index)
        enter(index, pool: home, method: .none)
        mergeMethods(of: index, into: home)
        for tag in registrations[index.at].capabilities { tags[tag, default: []].append(index) }
        for pool in derivedByService[service] ?? [] { dismantle(pool) }
        for tag in registrations[index.at].capabilities {
            for pool in derivedByTag[tag] ?? [] { dismantle(pool) }
            // What waits for a provider to be started may go to this one.
            for pool in latentTags[tag] ?? [] where pool != home { changedPools.append(pool) }
        }
        routesChanged = true
    }

    /// Takes a registration out of the indexes and pools.
    mutating func leave(_ index: RegistrationIndex) {
        while !registrations[index.at].memberships.isEmpty {
            exit(index, registrations[index.at].memberships.count - 1)
        }
        for tag in registrations[index.at].capabilities {
            tags[tag]?.removeAll { $0 == index }
            if tags[tag]?.isEmpty == true { tags[tag] = nil }
        }
        routesChanged = true
    }

    private mutating func enter(_ index: RegistrationIndex, pool: PoolIndex, method: MethodIndex) {
        var member = PoolMember(
            registration: index,
            membership: UInt32(registrations[index.at].memberships.count)
        )
        member.method = method
        member.pass = pools[pool.at].pass
        let place = pools[pool.at].members.count
        registrations[index.at].memberships.append(Membership(pool: pool, place: UInt32(place)))
        pools[pool.at].members.append(member)
        setUsable(pool, place, registrations[index.at].isUsable)
    }

    /// Takes a registration out of the pool that stands at a place of its list.
    private mutating func exit(_ index: RegistrationIndex, _ membership: Int) {
        let pool = registrations[index.at].memberships[membership].pool
        setUsable(pool, Int(registrations[index.at].memberships[membership].place), false)
        let place = Int(registrations[index.at].memberships[membership].place)
        let lastMember = pools[pool.at].members.count - 1
        pools[pool.at].members.swapAt(place, lastMember)
        if place != lastMember { note(pool, place) }
        pools[pool.at].members.removeLast()
        if place != lastMember {
            rise(pool, place)
            sink(pool, place)
        }
        let lastMembership = registrations[index.at].memberships.count - 1
        registrations[index.at].memberships.swapAt(membership, lastMembership)
        registrations[index.at].memberships.removeLast()
        if membership != lastMembership {
            let moved = registrations[index.at].memberships[membership]
            pools[moved.pool.at].members[Int(moved.place)].membership = UInt32(membership)
        }
        if pools[pool.at].kind == .exact { unmergeMethods(of: index, from: pool) }
        if pools[pool.at].members.isEmpty { emptied(pool) }
    }

    /// A pool without providers: an exact one leaves the index; the core moves its queue and then frees it.
    mutating func emptied(_ pool: PoolIndex) {
        guard pools[pool.at].kind == .exact else {
            if pools[pool.at].key != nil { dismantle(pool) }
            return
        }
        if !pools[pool.at].isLatent {
            let service = pools[pool.at].service
            services[service]?.removeAll { $0.pool == pool }
            if services[service]?.isEmpty == true {
                services[service] = nil
                names.remove(service)
            }
        }
        changedPools.append(pool)
    }

    /// Says whether a member may be given work, and keeps the pool's count.
    mutating func setUsable(_ pool: PoolIndex, _ place: Int, _ isUsable: Bool) {
        let before = pools[pool.at].usableCount
        if pools[pool.at].members[place].isUsable != isUsable {
            pools[pool.at].members[place].isUsable = isUsable
            pools[pool.at].usableCount += isUsable ? 1 : -1
        }
        reorder(pool, place)
        if (before == 0) != (pools[pool.at].usableCount == 0) {
            routesChanged = true
            changedPools.append(pool)
        }
    }

    /// Applies a registration's capacity, weight and session state to its pools.
    mutating func refresh(_ index: RegistrationIndex) {
        let isUsable = registrations[index.at].isUsable
        for place in registrations[index.at].memberships.indices {
            let membership = registrations[index.at].memberships[place]
            setUsable(membership.pool, Int(membership.place), isUsable)
        }
    }

    // MARK: Pools

    mutating func newPool() -> PoolIndex {
        if let raw = freePools.popLast() { return PoolIndex(raw: raw) }
        pools.append(PoolSlot())
        return PoolIndex(pools.count - 1)
    }

    /// Frees a pool that has no members and no queue.
    mutating func releasePool(_ pool: PoolIndex) {
        guard pools[pool.at].kind != .free else { return }
        precondition(
            pools[pool.at].members.isEmpty && pools[pool.at].queue.isEmpty,
            "releasePool(_:) of a pool in use"
        )
        pools[pool.at] = PoolSlot()
        freePools.append(pool.raw)
    }

    /// Tells whether a pool is still the one that it was; nil for the broker's own service, which has none.
    func identity(of pool: PoolIndex) -> PoolIdentity? {
        guard !pool.isNone else { return nil }
        return PoolIdentity(kind: pools[pool.at].kind, key: pools[pool.at].key)
    }

    // MARK: Derived pools

    /// Makes a pool of some providers of one service and version.
    mutating func derivePart(
        _ key: PoolKey,
        of home: PoolIndex,
        conditions: Conditions,
        method: MethodIndex
    ) -> PoolIndex {
        let name = pools[home.at].methods[method.at].name
        let pool = newDerived(key)
        pools[pool.at].service = pools[home.at].service
        pools[pool.at].version = pools[home.at].version
        pools[pool.at].versionText = pools[home.at].versionText
        pools[pool.at].balance = pools[home.at].balance
        derivedByService[pools[home.at].service, default: []].append(pool)
        for member in pools[home.at].members {
            let registration = registrations[member.registration.at]
            guard registration.method(name) != nil, conditions.matches(registration.attributes) else { continue }
            enter(member.registration, pool: pool, method: method)
        }
        return pool
    }

    /// Makes a pool of the given providers of a capability.
    mutating func deriveCapability(
        _ key: PoolKey,
        tag: String,
        members: [(registration: RegistrationIndex, method: MethodIndex)]
    ) -> PoolIndex {
        let pool = newDerived(key)
        derivedByTag[tag, default: []].append(pool)
        for member in members { enter(member.registration, pool: pool, method: member.method) }
        return pool
    }

    private mutating func newDerived(_ key: PoolKey) -> PoolIndex {
        let pool = newPool()
        pools[pool.at].kind = .derived
        pools[pool.at].key = key
        derived[key] = pool
        return pool
    }

    /// Frees derived pools in which nothing waits, when there are too many; false when there is no room for another.
    mutating func makeRoomForDerivedPool() -> Bool {
        guard derived.count >= Self.derivedPoolCount else { return true }
        for pool in derived.values where pools[pool.at].queue.isEmpty {
            dismantle(pool)
        }
        return derived.count < Self.derivedPoolCount
    }

    /// Empties a derived pool and takes it out of the indexes; the core moves its queue and then frees it.
    mutating func dismantle(_ pool: PoolIndex) {
        guard let key = pools[pool.at].key else { return }
        derived[key] = nil
        pools[pool.at].key = nil
        switch key {
        case .part(let service, _, _, _):
            derivedByService[service]?.removeAll { $0 == pool }
            if derivedByService[service]?.isEmpty == true { derivedByService[service] = nil }
        case .capability(_, let tag, _, _, _):
            derivedByTag[tag]?.removeAll { $0 == pool }
            if derivedByTag[tag]?.isEmpty == true { derivedByTag[tag] = nil }
        }
        while let member = pools[pool.at].members.last { exit(member.registration, Int(member.membership)) }
        routesChanged = true
        changedPools.append(pool)
    }

    /// Empties every derived pool.
    mutating func dismantleAll() {
        for pool in Array(derived.values) { dismantle(pool) }
    }

    /// The pools in which calls for the same service may wait.
    func siblings(of pool: PoolIndex) -> [PoolIndex] {
        guard !pools[pool.at].service.isEmpty else { return [] }
        let exact = (services[pools[pool.at].service] ?? []).map(\.pool)
        return (exact + (derivedByService[pools[pool.at].service] ?? [])).filter { $0 != pool }
    }

    // MARK: Exact pools

    private mutating func exactPool(of index: RegistrationIndex) -> PoolIndex {
        exactPool(service: registrations[index.at].service, version: registrations[index.at].version)
    }

    mutating func exactPool(service: String, version: SemanticVersion) -> PoolIndex {
        if let known = knownPool(service: service, version: version) { return known }
        let pool = newPool()
        pools[pool.at].kind = .exact
        pools[pool.at].service = service
        pools[pool.at].version = version
        pools[pool.at].versionText = version.description
        pools[pool.at].balance = balances[service] ?? .leastLoaded
        if services[service] == nil { names.insert(service) }
        var versions = services[service] ?? []
        let place = versions.firstIndex { $0.version < version } ?? versions.count
        versions.insert(Versions(version: version, pool: pool), at: place)
        services[service] = versions
        return pool
    }

    /// The pool of a service and version; nil when nobody provides it.
    func knownPool(service: String, version: SemanticVersion) -> PoolIndex? {
        services[service]?.first { $0.version == version }?.pool
    }

    private mutating func mergeMethods(of index: RegistrationIndex, into pool: PoolIndex) {
        for method in registrations[index.at].methods {
            if let known = pools[pool.at].methodsByName[method.name] {
                pools[pool.at].methods[known.at].add(method)
            } else {
                pools[pool.at].methodsByName[method.name] = MethodIndex(pools[pool.at].methods.count)
                pools[pool.at].methods.append(MethodRecord(method))
            }
        }
        noteMixture(pool)
    }

    private mutating func unmergeMethods(of index: RegistrationIndex, from pool: PoolIndex) {
        for method in registrations[index.at].methods {
            guard let known = pools[pool.at].methodsByName[method.name] else { continue }
            pools[pool.at].methods[known.at].remove(method)
        }
        noteMixture(pool)
        if pools[pool.at].isLatent { describeLatent(pool) }
    }

    private mutating func noteMixture(_ pool: PoolIndex) {
        let memberCount = pools[pool.at].members.count
        pools[pool.at].isMixed = pools[pool.at].methods.contains {
            $0.providerCount > 0 && $0.providerCount != memberCount
        }
    }
}
