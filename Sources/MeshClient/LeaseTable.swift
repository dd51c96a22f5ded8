// The calls that this side has been given and has not answered. A pure value: each lease is answered exactly once, when its
// handler has returned; its slot is taken until then, whatever happened to the call or to the session meanwhile.

import DequeModule
import MeshProtocol

/// The calls in service, by their lease.
struct LeaseTable<Handle: Sendable> {
    /// What shall be done, in this order.
    enum Action {
        /// Send a message.
        case send(Frame)
        /// Stop the handler.
        case cancel(Handle, MeshError)
        /// A chunk of the request stream.
        case chunk(Handle, Payload)
        /// The request stream has ended.
        case requestsEnded(Handle)
        /// Credit for the reply stream.
        case credit(Handle, Credit)
        /// This side drains and its last handler has returned.
        case drained
    }

    private struct Entry {
        var handle: Handle?
        var registration: RequestID
        var flags: CallFlags
        var isAccepted: Bool
        /// What ended the call while its handler runs: the answer once it has returned.
        var failure: MeshError?
        var nextSequence: UInt32 = 0
        var check: ChunkCheck?
    }

    /// How long a call may go unanswered before it is accepted.
    static var acceptDelay: Duration { .seconds(1) }

    private var entries: [WireID: Entry] = [:]
    private var inFlight: [RequestID: Int] = [:]
    /// The calls of sessions that are gone whose handlers still run.
    private var leftovers: [LeaseKey: RequestID] = [:]
    private var unaccepted: Deque<(lease: WireID, due: Moment)> = []
    private var maximumPayloadByteCount = Int.max
    /// Whether new calls are refused.
    private(set) var isDraining = false
    /// What the reader of a request stream takes at once.
    let window: Credit

    init(window: Credit = CallOptions.standardWindow) { self.window = window }

    /// The calls of the present session whose handlers run.
    var count: Int { entries.count }
    /// Whether no handler runs.
    private var isIdle: Bool { entries.isEmpty && leftovers.isEmpty }
    /// When `timePassed` must be called at the latest.
    var nextDeadline: Moment? { unaccepted.first?.due }
    /// Whether a lease of the present session is live: a call may be nested in it.
    func isLive(_ lease: WireID) -> Bool { entries[lease] != nil }
    /// The slots of a registration that handlers of earlier sessions still take.
    func leftoverCount(of registration: RequestID) -> Int { leftovers.values.count { $0 == registration } }

    /// Takes a CALL for a registration, or refuses it.
    /// - Returns: whether a handler shall be started; give its handle to `attach`.
    mutating func admit(
        _ call: CallHeader,
        registration: RequestID?,
        capacity: Int,
        now: Moment,
        into actions: inout [Action]
    ) -> Bool {
        guard entries[call.id] == nil else { return false }
        guard !isDraining else {
            return refuse(call.id, .unavailable, "this worker drains", into: &actions)
        }
        guard let registration else {
            return refuse(call.id, .unavailable, "\(call.service) is no longer provided here", into: &actions)
        }
        guard inFlight[registration, default: 0] < capacity else {
            let message = "all \(capacity) slots of this worker are taken"
            return refuse(call.id, .resourceExhausted, message, into: &actions)
        }
        let hasRequests = call.flags.contains(.requestStream)
        inFlight[registration, default: 0] += 1
        entries[call.id] = Entry(
            registration: registration,
            flags: call.flags,
            isAccepted: hasRequests,
            check: hasRequests ? ChunkCheck(window) : nil
        )
        if hasRequests {
            actions.append(.send(Frame(Accept(id: call.id, credit: window))))
        } else {
            unaccepted.append((call.id, now + Self.acceptDelay))
        }
        return true
    }

    private func refuse(_ id: WireID, _ status: Status, _ message: String, into actions: inout [Action]) -> Bool {
        actions.append(.send(Frame(Refuse(status: status, id: id, message: message))))
        return false
    }

    /// Gives the handler that was started for a lease.
    mutating func attach(_ handle: Handle, to lease: WireID) { entries[lease]?.handle = handle }

    /// Takes CANCEL: the handler is stopped, and its return acknowledges.
    mutating func received(_ cancel: Cancel, into actions: inout [Action]) {
        guard let handle = entries[cancel.id]?.handle else { return }
        let reason = cancel.reason.isEmpty ? "the call was cancelled" : cancel.reason
        actions.append(.cancel(handle, MeshError(cancel.status, reason)))
    }

    /// Takes a CHUNK of a request stream.
    mutating func received(_ chunk: Chunk, body: [UInt8]?, into actions: inout [Action]) {
        guard let entry = entries[chunk.id], let handle = entry.handle, entry.failure == nil else { return }
        guard var check = entry.check else { return }
        if let (status, message) = check.received(sequence: chunk.sequence, byteCount: body?.count ?? 0) {
            return fail(chunk.id, MeshError(status, message), handle, into: &actions)
        }
        entries[chunk.id]?.check = check
        let isLast = chunk.flags.contains(.last)
        if let body { actions.append(.chunk(handle, Payload(body, contentType: chunk.contentType))) }
        if body == nil, !isLast { actions.append(.chunk(handle, Payload([], contentType: chunk.contentType))) }
        if isLast { actions.append(.requestsEnded(handle)) }
    }

    /// Stops the handler of a call that cannot go on; the failure is told when it has returned, since FAIL gives its slot
    /// back to the broker.
    private mutating func fail(_ lease: WireID, _ error: MeshError, _ handle: Handle, into actions: inout [Action]) {
        entries[lease]?.failure = error
        actions.append(.cancel(handle, error))
    }

    /// Takes CREDIT for a reply stream.
    mutating func received(_ credit: Credit, for lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], let handle = entry.handle else { return }
        actions.append(.credit(handle, credit))
    }

    /// Grants credit for the request stream.
    mutating func grant(_ credit: Credit, on lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], entry.check != nil, entry.failure == nil else { return }
        entries[lease]?.check?.grant(credit)
        actions.append(.send(Frame(CreditGrant(id: lease, credit: credit))))
    }

    /// Sends a chunk of the reply stream; the handler holds credit for it.
    mutating func send(_ payload: Payload, on lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], entry.flags.contains(.replyStream), entry.failure == nil else { return }
        if let error = tooLarge(payload), let handle = entry.handle {
            return fail(lease, error, handle, into: &actions)
        }
        let chunk = Chunk(contentType: payload.contentType, id: lease, sequence: entry.nextSequence)
        entries[lease]?.nextSequence &+= 1
        entries[lease]?.isAccepted = true
        actions.append(.send(Frame(chunk, body: payload.bytes)))
    }

    private func tooLarge(_ payload: Payload) -> MeshError? {
        guard payload.bytes.count > maximumPayloadByteCount else { return nil }
        return MeshError(
            .resourceExhausted,
            "the handler's payload has \(payload.bytes.count) bytes, the broker carries at most "
                + "\(maximumPayloadByteCount)",
            hint: "Answer with a stream of chunks, or raise broker.limits.payload in the mesh file."
        )
    }

    /// A handler has returned: its call is answered and its slot is free.
    mutating func finish(_ lease: WireID, _ result: Result<Payload, MeshError>, into actions: inout [Action]) {
        guard let entry = entries.removeValue(forKey: lease) else { return }
        freeSlot(of: entry.registration)
        switch entry.failure.map({ .failure($0) }) ?? result {
        case .success(let payload):
            if let error = tooLarge(payload) {
                actions.append(.send(Frame(Fail(error, id: lease))))
            } else {
                let end = End(contentType: payload.contentType, id: lease)
                actions.append(.send(Frame(end, body: payload.isEmpty ? nil : payload.bytes)))
            }
        case .failure(let error):
            actions.append(.send(Frame(Fail(error, id: lease), body: error.details?.bytes)))
        }
        if isDraining, isIdle { actions.append(.drained) }
    }

    /// A handler of an earlier session has returned: its slot is free.
    /// - Returns: the registration whose slot it was.
    mutating func finishLeftover(_ key: LeaseKey, into actions: inout [Action]) -> RequestID? {
        guard let registration = leftovers.removeValue(forKey: key) else { return nil }
        freeSlot(of: registration)
        if isDraining, isIdle { actions.append(.drained) }
        return registration
    }

    private mutating func freeSlot(of registration: RequestID) {
        inFlight[registration, default: 1] -= 1
        if inFlight[registration] == 0 { inFlight[registration] = nil }
    }

    /// Refuses new calls from here on.
    mutating func drain(into actions: inout [Action]) {
        isDraining = true
        if isIdle { actions.append(.drained) }
    }

    /// Accepts what has been waiting for an answer for a second.
    mutating func timePassed(now: Moment, into actions: inout [Action]) {
        while let first = unaccepted.first {
            let isOver = entries[first.lease].map { $0.isAccepted } ?? true
            guard isOver || now >= first.due else { return }
            unaccepted.removeFirst()
            guard !isOver else { continue }
            entries[first.lease]?.isAccepted = true
            actions.append(.send(Frame(Accept(id: first.lease))))
        }
    }

    /// A session has begun.
    mutating func sessionBegan(maximumPayloadByteCount: Int) {
        self.maximumPayloadByteCount = maximumPayloadByteCount
    }

    /// The session is gone, and its leases with it: every handler is stopped, none is answered; each keeps its slot until it
    /// has returned.
    mutating func sessionLost(_ error: MeshError, session: SessionKey, into actions: inout [Action]) {
        for (lease, entry) in entries {
            leftovers[LeaseKey(lease: lease, session: session)] = entry.registration
            if let handle = entry.handle { actions.append(.cancel(handle, error)) }
        }
        entries.removeAll()
        unaccepted.removeAll()
        if isDraining, isIdle { actions.append(.drained) }
    }
}

extension Fail {
    /// What a worker says about a failure.
    init(_ error: MeshError, id: WireID) {
        self.init(
            flags: error.flags.union(.fromWorker),
            contentType: error.details?.contentType ?? .json,
            status: error.status == .ok ? .unknown : error.status,
            id: id,
            retryAfterMilliseconds: UInt32(clamping: error.retryAfter?.roundedMilliseconds ?? 0),
            clock: error.clock,
            phase: error.phase,
            message: error.message,
            hint: error.hint
        )
    }
}
