// CALL: taking a call in, its clocks, and giving it to a worker or a queue.

import MeshProtocol

extension BrokerCore {
    /// A caller asks for a method.
    mutating func callReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let view = try CallView.decode(header)
        counters.calls &+= 1
        guard !view.id.isLease else {
            throw DecodeError(
                verb: .call,
                field: "id",
                offset: 8,
                problem: .malformed("must be a request id, not a lease")
            )
        }
        guard requests[UInt64(session.raw), view.id.rawValue] == nil else {
            outbox.release(payload.body)
            counters.failed(.alreadyExists)
            guard let request = RequestID(view.id) else { return }
            return duplicate(session, request, now: now, into: &outbox)
        }
        guard sessions.slots[session.at].callCount < limits.callCountPerSession, calls.count < limits.callCount else {
            return turnDown(session, view.id, callQuotaFailure(session), payload, into: &outbox)
        }
        let principal = sessions.slots[session.at].principal
        guard mayHold(payload.byteCount, principal) else {
            counters.overBudget &+= 1
            return turnDown(session, view.id, heldBytesFailure(principal), payload, into: &outbox)
        }
        var parent = CallIndex.none
        var hops: UInt8 = 0
        if !view.parent.isSession {
            switch findParent(view.parent, session) {
            case .failure(let failure): return turnDown(session, view.id, failure, payload, into: &outbox)
            case .success(let found):
                parent = found
                hops = calls.slots[found.at].hops &+ 1
            }
        }
        switch route(view, in: header, principal: principal, now: now, into: &outbox) {
        case .failure(let failure):
            if failure.status == .permissionDenied {
                let target = view.service.string(in: header) + "." + view.method.string(in: header)
                denied(session, failure, target: target, now: now, into: &outbox)
            }
            if awaitsReturn(session, failure, now: now) {
                let call = open(view, header, payload, session, parent, hops, now: now)
                return place(call, returnRoute(now: now), view, header, now: now, into: &outbox)
            }
            turnDown(session, view.id, failure, payload, into: &outbox)
        case .route(let route):
            let call = open(view, header, payload, session, parent, hops, now: now)
            place(call, route, view, header, now: now, into: &outbox)
        }
    }

    /// FAIL for a CALL that was never taken in.
    private mutating func turnDown(
        _ session: SessionIndex,
        _ id: WireID,
        _ failure: Failure,
        _ payload: Payload,
        into outbox: inout Outbox
    ) {
        outbox.release(payload.body)
        counters.failed(failure.status)
        fail(session, id, failure, into: &outbox)
    }

    private func callQuotaFailure(_ session: SessionIndex) -> Failure {
        let own = sessions.slots[session.at].callCount >= limits.callCountPerSession
        return Failure(
            .resourceExhausted,
            message: own
                ? "the session has \(limits.callCountPerSession) calls in flight, and may have no more"
                : "the mesh has \(limits.callCount) calls in flight, and may have no more",
            hint: "wait for calls to end before making others",
            retryAfterMilliseconds: 100,
            flags: .retryable
        )
    }

    private enum Parent {
        case success(CallIndex)
        case failure(Failure)
    }

    private func findParent(_ id: WireID, _ session: SessionIndex) -> Parent {
        guard let lease = LeaseID(id), let found = held(lease, by: session) else {
            let message = "parent 0x\(String(id.rawValue, radix: 16)) is no lease that this session holds"
            return .failure(Failure(.invalidArgument, message: message, hint: "name the lease that is being worked on"))
        }
        guard calls.slots[found.at].phase != .cancelling else {
            return .failure(Failure(.cancelled, message: "the parent call has been cancelled"))
        }
        guard calls.slots[found.at].hops < WireLimits.hopCount else {
            let message =
                "calls are nested \(WireLimits.hopCount) deep, and may not be deeper: do services call in a circle?"
            return .failure(Failure(.failedPrecondition, message: message))
        }
        return .success(found)
    }

    /// Makes the call's slot.
    @inline(__always)
    private mutating func open(
        _ view: CallView,
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        _ session: SessionIndex,
        _ parent: CallIndex,
        _ hops: UInt8,
        now: MeshInstant
    ) -> CallIndex {
        let call = calls.claim()
        calls.slots[call.at].flags = view.flags
        calls.slots[call.at].band = view.band
        calls.slots[call.at].hops = hops
        calls.slots[call.at].cost = max(1, view.cost)
        calls.slots[call.at].caller = session
        calls.slots[call.at].request = view.id.rawValue
        calls.slots[call.at].body = payload.body
        calls.slots[call.at].bodyByteCount = payload.byteCount
        calls.slots[call.at].createdAt = now
        calls.slots[call.at].header.keep(header)
        if view.flags.contains(.replyStream) { calls.slots[call.at].replyCredit.grant(view.credit, limits: limits) }
        let principal = sessions.slots[session.at].principal
        calls.slots[call.at].principal = principal
        if !payload.body.isNone {
            ownBodyCount &+= 1
            accounts.add(payload.byteCount, to: principal)
        }
        calls.link(call, toCaller: &sessions.slots[session.at])
        sessions.slots[session.at].callsMade &+= 1
        requests.insert(UInt64(session.raw), view.id.rawValue, LiveRequest.call(call).packed)
        if !parent.isNone { calls.link(call, toParent: parent) }
        return call
    }

    /// Sets the clocks of a call that has just been routed; false when there is no time left.
    @inline(__always)
    private mutating func setClocks(
        _ call: CallIndex,
        _ clocks: CallClocks,
        methodDeadline: UInt32,
        isAdministrative: Bool,
        now: MeshInstant
    ) -> Bool {
        let flags = calls.slots[call.at].flags
        let isStream = !flags.isDisjoint(with: [.requestStream, .replyStream])
        var total = clocks.total
        if total == 0 {
            total = methodDeadline != 0 ? methodDeadline : isStream ? CallClocks.none : limits.unaryDeadlineMilliseconds
        }
        if total != CallClocks.none || !isStream { total = min(total, limits.maximumDeadlineMilliseconds) }
        var deadline = total == CallClocks.none ? CallSlot.never : now.advanced(milliseconds: UInt64(total))
        let parent = calls.slots[call.at].parent
        if !parent.isNone { deadline = min(deadline, calls.slots[parent.at].deadline) }
        calls.slots[call.at].deadline = deadline
        let queue = clocks.queue == 0 && isStream ? limits.streamClockMilliseconds : clocks.queue
        if queue != 0, queue != CallClocks.none {
            calls.slots[call.at].queueMilliseconds = queue
            startQueueClock(call, now: now)
        }
        if flags.contains(.replyStream) {
            let usual = isAdministrative ? CallClocks.none : limits.streamClockMilliseconds
            calls.slots[call.at].firstChunkMilliseconds = clocks.firstChunk == 0 ? usual : clocks.firstChunk
            calls.slots[call.at].idleMilliseconds = clocks.idle == 0 ? usual : clocks.idle
        }
        return deadline > now
    }

    /// Begins the clock of a wait in a queue: at the call's beginning, and anew when a worker had it and has it no more.
    @inline(__always)
    mutating func startQueueClock(_ call: CallIndex, now: MeshInstant) {
        let queue = calls.slots[call.at].queueMilliseconds
        guard queue != CallClocks.none else { return }
        calls.slots[call.at].queueDeadline = now.advanced(milliseconds: UInt64(queue))
    }

    /// Gives a new call to a worker, to a queue, or to the shell.
    @inline(__always)
    private mutating func place(
        _ call: CallIndex,
        _ route: RouteCache.Route,
        _ view: CallView,
        _ header: UnsafeRawBufferPointer,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let isAdministrative = route.pool.isNone
        let methodDeadline =
            isAdministrative ? 0 : registry.methodDeadline(route.pool, route.method)
        let hasTime = setClocks(
            call,
            view.clocks,
            methodDeadline: methodDeadline,
            isAdministrative: isAdministrative,
            now: now
        )
        calls.slots[call.at].phase = .queued
        guard hasTime else { return deadlineMissed(call, .total, now: now, into: &outbox) }
        if isAdministrative { return administer(call, route.method, now: now, into: &outbox) }
        if let member = registry.choose(in: route.pool, affinity: view.affinity.bytes(in: header)) {
            let method = route.method.isNone ? member.method : route.method
            dispatch(call, member.registration, route.pool, method, view, header, now: now, into: &outbox)
        } else {
            enqueue(call, route, atHead: false, now: now, into: &outbox)
        }
    }

    // MARK: Queues

    /// Puts a call in a pool's queue; a full queue fails it.
    mutating func enqueue(
        _ call: CallIndex,
        _ route: RouteCache.Route,
        atHead: Bool,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let pool = route.pool
        let byteCount = calls.slots[call.at].bodyByteCount
        let isFull =
            registry.pools[pool.at].queue.count >= limits.queueCount
            || registry.pools[pool.at].queuedByteCount + byteCount > limits.queueByteCount
            || (registry.pools[pool.at].needsProvider && registry.isFullForLatent(pool))
        if isFull, !atHead {
            return queueFull(call, pool, now: now, into: &outbox)
        }
        let slot = calls.slots[call.at]
        let token =
            atHead
            ? registry.pools[pool.at].queue.pushFront(
                call.raw,
                caller: slot.caller.raw,
                band: slot.band,
                cost: slot.cost
            )
            : registry.pools[pool.at].queue.push(call.raw, caller: slot.caller.raw, band: slot.band, cost: slot.cost)
        registry.pools[pool.at].queuedByteCount += byteCount
        queuedCount &+= 1
        calls.slots[call.at].phase = .queued
        calls.slots[call.at].pool = pool
        calls.slots[call.at].token = token
        calls.slots[call.at].method = route.method
        sessions.slots[slot.caller.at].queuedCount &+= 1
        armCall(call)
        if registry.pools[pool.at].needsProvider { parked(call, pool, now: now, into: &outbox) }
    }

    private mutating func queueFull(
        _ call: CallIndex,
        _ pool: PoolIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let title = registry.pools[pool.at].title
        let count = registry.pools[pool.at].queue.count
        let message =
            "\(count) calls with \(registry.pools[pool.at].queuedByteCount) bytes wait for \(title), and no more may"
        let failure = Failure(
            .resourceExhausted,
            message: message,
            hint: "try again later, or start more workers",
            retryAfterMilliseconds: 250,
            flags: .retryable
        )
        let fields = [Attribute(name: "service", value: title), Attribute(name: "queued", value: String(count))]
        notice(.warning, "mesh.call.overload", message, fields, now: now, into: &outbox)
        failCall(call, afterLoss(of: call, failure), worker: .retire, now: now, into: &outbox)
    }

    /// Keeps the books when a call has been taken out of its queue.
    mutating func leftQueue(_ call: CallIndex) {
        let pool = calls.slots[call.at].pool
        registry.pools[pool.at].queuedByteCount -= calls.slots[call.at].bodyByteCount
        queuedCount &-= 1
        calls.slots[call.at].pool = .none
        calls.slots[call.at].token = .none
        sessions.slots[calls.slots[call.at].caller.at].queuedCount &-= 1
    }

    /// Takes a waiting call out of its queue.
    mutating func removeFromQueue(_ call: CallIndex) {
        let pool = calls.slots[call.at].pool
        guard !pool.isNone else { return }
        let wasThere = registry.pools[pool.at].queue.remove(calls.slots[call.at].token)
        precondition(wasThere, "a queued call is not in its queue")
        leftQueue(call)
    }

    /// Finds a place anew for a call that is in no queue and with no worker.
    mutating func routeAgain(_ call: CallIndex, atHead: Bool, now: MeshInstant, into outbox: inout Outbox) {
        withHeader(of: call) { core, view, header in
            let principal = core.sessions.slots[core.calls.slots[call.at].caller.at].principal
            switch core.route(view, in: header, principal: principal, now: now, into: &outbox) {
            case .failure(let failure):
                if core.awaitsReturn(core.calls.slots[call.at].caller, failure, now: now) {
                    let route = core.returnRoute(now: now)
                    return core.enqueue(call, route, atHead: atHead, now: now, into: &outbox)
                }
                core.failCall(call, core.afterLoss(of: call, failure), worker: .retire, now: now, into: &outbox)
            case .route(let route):
                guard let member = core.registry.choose(in: route.pool, affinity: view.affinity.bytes(in: header))
                else { return core.enqueue(call, route, atHead: atHead, now: now, into: &outbox) }
                let method = route.method.isNone ? member.method : route.method
                core.dispatch(call, member.registration, route.pool, method, view, header, now: now, into: &outbox)
            }
        }
    }

    /// A failure as it is told for a call of which a worker was lost: nobody knows how far that one came.
    ///
    /// For any other call it is the failure as it stands.
    func afterLoss(of call: CallIndex, _ failure: Failure) -> Failure {
        guard calls.slots[call.at].reroutes > 0 else { return afterParking(of: call, failure) }
        var told = failure
        told.flags.insert(.outcomeUnknown)
        switch failure.status {
        case .notFound, .unimplemented:
            told.status = .unavailable
            told.flags.insert(.retryable)
            told.message = "the worker was lost, and nobody else provides what was called: \(failure.message)"
            told.hint = "whether the call was carried out is not known; repeat it when a provider is back"
        default: break
        }
        return told
    }

    /// A failure as it is told for a call that has waited for a provider to be started, and none was.
    private func afterParking(of call: CallIndex, _ failure: Failure) -> Failure {
        guard calls.slots[call.at].hasParked, failure.status == .notFound else { return failure }
        return Failure(
            .unavailable,
            message: "what was called is no longer about to start: \(failure.message)",
            hint: "`wiz why` tells what keeps its plugin from starting; the call was not carried out",
            retryAfterMilliseconds: 1_000,
            flags: .retryable
        )
    }

    /// Lends a call's kept header.
    mutating func withHeader(
        of call: CallIndex,
        _ body: (inout BrokerCore, CallView, UnsafeRawBufferPointer) -> Void
    ) {
        // Taken out meanwhile: the call may end, and its slot be another's.
        var kept = KeptHeader()
        swap(&kept, &calls.slots[call.at].header)
        let generation = calls.slots[call.at].generation
        guard let view = try? CallView.decode(kept.bytes) else {
            preconditionFailure("a call's kept header cannot be read")
        }
        body(&self, view, kept.bytes)
        if calls.slots[call.at].generation == generation { swap(&kept, &calls.slots[call.at].header) }
        kept.free()
    }
}
