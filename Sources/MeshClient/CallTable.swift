// The calls that this side has made and that have not ended. A pure value: each call gets exactly one end, whatever comes
// from the broker, from the caller or from the clock; what is late is dropped.

import DequeModule
import MeshProtocol

/// A call, or an acknowledged event, that is to be sent.
struct OutgoingCall<Waiter: Sendable>: Sendable {
    var id: RequestID
    /// The header and the body, ready to be sent.
    var frame: Frame
    var flags: CallFlags
    /// Whether it is an event that waits for its acknowledgement.
    var isEvent: Bool
    /// What the caller takes of a reply stream at once.
    var window: Credit
    /// The session of the call that it is nested in; nil when it is nested in none.
    var parentSession: SessionKey?
    /// How long it may wait for a session.
    var patience: Duration
    /// Who waits for the end.
    var waiter: Waiter

    /// Makes a call, or an event when there are no options.
    init(
        id: RequestID,
        frame: Frame,
        options: CallOptions?,
        flags: CallFlags,
        waiter: Waiter,
        parentSession: SessionKey? = nil
    ) {
        self.id = id
        self.frame = frame
        self.flags = flags
        self.waiter = waiter
        self.parentSession = parentSession
        isEvent = options == nil
        window = options?.window ?? .none
        patience = options?.deadline ?? options?.queue ?? .seconds(5)
    }
}

/// The calls in flight, by their request.
struct CallTable<Waiter: Sendable> {
    /// What shall be done, in this order.
    enum Action {
        /// Send a message.
        case send(Frame)
        /// The call has failed.
        case fail(Waiter, MeshError)
        /// A chunk of the reply stream.
        case chunk(Waiter, Payload)
        /// Credit for the request stream.
        case credit(Waiter, Credit)
    }

    private struct Parked {
        var frame: Frame
        var since: Moment
        var until: Moment
    }

    private struct Entry {
        var waiter: Waiter
        var flags: CallFlags
        var isEvent: Bool
        var hasFinishedRequests = false
        var nextSequence: UInt32 = 0
        var check: ChunkCheck?
        var parked: Parked?
    }

    private var entries: [RequestID: Entry] = [:]
    private var order: Deque<RequestID> = []
    private(set) var parkedCount = 0
    private(set) var parkedByteCount = 0
    private var earliestEnd: Moment?
    private var isReady = false
    private var maximumPayloadByteCount = Int.max

    /// The calls that have not ended.
    var count: Int { entries.count }
    /// When `timePassed` must be called at the latest.
    var nextDeadline: Moment? { earliestEnd }

    /// Takes a new call: sends it, or keeps it for the next session.
    mutating func begin(_ call: OutgoingCall<Waiter>, now: Moment, into actions: inout [Action]) {
        var entry = Entry(
            waiter: call.waiter,
            flags: call.flags,
            isEvent: call.isEvent,
            check: call.flags.contains(.replyStream) ? ChunkCheck(call.window) : nil
        )
        if let error = tooLarge(call.frame) { return actions.append(.fail(call.waiter, error)) }
        if isReady {
            actions.append(.send(call.frame))
        } else {
            let until = now + call.patience
            entry.parked = Parked(frame: call.frame, since: now, until: until)
            order.append(call.id)
            parkedCount += 1
            parkedByteCount += call.frame.byteCount
            earliestEnd = earliest(earliestEnd, until)
        }
        entries[call.id] = entry
    }

    private func tooLarge(_ frame: Frame) -> MeshError? {
        let count = frame.body?.count ?? 0
        guard count > maximumPayloadByteCount else { return nil }
        return MeshError(
            .invalidArgument,
            "the payload has \(count) bytes, the broker carries at most \(maximumPayloadByteCount)",
            hint: "Send it as a stream of chunks, or raise broker.limits.payload in the mesh file."
        )
    }

    /// Sends a chunk of the request stream; the caller holds credit for it.
    mutating func send(_ payload: Payload?, last: Bool, on id: RequestID, into actions: inout [Action]) {
        guard var entry = entries[id], entry.flags.contains(.requestStream), !entry.hasFinishedRequests,
            entry.parked == nil
        else { return }
        let chunk = Chunk(
            flags: last ? .last : [],
            contentType: payload?.contentType ?? .bytes,
            id: id.wire,
            sequence: entry.nextSequence
        )
        let frame = Frame(chunk, body: payload?.bytes)
        if let error = tooLarge(frame) {
            return cancel(id, error: error, into: &actions)
        }
        entry.nextSequence &+= 1
        entry.hasFinishedRequests = last
        entries[id] = entry
        actions.append(.send(frame))
    }

    /// Grants credit for the reply stream.
    mutating func grant(_ credit: Credit, on id: RequestID, into actions: inout [Action]) {
        guard entries[id]?.check != nil else { return }
        entries[id]?.check?.grant(credit)
        actions.append(.send(Frame(CreditGrant(id: id.wire, credit: credit))))
    }

    /// Ends a call from this side.
    mutating func cancel(
        _ id: RequestID,
        error: MeshError = MeshError(.cancelled, "the caller cancelled the call"),
        into actions: inout [Action]
    ) {
        guard let entry = remove(id) else { return }
        if isReady, entry.parked == nil, !entry.isEvent {
            actions.append(.send(Frame(Cancel(id: id.wire, reason: error.message))))
        }
        actions.append(.fail(entry.waiter, error))
    }

    private mutating func remove(_ id: RequestID) -> Entry? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        if let parked = entry.parked {
            parkedCount -= 1
            parkedByteCount -= parked.frame.byteCount
        }
        return entry
    }

    /// Takes END: whose call has ended well; nil when it is for no call of this table.
    ///
    /// The answer is returned instead of appended since this is the path that every call takes.
    mutating func received(_ end: End) -> Waiter? {
        guard let id = RequestID(end.id) else { return nil }
        return remove(id)?.waiter
    }

    /// Takes FAIL; false when it is for no call of this table.
    mutating func received(_ fail: Fail, body: [UInt8]?, into actions: inout [Action]) -> Bool {
        guard let id = RequestID(fail.id), let entry = remove(id) else { return false }
        actions.append(.fail(entry.waiter, MeshError(fail, body: body)))
        return true
    }

    /// Takes a CHUNK of a reply stream.
    mutating func received(_ chunk: Chunk, body: [UInt8]?, into actions: inout [Action]) {
        guard let id = RequestID(chunk.id), let entry = entries[id] else { return }
        guard var check = entry.check else {
            let error = MeshError(.protocolError, "a chunk came for a call without a reply stream")
            return cancel(id, error: error, into: &actions)
        }
        if let (status, message) = check.received(sequence: chunk.sequence, byteCount: body?.count ?? 0) {
            return cancel(id, error: MeshError(status, message), into: &actions)
        }
        entries[id]?.check = check
        actions.append(.chunk(entry.waiter, Payload(body ?? [], contentType: chunk.contentType)))
    }

    /// Takes credit for a request stream, from ACCEPT or CREDIT.
    mutating func received(_ credit: Credit, for id: WireID, into actions: inout [Action]) {
        guard credit != .none, let id = RequestID(id), let entry = entries[id], entry.flags.contains(.requestStream)
        else { return }
        actions.append(.credit(entry.waiter, credit))
    }

    /// A session has begun: sends what waited for it, in order, each with what is left of its deadline.
    mutating func sessionBegan(maximumPayloadByteCount: Int, now: Moment, into actions: inout [Action]) {
        isReady = true
        self.maximumPayloadByteCount = maximumPayloadByteCount
        let waiting = order
        order.removeAll()
        earliestEnd = nil
        for id in waiting {
            guard let parked = entries[id]?.parked else { continue }
            if let error = tooLarge(parked.frame) {
                if let entry = remove(id) { actions.append(.fail(entry.waiter, error)) }
                continue
            }
            entries[id]?.parked = nil
            parkedCount -= 1
            parkedByteCount -= parked.frame.byteCount
            var frame = parked.frame
            if entries[id]?.isEvent == false {
                frame.shortenDeadline(by: Duration.nanoseconds(now.nanoseconds - parked.since.nanoseconds))
                frame.clearParent()
            }
            actions.append(.send(frame))
        }
    }

    /// The session was lost: what had been sent fails, since nobody can tell how far it came.
    mutating func sessionLost(_ reason: MeshError, into actions: inout [Action]) {
        isReady = false
        for (id, entry) in entries where entry.parked == nil {
            entries[id] = nil
            var error = reason
            error.status = reason.status == .cancelled ? .cancelled : .unavailable
            error.flags = [.outcomeUnknown]
            error.retryAfter = nil
            error.subject = ""
            error.message = "the session was lost while the call was in flight: " + reason.message
            actions.append(.fail(entry.waiter, error))
        }
    }

    /// Ends everything.
    mutating func failAll(_ error: MeshError, into actions: inout [Action]) {
        for entry in entries.values { actions.append(.fail(entry.waiter, error)) }
        entries.removeAll()
        order.removeAll()
        parkedCount = 0
        parkedByteCount = 0
        earliestEnd = nil
    }

    /// Ends the calls that have waited for a session for too long.
    mutating func timePassed(now: Moment, reason: MeshError?, into actions: inout [Action]) {
        guard let end = earliestEnd, now >= end else { return }
        earliestEnd = nil
        for id in order {
            guard let parked = entries[id]?.parked else { continue }
            guard now >= parked.until else {
                earliestEnd = earliest(earliestEnd, parked.until)
                continue
            }
            guard let entry = remove(id) else { continue }
            var error = MeshError(
                .deadlineExceeded,
                "the call waited for a session with the broker and was never sent",
                flags: .retryable,
                clock: .total
            )
            if let reason { error.message += ": " + reason.message }
            actions.append(.fail(entry.waiter, error))
        }
        order.removeAll { entries[$0]?.parked == nil }
    }
}

extension Frame {
    /// Where a CALL's total clock and its parent stand in the header (docs/PROTOCOL.md, "Verbs").
    private static let totalOffset = 16
    private static let parentOffset = 48

    /// Takes waiting time off a CALL's total clock.
    mutating func shortenDeadline(by waited: Duration) {
        let place = Self.totalOffset..<(Self.totalOffset + 4)
        guard header.count >= place.upperBound else { return }
        let total = place.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(header[$1]) }
        guard total != 0, total != CallClocks.none else { return }
        let left = max(1, Int64(total) - waited.roundedMilliseconds)
        for (index, offset) in place.enumerated() {
            header[offset] = UInt8(truncatingIfNeeded: left >> (8 * Int64(index)))
        }
    }

    /// Makes a CALL nobody's child: its parent was a lease of a session that is gone, or has ended.
    mutating func clearParent() {
        let place = Self.parentOffset..<(Self.parentOffset + 8)
        guard header.count >= place.upperBound else { return }
        for offset in place { header[offset] = 0 }
    }

    /// The lease that a CALL is nested in; the session when none.
    var parent: WireID {
        guard header.count >= Self.parentOffset + 8 else { return .session }
        let word = header.span.bytes.unsafeLoadUnaligned(fromByteOffset: Self.parentOffset, as: UInt64.self)
        return WireID(rawValue: UInt64(littleEndian: word))
    }
}
