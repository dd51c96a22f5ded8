// The end of calls: by failure, by cancellation from any side, and the one place where a call's slot is given back.

public import MeshProtocol

extension BrokerCore {
    /// What becomes of the worker of a call that fails.
    enum WorkerFate {
        /// It has ended the call, or is lost: its slot comes back at once.
        case retire
        /// It is told to stop, and its slot stays taken until it answers.
        case cancel(Status, String)
    }

    /// Where a call stands, as FAIL tells it.
    func phase(of call: CallIndex) -> CallPhase {
        switch calls.slots[call.at].phase {
        case .free: .none
        case .queued: .queued
        case .dispatched: .dispatched
        case .accepted: calls.slots[call.at].hasStreamed ? .streaming : .accepted
        case .cancelling: .accepted
        }
    }

    /// Ends a call with FAIL for its caller.
    mutating func failCall(
        _ call: CallIndex,
        _ failure: Failure,
        clock: Clock = .none,
        worker: WorkerFate,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        precondition(!calls.slots[call.at].caller.isNone, "failCall(_:) for a call without a caller")
        counters.failed(failure.status)
        measure(call, failure.status, now: now)
        fail(
            calls.slots[call.at].caller,
            WireID(rawValue: calls.slots[call.at].request),
            failure,
            clock: clock,
            phase: phase(of: call),
            into: &outbox
        )
        stop(call, worker: worker, now: now, into: &outbox)
    }

    /// Ends a call whose caller has been answered or is gone.
    private mutating func stop(
        _ call: CallIndex,
        worker: WorkerFate,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard case .cancel(let status, let reason) = worker, calls.slots[call.at].holdsWorker else {
            return retire(call, now: now, into: &outbox)
        }
        switch calls.slots[call.at].phase {
        case .dispatched, .accepted: startCancelling(call, status, reason, now: now, into: &outbox)
        case .free, .queued, .cancelling:
            preconditionFailure("stop(_:) in phase \(calls.slots[call.at].phase)")
        }
    }

    private mutating func startCancelling(
        _ call: CallIndex,
        _ status: Status,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        leaveCaller(call)
        calls.slots[call.at].phase = .cancelling
        // From here on the deadline is the worker's.
        calls.slots[call.at].deadline = now.advanced(milliseconds: limits.cancelLossMilliseconds)
        calls.slots[call.at].graceEnds = now.advanced(milliseconds: limits.cancelGraceMilliseconds)
        calls.unlinkFromParent(call)
        releaseBody(of: call, into: &outbox)
        let cancel = Cancel(status: status, id: calls.lease(call).wire, reason: reason)
        let worker = calls.slots[call.at].worker
        send(to: worker, into: &outbox) { cancel.encode(to: &$0) }
        armCall(call)
        sessions.slots[worker.at].cancellingCount &+= 1
        endChildren(of: call, now: now, into: &outbox)
        // Told by a timer, since a session is not to end in the middle of whatever cancelled the call.
        guard sessions.slots[worker.at].cancellingCount > limits.cancelCountPerSession else { return }
        calls.slots[call.at].deadline = now
        armCall(call)
    }

    /// A worker has left a CANCEL unacknowledged for too long, or too many of them: it is not at its calls any more.
    mutating func cancelIgnored(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        let worker = calls.slots[call.at].worker
        guard sessions.slots[worker.at].state == .active else { return }
        let count = sessions.slots[worker.at].cancellingCount
        let grace = min(limits.cancelGraceMilliseconds, limits.cancelLossMilliseconds)
        let patience = limits.cancelLossMilliseconds - grace
        let lost = calls.slots[call.at].graceEnds.advanced(milliseconds: patience)
        guard count > limits.cancelCountPerSession || lost <= now else {
            // There were too many, and it may have caught up before the timer told so.
            calls.slots[call.at].deadline = lost
            return armCall(call)
        }
        let reason =
            count > limits.cancelCountPerSession
            ? "it has left \(count) CANCELs unacknowledged, and may leave \(limits.cancelCountPerSession)"
            : "it did not acknowledge a CANCEL within \(limits.cancelLossMilliseconds) ms"
        endSession(worker, .deaf, reason, farewell: .bye(.deadlineExceeded, reason), now: now, into: &outbox)
    }

    /// Frees the caller's request id.
    @inline(__always)
    private mutating func leaveCaller(_ call: CallIndex) {
        let caller = calls.slots[call.at].caller
        guard !caller.isNone else { return }
        requests.remove(UInt64(caller.raw), calls.slots[call.at].request)
        calls.unlink(call, fromCaller: &sessions.slots[caller.at])
        calls.slots[call.at].caller = .none
    }

    /// Gives a call's slot back, wherever it stands; its worker gets what waits.
    @inline(__always)
    mutating func retire(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        removeFromQueue(call)
        leaveCaller(call)
        if calls.slots[call.at].timer != .none { wheel.cancel(calls.slots[call.at].timer) }
        calls.unlinkFromParent(call)
        if !calls.slots[call.at].firstChild.isNone { endChildren(of: call, now: now, into: &outbox) }
        releaseBody(of: call, into: &outbox)
        guard calls.slots[call.at].holdsWorker else { return calls.release(call) }
        let worker = calls.slots[call.at].worker
        let registration = calls.slots[call.at].registration
        if calls.slots[call.at].isOverdue { noLongerOverdue(call, now: now, into: &outbox) }
        if calls.slots[call.at].phase == .cancelling { sessions.slots[worker.at].cancellingCount &-= 1 }
        calls.unlink(call, fromWorker: &sessions.slots[worker.at])
        calls.release(call)
        registry.returned(registration)
        if registry.registrations[registration.at].state == .withdrawn {
            registry.releaseIfIdle(registration)
        } else if queuedCount > 0 {
            serve(registration, now: now, into: &outbox)
        }
        if sessions.slots[worker.at].drainRequest != nil { answerDrain(worker, into: &outbox) }
    }

    /// A call has ended: what was called in its service ends too.
    mutating func endChildren(of call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        while !calls.slots[call.at].firstChild.isNone {
            let child = calls.slots[call.at].firstChild
            calls.unlinkFromParent(child)
            let failure = Failure(.cancelled, message: "the call in whose service it was made has ended")
            let fate = WorkerFate.cancel(.cancelled, failure.message)
            failCall(child, failure, worker: fate, now: now, into: &outbox)
        }
    }

    // MARK: Who cancels

    mutating func cancelReceived(
        _ cancel: Cancel,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let request = RequestID(cancel.id) else {
            return lateOrForeign(cancel.id, .cancel, session, now: now, into: &outbox)
        }
        guard case .call(let call) = requests[UInt64(session.raw), request.rawValue].map(LiveRequest.init(packed:))
        else {
            counters.lateFrames &+= 1
            return
        }
        let failure = Failure(.cancelled, message: "the caller cancelled it")
        let reason = cancel.reason.isEmpty ? failure.message : cancel.reason
        failCall(call, failure, worker: .cancel(.cancelled, reason), now: now, into: &outbox)
    }

    /// Cancels a call on an operator's word; false when there is none.
    public mutating func cancelCall(
        _ lease: LeaseID,
        by operatorName: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let call = calls.find(lease), !calls.slots[call.at].caller.isNone else { return false }
        let failure = Failure(.cancelled, message: "the operator \(operatorName) cancelled it")
        failCall(call, failure, worker: .cancel(.cancelled, failure.message), now: now, into: &outbox)
        return true
    }

    /// A caller's session ends: nobody is told of its calls' end.
    mutating func callerGone(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        while !sessions.slots[session.at].firstCall.isNone {
            let call = sessions.slots[session.at].firstCall
            counters.failed(.cancelled)
            measure(call, .cancelled, now: now)
            let fate = WorkerFate.cancel(.cancelled, "the caller is gone")
            stop(call, worker: fate, now: now, into: &outbox)
        }
    }

    /// A peer broke a rule of a stream: the call ends for both.
    mutating func brokenCall(
        _ call: CallIndex,
        _ failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard !calls.slots[call.at].caller.isNone else { return }
        failCall(call, failure, worker: .cancel(failure.status, failure.message), now: now, into: &outbox)
    }
}
