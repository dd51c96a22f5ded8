// Alive, suspect, gone: silence and heartbeats, workers slow to accept or acknowledge, and offences.

import MeshProtocol

extension BrokerCore {

    mutating func armSession(_ session: SessionIndex, at due: MeshInstant) {
        let payload = TimerPayload(
            kind: .session,
            index: session.raw,
            generation: sessions.slots[session.at].generation
        )
        sessions.slots[session.at].timer = wheel.schedule(payload, at: due)
    }

    /// A connection's timer ran out: HELLO did not come, or nothing was heard for a while.
    mutating func sessionTimerFired(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        let slot = sessions.slots[session.at]
        switch slot.state {
        case .free, .ending: return
        case .awaitingHello:
            let message = "no HELLO within \(limits.helloMilliseconds) ms"
            turnAway(session, Failure(.deadlineExceeded, message: message), now: now, into: &outbox)
        case .active:
            let lost = slot.lastHeard.advanced(milliseconds: slot.lossMilliseconds)
            let silent = slot.lastHeard.advanced(milliseconds: slot.silenceMilliseconds)
            if lost <= now {
                let reason = "nothing was heard from it for \(slot.lossMilliseconds) ms"
                return endSession(
                    session,
                    .silent,
                    reason,
                    farewell: .none,
                    isClosing: true,
                    now: now,
                    into: &outbox
                )
            }
            guard silent <= now else { return armSession(session, at: silent) }
            armSession(session, at: lost)
            if !slot.isSilent { fellSilent(session, now: now, into: &outbox) }
        }
    }

    private mutating func fellSilent(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        sessions.slots[session.at].isSilent = true
        let ping = Ping(nonce: entropy())
        send(to: session, into: &outbox) { ping.encode(to: &$0) }
        outbox.probe(sessions.slots[session.at].peer)
        let reason = "nothing was heard from it for \(sessions.slots[session.at].silenceMilliseconds) ms"
        becameSuspect(session, "silent", reason, now: now, into: &outbox)
    }

    /// A silent session spoke.
    mutating func heardAgain(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        sessions.slots[session.at].isSilent = false
        if !sessions.slots[session.at].isSuspect { becameAlive(session, now: now, into: &outbox) }
    }

    /// A worker did not accept, or acknowledge, in time.
    mutating func becameOverdue(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        let session = calls.slots[call.at].worker
        precondition(!calls.slots[call.at].isOverdue, "becameOverdue(_:) for a call that is")
        calls.slots[call.at].isOverdue = true
        let wasSuspect = sessions.slots[session.at].isSuspect
        sessions.slots[session.at].overdueCount += 1
        guard !wasSuspect, calls.slots[call.at].phase != .cancelling else { return }
        let reason = "it neither accepted nor answered a call within \(limits.acceptMilliseconds) ms"
        becameSuspect(session, "slow to accept", reason, now: now, into: &outbox)
    }

    /// A worker did not acknowledge a CANCEL in time: its host may want to end it.
    mutating func becameDeaf(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        let session = calls.slots[call.at].worker
        calls.slots[call.at].isDeaf = true
        if !calls.slots[call.at].isOverdue { becameOverdue(call, now: now, into: &outbox) }
        guard !sessions.slots[session.at].isDeaf else { return }
        sessions.slots[session.at].isDeaf = true
        let reason = "it did not acknowledge a CANCEL within \(limits.cancelGraceMilliseconds) ms"
        becameSuspect(session, "cancel ignored", reason, now: now, into: &outbox)
    }

    /// A worker accepted, answered or lost a call that it was slow with.
    mutating func noLongerOverdue(_ call: CallIndex, now: MeshInstant, into outbox: inout Outbox) {
        guard calls.slots[call.at].isOverdue else { return }
        calls.slots[call.at].isOverdue = false
        let session = calls.slots[call.at].worker
        sessions.slots[session.at].overdueCount -= 1
        if sessions.slots[session.at].overdueCount == 0 { sessions.slots[session.at].isDeaf = false }
        if !sessions.slots[session.at].isSuspect, sessions.slots[session.at].state == .active {
            becameAlive(session, now: now, into: &outbox)
        }
    }

    private mutating func becameSuspect(
        _ session: SessionIndex,
        _ word: String,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let sentence = "\(sessionTitle(session)) is suspect and gets no new work: \(reason)"
        notice(
            .warning,
            "mesh.session.suspect",
            sentence,
            sessionFields(session) + [Attribute(name: "reason", value: word)],
            isCounted: sessions.slots[session.at].label.isEmpty,
            now: now,
            into: &outbox
        )
        standingChanged(session, now: now, into: &outbox)
    }

    private mutating func becameAlive(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        let sentence = "\(sessionTitle(session)) is alive again"
        notice(.info, "mesh.session.alive", sentence, sessionFields(session), now: now, into: &outbox)
        standingChanged(session, now: now, into: &outbox)
    }

    /// Applies a session's standing to its registrations.
    mutating func standingChanged(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        applyStanding(session)
        settleRegistry(now: now, into: &outbox)
        guard sessions.slots[session.at].takesWork else { return }
        for registration in sessions.slots[session.at].registrations {
            serve(registration, now: now, into: &outbox)
        }
    }

    /// Lets a session's registrations take work or not.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func applyStanding(_ session: SessionIndex) {
        let takesWork = sessions.slots[session.at].takesWork
        for registration in sessions.slots[session.at].registrations {
            registry.registrations[registration.at].sessionTakesWork = takesWork
            guard registry.registrations[registration.at].state == .live else { continue }
            registry.refresh(registration)
            logChange(.state, registration)
        }
    }

    // MARK: Offences

    /// Counts an offence; true when it ended the session.
    mutating func offended(
        _ session: SessionIndex,
        _ offence: Counters.Offence,
        _ message: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        counters.offended(offence)
        let isTooMany = sessions.slots[session.at].offences.record(
            now: now,
            limit: limits.offenceCount,
            windowMilliseconds: limits.offenceWindowMilliseconds
        )
        guard isTooMany else { return false }
        let sentence =
            "\(limits.offenceCount) broken rules within \(limits.offenceWindowMilliseconds) ms, the last: \(message)"
        dismiss(session, Failure(.protocolError, message: sentence), now: now, into: &outbox)
        return true
    }

    /// A header could not be read: FAIL when its id is a request's, which ends what the id stands for; else REJECT.
    mutating func undecodable(
        _ session: SessionIndex,
        header: UnsafeRawBufferPointer,
        _ error: DecodeError,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let failure = Failure(.protocolError, message: error.description)
        refuseFrame(session, .undecodable, failure, header: header, now: now, into: &outbox)
    }

    /// A BATCH that the shell has not taken apart: its header cannot be read, or it has no payload.
    mutating func brokenBatch(
        _ session: SessionIndex,
        header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        counters.offended(.framing)
        var message = BatchError(offset: 0, problem: .size).description
        do {
            _ = try Batch.decode(header)
        } catch {
            message = error.description
        }
        dismiss(session, Failure(.protocolError, message: message), now: now, into: &outbox)
    }

    /// A verb came that peers do not send.
    mutating func unexpected(
        _ verb: Verb,
        _ session: SessionIndex,
        header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let failure = Failure(.protocolError, message: "\(verb.name) is the broker's to send")
        refuseFrame(session, .unexpectedVerb, failure, header: header, now: now, into: &outbox)
    }

    /// A payload over the limit came with a header that may be answered.
    mutating func payloadTooLarge(
        _ session: SessionIndex,
        header: UnsafeRawBufferPointer,
        byteCount: Int,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let failure = Failure(
            .resourceExhausted,
            message: "a payload of \(byteCount) bytes: at most \(limits.payloadByteCount) are carried",
            hint: "send larger data as a stream"
        )
        refuseFrame(session, .framing, failure, header: header, now: now, into: &outbox)
    }

    private mutating func refuseFrame(
        _ session: SessionIndex,
        _ offence: Counters.Offence,
        _ failure: Failure,
        header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard !offended(session, offence, failure.message, now: now, into: &outbox) else { return }
        guard header.count >= HeaderPrefix.byteCount else {
            return dismiss(session, failure, now: now, into: &outbox)
        }
        let id = WireID(rawValue: UInt64(littleEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        if let lease = LeaseID(id), let call = held(lease, by: session) {
            return brokenCall(call, failure, now: now, into: &outbox)
        }
        guard let request = RequestID(id) else { return dismiss(session, failure, now: now, into: &outbox) }
        failRequest(session, request, failure, now: now, into: &outbox)
    }

    /// FAIL for a request id, which ends what the id stands for, if anything.
    mutating func failRequest(
        _ session: SessionIndex,
        _ request: RequestID,
        _ failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        switch requests[UInt64(session.raw), request.rawValue].map(LiveRequest.init(packed:)) {
        case .call(let call):
            return failCall(call, failure, worker: .cancel(failure.status, failure.message), now: now, into: &outbox)
        case .registration(let registration):
            withdraw(registration, now: now, into: &outbox)
            settleRegistry(now: now, into: &outbox)
        case .subscription(let slot): endSubscription(Int32(bitPattern: slot))
        case .drain:
            requests.remove(UInt64(session.raw), request.rawValue)
            sessions.slots[session.at].drainRequest = nil
        case nil: break
        }
        fail(session, request.wire, failure, into: &outbox)
    }
}
