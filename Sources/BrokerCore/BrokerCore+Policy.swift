// Live changes of policy, limits and balance, and the answer to "may this principal do that?".

import MeshProtocol

extension BrokerCore {
    /// Sets a new policy; what it no longer allows ends.
    public mutating func setPolicy(_ policy: Policy, now: MeshInstant, into outbox: inout Outbox) {
        self.policy = PolicyEngine(policy, generation: self.policy.generation &+ 1)
        principals.policyChanged(self.policy)
        registry.dismantleAll()
        registry.routesChanged = true
        for place in sessions.slots.indices where sessions.slots[place].state == .active {
            let session = SessionIndex(place)
            if let failure = admissionProblem(session) {
                dismiss(session, failure, now: now, into: &outbox)
                continue
            }
            recheckRegistrations(session, now: now, into: &outbox)
            recheckSubscriptions(session, now: now, into: &outbox)
        }
        recheckExpectations()
        settleRegistry(now: now, into: &outbox)
        for place in registry.pools.indices where registry.pools[place].kind != .free {
            requeueAll(of: PoolIndex(place), now: now, into: &outbox)
        }
        settleRegistry(now: now, into: &outbox)
    }

    /// Why a session that came without a ticket would not be taken in now; nil when it would.
    private func admissionProblem(_ session: SessionIndex) -> Failure? {
        let slot = sessions.slots[session.at]
        guard slot.nextTicket.isEmpty else { return nil }
        let subject = principals.records[slot.principal.at].subject
        if case .local(let user, _) = slot.credentials, policy.policy.localUsers[user] != subject.principal {
            return Failure(.unauthenticated, message: "the mesh file no longer takes this user in")
        }
        return policy.nameProblem(slot.name, subject)
    }

    private mutating func recheckRegistrations(
        _ session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let subject = principals.records[sessions.slots[session.at].principal.at].subject
        for registration in sessions.slots[session.at].registrations {
            let slot = registry.registrations[registration.at]
            guard let failure = provisionProblem(slot.service, slot.capabilities, subject) else { continue }
            denied(session, failure, target: slot.service, now: now, into: &outbox)
            withdraw(registration, now: now, into: &outbox)
            decline(session, .init(rawValue: slot.request), failure, into: &outbox)
        }
    }

    /// Sets new limits; what is over them stays and takes no more.
    ///
    /// Kept events and remembered routes that are over them go.
    public mutating func setLimits(_ limits: Limits, into outbox: inout Outbox) {
        self.limits = limits
        kept.trim(to: limits, released: &releasedBodies)
        flushReleased(into: &outbox)
        routes.setMaximumCount(limits.routeCacheCount)
    }

    /// Sets how services' work is spread, by the service's name.
    public mutating func setBalance(_ balances: [String: Balance]) {
        registry.setBalances(balances)
    }

    /// Whether a principal may do something, by which rule, and what would grant it.
    public func explain(caller: String, action: Policy.Action, target: String) -> Explanation {
        policy.explain(
            principal: caller,
            action: action,
            target: target,
            required: action == .call ? registry.permissions(of: target) : []
        )
    }
}

extension Registry {
    /// Applies policies of choice to all pools.
    mutating func setBalances(_ balances: [String: Balance]) {
        self.balances = balances
        for place in pools.indices where pools[place].kind != .free {
            let balance = balances[pools[place].service] ?? .leastLoaded
            guard pools[place].balance != balance else { continue }
            pools[place].balance = balance
            // Each reorder may move members; as many rounds as there are members reach all of them.
            let all = pools[place].members.map(\.registration)
            for registration in all {
                for membership in registrations[registration.at].memberships
                where membership.pool == PoolIndex(place) {
                    reorder(membership.pool, Int(membership.place))
                }
            }
        }
    }

    /// What the method `service.method` requires, by the highest version that has it.
    func permissions(of target: String) -> [String] {
        guard let dot = target.lastIndex(of: ".") else { return [] }
        let service = String(target[..<dot])
        let method = String(target[target.index(after: dot)...])
        for version in services[service] ?? [] {
            if let index = pools[version.pool.at].methodsByName[method] {
                return pools[version.pool.at].methods[index.at].permissions
            }
        }
        return []
    }
}
