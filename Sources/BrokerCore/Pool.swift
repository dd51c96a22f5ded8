// A pool: the workers among which a call may choose, the calls that wait for one of them, and the order in which workers
// are chosen. Workers are kept as a heap, so that choosing costs little with one worker and with a thousand.

import MeshProtocol
import SemanticVersion

/// A worker's place in a pool.
struct PoolMember: BitwiseCopyable {
    var registration: RegistrationIndex
    /// The place of this pool in the registration's own list.
    var membership: UInt32
    /// The method in the worker's home pool, for pools of one method.
    var method = MethodIndex.none
    /// The order of choice: the least first.
    ///
    /// ``full`` when it takes nothing now.
    var key: UInt64 = PoolMember.full
    /// Under the weighted policy: what it has been given, in units of its share.
    var pass: UInt64 = 0
    /// When it was last chosen, so that ties rotate.
    var stamp: UInt32 = 0
    /// Alive, not draining, not paused.
    var isUsable = false

    static var full: UInt64 { .max }
}

/// A method of a service and version, as its providers declare it together.
struct MethodRecord {
    var name: String
    /// Idempotent when all say so; streams when any does.
    var flags: MethodFlags = []
    var deadlineMilliseconds: UInt32 = 0
    /// What any of them requires.
    var permissions: [String] = []
    private(set) var providerCount = 0
    /// What providers say of it, each with their number: few, however many they are.
    private(set) var variants: [(description: MethodDescription, count: Int)] = []
    /// In ``MethodMetrics``; -1 until the first call.
    var metrics: Int32 = -1
    /// What a latent provider says of it; in force while no provider has it.
    var latent: MethodDescription?

    /// A method that one provider has.
    init(_ method: MethodDescription) {
        name = method.name
        add(method)
    }

    /// A method that a host can start a provider of.
    init(latent method: MethodDescription) {
        name = method.name
        flags = method.flags
        deadlineMilliseconds = method.deadlineMilliseconds
        permissions = method.permissions
        latent = method
    }

    /// Adds what one more provider says.
    mutating func add(_ method: MethodDescription) {
        providerCount += 1
        if let known = variants.firstIndex(where: { $0.description == method }) {
            variants[known].count += 1
        } else {
            variants.append((method, 1))
            describe()
        }
    }

    /// Takes back what a provider said that leaves.
    mutating func remove(_ method: MethodDescription) {
        guard let known = variants.firstIndex(where: { $0.description == method }) else { return }
        providerCount -= 1
        variants[known].count -= 1
        guard variants[known].count == 0 else { return }
        variants.remove(at: known)
        describe()
    }

    /// Says what holds for all of them; what held last goes on while there is none.
    private mutating func describe() {
        guard let first = variants.first?.description else { return }
        (flags, deadlineMilliseconds, permissions) = (first.flags, first.deadlineMilliseconds, first.permissions)
        let streams: MethodFlags = [.requestStream, .replyStream]
        for (method, _) in variants.dropFirst() {
            let together = flags.union(method.flags).intersection(streams)
            flags = flags.intersection(method.flags).subtracting(streams).union(together)
            deadlineMilliseconds = max(deadlineMilliseconds, method.deadlineMilliseconds)
            for permission in method.permissions where !permissions.contains(permission) {
                permissions.append(permission)
            }
        }
    }

    /// True when it can be called, by what providers say or, where none can be given work, what latent ones say.
    func isThere(needsProvider: Bool) -> Bool { providerCount > 0 || (needsProvider && latent != nil) }
}

/// What a derived pool chooses by.
enum PoolKey: Hashable {
    /// Providers of one service and version that meet conditions or have a method that not all have.
    case part(service: String, version: SemanticVersion, conditions: String, method: String)
    /// Providers with a tag that a principal may call.
    case capability(principal: PrincipalIndex, tag: String, range: String, conditions: String, method: String)
}

/// What a pool is for: a slot that is used again has another one.
struct PoolIdentity: Hashable {
    var kind: PoolSlot.Kind
    var key: PoolKey?
}

/// A pool.
struct PoolSlot {
    enum Kind {
        case free
        /// All providers of one service and version.
        case exact
        /// Some providers; see ``PoolKey``.
        case derived
    }

    var kind = Kind.free
    var service = ""
    var version = SemanticVersion(major: 0, minor: 0, patch: 0)
    var versionText = ""
    var key: PoolKey?
    var balance = Balance.leastLoaded
    /// A heap by ``PoolMember/key``.
    var members: [PoolMember] = []
    var usableCount = 0
    var queue = FairQueue()
    var queuedByteCount = 0
    var nextStamp: UInt32 = 0
    /// The pass of the worker that was chosen last.
    var pass: UInt64 = 0
    /// Exact pools: the methods; never shortened while the pool lives.
    var methods: [MethodRecord] = []
    var methodsByName: [String: MethodIndex] = [:]
    /// Exact pools: some provider lacks a method that another has.
    var isMixed = false
    /// Exact pools: providers that a host can start are described in ``latents``.
    var isLatent = false
    /// Calls wait that came while nobody could be given work: they are routed anew when somebody can.
    var isParked = false
    /// Exact pools: the waiting calls have been told to those who can start a provider.
    var isDemanded = false
    var latents: [LatentService] = []

    /// True when a call must wait for a provider to be started.
    @inline(__always) var needsProvider: Bool { isLatent && usableCount == 0 }

    /// Names the pool for people.
    var title: String {
        switch key {
        case nil: service.isEmpty ? "services that are not back yet" : service + "@" + versionText
        case .part(let service, let version, _, _): service + "@" + version.description
        case .capability(_, let tag, _, _, _): "capability " + tag
        }
    }

    /// The key of a worker under the pool's policy.
    @inline(__always)
    func order(_ member: PoolMember, inFlight: UInt32, capacity: UInt32, weight: UInt32) -> UInt64 {
        guard member.isUsable, inFlight < capacity else { return PoolMember.full }
        switch balance {
        case .leastLoaded:
            let load = (UInt64(inFlight) << 31) / UInt64(capacity)
            return load << 32 | UInt64(member.stamp)
        case .roundRobin:
            return UInt64(member.stamp)
        case .weighted:
            return weight == 0 ? PoolMember.full : member.pass
        }
    }
}

extension Registry {
    /// Chooses a worker with room; nil when there is none.
    ///
    /// With an affinity key, the one that the key belongs to among
    /// those with room.
    @inline(__always)
    mutating func choose(in pool: PoolIndex, affinity: UnsafeRawBufferPointer) -> PoolMember? {
        guard let first = pools[pool.at].members.first, first.key != PoolMember.full else { return nil }
        return affinity.isEmpty ? first : chooseByAffinity(in: pool, affinity)
    }

    /// Rendezvous hashing: equal keys go to the same session, and when it goes, only its keys move.
    private func chooseByAffinity(in pool: PoolIndex, _ affinity: UnsafeRawBufferPointer) -> PoolMember? {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in affinity { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        var best: PoolMember?
        var bestScore: UInt64 = 0
        for member in pools[pool.at].members where member.key != PoolMember.full {
            let number = registrations[member.registration.at].sessionNumber
            let product = (hash ^ number &* 0x9e37_79b9_7f4a_7c15)
                .multipliedFullWidth(by: 0xa076_1d64_78bd_642f ^ number)
            let score = product.high ^ product.low
            if best == nil || score > bestScore { (best, bestScore) = (member, score) }
        }
        return best
    }

    /// A call is given to a worker through a pool.
    @inline(__always)
    mutating func taken(_ registration: RegistrationIndex, from pool: PoolIndex) {
        registrations[registration.at].inFlight &+= 1
        for place in registrations[registration.at].memberships.indices {
            let membership = registrations[registration.at].memberships[place]
            let at = Int(membership.place)
            if membership.pool == pool {
                pools[pool.at].nextStamp &+= 1
                pools[pool.at].members[at].stamp = pools[pool.at].nextStamp
                if pools[pool.at].balance == .weighted { chargeWeighted(pool, at) }
            }
            reorder(membership.pool, at)
        }
    }

    private mutating func chargeWeighted(_ pool: PoolIndex, _ at: Int) {
        let weight = registrations[pools[pool.at].members[at].registration.at].weight
        pools[pool.at].pass = pools[pool.at].members[at].pass
        pools[pool.at].members[at].pass &+= (1 << 24) / UInt64(max(1, weight))
    }

    /// A worker's slot comes back.
    @inline(__always)
    mutating func returned(_ registration: RegistrationIndex) {
        precondition(registrations[registration.at].inFlight > 0, "returned(_:): a slot comes back twice")
        registrations[registration.at].inFlight &-= 1
        for place in registrations[registration.at].memberships.indices {
            let membership = registrations[registration.at].memberships[place]
            reorder(membership.pool, Int(membership.place))
        }
    }

    /// Says how many calls a worker may be given whatever its capacity is.
    mutating func setCeiling(_ registration: RegistrationIndex, _ ceiling: UInt32) {
        registrations[registration.at].ceiling = ceiling
        for place in registrations[registration.at].memberships.indices {
            let membership = registrations[registration.at].memberships[place]
            reorder(membership.pool, Int(membership.place))
        }
    }

    /// Recomputes a member's key and restores the heap.
    @inline(__always)
    mutating func reorder(_ pool: PoolIndex, _ at: Int) {
        var member = pools[pool.at].members[at]
        let registration = member.registration.at
        let old = member.key
        if old == PoolMember.full, pools[pool.at].balance == .weighted {
            member.pass = max(member.pass, pools[pool.at].pass)
            pools[pool.at].members[at].pass = member.pass
        }
        let key = pools[pool.at].order(
            member,
            inFlight: registrations[registration].inFlight,
            capacity: registrations[registration].room,
            weight: registrations[registration].weight
        )
        guard key != old else { return }
        pools[pool.at].members[at].key = key
        if pools[pool.at].members.count == 1 { return }
        if key > old { sink(pool, at) } else { rise(pool, at) }
    }

    mutating func rise(_ pool: PoolIndex, _ start: Int) {
        var at = start
        while at > 0 {
            let above = (at - 1) / 2
            guard pools[pool.at].members[at].key < pools[pool.at].members[above].key else { return }
            exchange(pool, at, above)
            at = above
        }
    }

    mutating func sink(_ pool: PoolIndex, _ start: Int) {
        var at = start
        let count = pools[pool.at].members.count
        while true {
            var least = at
            let left = 2 &* at &+ 1
            let right = left &+ 1
            if left < count, pools[pool.at].members[left].key < pools[pool.at].members[least].key { least = left }
            if right < count, pools[pool.at].members[right].key < pools[pool.at].members[least].key { least = right }
            guard least != at else { return }
            exchange(pool, at, least)
            at = least
        }
    }

    private mutating func exchange(_ pool: PoolIndex, _ left: Int, _ right: Int) {
        pools[pool.at].members.swapAt(left, right)
        note(pool, left)
        note(pool, right)
    }

    /// Tells a registration where it stands in a pool.
    mutating func note(_ pool: PoolIndex, _ at: Int) {
        let member = pools[pool.at].members[at]
        registrations[member.registration.at].memberships[Int(member.membership)].place = UInt32(at)
    }
}
