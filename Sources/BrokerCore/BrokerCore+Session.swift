// Connections and sessions: HELLO and its checks, BYE, the end of a session for whatever reason, and everything that ends
// with it. States and their events are those of ``SessionSlot/State``.

import MeshProtocol
import SemanticVersion

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

    // MARK: Before WELCOME

    /// A connection that has not said HELLO sent something.
    mutating func strangerSpoke(
        _ session: SessionIndex,
        header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let hello: Hello
        do {
            let prefix = try HeaderPrefix.decode(header)
            guard prefix.verb == .hello else {
                counters.offended(.unexpectedVerb)
                let message = "\(prefix.verb.name) before HELLO: a peer says HELLO first"
                let failure = Failure(.protocolError, message: message)
                return turnAway(session, failure, now: now, into: &outbox)
            }
            hello = try Hello.decode(header)
        } catch {
            counters.offended(.undecodable)
            let failure = Failure(.protocolError, message: error.description)
            return turnAway(session, failure, now: now, into: &outbox)
        }
        helloReceived(hello, session, now: now, into: &outbox)
    }

    private mutating func helloReceived(
        _ hello: Hello,
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        if let failure = claimsProblem(hello) { return turnAway(session, failure, now: now, into: &outbox) }
        let credentials = sessions.slots[session.at].credentials
        let name: String
        var grant: TicketGrant?
        switch identify(hello, credentials, now: now) {
        case .failure(let failure): return turnAway(session, failure, now: now, into: &outbox)
        case .success(let found):
            name = found.principal
            grant = found.grant
        }
        let principal = principals.intern(name, policy: policy)
        guard principals.records[principal.at].sessionCount < limits.sessionCountPerPrincipal else {
            let failure = Failure(
                .resourceExhausted,
                message:
                    "the principal \"\(name)\" has \(limits.sessionCountPerPrincipal) sessions, and may have no more",
                retryAfterMilliseconds: 1_000
            )
            return turnAway(session, failure, now: now, into: &outbox)
        }
        if let grant {
            tickets.revoke(hello.ticket)
            enter(session, grant, now: now)
        }
        welcome(hello, session, principal, now: now, into: &outbox)
    }

    /// What a ticket says about its session.
    private mutating func enter(_ session: SessionIndex, _ grant: TicketGrant, now: MeshInstant) {
        sessions.slots[session.at].nextTicket = renewTicket(grant, now: now)
        sessions.slots[session.at].label = grant.instance
        sessions.slots[session.at].owner = grant.owner
        sessions.slots[session.at].isShadow = grant.isShadow
    }

    /// What is wrong with what HELLO says, whoever says it.
    private func claimsProblem(_ hello: Hello) -> Failure? {
        guard hello.minimumVersion <= .current, hello.maximumVersion >= .current else {
            let theirs = "\(hello.minimumVersion.rawValue) to \(hello.maximumVersion.rawValue)"
            return Failure(
                .failedPrecondition,
                message:
                    "the peer speaks the protocol versions \(theirs), the broker \(ProtocolVersion.current.rawValue);"
                    + " update the older of the two"
            )
        }
        guard Names.isName(hello.name) else {
            return Failure(
                .invalidArgument,
                message: "the name \"\(hello.name)\" is none: lower-case words of letters and digits joined by - _ or ."
            )
        }
        guard hello.version.isEmpty || (try? SemanticVersion(hello.version)) != nil else {
            return Failure(.invalidArgument, message: "the version \"\(hello.version)\" is no semantic version")
        }
        guard sessions.activeCount < limits.sessionCount else {
            return Failure(
                .resourceExhausted,
                message: "the mesh has \(limits.sessionCount) sessions, and may have no more",
                retryAfterMilliseconds: 1_000
            )
        }
        return nil
    }

    private enum Identity {
        case success((principal: String, grant: TicketGrant?))
        case failure(Failure)
    }

    /// Who it is: the key's principal, else the ticket's, else the local user's.
    ///
    /// A ticket in the wrong hands is good no longer; one whose holder is turned away for want of room stays good.
    private mutating func identify(_ hello: Hello, _ credentials: Credentials, now: MeshInstant) -> Identity {
        let found = holder(hello, credentials, now: now)
        if case .failure = found { tickets.revoke(hello.ticket) }
        return found
    }

    private func holder(_ hello: Hello, _ credentials: Credentials, now: MeshInstant) -> Identity {
        var grant: TicketGrant?
        if !hello.ticket.isEmpty {
            switch tickets.look(at: hello.ticket, now: now) {
            case .granted(let found): grant = found
            case .expired:
                let message = "the ticket has run out; have the host start the plugin again"
                return .failure(Failure(.unauthenticated, message: message))
            case .unknown:
                let message = "the ticket is not known: it was used before, taken back, or never given out"
                return .failure(Failure(.unauthenticated, message: message))
            }
        }
        if let grant, grant.name != hello.name {
            let message = "the ticket was made for \"\(grant.name)\", not for \"\(hello.name)\""
            return .failure(Failure(.permissionDenied, message: message))
        }
        if let key = grant?.publicKey, credentials != .ticketKey(key) {
            let message = "the ticket was made for the key \(key), and another connection presents it"
            return .failure(Failure(.permissionDenied, message: message))
        }
        switch credentials {
        case .ticketKey(let key):
            guard let grant, grant.publicKey == key else {
                let message = "the key \(key) is let in for its ticket alone, and presents none that was made for it"
                return .failure(Failure(.unauthenticated, message: message))
            }
            return .success((grant.principal, grant))
        case .key(let principal):
            guard let grant, grant.principal != principal else { return .success((principal, grant)) }
            let message = "the ticket is for \"\(grant.principal)\", the key is that of \"\(principal)\""
            return .failure(Failure(.permissionDenied, message: message))
        case .local(let user, let process):
            if let grant { return holder(of: grant, process) }
            if let principal = policy.policy.localUsers[user] { return .success((principal, nil)) }
            let message =
                "the local user \(user) comes without a ticket and is not in the mesh file; to take it in, name the uid"
                + " \(user) under `users:`"
            return .failure(Failure(.unauthenticated, message: message))
        case .plugin(_, let process):
            if let grant { return holder(of: grant, process) }
            let message = "the process \(process) comes by the plugins' socket without a ticket; its host gives it one"
            return .failure(Failure(.unauthenticated, message: message))
        }
    }

    private func holder(of grant: TicketGrant, _ process: Int32) -> Identity {
        guard let wanted = grant.process, wanted != process else { return .success((grant.principal, grant)) }
        let message = "the ticket was made for the process \(wanted), and the process \(process) presents it"
        return .failure(Failure(.unauthenticated, message: message))
    }

    private mutating func renewTicket(_ grant: TicketGrant, now: MeshInstant) -> String {
        let entropy = entropy
        return tickets.issue(grant, expires: nil, now: now, entropy: entropy)
    }

    private mutating func welcome(
        _ hello: Hello,
        _ session: SessionIndex,
        _ principal: PrincipalIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        sessions.welcomed(session, now: now)
        principals.records[principal.at].sessionCount += 1
        sessions.slots[session.at].principal = principal
        sessions.slots[session.at].name = hello.name
        sessions.slots[session.at].version = hello.version
        let label = sessions.slots[session.at].label
        // A label is the host's to give: nobody claims one.
        let claim = hello.instance.utf8.contains(UInt8(ascii: "#")) ? "" : hello.instance
        sessions.slots[session.at].instance = label.isEmpty ? claim : label
        sessions.slots[session.at].sdk = hello.sdk
        sessions.slots[session.at].isReturning = hello.lastEpoch != 0 && hello.lastEpoch != identity.epoch
        sessions.slots[session.at].lastHeard = now
        sessions.slots[session.at].heartbeatMilliseconds = limits.heartbeatMilliseconds
        wheel.cancel(sessions.slots[session.at].timer)
        armSession(session, at: now.advanced(milliseconds: sessions.slots[session.at].silenceMilliseconds))
        counters.sessionsOpened &+= 1
        let welcome = Welcome(
            version: .current,
            epoch: identity.epoch,
            session: sessions.slots[session.at].id.rawValue,
            heartbeatMilliseconds: limits.heartbeatMilliseconds,
            maximumPayloadByteCount: UInt32(clamping: limits.payloadByteCount),
            maximumCallCount: UInt32(clamping: limits.callCountPerSession),
            principal: principals.records[principal.at].subject.principal,
            ticket: sessions.slots[session.at].nextTicket,
            broker: identity.name
        )
        send(to: session, into: &outbox) { welcome.encode(to: &$0) }
        notice(
            .info,
            "mesh.session.welcomed",
            "\(sessionTitle(session)) came",
            sessionFields(session),
            now: now,
            into: &outbox
        )
    }

    /// REJECT before WELCOME.
    mutating func turnAway(
        _ session: SessionIndex,
        _ failure: Failure,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        counters.sessionsRejected &+= 1
        if failure.status == .resourceExhausted { counters.exhausted &+= 1 }
        reject(session, failure, into: &outbox)
        notice(
            .warning,
            "mesh.session.rejected",
            "a connection was turned away: \(failure.message)",
            [Attribute(name: "status", value: failure.status.description)],
            now: now,
            into: &outbox
        )
        outbox.close(sessions.slots[session.at].peer)
        wheel.cancel(sessions.slots[session.at].timer)
        sessions.ending(session)
        sessions.release(session)
    }

    private mutating func reject(_ session: SessionIndex, _ failure: Failure, into outbox: inout Outbox) {
        let reject = Reject(
            status: failure.status,
            retryAfterMilliseconds: failure.retryAfterMilliseconds,
            message: failure.message
        )
        send(to: session, into: &outbox) { reject.encode(to: &$0) }
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
