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
    /// A routing id that the broker did not give.
    case foreignRoutingID
    /// A BATCH that is none.
    case malformedBatch(BatchError)
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
/// One owner, one thread. Its doors are spread over the files by subject: sessions, registry, calls, events,
/// administration, clocks.
public struct BrokerCore: ~Copyable {
    /// The limits in force.
    public internal(set) var limits: Limits
    /// What has happened so far.
    public internal(set) var counters = Counters()
    /// The registry's revision: grows with each change.
    public internal(set) var registryRevision: UInt64 = 0

    let identity: BrokerIdentity
    let entropy: @Sendable () -> UInt64
    var sessions: SessionTable
    var principals = PrincipalTable()
    /// (session slot, request id) → what it is, packed as ``LiveRequest``.
    var requests: NumberTable
    var calls = CallTable()
    var registry = Registry()
    var registryLog: [RegistryLogEntry] = []
    var routes: RouteCache
    var policy: PolicyEngine
    var tickets = TicketOffice()
    var topics: TopicTable
    var kept = RetainedValues()
    var metrics = MethodMetrics()
    var wheel: TimingWheel<TimerPayload>
    var notices = NoticeLimiter()
    /// Calls that wait in any pool.
    var queuedCount = 0
    /// The time of day at a point of monotonic time.
    var wallClock: (nanosecondsSince1970: UInt64, at: MeshInstant) = (0, MeshInstant(nanoseconds: 0))
    /// What hosts say that they can start.
    var expectations = ExpectationTable()
    /// Until when calls of returning peers wait for providers that are not back yet.
    var returnEnds = MeshInstant(nanoseconds: 0)
    /// Where those calls wait; none while there are none.
    var returnPool = PoolIndex.none
    /// Reused: the subscriptions that an event goes to.
    var matchingSlots: [Int32] = []
    /// Reused: bodies to be released.
    var releasedBodies: [BodyHandle] = []
    /// Bodies of calls and registrations of which the core keeps a reference.
    var ownBodyCount = 0
    /// The bytes of those bodies, and what the shell keeps for peers that are behind.
    var accounts = ByteAccounts()
    /// Bodies of which the core keeps a reference.
    public var heldBodyCount: Int { ownBodyCount + kept.bodyCount }
    /// True after ``shutDown(reason:now:into:)``: nobody is taken in.
    var isShutDown = false

    /// Makes a broker without sessions.
    public init(limits: Limits, policy: Policy, identity: BrokerIdentity, entropy: @escaping @Sendable () -> UInt64) {
        self.limits = limits
        self.identity = identity
        self.entropy = entropy
        self.policy = PolicyEngine(policy, generation: 1)
        sessions = SessionTable(seed: entropy(), salt: entropy())
        requests = NumberTable(capacity: 1024, seed: entropy(), salt: entropy())
        routes = RouteCache(maximumCount: limits.routeCacheCount, seed: entropy())
        topics = TopicTable(seed: entropy())
        wheel = TimingWheel()
    }

    /// A frame came.
    ///
    /// The core owns the body's reference from here. Of a payload over the limit the shell hands over the size alone, and
    /// the core answers whoever sent it.
    public mutating func received(
        from peer: PeerHandle,
        header: UnsafeRawBufferPointer,
        body: BodyHandle,
        bodyByteCount: Int,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        counters.framesIn &+= 1
        guard let session = sessions[peer] else {
            counters.lateFrames &+= 1
            return outbox.release(body)
        }
        guard sessions.slots[session.at].state == .active else {
            outbox.release(body)
            return strangerSpoke(session, header: header, now: now, into: &outbox)
        }
        sessions.slots[session.at].lastHeard = now
        if sessions.slots[session.at].isSilent { heardAgain(session, now: now, into: &outbox) }
        guard bodyByteCount <= limits.payloadByteCount else {
            outbox.release(body)
            return payloadTooLarge(session, header: header, byteCount: bodyByteCount, now: now, into: &outbox)
        }
        let payload = Payload(body: body, byteCount: bodyByteCount)
        do {
            try take(header, payload, from: session, now: now, into: &outbox)
        } catch {
            outbox.release(body)
            undecodable(session, header: header, error, now: now, into: &outbox)
        }
    }

    /// Reads a session's frame.
    ///
    /// What throws has not touched the payload.
    @inline(__always)
    private mutating func take(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        guard header.count >= HeaderPrefix.byteCount, let verb = Verb(rawValue: header[1]) else {
            _ = try HeaderPrefix.decode(header)
            return
        }
        switch verb {
        case .call: try callReceived(header, payload, from: session, now: now, into: &outbox)
        case .end: try endReceived(header, payload, from: session, now: now, into: &outbox)
        case .chunk: try chunkReceived(header, payload, from: session, now: now, into: &outbox)
        case .credit: try creditReceived(header, payload, from: session, now: now, into: &outbox)
        case .publish: try publishReceived(header, payload, from: session, now: now, into: &outbox)
        case .fail: try failReceived(header, payload, from: session, now: now, into: &outbox)
        case .provide: try provideReceived(header, payload, from: session, now: now, into: &outbox)
        case .accept, .refuse, .cancel, .ping, .pong, .bye, .withdraw, .capacity, .drain, .subscribe, .unsubscribe:
            try takeWithoutPayload(verb, header, from: session, now: now, into: &outbox)
            outbox.release(payload.body)
        case .hello:
            outbox.release(payload.body)
            helloAgain(session, now: now, into: &outbox)
        case .batch:
            outbox.release(payload.body)
            brokenBatch(session, header: header, now: now, into: &outbox)
        case .welcome, .reject, .subscribed, .event:
            outbox.release(payload.body)
            unexpected(verb, session, header: header, now: now, into: &outbox)
        }
    }

    private mutating func takeWithoutPayload(
        _ verb: Verb,
        _ header: UnsafeRawBufferPointer,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        switch verb {
        case .accept: acceptReceived(try Accept.decode(header), from: session, now: now, into: &outbox)
        case .refuse: refuseReceived(try Refuse.decode(header), from: session, now: now, into: &outbox)
        case .cancel: cancelReceived(try Cancel.decode(header), from: session, now: now, into: &outbox)
        case .ping: pingReceived(try Ping.decode(header), from: session, into: &outbox)
        case .pong: _ = try Pong.decode(header)
        case .bye: byeReceived(try Bye.decode(header), from: session, now: now, into: &outbox)
        case .withdraw: withdrawReceived(try Withdraw.decode(header), from: session, now: now, into: &outbox)
        case .capacity: capacityReceived(try Capacity.decode(header), from: session, now: now, into: &outbox)
        case .drain: drainReceived(try Drain.decode(header), from: session, now: now, into: &outbox)
        case .subscribe: subscribeReceived(try Subscribe.decode(header), from: session, now: now, into: &outbox)
        case .unsubscribe: unsubscribeReceived(try Unsubscribe.decode(header), from: session, now: now, into: &outbox)
        case .hello, .welcome, .reject, .batch, .provide, .call, .chunk, .end, .fail, .credit, .subscribed, .publish,
            .event:
            preconditionFailure("takeWithoutPayload(_:) for \(verb.name), which is read elsewhere")
        }
    }
}

/// A frame's payload: one reference and its length.
struct Payload {
    var body: BodyHandle
    var byteCount: Int
}

extension BrokerCore {
    /// Sends a frame to a session; nothing when it is being taken apart, and then the payload is released.
    @inline(__always)
    mutating func send(
        to session: SessionIndex,
        body: BodyHandle = .none,
        use: Outbox.BodyUse = .move,
        into outbox: inout Outbox,
        header write: (inout [UInt8]) -> Void
    ) {
        guard sessions.slots[session.at].state != .ending else {
            if use == .move { outbox.release(body) }
            return
        }
        counters.framesOut &+= 1
        outbox.send(
            to: sessions.slots[session.at].peer,
            batchByteCount: sessions.slots[session.at].batchByteCount,
            body: body,
            use: use,
            header: write
        )
    }

    /// Answers a request with FAIL.
    mutating func fail(
        _ session: SessionIndex,
        _ id: WireID,
        _ failure: Failure,
        clock: Clock = .none,
        phase: CallPhase = .none,
        into outbox: inout Outbox
    ) {
        if failure.status == .resourceExhausted { counters.exhausted &+= 1 }
        let fail = Fail(
            flags: failure.flags,
            status: failure.status,
            id: id,
            retryAfterMilliseconds: failure.retryAfterMilliseconds,
            clock: clock,
            phase: phase,
            message: failure.message,
            hint: failure.hint
        )
        send(to: session, into: &outbox) { fail.encode(to: &$0) }
    }

    /// Refuses a request that is no call, or ends what it has begun.
    mutating func decline(_ session: SessionIndex, _ id: WireID, _ failure: Failure, into outbox: inout Outbox) {
        counters.requestsDeclined &+= 1
        fail(session, id, failure, into: &outbox)
    }

    /// Answers a request with END.
    mutating func end(_ session: SessionIndex, _ id: RequestID, into outbox: inout Outbox) {
        let end = End(id: id.wire)
        send(to: session, into: &outbox) { end.encode(to: &$0) }
    }
}
