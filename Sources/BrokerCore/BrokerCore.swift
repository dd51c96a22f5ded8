// The broker as a state machine: what it remembers, and the doors by which its shell drives it. Pure: no socket, no
// clock, no randomness of its own; time, frames and entropy come in, actions go out through the outbox.

public import MeshProtocol

/// Which broker this is.
public struct BrokerIdentity: Sendable, Hashable {
    /// Changes with every start.
    public var epoch: UInt64
    /// Name and version, as peers see them: `wizmesh/0.1.0`.
    public var name: String
    /// Names a broker.
    public init(epoch: UInt64, name: String) {
        self.epoch = epoch
        self.name = name
    }
}

/// What is wrong with a message before its header is read.
public enum TransportViolation: Hashable, Sendable {
    /// More than a header and a payload.
    case tooManyFrames(Int)
    /// No header.
    case emptyMessage
    /// A payload over the limit, with its length.
    case payloadTooLarge(Int)
    /// A routing id that the broker did not give.
    case foreignRoutingID
}

/// A failure, as the shell or the core gives it to a caller.
public struct Failure: Sendable, Hashable {
    /// Why.
    public var status: Status
    /// What happened, where and why.
    public var message: String
    /// What to do or type next.
    public var hint: String
    /// Not before this long, in milliseconds.
    public var retryAfterMilliseconds: UInt32
    /// Retryable, outcome unknown, from the worker.
    public var flags: FailFlags
    /// Describes a failure.
    public init(
        _ status: Status,
        message: String,
        hint: String = "",
        retryAfterMilliseconds: UInt32 = 0,
        flags: FailFlags = []
    ) {
        self.status = status
        self.message = message
        self.hint = hint
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.flags = flags
    }
}

/// The broker without its sockets.
///
/// One owner, one thread.
public struct BrokerCore: ~Copyable {
    /// The limits in force.
    public private(set) var limits: Limits
    /// What has happened so far.
    public internal(set) var counters = Counters()
    /// The registry's revision: grows with each change.
    public internal(set) var registryRevision: UInt64 = 0

    /// Makes a broker without sessions.
    public init(limits: Limits, policy: Policy, identity: BrokerIdentity, entropy: @escaping @Sendable () -> UInt64) {
        self.limits = limits
    }

    /// True when the connection is known.
    public func knows(_ peer: PeerHandle) -> Bool { false }
    /// A connection came: called before its first frame.
    public mutating func connected(
        _ peer: PeerHandle,
        credentials: Credentials,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// A frame came.
    ///
    /// The core owns the body's reference from here.
    public mutating func received(
        from peer: PeerHandle,
        header: UnsafeRawBufferPointer,
        body: BodyHandle,
        bodyByteCount: Int,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// A message came that breaks the framing; it has been dropped.
    public mutating func violated(
        by peer: PeerHandle,
        _ violation: TransportViolation,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// The connection is gone.
    public mutating func disconnected(_ peer: PeerHandle, now: MeshInstant, into outbox: inout Outbox) {}
    /// The peer does not read what is sent to it, and what the shell keeps for it is full.
    public mutating func overflowed(_ peer: PeerHandle, now: MeshInstant, into outbox: inout Outbox) {}
    /// A local process ended: its sessions are gone.
    public mutating func processEnded(
        _ process: Int32,
        cause: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// When ``timePassed(now:into:)`` wants to be called next.
    public var nextDeadline: MeshInstant? { nil }
    /// Time has passed: runs what is due.
    public mutating func timePassed(now: MeshInstant, into outbox: inout Outbox) {}
    /// Ends every session with BYE, and every call with FAIL `UNAVAILABLE`.
    public mutating func shutDown(reason: String, now: MeshInstant, into outbox: inout Outbox) {}
    /// Sets a new policy; what it no longer allows ends.
    public mutating func setPolicy(_ policy: Policy, now: MeshInstant, into outbox: inout Outbox) {}
    /// Sets new limits; what is over them stays and takes no more.
    public mutating func setLimits(_ limits: Limits) { self.limits = limits }
    /// Sets how services' work is spread, by the service's name.
    public mutating func setBalance(_ balances: [String: Balance]) {}
    /// Tells the time of day, for the timestamps of events.
    public mutating func setWallClock(nanosecondsSince1970: UInt64, at now: MeshInstant) {}
    /// Answers a call to the service `mesh`.
    ///
    /// The core owns the body's reference from here.
    public mutating func answer(
        _ lease: LeaseID,
        body: BodyHandle,
        byteCount: Int,
        contentType: ContentType,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// Fails a call to the service `mesh`.
    public mutating func refuse(
        _ lease: LeaseID,
        with failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// Sends a chunk of a call to the service `mesh`; false when there is no credit, and then the body is not taken.
    public mutating func stream(
        _ lease: LeaseID,
        body: BodyHandle,
        byteCount: Int,
        contentType: ContentType,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool { false }
    /// True while the call has not ended.
    public func isLive(_ lease: LeaseID) -> Bool { false }
    /// Publishes an event of the broker's own.
    ///
    /// The core owns the body's reference from here.
    public mutating func publish(
        topic: String,
        body: BodyHandle,
        byteCount: Int,
        contentType: ContentType,
        retain: Bool = false,
        history: Bool = false,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {}
    /// Sessions in the order of their numbers.
    public func sessions(after: SessionID?, limit: Int, now: MeshInstant) -> [SessionSnapshot] { [] }
    /// Services in the order of their names, then versions; `after` is a snapshot's cursor.
    public func services(after: String?, limit: Int) -> [ServiceSnapshot] { [] }
    /// Calls in the order of their slots.
    public func calls(after: LeaseID?, limit: Int, now: MeshInstant) -> [CallSnapshot] { [] }
    /// Subscriptions in the order of sessions, then ids.
    public func subscriptions(after: SubscriptionCursor?, limit: Int) -> [SubscriptionSnapshot] { [] }
    /// What has changed in the registry since a revision.
    public func registryChanges(since revision: UInt64) -> RegistryChanges { .resync }
    /// The payload of the PROVIDE of a service's newest provider; the core keeps the reference.
    public func description(of service: String, version: String?) -> BodyHandle? { nil }
    /// Cancels a call on an operator's word; false when there is none.
    public mutating func cancelCall(
        _ lease: LeaseID,
        by operatorName: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool { false }
    /// Asks a session to finish and leave; after the grace (zero: never) it is ended.
    ///
    /// False when there is none.
    public mutating func drainSession(
        _ id: SessionID,
        graceMilliseconds: UInt32,
        reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool { false }
    /// Ends a session at once; false when there is none.
    public mutating func kickSession(
        _ id: SessionID,
        reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool { false }
    /// What is broken in the core's own books; empty when all is well.
    public func checkInvariants() -> [String] { [] }
    /// Bodies of which the core keeps a reference.
    public var heldBodyCount: Int { 0 }
}
