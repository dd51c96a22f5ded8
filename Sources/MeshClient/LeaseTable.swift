// The calls that this side has been given and has not answered. A pure value: each lease is answered exactly once; a
// slot is taken until its handler has returned, whatever happened to the call meanwhile.

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
        var isAnswered = false
        var nextSequence: UInt32 = 0
        var check: ChunkCheck?
    }

    /// How long a call may go unanswered before it is accepted.
    static var acceptDelay: Duration { .seconds(1) }

    private var entries: [WireID: Entry] = [:]
    private var inFlight: [RequestID: Int] = [:]
    private var unaccepted: Deque<(lease: WireID, due: Moment)> = []
    private var maximumPayloadByteCount = Int.max
    /// Whether new calls are refused.
    private(set) var isDraining = false
    /// What the reader of a request stream takes at once.
    let window: Credit

    init(window: Credit = CallOptions.standardWindow) { self.window = window }

    /// The calls whose handlers run.
    var count: Int { entries.count }
    /// When `timePassed` must be called at the latest.
    var nextDeadline: Moment? { unaccepted.first?.due }
    /// Whether a lease is live: a call may be nested in it.
    func isLive(_ lease: WireID) -> Bool { entries[lease].map { !$0.isAnswered } ?? false }

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
        guard let entry = entries[chunk.id], let handle = entry.handle, !entry.isAnswered else { return }
        guard var check = entry.check else { return }
        if let (status, message) = check.received(sequence: chunk.sequence, byteCount: body?.count ?? 0) {
            let error = MeshError(status, message)
            entries[chunk.id]?.isAnswered = true
            actions.append(.send(Frame(Fail(error, id: chunk.id))))
            return actions.append(.cancel(handle, error))
        }
        entries[chunk.id]?.check = check
        let isLast = chunk.flags.contains(.last)
        if let body { actions.append(.chunk(handle, Payload(body, contentType: chunk.contentType))) }
        if body == nil, !isLast { actions.append(.chunk(handle, Payload([], contentType: chunk.contentType))) }
        if isLast { actions.append(.requestsEnded(handle)) }
    }

    /// Takes CREDIT for a reply stream.
    mutating func received(_ credit: Credit, for lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], let handle = entry.handle else { return }
        actions.append(.credit(handle, credit))
    }

    /// Grants credit for the request stream.
    mutating func grant(_ credit: Credit, on lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], entry.check != nil, !entry.isAnswered else { return }
        entries[lease]?.check?.grant(credit)
        actions.append(.send(Frame(CreditGrant(id: lease, credit: credit))))
    }

    /// Sends a chunk of the reply stream; the handler holds credit for it.
    mutating func send(_ payload: Payload, on lease: WireID, into actions: inout [Action]) {
        guard let entry = entries[lease], entry.flags.contains(.replyStream), !entry.isAnswered else { return }
        if let error = tooLarge(payload), let handle = entry.handle {
            entries[lease]?.isAnswered = true
            actions.append(.send(Frame(Fail(error, id: lease))))
            return actions.append(.cancel(handle, error))
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
        inFlight[entry.registration, default: 1] -= 1
        if inFlight[entry.registration] == 0 { inFlight[entry.registration] = nil }
        if !entry.isAnswered {
            switch result {
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
        }
        if isDraining, entries.isEmpty { actions.append(.drained) }
    }

    /// Refuses new calls from here on.
    mutating func drain(into actions: inout [Action]) {
        isDraining = true
        if entries.isEmpty { actions.append(.drained) }
    }

    /// Accepts what has been waiting for an answer for a second.
    mutating func timePassed(now: Moment, into actions: inout [Action]) {
        while let first = unaccepted.first {
            let isOver = entries[first.lease].map { $0.isAccepted || $0.isAnswered } ?? true
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

    /// The session is gone, and its leases with it: every handler is stopped, none is answered.
    mutating func sessionLost(_ error: MeshError, into actions: inout [Action]) {
        for entry in entries.values { if let handle = entry.handle { actions.append(.cancel(handle, error)) } }
        entries.removeAll()
        inFlight.removeAll()
        unaccepted.removeAll()
        if isDraining { actions.append(.drained) }
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
