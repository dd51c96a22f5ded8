// Time: the nearest of each call's clocks is one timer, set anew only when it comes nearer; a clock that has moved away
// is found so when the timer fires.

import MeshProtocol

extension BrokerCore {
    /// When ``timePassed(now:into:)`` wants to be called next.
    public var nextDeadline: MeshInstant? { wheel.nextDeadline }

    /// Time has passed: runs what is due.
    public mutating func timePassed(now: MeshInstant, into outbox: inout Outbox) {
        while let payload = wheel.next(due: now) {
            let index = Int(payload.index)
            switch payload.kind {
            case .call:
                guard calls.slots[index].generation == payload.generation else { continue }
                callTimerFired(CallIndex(index), now: now, into: &outbox)
            case .session:
                guard sessions.slots[index].generation == payload.generation else { continue }
                sessionTimerFired(SessionIndex(index), now: now, into: &outbox)
            case .drain:
                guard sessions.slots[index].generation == payload.generation else { continue }
                drainTimerFired(SessionIndex(index), now: now, into: &outbox)
            case .registry: registryTimerFired(payload.index, now: now, into: &outbox)
            case .pause:
                guard UInt32(truncatingIfNeeded: registry.registrations[index].age) == payload.generation else {
                    continue
                }
                pauseEnded(RegistrationIndex(index), now: now, into: &outbox)
            }
        }
    }

    /// Sets a call's timer when a clock runs out before it would fire.
    @inline(__always)
    mutating func armCall(_ call: CallIndex) {
        let due = calls.slots[call.at].nextDue
        guard due < calls.slots[call.at].timerDue else { return }
        if calls.slots[call.at].timer != .none { wheel.cancel(calls.slots[call.at].timer) }
        let payload = TimerPayload(kind: .call, index: call.raw, generation: calls.slots[call.at].generation)
        calls.slots[call.at].timerDue = due
        calls.slots[call.at].timer = wheel.schedule(payload, at: due)
    }

    private mutating func callTimerFired(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        calls.slots[call.at].timer = .none
        calls.slots[call.at].timerDue = CallSlot.never
        let slot = calls.slots[call.at]
        if slot.deadline <= now {
            if slot.phase == .cancelling { return cancelIgnored(call, now: now, into: &outbox) }
            return deadlineMissed(call, .total, now: now, into: &outbox)
        }
        switch slot.phase {
        case .free: preconditionFailure("a timer for a free call")
        case .queued:
            if slot.queueDeadline <= now { return deadlineMissed(call, .queue, now: now, into: &outbox) }
        case .dispatched, .accepted:
            if let due = slot.chunkDue, due <= now {
                let clock = slot.replySequence == 0 ? Clock.firstChunk : Clock.idle
                return deadlineMissed(call, clock, now: now, into: &outbox)
            }
            if slot.graceEnds <= now, !slot.isOverdue { becameOverdue(call, now: now, into: &outbox) }
        case .cancelling:
            if slot.graceEnds <= now, !slot.isDeaf { becameDeaf(call, now: now, into: &outbox) }
        }
        armCall(call)
    }

    /// A clock ran out.
    mutating func deadlineMissed(_ call: CallIndex, _ clock: Clock, now: MeshInstant, into outbox: inout Outbox) {
        counters.deadlines &+= 1
        let slot = calls.slots[call.at]
        let name = callTitle(call)
        let age = now.nanoseconds(since: slot.createdAt) / 1_000_000
        let place: String
        switch slot.phase {
        case .queued: place = "while it waited for a free worker"
        case .dispatched: place = "after \(sessionTitle(slot.worker)) got it and before it accepted"
        case .accepted where slot.isAdministrative: place = "in the broker"
        case .accepted:
            place = "at \(sessionTitle(slot.worker))" + (slot.hasStreamed ? ", after \(slot.replySequence) chunks" : "")
        case .free, .cancelling: preconditionFailure("deadlineMissed(_:) in phase \(slot.phase)")
        }
        let message = "the \(clock.name) clock of the call to \(name) ran out after \(age) ms, \(place)"
        let failure = Failure(
            .deadlineExceeded,
            message: message,
            hint: clock == .total ? "allow more time, or look at `wiz calls` and `wiz metrics`" : "",
            flags: slot.phase == .queued && slot.reroutes == 0 ? .retryable : .outcomeUnknown
        )
        let fields = [
            Attribute(name: "service", value: name), Attribute(name: "clock", value: clock.name),
            Attribute(name: "phase", value: phase(of: call).name),
            Attribute(name: "caller", value: sessions.slots[slot.caller.at].name),
        ]
        notice(.warning, "mesh.call.deadline", message, fields, now: now, into: &outbox)
        let fate = WorkerFate.cancel(.deadlineExceeded, "the \(clock.name) clock ran out")
        failCall(call, failure, clock: clock, worker: fate, now: now, into: &outbox)
    }

    /// `service.method`, as the caller named it.
    func callTitle(_ call: CallIndex) -> String {
        let words = words(of: call)
        return words.service.isEmpty ? "?" : words.service + "." + words.method
    }

    /// Service and method, as the caller named them.
    func words(of call: CallIndex) -> (service: String, method: String) {
        let header = calls.slots[call.at].header.bytes
        guard let view = try? CallView.decode(header) else { return ("", "") }
        return (view.service.string(in: header), view.method.string(in: header))
    }
}

extension CallSlot {
    /// When the call wants its timer: its nearest clock.
    @inline(__always)
    var nextDue: MeshInstant {
        var due = deadline
        switch phase {
        case .free: return CallSlot.never
        case .queued: due = min(due, queueDeadline)
        case .dispatched, .accepted:
            if !isOverdue { due = min(due, graceEnds) }
        case .cancelling:
            if !isDeaf { due = min(due, graceEnds) }
        }
        if phase != .cancelling, flags.contains(.replyStream), let chunk = chunkDue { due = min(due, chunk) }
        return due
    }

    /// When the next chunk is due; nil while that clock rests.
    var chunkDue: MeshInstant? {
        guard flags.contains(.replyStream), phase != .queued, replyCredit.isOpen else { return nil }
        let milliseconds = replySequence == 0 ? firstChunkMilliseconds : idleMilliseconds
        guard milliseconds != CallClocks.none else { return nil }
        return chunkClockStart.advanced(milliseconds: UInt64(milliseconds))
    }
}
