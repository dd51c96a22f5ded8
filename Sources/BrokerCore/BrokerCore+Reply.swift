// What workers answer: ACCEPT, END, FAIL, REFUSE; and what becomes of their calls when they are lost.
//
// | phase      | ACCEPT   | END, FAIL            | REFUSE        | worker lost                 |
// |------------|----------|----------------------|---------------|-----------------------------|
// | dispatched | accepted | passed on, ended     | another one   | another one, or UNAVAILABLE |
// | accepted   | no news  | passed on, ended     | another one   | another one, or UNAVAILABLE |
// | cancelling | no news  | swallowed, ended     | ended         | ended                       |
// A queued call is with no worker, so nothing of the kind can come for it: the lease is not held.

import MeshProtocol

extension BrokerCore {
    /// The call that a lease names, when that session holds it.
    @inline(__always)
    func held(_ lease: LeaseID, by session: SessionIndex) -> CallIndex? {
        guard let call = calls.find(lease), calls.slots[call.at].worker == session, calls.slots[call.at].holdsWorker
        else { return nil }
        return call
    }

    mutating func acceptReceived(
        _ accept: Accept,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let lease = LeaseID(accept.id), let call = held(lease, by: session) else {
            return lateOrForeign(accept.id, .accept, session, now: now, into: &outbox)
        }
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted:
            accepted(call, now: now, into: &outbox)
            if accept.credit != .none { grantRequestCredit(accept.credit, call, into: &outbox) }
        case .cancelling: counters.lateFrames &+= 1
        case .free, .queued: preconditionFailure("ACCEPT for a lease in phase \(calls.slots[call.at].phase)")
        }
    }

    /// The worker shows that it is at the call.
    @inline(__always)
    mutating func accepted(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        guard calls.slots[call.at].phase == .dispatched else { return }
        calls.slots[call.at].phase = .accepted
        calls.slots[call.at].graceEnds = CallSlot.never
        if calls.slots[call.at].isOverdue { noLongerOverdue(call, now: now, into: &outbox) }
    }

    @inline(__always)
    mutating func endReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let end = try End.decode(header)
        guard let lease = LeaseID(end.id), let call = held(lease, by: session) else {
            outbox.release(payload.body)
            return lateOrForeign(end.id, .end, session, now: now, into: &outbox)
        }
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted:
            // Field by field: a slot is large, and a copy of it would count references.
            let dispatchedAt = calls.slots[call.at].dispatchedAt
            var out = end
            out.id = WireID(rawValue: calls.slots[call.at].request)
            out.queuedMicroseconds = microseconds(dispatchedAt.nanoseconds(since: calls.slots[call.at].createdAt))
            out.serviceMicroseconds = microseconds(now.nanoseconds(since: dispatchedAt))
            out.provider = sessions.slots[session.at].id.rawValue
            send(to: calls.slots[call.at].caller, body: payload.body, into: &outbox) { out.encode(to: &$0) }
            counters.ends &+= 1
            measure(call, .ok, now: now)
            retire(call, now: now, into: &outbox)
        case .cancelling:
            outbox.release(payload.body)
            retire(call, now: now, into: &outbox)
        case .free, .queued: preconditionFailure("END for a lease in phase \(calls.slots[call.at].phase)")
        }
    }

    @inline(__always)
    func microseconds(_ nanoseconds: UInt64) -> UInt32 { UInt32(clamping: nanoseconds / 1_000) }

    @inline(__always)
    mutating func measure(_ call: CallIndex, _ status: Status, now: MeshInstant) {
        let entry = calls.slots[call.at].metrics
        guard entry >= 0 else { return }
        let created = calls.slots[call.at].createdAt
        let dispatched = calls.slots[call.at].phase == .queued ? now : calls.slots[call.at].dispatchedAt
        metrics.record(
            entry,
            status: status,
            totalMicroseconds: now.nanoseconds(since: created) / 1_000,
            queueMicroseconds: dispatched.nanoseconds(since: created) / 1_000
        )
    }

    mutating func failReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let fail = try Fail.decode(header)
        guard let lease = LeaseID(fail.id), let call = held(lease, by: session) else {
            outbox.release(payload.body)
            return lateOrForeign(fail.id, .fail, session, now: now, into: &outbox)
        }
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted:
            var out = fail
            out.id = WireID(rawValue: calls.slots[call.at].request)
            out.flags.insert(.fromWorker)
            out.origin = principals.records[sessions.slots[session.at].principal.at].subject.principal
            out.clock = .none
            out.phase = phase(of: call)
            send(to: calls.slots[call.at].caller, body: payload.body, into: &outbox) { out.encode(to: &$0) }
            counters.failed(fail.status)
            measure(call, fail.status, now: now)
            retire(call, now: now, into: &outbox)
        case .cancelling:
            outbox.release(payload.body)
            retire(call, now: now, into: &outbox)
        case .free, .queued: preconditionFailure("FAIL for a lease in phase \(calls.slots[call.at].phase)")
        }
    }

    mutating func refuseReceived(
        _ refuse: Refuse,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let lease = LeaseID(refuse.id), let call = held(lease, by: session) else {
            return lateOrForeign(refuse.id, .refuse, session, now: now, into: &outbox)
        }
        counters.refusals &+= 1
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted:
            calls.slots[call.at].refusals &+= 1
            // Else the call would be the first that its worker is given again.
            pause(
                calls.slots[call.at].registration,
                milliseconds: UInt64(refuse.retryAfterMilliseconds),
                now: now
            )
            let hasBegun = calls.slots[call.at].hasMoved
            guard !hasBegun, Int(calls.slots[call.at].refusals) < limits.refusalCount else {
                let why = refuse.message.isEmpty ? "" : ": \(refuse.message)"
                let failure = Failure(
                    refuse.status,
                    message: hasBegun
                        ? "the worker refused a call that it had begun\(why)"
                        : "\(limits.refusalCount) workers refused the call, the last one with \(refuse.status)\(why)",
                    retryAfterMilliseconds: refuse.retryAfterMilliseconds,
                    flags: hasBegun ? [] : .retryable
                )
                return failCall(call, afterLoss(of: call, failure), worker: .retire, now: now, into: &outbox)
            }
            counters.reroutes &+= 1
            leaveWorker(call, now: now, into: &outbox)
            routeAgain(call, atHead: true, now: now, into: &outbox)
        case .cancelling: retire(call, now: now, into: &outbox)
        case .free, .queued: preconditionFailure("REFUSE for a lease in phase \(calls.slots[call.at].phase)")
        }
    }

    /// A worker has refused a call: it is given no more than it has had, until one of its calls ends, it sends CAPACITY,
    /// or a short time is over.
    private mutating func pause(_ registration: RegistrationIndex, milliseconds: UInt64, now: MeshInstant) {
        guard registry.registrations[registration.at].state == .live else { return }
        let isPaused = registry.registrations[registration.at].ceiling != .max
        let others = registry.registrations[registration.at].inFlight &- 1
        registry.setCeiling(registration, min(others, registry.registrations[registration.at].ceiling))
        guard !isPaused else { return }
        let most = limits.refusalPauseMilliseconds
        let pause = milliseconds == 0 ? most / 10 : milliseconds
        let payload = TimerPayload(
            kind: .pause,
            index: registration.raw,
            generation: UInt32(truncatingIfNeeded: registry.registrations[registration.at].age)
        )
        _ = wheel.schedule(payload, at: now.advanced(milliseconds: max(1, min(pause, most))))
    }

    /// The time of a refusal's pause is over.
    mutating func pauseEnded(_ registration: RegistrationIndex, now: MeshInstant, into outbox: inout Outbox) {
        registry.setCeiling(registration, .max)
        serve(registration, now: now, into: &outbox)
    }

    /// The frame's lease is not the session's: it came late, or the id is none that a worker may use.
    mutating func lateOrForeign(
        _ id: WireID,
        _ verb: Verb,
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        if id.isLease {
            counters.lateFrames &+= 1
            return
        }
        let message = "\(verb.name) with the id \(id.rawValue): it needs a lease"
        guard !offended(session, .unexpectedVerb, message, now: now, into: &outbox) else { return }
        let failure = Failure(.protocolError, message: message)
        guard let request = RequestID(id) else { return dismiss(session, failure, now: now, into: &outbox) }
        failRequest(session, request, failure, now: now, into: &outbox)
    }

    /// Takes a call from its worker; the worker's slot comes back.
    ///
    /// The call waits for what is to become of it.
    mutating func leaveWorker(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        noLongerOverdue(call, now: now, into: &outbox)
        let worker = calls.slots[call.at].worker
        let registration = calls.slots[call.at].registration
        calls.unlink(call, fromWorker: &sessions.slots[worker.at])
        calls.slots[call.at].worker = .none
        calls.slots[call.at].registration = .none
        calls.slots[call.at].phase = .queued
        calls.slots[call.at].graceEnds = CallSlot.never
        calls.slots[call.at].requestCredit = StreamCredit()
        startQueueClock(call, now: now)
        registry.returned(registration)
        registry.releaseIfIdle(registration)
        endChildren(of: call, now: now, into: &outbox)
        if sessions.slots[worker.at].drainRequest != nil { answerDrain(worker, into: &outbox) }
    }

    /// A worker's session ends: its calls go to others, or fail.
    mutating func workerGone(
        _ session: SessionIndex,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let title = sessionTitle(session)
        while !sessions.slots[session.at].firstLease.isNone {
            let call = sessions.slots[session.at].firstLease
            let slot = calls.slots[call.at]
            switch slot.phase {
            case .dispatched, .accepted:
                let isSpent = Int(slot.reroutes) >= limits.rerouteCount
                guard slot.isIdempotent, !slot.hasMoved, !isSpent else {
                    let failure = Failure(
                        .unavailable,
                        message: "the worker was lost, \(title): \(reason)",
                        hint: "whether the call was carried out is not known: look before repeating it",
                        flags: slot.isIdempotent ? [.outcomeUnknown, .retryable] : .outcomeUnknown
                    )
                    failCall(call, failure, worker: .retire, now: now, into: &outbox)
                    continue
                }
                calls.slots[call.at].reroutes &+= 1
                counters.reroutes &+= 1
                leaveWorker(call, now: now, into: &outbox)
                routeAgain(call, atHead: true, now: now, into: &outbox)
            case .cancelling: retire(call, now: now, into: &outbox)
            case .free, .queued:
                preconditionFailure("a worker's list holds a call in phase \(slot.phase)")
            }
        }
    }
}
