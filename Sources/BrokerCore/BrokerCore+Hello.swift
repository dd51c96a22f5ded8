// What a connection says before it has a session: HELLO and its checks, who the peer is by its key, its ticket or its user,
// and WELCOME or REJECT.

import MeshProtocol
import SemanticVersion

extension BrokerCore {
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
            guard let grant else { return named(hello, principal) }
            guard grant.principal != principal else { return .success((principal, grant)) }
            let message = "the ticket is for \"\(grant.principal)\", the key is that of \"\(principal)\""
            return .failure(Failure(.permissionDenied, message: message))
        case .local(let user, let process):
            if let grant { return holder(of: grant, process) }
            if let principal = policy.policy.localUsers[user] { return named(hello, principal) }
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

    /// Without a ticket, which is made for one name, the mesh file says by which names a principal goes.
    private func named(_ hello: Hello, _ principal: String) -> Identity {
        if let failure = policy.nameProblem(hello.name, policy.subject(principal)) { return .failure(failure) }
        return .success((principal, nil))
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
            broker: identity.name,
            batchByteCount: UInt32(Limits.batchByteCount)
        )
        send(to: session, into: &outbox) { welcome.encode(to: &$0) }
        // Joined from here on: WELCOME comes by itself.
        sessions.slots[session.at].batchByteCount = min(hello.batchByteCount, UInt32(Limits.batchByteCount))
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

    mutating func reject(_ session: SessionIndex, _ failure: Failure, into outbox: inout Outbox) {
        let reject = Reject(
            status: failure.status,
            retryAfterMilliseconds: failure.retryAfterMilliseconds,
            message: failure.message
        )
        send(to: session, into: &outbox) { reject.encode(to: &$0) }
    }
}
