// The connections and sessions that the core knows, and the principals behind them. Slots are reused; a generation tells
// a slot's uses apart for timers.

import MeshProtocol

/// One connection: strangers first, then a session.
struct SessionSlot {
    /// Where a connection stands.
    ///
    /// `awaitingHello → active → free`, or `awaitingHello → free`.
    enum State: UInt8 {
        case free
        case awaitingHello
        case active
        /// Being taken apart: nothing is sent to it any more.
        case ending
    }

    var state = State.free
    var generation: UInt32 = 0
    var id = SessionID.broker
    var peer = PeerHandle(listener: 0, routingID: 0)
    var credentials = Credentials.key(principal: "")
    var name = ""
    var version = ""
    /// What tells it from others of its name: the ticket's label, else what HELLO said.
    var instance = ""
    /// The label that its host gave it with the ticket; empty: it came without one.
    var label = ""
    /// The principal that asked for its ticket; empty: the broker's own program did, or it came without one.
    var owner = ""
    /// What it provides is not in service until its host promotes it.
    var isShadow = false
    /// It was with an earlier broker before.
    var isReturning = false
    /// It has said that it can work.
    var isReady = false
    /// How often it has said whether it can work.
    var readinessCount: UInt8 = 0
    var sdk = ""
    /// The largest BATCH that it is sent, in bytes of payload; zero: none.
    var batchByteCount: UInt32 = 0
    var principal = PrincipalIndex.none
    var welcomedAt = MeshInstant(nanoseconds: 0)
    var lastHeard = MeshInstant(nanoseconds: 0)
    /// What WELCOME asked for: a later change of the limits does not reach the peer.
    var heartbeatMilliseconds: UInt32 = 0
    /// HELLO's timeout, then silence.
    var timer = TimerID.none
    /// The grace of a drain on an operator's word.
    var drainTimer = TimerID.none
    /// Nothing was heard for two and a half heartbeats.
    var isSilent = false
    var isDraining = false
    /// Operators have been told that it does not acknowledge CANCEL.
    var isDeaf = false
    /// Calls that it was slow to accept or whose CANCEL it was slow to acknowledge.
    var overdueCount = 0
    /// The calls it made, linked through ``CallSlot/nextOfCaller``.
    var firstCall = CallIndex.none
    var callCount = 0
    var queuedCount = 0
    var callsMade: UInt64 = 0
    /// The calls it works on, linked through ``CallSlot/nextOfWorker``.
    var firstLease = CallIndex.none
    var leaseCount = 0
    /// Those of them that it was told to stop.
    var cancellingCount = 0
    /// Bytes that the shell holds for it since it is behind.
    var overflowByteCount = 0
    var registrations: [RegistrationIndex] = []
    var subscriptionCount = 0
    /// The worker's own DRAIN, to be answered when its last call has ended.
    var drainRequest: RequestID?
    var offences = OffenceMeter()
    /// The ticket for its next HELLO.
    var nextTicket = ""

    /// Silence after which it is suspect: two and a half heartbeats.
    var silenceMilliseconds: UInt64 { UInt64(heartbeatMilliseconds) * 5 / 2 }
    /// Silence after which it is gone: four heartbeats.
    var lossMilliseconds: UInt64 { UInt64(heartbeatMilliseconds) * 4 }
    var isSuspect: Bool { isSilent || overdueCount > 0 }
    /// True when its registrations may be given work; a shadow's are in no pool until it is promoted.
    var takesWork: Bool { state == .active && !isSuspect && !isDraining }
}

/// All connections.
struct SessionTable: ~Copyable {
    var slots = Slab<SessionSlot>()
    private var free: [UInt32] = []
    private var peers: NumberTable
    private var numbers: [UInt64: SessionIndex] = [:]
    private var nextNumber: UInt64 = 1
    /// Sessions that have been welcomed.
    private(set) var activeCount = 0
    /// Connections that have not said HELLO.
    private(set) var unwelcomedCount = 0
    /// The same by who is at the other end.
    private var unwelcomedByPeer: [Credentials.Holder: Int] = [:]

    init(seed: UInt64, salt: UInt64) { peers = NumberTable(capacity: 64, seed: seed, salt: salt) }

    @inline(__always)
    subscript(peer: PeerHandle) -> SessionIndex? { peers[peer.rawValue, 0].map { SessionIndex(raw: $0) } }

    subscript(number: SessionID) -> SessionIndex? { numbers[number.rawValue] }

    /// The numbers of the sessions, in order, after one of them.
    func numbers(after: SessionID?) -> [UInt64] {
        let after = after?.rawValue ?? 0
        return numbers.keys.filter { $0 > after }.sorted()
    }

    /// Takes a stranger in.
    mutating func connected(_ peer: PeerHandle, credentials: Credentials, now: MeshInstant) -> SessionIndex {
        precondition(self[peer] == nil, "connected(_:) for a connection that is known")
        let index: SessionIndex
        if let raw = free.popLast() {
            index = SessionIndex(raw: raw)
        } else {
            slots.append(SessionSlot())
            index = SessionIndex(slots.count - 1)
        }
        let generation = slots[index.at].generation
        slots[index.at] = SessionSlot()
        slots[index.at].generation = generation
        slots[index.at].state = .awaitingHello
        slots[index.at].peer = peer
        slots[index.at].credentials = credentials
        slots[index.at].lastHeard = now
        peers.insert(peer.rawValue, 0, index.raw)
        unwelcomedCount += 1
        unwelcomedByPeer[credentials.holder, default: 0] += 1
        return index
    }

    /// A stranger becomes a session.
    mutating func welcomed(_ index: SessionIndex, now: MeshInstant) {
        precondition(slots[index.at].state == .awaitingHello, "welcomed(_:) in state \(slots[index.at].state)")
        slots[index.at].state = .active
        slots[index.at].id = SessionID(rawValue: nextNumber)
        slots[index.at].welcomedAt = now
        numbers[nextNumber] = index
        nextNumber += 1
        noLongerUnwelcomed(index)
        activeCount += 1
    }

    /// Connections without HELLO of one user or key.
    func unwelcomedCount(of credentials: Credentials) -> Int { unwelcomedByPeer[credentials.holder] ?? 0 }

    private mutating func noLongerUnwelcomed(_ index: SessionIndex) {
        unwelcomedCount -= 1
        let holder = slots[index.at].credentials.holder
        let count = (unwelcomedByPeer[holder] ?? 0) - 1
        unwelcomedByPeer[holder] = count > 0 ? count : nil
    }

    /// The connection is known no more; nothing is sent to it from here on.
    mutating func ending(_ index: SessionIndex) {
        switch slots[index.at].state {
        case .awaitingHello: noLongerUnwelcomed(index)
        case .active: activeCount -= 1
        case .free, .ending: preconditionFailure("ending(_:) in state \(slots[index.at].state)")
        }
        peers.remove(slots[index.at].peer.rawValue, 0)
        numbers[slots[index.at].id.rawValue] = nil
        slots[index.at].state = .ending
    }

    /// The slot may be used again.
    mutating func release(_ index: SessionIndex) {
        precondition(slots[index.at].state == .ending, "release(_:) in state \(slots[index.at].state)")
        let generation = slots[index.at].generation
        slots[index.at] = SessionSlot()
        slots[index.at].generation = generation &+ 1
        free.append(index.raw)
    }
}

/// A principal: what the policy knows of it, and its name as headers carry it.
struct PrincipalRecord {
    var subject: Subject
    var utf8: [UInt8]
    var sessionCount = 0
}

/// The principals seen so far; there are no more than the mesh file and the hosts name.
struct PrincipalTable {
    private(set) var byName: [String: PrincipalIndex] = [:]
    var records: [PrincipalRecord] = []

    mutating func intern(_ name: String, policy: PolicyEngine) -> PrincipalIndex {
        if let index = byName[name] { return index }
        let index = PrincipalIndex(records.count)
        records.append(PrincipalRecord(subject: policy.subject(name), utf8: Array(name.utf8)))
        byName[name] = index
        return index
    }

    mutating func policyChanged(_ policy: PolicyEngine) {
        for place in records.indices {
            records[place].subject = policy.subject(records[place].subject.principal)
        }
    }
}
