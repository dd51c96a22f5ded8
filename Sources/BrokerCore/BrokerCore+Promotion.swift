// What hosts do with the sessions of the processes that they started, by the labels that came with their tickets: ready or
// not, from shadow into service in one step, and the end of their processes.

import MeshProtocol
import SemanticVersion

/// Which instances take over from which.
public struct PromotionOrder: Hashable, Sendable {
    /// Labels of the sessions that go into service; all must be there and ready.
    public var instances: [String]
    /// Labels of the sessions that finish and leave; those that are gone already are no error.
    public var retired: [String]
    /// How long the retired ones may take; zero: as long as their calls take.
    public var graceMilliseconds: UInt32
    /// What the retired ones are told.
    public var reason: String
    /// Describes an exchange.
    public init(instances: [String], retired: [String], graceMilliseconds: UInt32, reason: String) {
        self.instances = instances
        self.retired = retired
        self.graceMilliseconds = graceMilliseconds
        self.reason = reason
    }
}

/// What an exchange has done.
public struct Promotion: Encodable, Hashable, Sendable {
    /// Labels of the sessions that went into service.
    public var promoted: [String]
    /// Labels of the sessions that were told to finish.
    public var retired: [String]
}

extension BrokerCore {
    // MARK: Whose sessions

    /// True when a session's principal is a host and no operator: it manages its own instances alone.
    func isBoundToOwn(_ session: SessionIndex) -> Bool {
        policy.isBoundToOwn(principals.records[sessions.slots[session.at].principal.at].subject)
    }

    /// True when a principal may manage a session: hosts those that they gave tickets to.
    public func mayManage(_ session: SessionID, as caller: String) -> Bool {
        guard let session = sessions[session] else { return true }
        return mayManage(session, as: caller)
    }

    func mayManage(_ session: SessionIndex, as caller: String) -> Bool {
        sessions.slots[session.at].owner == caller || !policy.isBoundToOwn(policy.subject(caller))
    }

    /// Why a principal may not have such a ticket; nil when it may.
    public func ticketProblem(_ grant: TicketGrant, for caller: String) -> Failure? {
        if let failure = startProblem(grant.principal, for: caller) { return failure }
        guard policy.isBoundToOwn(policy.subject(caller)) else { return nil }
        return policy.nameProblem(grant.name, policy.subject(grant.principal))
    }

    /// Why a host may not act for a principal as for a plugin that it starts; nil when it may, or is bound to nothing.
    func startProblem(_ principal: String, for caller: String) -> Failure? {
        policy.startProblem(principal, for: policy.subject(caller))
    }

    /// Why a principal is given no ticket now; nil when it may have one.
    ///
    /// A quarter of those that nobody has presented is one principal's: a host takes no other's room.
    public mutating func ticketRoomProblem(for caller: String, now: MeshInstant) -> Failure? {
        let ofSessions = 2 * limits.sessionCount
        let share = (limits.ticketCount + 3) / 4 + ofSessions
        let most = limits.ticketCount + ofSessions
        guard !tickets.hasRoom(most, share: share, of: caller, now: now) else { return nil }
        return Failure(
            .resourceExhausted,
            message: "\(share) tickets of \"\(caller)\" or \(most) in all are out, and no more may be",
            hint: "wait until those that nobody presents have run out, or raise the limit \"tickets\" in the mesh file",
            retryAfterMilliseconds: 1_000,
            flags: .retryable
        )
    }

    /// The keys for which a ticket is out: the shell lets them in.
    public func ticketKeys(now: MeshInstant) -> Set<String> { tickets.keys(now: now) }

    /// True when a ticket for a key is out, of 40 characters of Z85.
    public func hasTicket(for key: String, now: MeshInstant) -> Bool { tickets.hasTicket(for: key, now: now) }

    /// The sessions with a label that a principal's tickets brought, the oldest first.
    ///
    /// An operator that has none of that label means what the broker's own program started; another host's are never meant.
    private func labelled(_ label: String, for caller: String) -> [SessionIndex] {
        guard !label.isEmpty else { return [] }
        let found = sessions.slots.indices.map { SessionIndex($0) }
            .filter { sessions.slots[$0.at].state == .active && sessions.slots[$0.at].label == label }
            .sorted { sessions.slots[$0.at].id < sessions.slots[$1.at].id }
        let own = found.filter { sessions.slots[$0.at].owner == caller }
        guard own.isEmpty, !policy.isBoundToOwn(policy.subject(caller)) else { return own }
        return found.filter { sessions.slots[$0.at].owner.isEmpty }
    }

    // MARK: Ready or not

    /// Counts what a session says of itself; true when it is held back as others' notices are: hosts act on what their
    /// instances say, but none may say it without end.
    private mutating func isTalkative(_ session: SessionIndex) -> Bool {
        let count = sessions.slots[session.at].readinessCount
        if count < 32 { sessions.slots[session.at].readinessCount = count + 1 }
        return count >= 32 || sessions.slots[session.at].label.isEmpty
    }

    /// A session says that it can work; false when it is gone.
    public mutating func setReady(_ id: SessionID, now: MeshInstant, into outbox: inout Outbox) -> Bool {
        guard let session = sessions[id] else { return false }
        guard !sessions.slots[session.at].isReady else { return true }
        sessions.slots[session.at].isReady = true
        let sentence = "\(sessionTitle(session)) is ready"
        notice(
            .info,
            "mesh.session.ready",
            sentence,
            sessionFields(session),
            isCounted: isTalkative(session),
            now: now,
            into: &outbox
        )
        return true
    }

    /// A session says that it cannot work, and why; false when it is gone.
    public mutating func setNotReady(
        _ id: SessionID,
        reason: String,
        retryAfterMilliseconds: UInt32?,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let session = sessions[id] else { return false }
        sessions.slots[session.at].isReady = false
        var fields = sessionFields(session) + [Attribute(name: "reason", value: reason)]
        if let retryAfterMilliseconds {
            fields.append(Attribute(name: "retryAfterMilliseconds", value: String(retryAfterMilliseconds)))
        }
        notice(
            .warning,
            "mesh.session.notready",
            "\(sessionTitle(session)) is not ready: \(reason)",
            fields,
            isCounted: isTalkative(session),
            now: now,
            into: &outbox
        )
        return true
    }

    // MARK: Into service

    /// Puts instances into service and takes others out of it, in one step: no call sees a moment between.
    ///
    /// - Returns: what was done, or why nothing was.
    public mutating func promote(
        _ order: PromotionOrder,
        by caller: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Result<Promotion, Failure> {
        var arriving: [SessionIndex] = []
        for label in order.instances {
            guard let session = labelled(label, for: caller).last else {
                let message = "there is no session \"\(label)\"; nothing was changed"
                return .failure(Failure(.failedPrecondition, message: message, hint: "see mesh.sessions"))
            }
            if let failure = promotionProblem(session, label) { return .failure(failure) }
            arriving.append(session)
        }
        var leaving: [SessionIndex] = []
        for session in order.retired.flatMap({ labelled($0, for: caller) }) where !arriving.contains(session) {
            leaving.append(session)
        }
        for session in arriving { enterService(session, now: now, into: &outbox) }
        for session in leaving {
            startDrain(session, order.graceMilliseconds, order.reason, now: now, into: &outbox)
        }
        settleRegistry(now: now, into: &outbox)
        for registration in arriving.flatMap({ sessions.slots[$0.at].registrations }) {
            serve(registration, now: now, into: &outbox)
        }
        let retired = order.retired.filter { label in leaving.contains { sessions.slots[$0.at].label == label } }
        return .success(Promotion(promoted: order.instances, retired: retired))
    }

    private func promotionProblem(_ session: SessionIndex, _ label: String) -> Failure? {
        let slot = sessions.slots[session.at]
        let why: String
        if !slot.isReady {
            why = "is not ready"
        } else if slot.isDraining {
            why = "drains"
        } else if slot.isSuspect {
            why = "is suspect"
        } else if let title = overfull(slot.registrations) {
            why = "provides too many different methods of \(title)"
        } else {
            return nil
        }
        let message = "\(sessionTitle(session)), \"\(label)\", \(why); nothing was changed"
        return Failure(.failedPrecondition, message: message, hint: "see mesh.sessions")
    }

    /// A service of a shadow whose pool has no room for its methods; PROVIDE checks it for sessions in service.
    private func overfull(_ registrations: [RegistrationIndex]) -> String? {
        registrations.map { registry.registrations[$0.at] }
            .first { $0.state == .shadow && methodProblem($0.service, $0.version, $0.methods) != nil }
            .map { "\($0.service)@\($0.version)" }
    }

    /// Whoever calls settles the registry afterwards.
    private mutating func enterService(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        guard sessions.slots[session.at].isShadow else { return }
        sessions.slots[session.at].isShadow = false
        tickets.promote(sessions.slots[session.at].nextTicket)
        for registration in sessions.slots[session.at].registrations {
            registry.registrations[registration.at].sessionTakesWork = sessions.slots[session.at].takesWork
            registry.promote(registration)
            logChange(.added, registration)
            serviceNotice(true, registration, now: now, into: &outbox)
        }
        let sentence = "\(sessionTitle(session)) is in service"
        notice(
            .info,
            "mesh.session.promoted",
            sentence,
            sessionFields(session),
            isCounted: false,
            now: now,
            into: &outbox
        )
    }

    // MARK: The end of a process

    /// A host tells that the process of an instance has ended: its sessions are gone, and nobody comes back with its
    /// tickets.
    ///
    /// - Returns: how many sessions it had.
    public mutating func instanceEnded(
        _ label: String,
        cause: String,
        by caller: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Int {
        let found = labelled(label, for: caller)
        for owner in Set(found.map { sessions.slots[$0.at].owner } + [caller]) {
            tickets.revokeAll(instance: label, owner: owner)
        }
        for session in found { lostProcess(session, "its process ended: \(cause)", now: now, into: &outbox) }
        return found.count
    }
}
