// Giving calls to workers, and serving the queues of a worker that has room again.

import MeshProtocol

extension BrokerCore {
    /// Gives a call to a worker.
    ///
    /// - Parameters:
    ///   - call: The call.
    ///   - registration: The worker's registration; it has room.
    ///   - pool: The pool through which it was chosen.
    ///   - method: The method in the registration's home pool.
    ///   - view: The call as its caller sent it.
    ///   - header: The bytes of the view.
    ///   - now: The time.
    ///   - outbox: Gets the CALL.
    @inline(__always)
    mutating func dispatch(
        _ call: CallIndex,
        _ registration: RegistrationIndex,
        _ pool: PoolIndex,
        _ method: MethodIndex,
        _ view: CallView,
        _ header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let worker = registry.registrations[registration.at].session
        let home = registry.registrations[registration.at].memberships[0].pool
        registry.taken(registration, from: pool)
        let isIdempotent = registry.pools[home.at].methods[method.at].flags.contains(.idempotent)
        calls.slots[call.at].phase = .dispatched
        calls.slots[call.at].worker = worker
        calls.slots[call.at].registration = registration
        calls.slots[call.at].metrics = registry.pools[home.at].methods[method.at].metrics
        calls.slots[call.at].isIdempotent = isIdempotent
        calls.slots[call.at].dispatchedAt = now
        calls.slots[call.at].chunkClockStart = now
        calls.slots[call.at].graceEnds = now.advanced(milliseconds: limits.acceptMilliseconds)
        calls.link(call, toWorker: &sessions.slots[worker.at])
        sendCall(call, to: worker, view, header, now: now, into: &outbox)
        armCall(call)
    }

    @inline(__always)
    private mutating func sendCall(
        _ call: CallIndex,
        to worker: SessionIndex,
        _ view: CallView,
        _ header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        var out = view
        out.id = LeaseID(index: call.raw, generation: calls.slots[call.at].generation).wire
        out.parent = .session
        out.hops = calls.slots[call.at].hops
        out.flags.remove(.idempotent)
        if calls.slots[call.at].isIdempotent { out.flags.insert(.idempotent) }
        let credit = calls.slots[call.at].replyCredit
        out.credit = Credit(messages: credit.messages, bytes: UInt32(clamping: credit.bytes))
        let deadline = calls.slots[call.at].deadline
        if deadline == CallSlot.never {
            out.clocks.total = CallClocks.none
        } else {
            let left = (deadline.nanoseconds(since: now) &+ 999_999) / 1_000_000
            out.clocks.total = UInt32(truncatingIfNeeded: max(1, min(left, UInt64(CallClocks.none) - 1)))
        }
        let caller = sessions.slots[calls.slots[call.at].caller.at].principal
        let name = principals.records[caller.at].utf8
        let body = calls.slots[call.at].body
        name.withUnsafeBytes { name in
            send(to: worker, body: body, use: .share, into: &outbox) { buffer in
                out.encode(from: header, caller: name, to: &buffer)
            }
        }
    }

    /// Gives a worker what waits in its pools, one pool after the other, while it has room.
    mutating func serve(_ registration: RegistrationIndex, now: MeshInstant, into outbox: inout Outbox) {
        while queuedCount > 0 {
            guard let membership = nextToServe(registration) else { return }
            let pool = membership.pool
            let method = registry.pools[pool.at].members[Int(membership.place)].method
            guard let raw = registry.pools[pool.at].queue.pop() else {
                preconditionFailure("a queue that is not empty gives nothing")
            }
            let call = CallIndex(raw: raw)
            leftQueue(call)
            let queuedMethod = calls.slots[call.at].method
            let isParked = registry.pools[pool.at].isParked
            if isParked || (registry.pools[pool.at].isMixed && lacks(registration, queuedMethod, pool)) {
                routeAgain(call, atHead: false, now: now, into: &outbox)
                continue
            }
            withHeader(of: call) { core, view, header in
                let method = queuedMethod.isNone ? method : queuedMethod
                core.dispatch(call, registration, pool, method, view, header, now: now, into: &outbox)
            }
        }
    }

    /// The pool whose turn it is, if the registration takes work from any.
    private mutating func nextToServe(_ registration: RegistrationIndex) -> Membership? {
        guard registry.registrations[registration.at].hasRoom else { return nil }
        let count = registry.registrations[registration.at].memberships.count
        var turn = registry.registrations[registration.at].turn
        for _ in 0..<count {
            turn = turn &+ 1 < count ? turn &+ 1 : 0
            let membership = registry.registrations[registration.at].memberships[turn]
            guard !registry.pools[membership.pool.at].queue.isEmpty,
                registry.pools[membership.pool.at].members[Int(membership.place)].key != PoolMember.full
            else { continue }
            registry.registrations[registration.at].turn = turn
            return membership
        }
        return nil
    }

    private func lacks(_ registration: RegistrationIndex, _ method: MethodIndex, _ pool: PoolIndex) -> Bool {
        guard !method.isNone else { return false }
        return registry.registrations[registration.at].method(registry.pools[pool.at].methods[method.at].name) == nil
    }
}

extension Registry {
    /// A method's own deadline; in a pool of several homes, that of its first member.
    @inline(__always)
    func methodDeadline(_ pool: PoolIndex, _ method: MethodIndex) -> UInt32 {
        if !method.isNone { return pools[pool.at].methods[method.at].deadlineMilliseconds }
        guard let member = pools[pool.at].members.first,
            let home = registrations[member.registration.at].memberships.first?.pool
        else { return 0 }
        return pools[home.at].methods[member.method.at].deadlineMilliseconds
    }
}
