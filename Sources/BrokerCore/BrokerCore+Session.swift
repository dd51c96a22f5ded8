// Connections and sessions: how they come, BYE, the end of a session for whatever reason, and everything that ends with it.
// States and their events are those of ``SessionSlot/State``; what lies between them, HELLO, is in BrokerCore+Hello.swift.

import MeshProtocol

extension BrokerCore {
    /// How a session is told that it ends.
    enum Farewell {
        /// Not at all: nobody is there.
        case none
        case reject(Failure)
        case bye(Status, String)
    }

    /// True when the connection is known.
    public func knows(_ peer: PeerHandle) -> Bool { sessions[peer] != nil }

    /// A connection came: called before its first frame.
    public mutating func connected(
        _ peer: PeerHandle,
        credentials: Credentials,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let session = sessions.connected(peer, credentials: credentials, now: now)
        if isShutDown {
            let failure = Failure(.unavailable, message: "the broker shuts down", retryAfterMilliseconds: 1_000)
            return turnAway(session, failure, now: now, into: &outbox)
        }
        guard sessions.unwelcomedCount <= limits.unwelcomedCount else {
            let failure = Failure(
                .resourceExhausted,
                message: "\(limits.unwelcomedCount) connections have not said HELLO yet, and there may be no more",
                retryAfterMilliseconds: 1_000
            )
            return turnAway(session, failure, now: now, into: &outbox)
        }
        guard sessions.unwelcomedCount(of: credentials) <= limits.unwelcomedCountPerPeer else {
            let failure = Failure(
                .resourceExhausted,
                message:
                    "\(limits.unwelcomedCountPerPeer) connections of this user or key have not said HELLO yet, and there"
                    + " may be no more",
                retryAfterMilliseconds: 1_000
            )
            return turnAway(session, failure, now: now, into: &outbox)
        }
        armSession(session, at: now.advanced(milliseconds: limits.helloMilliseconds))
    }

    /// A message came that breaks the framing; it has been dropped.
    public mutating func violated(
        by peer: PeerHandle,
        _ violation: TransportViolation,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        counters.framesIn &+= 1
        counters.offended(.framing)
        guard let session = sessions[peer] else { return }
        let message =
            switch violation {
            case .tooManyFrames(let count):
                "a message of \(count) frames: a message is a header and at most one payload"
            case .emptyMessage: "a message without a header"
            case .foreignRoutingID: "a routing id that the broker did not give"
            case .malformedBatch(let error): error.description
            }
        dismiss(session, Failure(.protocolError, message: message), now: now, into: &outbox)
    }

    /// The connection is gone.
    public mutating func disconnected(_ peer: PeerHandle, now: MeshInstant, into outbox: inout Outbox) {
        guard let session = sessions[peer] else { return }
        endSession(session, .disconnected, "the connection broke", farewell: .none, now: now, into: &outbox)
    }

    /// The peer does not read what is sent to it, and what the shell keeps for it is full.
    public mutating func overflowed(_ peer: PeerHandle, now: MeshInstant, into outbox: inout Outbox) {
        guard let session = sessions[peer] else { return }
        counters.exhausted &+= 1
        endSession(
            session,
            .overflow,
            "it did not read what was sent to it, and no more can be kept for it",
            farewell: .none,
            isClosing: true,
            now: now,
            into: &outbox
        )
    }

    /// A local process ended: its sessions are gone.
    ///
    /// When a principal tells it, those that it may manage; when the broker's own program does, all.
    ///
    /// - Returns: how many there were.
    @discardableResult
    public mutating func processEnded(
        _ process: Int32,
        cause: String,
        by caller: String? = nil,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Int {
        var count = 0
        for place in sessions.slots.indices {
            guard sessions.slots[place].credentials.local?.process == process else { continue }
            guard sessions.slots[place].state == .active || sessions.slots[place].state == .awaitingHello else {
                continue
            }
            if let caller, !mayManage(SessionIndex(place), as: caller) { continue }
            count += 1
            lostProcess(SessionIndex(place), "its process \(process) ended: \(cause)", now: now, into: &outbox)
        }
        return count
    }

    /// The process behind a session is gone: nobody may come back with its ticket.
    mutating func lostProcess(
        _ session: SessionIndex,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let ticket = sessions.slots[session.at].nextTicket
        endSession(session, .processEnded, reason, farewell: .none, isClosing: true, now: now, into: &outbox)
        if !ticket.isEmpty { tickets.revoke(ticket) }
    }

    /// Ends every session with BYE, and every call with FAIL `UNAVAILABLE`.
    public mutating func shutDown(reason: String, now: MeshInstant, into outbox: inout Outbox) {
        isShutDown = true
        let failure = Failure(
            .unavailable,
            message: "the broker shuts down: \(reason)",
            hint: "connect again and repeat the call",
            retryAfterMilliseconds: 1_000,
            flags: .retryable
        )
        for place in calls.slots.indices where calls.slots[place].phase != .free {
            guard !calls.slots[place].caller.isNone else { continue }
            var failure = failure
            if calls.slots[place].holdsWorker || calls.slots[place].reroutes > 0 {
                failure.flags.insert(.outcomeUnknown)
            }
            failCall(CallIndex(place), failure, worker: .cancel(.unavailable, reason), now: now, into: &outbox)
        }
        for place in sessions.slots.indices {
            switch sessions.slots[place].state {
            case .active, .awaitingHello:
                let farewell = Farewell.bye(.unavailable, reason)
                endSession(SessionIndex(place), .shutdown, reason, farewell: farewell, now: now, into: &outbox)
            case .free, .ending: continue
            }
        }
        kept.removeAll(released: &releasedBodies)
        flushReleased(into: &outbox)
    }

    // MARK: In a session

    mutating func helloAgain(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        counters.offended(.unexpectedVerb)
        let failure = Failure(.alreadyExists, message: "a second HELLO: a session begins once; open a new connection")
        dismiss(session, failure, now: now, into: &outbox)
    }

    mutating func pingReceived(_ ping: Ping, from session: SessionIndex, into outbox: inout Outbox) {
        let pong = Pong(nonce: ping.nonce)
        send(to: session, into: &outbox) { pong.encode(to: &$0) }
    }

    mutating func byeReceived(_ bye: Bye, from session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        let reason = bye.reason.isEmpty ? "it left" : "it left: \(bye.reason)"
        endSession(session, .left, reason, farewell: .none, isClosing: true, now: now, into: &outbox)
    }

    /// REJECT for a broken rule, and the end of the connection, whatever its state.
    mutating func dismiss(
        _ session: SessionIndex,
        _ failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        switch sessions.slots[session.at].state {
        case .awaitingHello: turnAway(session, failure, now: now, into: &outbox)
        case .active:
            endSession(session, .offences, failure.message, farewell: .reject(failure), now: now, into: &outbox)
        case .free, .ending:
            preconditionFailure("dismiss(_:) in state \(sessions.slots[session.at].state)")
        }
    }

    /// Ends a connection in any state: its registrations, its work, its calls and its subscriptions.
    mutating func endSession(
        _ session: SessionIndex,
        _ cause: Counters.Cause,
        _ reason: String,
        farewell: Farewell,
        isClosing: Bool = false,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let wasActive = sessions.slots[session.at].state == .active
        var isClosing = isClosing
        switch farewell {
        case .none: break
        case .reject(let failure):
            isClosing = true
            reject(session, failure, into: &outbox)
        case .bye(let status, let reason):
            isClosing = true
            let bye = Bye(status: status, reason: reason)
            send(to: session, into: &outbox) { bye.encode(to: &$0) }
        }
        let fields = wasActive ? sessionFields(session) : []
        let title = wasActive ? sessionTitle(session) : ""
        let isLabelled = !sessions.slots[session.at].label.isEmpty
        sessions.ending(session)
        if isClosing { outbox.close(sessions.slots[session.at].peer) }
        wheel.cancel(sessions.slots[session.at].timer)
        wheel.cancel(sessions.slots[session.at].drainTimer)
        if wasActive { takeApart(session, reason, now: now, into: &outbox) }
        if wasActive {
            counters.closed(cause)
            let causes = [Attribute(name: "cause", value: cause.name), Attribute(name: "reason", value: reason)]
            let sentence = "\(title) is gone: \(reason)"
            notice(
                .info,
                "mesh.session.gone",
                sentence,
                fields + causes,
                isCounted: !isLabelled,
                now: now,
                into: &outbox
            )
        }
        sessions.release(session)
    }

    private mutating func takeApart(
        _ session: SessionIndex,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let principal = sessions.slots[session.at].principal
        principals.records[principal.at].sessionCount -= 1
        accounts.subtract(sessions.slots[session.at].overflowByteCount, from: principal)
        sessions.slots[session.at].overflowByteCount = 0
        if !sessions.slots[session.at].nextTicket.isEmpty {
            tickets.setExpiry(
                of: sessions.slots[session.at].nextTicket,
                to: now.advanced(milliseconds: limits.ticketMilliseconds)
            )
        }
        while let registration = sessions.slots[session.at].registrations.last {
            withdraw(registration, now: now, into: &outbox)
        }
        callerGone(session, now: now, into: &outbox)
        endExpectations(of: session, now: now, into: &outbox)
        workerGone(session, reason, now: now, into: &outbox)
        subscriberGone(session)
        if let drain = sessions.slots[session.at].drainRequest { requests.remove(UInt64(session.raw), drain.rawValue) }
        settleRegistry(now: now, into: &outbox)
    }

    /// What operators call a session.
    func sessionTitle(_ session: SessionIndex) -> String {
        let slot = sessions.slots[session.at]
        return "session \(slot.id) (\(slot.name))"
    }

    func sessionFields(_ session: SessionIndex) -> [Attribute] {
        let slot = sessions.slots[session.at]
        var fields = [
            Attribute(name: "session", value: slot.id.description),
            Attribute(name: "name", value: slot.name),
            Attribute(name: "principal", value: principals.records[slot.principal.at].subject.principal),
        ]
        if !slot.version.isEmpty { fields.append(Attribute(name: "version", value: slot.version)) }
        if !slot.instance.isEmpty { fields.append(Attribute(name: "instance", value: slot.instance)) }
        if let process = slot.credentials.local?.process {
            fields.append(Attribute(name: "process", value: String(process)))
        }
        return fields
    }
}
