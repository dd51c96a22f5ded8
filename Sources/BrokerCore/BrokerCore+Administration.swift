// The service `mesh`: its methods, the calls that the shell answers, and what operators may do to sessions.

public import MeshProtocol
import SemanticVersion

/// The service that the broker itself provides.
enum Administration {
    static let version = SemanticVersion(major: 1, minor: 0, patch: 0)
    /// Its methods; those that answer with a stream are marked.
    static let methods: [(name: String, isStream: Bool)] = [
        ("info", false), ("plugins", false), ("services", false), ("calls", false), ("sessions", false),
        ("subscriptions", false), ("limits", false), ("metrics", false), ("counters", false), ("explain", false),
        ("cancel", false), ("drain", false), ("kick", false), ("ticket", false), ("exited", false), ("reload", false),
        ("watch", true), ("describe", false), ("promote", false), ("ready", false), ("notReady", false),
        ("expect", false), ("unexpect", false), ("load", false),
    ]

    /// As `mesh.services` shows it.
    static var snapshot: ServiceSnapshot {
        ServiceSnapshot(
            service: "mesh",
            version: version.description,
            providers: [
                ProviderSnapshot(
                    session: 0,
                    name: "broker",
                    capacity: 0,
                    inFlight: 0,
                    weight: 0,
                    state: .alive,
                    stage: .live
                )
            ],
            methods: methods.map { method in
                MethodSnapshot(
                    name: method.name,
                    idempotent: false,
                    requestStream: false,
                    replyStream: method.isStream,
                    deadlineMilliseconds: 0,
                    permissions: []
                )
            },
            attributes: [:],
            capabilities: [],
            latent: false,
            queued: 0,
            queuedBytes: 0,
            balance: Balance.leastLoaded.rawValue
        )
    }
}

extension BrokerCore {
    /// Hands a call to the shell.
    mutating func administer(
        _ call: CallIndex,
        _ method: MethodIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let known = Administration.methods[method.at]
        guard !known.isStream || calls.slots[call.at].flags.contains(.replyStream) else {
            let failure = Failure(
                .invalidArgument,
                message: "mesh.\(known.name) answers with a stream, and the call has none",
                hint: "call it with a reply stream and credit for it"
            )
            return failCall(call, failure, worker: .retire, now: now, into: &outbox)
        }
        calls.slots[call.at].phase = .accepted
        calls.slots[call.at].isAdministrative = true
        calls.slots[call.at].dispatchedAt = now
        calls.slots[call.at].chunkClockStart = now
        let body = calls.slots[call.at].body
        if !body.isNone { forgetBody(of: call) }
        let caller = calls.slots[call.at].caller
        let prefix = try? HeaderPrefix.decode(calls.slots[call.at].header.bytes)
        outbox.administer(
            AdministrativeCall(
                lease: calls.lease(call),
                method: Administration.methods[method.at].name,
                caller: principals.records[sessions.slots[caller.at].principal.at].subject.principal,
                session: sessions.slots[caller.at].id,
                body: body,
                contentType: prefix?.contentType ?? .json
            )
        )
        armCall(call)
    }

    private func administrative(_ lease: LeaseID) -> CallIndex? {
        guard let call = calls.find(lease), calls.slots[call.at].isAdministrative else { return nil }
        return call
    }

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
    ) {
        guard let call = administrative(lease) else { return outbox.release(body) }
        let slot = calls.slots[call.at]
        let end = End(
            contentType: contentType,
            id: WireID(rawValue: slot.request),
            serviceMicroseconds: microseconds(now.nanoseconds(since: slot.dispatchedAt))
        )
        send(to: slot.caller, body: body, into: &outbox) { end.encode(to: &$0) }
        counters.ends &+= 1
        retire(call, now: now, into: &outbox)
    }

    /// Fails a call to the service `mesh`.
    public mutating func refuse(
        _ lease: LeaseID,
        with failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let call = administrative(lease) else { return }
        failCall(call, failure, worker: .retire, now: now, into: &outbox)
    }

    /// Sends a chunk of a call to the service `mesh`; false when there is no credit, and then the body is not taken.
    public mutating func stream(
        _ lease: LeaseID,
        body: BodyHandle,
        byteCount: Int,
        contentType: ContentType,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let call = administrative(lease), calls.slots[call.at].flags.contains(.replyStream),
            calls.slots[call.at].replyCredit.take(byteCount: byteCount)
        else { return false }
        let chunk = Chunk(
            contentType: contentType,
            id: WireID(rawValue: calls.slots[call.at].request),
            sequence: calls.slots[call.at].replySequence
        )
        calls.slots[call.at].replySequence &+= 1
        calls.slots[call.at].chunkClockStart = now
        counters.chunks &+= 1
        send(to: calls.slots[call.at].caller, body: body, into: &outbox) { chunk.encode(to: &$0) }
        armCall(call)
        return true
    }

    /// True while the call has not ended for its caller.
    public func isLive(_ lease: LeaseID) -> Bool {
        guard let call = calls.find(lease) else { return false }
        return !calls.slots[call.at].caller.isNone
    }

    /// Gives out a one-time ticket of 64 hex digits.
    public mutating func issueTicket(_ grant: TicketGrant, now: MeshInstant) -> String {
        let entropy = entropy
        let expires = now.advanced(milliseconds: limits.ticketMilliseconds)
        return tickets.issue(grant, expires: expires, now: now, entropy: entropy)
    }

    /// Asks a session to finish and leave; false when there is none.
    ///
    /// After the grace it is ended; with a grace of zero it may take as long as its calls take.
    public mutating func drainSession(
        _ id: SessionID,
        graceMilliseconds: UInt32,
        reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let session = sessions[id] else { return false }
        startDrain(session, graceMilliseconds, reason, now: now, into: &outbox)
        settleRegistry(now: now, into: &outbox)
        return true
    }

    /// Asks a session to finish and leave.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func startDrain(
        _ session: SessionIndex,
        _ graceMilliseconds: UInt32,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let drain = Drain(id: .session, graceMilliseconds: graceMilliseconds, reason: reason)
        send(to: session, into: &outbox) { drain.encode(to: &$0) }
        startDraining(session, reason, now: now, into: &outbox)
        wheel.cancel(sessions.slots[session.at].drainTimer)
        sessions.slots[session.at].drainTimer = .none
        guard graceMilliseconds > 0 else { return }
        let payload = TimerPayload(
            kind: .drain,
            index: session.raw,
            generation: sessions.slots[session.at].generation
        )
        let due = now.advanced(milliseconds: UInt64(graceMilliseconds))
        sessions.slots[session.at].drainTimer = wheel.schedule(payload, at: due)
    }

    /// A drain took too long.
    mutating func drainTimerFired(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        sessions.slots[session.at].drainTimer = .none
        guard sessions.slots[session.at].state == .active else { return }
        let reason = "it did not leave within the grace of its drain"
        let farewell = Farewell.bye(.unavailable, reason)
        endSession(session, .kicked, reason, farewell: farewell, now: now, into: &outbox)
    }

    /// Ends a session at once; false when there is none.
    public mutating func kickSession(
        _ id: SessionID,
        reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let session = sessions[id] else { return false }
        let farewell = Farewell.bye(.aborted, reason)
        let sentence = "an operator ended it" + (reason.isEmpty ? "" : ": \(reason)")
        endSession(session, .kicked, sentence, farewell: farewell, now: now, into: &outbox)
        return true
    }
}
