// What must hold between any two events, checked by the simulation and the tests; slow, and never called in service.

import MeshProtocol

extension BrokerCore {
    /// What is broken in the core's own books; empty when all is well.
    public func checkInvariants() -> [String] {
        callProblems() + workerProblems() + poolProblems() + bodyProblems() + stageProblems() + latentProblems()
    }

    /// A shadow has no work and is in no pool; nobody else is a shadow.
    private func stageProblems() -> [String] {
        var problems: [String] = []
        var shadows = 0
        for place in sessions.slots.indices where sessions.slots[place].state == .active {
            let slot = sessions.slots[place]
            if slot.isShadow, slot.leaseCount > 0 { problems.append("session \(slot.id): a shadow has calls") }
            for index in slot.registrations {
                let registration = registry.registrations[index.at]
                if registration.state == .shadow { shadows += 1 }
                if (registration.state == .shadow) != slot.isShadow { problems.append("session \(slot.id): stage") }
                if registration.memberships.isEmpty != slot.isShadow { problems.append("session \(slot.id): pools") }
            }
        }
        if shadows != registry.shadowCount {
            problems.append("\(registry.shadowCount) shadows counted, \(shadows) there")
        }
        return problems
    }

    private func latentProblems() -> [String] {
        var problems: [String] = []
        var latents = 0
        for place in registry.pools.indices where registry.pools[place].kind != .free {
            let pool = registry.pools[place]
            latents += pool.latents.count
            if pool.isLatent == pool.latents.isEmpty { problems.append("pool \(pool.title): latent") }
            if pool.isLatent != registry.latentPools.contains(PoolIndex(place)) {
                problems.append("pool \(pool.title): latent pools")
            }
            if pool.needsProvider, !pool.queue.isEmpty, !pool.isParked || !pool.isDemanded {
                problems.append("pool \(pool.title): calls wait and nobody is told")
            }
            if pool.isDemanded, !wheel.isPending(expectations.timer) {
                problems.append("pool \(pool.title): nobody will be told again")
            }
        }
        if latents != expectations.serviceCount {
            problems.append("\(expectations.serviceCount) latent services counted, \(latents) there")
        }
        return problems
    }

    private func callProblems() -> [String] {
        var problems: [String] = []
        var live = 0
        var queued = 0
        var requestCount = 0
        for place in calls.slots.indices where calls.slots[place].phase != .free {
            let slot = calls.slots[place]
            live += 1
            if slot.phase == .queued {
                queued += 1
                if slot.pool.isNone { problems.append("call \(place) is queued nowhere") }
            } else if !slot.pool.isNone {
                problems.append("call \(place) is in a queue in phase \(slot.phase)")
            }
            if slot.holdsWorker == slot.worker.isNone { problems.append("call \(place) in \(slot.phase): worker") }
            if slot.caller.isNone != (slot.phase == .cancelling) {
                problems.append("call \(place) in \(slot.phase): caller")
            }
            if !slot.caller.isNone {
                requestCount += 1
                let packed = requests[UInt64(slot.caller.raw), slot.request]
                if packed != LiveRequest.call(CallIndex(place)).packed {
                    problems.append("call \(place) is not its caller's request \(slot.request)")
                }
            }
            if slot.timer != .none, !wheel.isPending(slot.timer) { problems.append("call \(place): a dead timer") }
        }
        if live != calls.count { problems.append("\(calls.count) calls counted, \(live) there") }
        if queued != queuedCount { problems.append("\(queuedCount) queued calls counted, \(queued) there") }
        for place in sessions.slots.indices where sessions.slots[place].state == .active {
            let slot = sessions.slots[place]
            requestCount += slot.registrations.count + slot.subscriptionCount + (slot.drainRequest == nil ? 0 : 1)
        }
        if requestCount != requests.count {
            problems.append("\(requests.count) request ids are live, \(requestCount) have something behind them")
        }
        return problems
    }

    private func workerProblems() -> [String] {
        var problems: [String] = []
        var inFlight: [Int: UInt32] = [:]
        var leases: [Int: Int] = [:]
        var overdue: [Int: Int] = [:]
        var cancelling: [Int: Int] = [:]
        var made: [Int: Int] = [:]
        for place in calls.slots.indices where calls.slots[place].phase != .free {
            let slot = calls.slots[place]
            if !slot.caller.isNone { made[slot.caller.at, default: 0] += 1 }
            guard slot.holdsWorker else { continue }
            inFlight[slot.registration.at, default: 0] += 1
            leases[slot.worker.at, default: 0] += 1
            if slot.phase == .cancelling { cancelling[slot.worker.at, default: 0] += 1 }
            if slot.isOverdue { overdue[slot.worker.at, default: 0] += 1 }
        }
        for place in registry.registrations.indices where registry.registrations[place].state != .free {
            let counted = registry.registrations[place].inFlight
            if counted != inFlight[place] ?? 0 {
                problems.append("registration \(place): \(counted) given out, \(inFlight[place] ?? 0) in flight")
            }
        }
        for place in sessions.slots.indices where sessions.slots[place].state == .active {
            let slot = sessions.slots[place]
            if slot.leaseCount != leases[place] ?? 0 { problems.append("session \(slot.id): leases") }
            if slot.overdueCount != overdue[place] ?? 0 { problems.append("session \(slot.id): overdue calls") }
            if slot.cancellingCount != cancelling[place] ?? 0 { problems.append("session \(slot.id): cancelled calls") }
            if slot.callCount != made[place] ?? 0 { problems.append("session \(slot.id): calls") }
            if !wheel.isPending(slot.timer) { problems.append("session \(slot.id): no timer watches it") }
        }
        return problems
    }

    private func poolProblems() -> [String] {
        var problems: [String] = []
        if registry.routesChanged || !registry.changedPools.isEmpty { problems.append("the registry is not settled") }
        for place in registry.pools.indices where registry.pools[place].kind != .free {
            let pool = registry.pools[place]
            var usable = 0
            for (at, member) in pool.members.enumerated() {
                let registration = registry.registrations[member.registration.at]
                if member.isUsable { usable += 1 }
                if member.isUsable != registration.isUsable { problems.append("pool \(pool.title): usable") }
                let membership = registration.memberships[Int(member.membership)]
                if membership.pool != PoolIndex(place) || Int(membership.place) != at {
                    problems.append("pool \(pool.title): member \(at) stands elsewhere")
                }
                if at > 0, pool.members[(at - 1) / 2].key > member.key { problems.append("pool \(pool.title): heap") }
                let key = pool.order(
                    member,
                    inFlight: registration.inFlight,
                    capacity: registration.room,
                    weight: registration.weight
                )
                if key != member.key { problems.append("pool \(pool.title): a stale order") }
            }
            if usable != pool.usableCount { problems.append("pool \(pool.title): usable count") }
            if pool.kind == .exact { problems += methodProblems(pool) }
            let hasRoom = pool.members.first.map { $0.key != PoolMember.full } ?? false
            if !pool.queue.isEmpty, hasRoom {
                problems.append("pool \(pool.title): \(pool.queue.count) calls wait although a worker has room")
            }
        }
        return problems
    }

    private func methodProblems(_ pool: PoolSlot) -> [String] {
        var counts: [String: Int] = [:]
        for member in pool.members {
            for method in registry.registrations[member.registration.at].methods {
                counts[method.name, default: 0] += 1
            }
        }
        var problems = counts.keys.filter { pool.methodsByName[$0] == nil }.map {
            "pool \(pool.title): no method \($0)"
        }
        for method in pool.methods {
            let count = counts[method.name] ?? 0
            if method.providerCount != count || method.variants.reduce(0, { $0 + $1.count }) != count {
                problems.append(
                    "pool \(pool.title): \(method.providerCount) providers of \(method.name), \(count) there"
                )
            }
        }
        let isMixed = counts.values.contains { $0 != pool.members.count }
        if isMixed != pool.isMixed { problems.append("pool \(pool.title): mixed") }
        return problems
    }

    private func bodyProblems() -> [String] {
        var count = 0
        var bytes: [Int: Int] = [:]
        for place in calls.slots.indices where calls.slots[place].phase != .free && !calls.slots[place].body.isNone {
            count += 1
            bytes[calls.slots[place].principal.at, default: 0] += calls.slots[place].bodyByteCount
        }
        for slot in registry.registrations where !slot.body.isNone {
            guard slot.state == .live || slot.state == .shadow else { continue }
            count += 1
            bytes[sessions.slots[slot.session.at].principal.at, default: 0] += slot.bodyByteCount
        }
        for place in sessions.slots.indices where sessions.slots[place].state == .active {
            bytes[sessions.slots[place].principal.at, default: 0] += sessions.slots[place].overflowByteCount
        }
        var problems = count == ownBodyCount ? [] : ["\(ownBodyCount) bodies counted, \(count) held"]
        for index in principals.records.indices where accounts.held(by: PrincipalIndex(index)) != bytes[index] ?? 0 {
            problems.append("principal \(index): \(accounts.held(by: PrincipalIndex(index))) bytes counted")
        }
        if accounts.total != bytes.values.reduce(0, +) { problems.append("\(accounts.total) bytes counted in all") }
        return problems
    }
}
