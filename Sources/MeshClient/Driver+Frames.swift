// What the broker sends, handed to the machine that it concerns.

import Logging
import MeshProtocol

extension Driver {
    /// Hands a message to its machine.
    ///
    /// - Throws: when the message cannot be read or makes no sense from a broker: the session is then given up, since a
    ///   message that is passed over might be the end that somebody waits for.
    func received(_ header: UnsafeRawBufferPointer, body: [UInt8]?) throws {
        let verb = header.count > 1 ? Verb(rawValue: header[1]) : nil
        switch verb {
        case .end: receivedEnd(try End.decode(header), body)
        case .call: receivedCall(try CallHeader.decode(header), body)
        case .chunk:
            let chunk = try Chunk.decode(header)
            if chunk.id.isLease {
                leases.received(chunk, body: body, into: &leaseActions)
            } else {
                calls.received(chunk, body: body, into: &callActions)
            }
        case .credit:
            let grant = try CreditGrant.decode(header)
            receivedCredit(grant.credit, for: grant.id)
        case .event: subscriptions.received(try Event.decode(header), body: body, into: &subscriptionActions)
        case .fail: receivedFail(try Fail.decode(header), body)
        case .accept:
            let accept = try Accept.decode(header)
            receivedCredit(accept.credit, for: accept.id)
        case .cancel: leases.received(try Cancel.decode(header), into: &leaseActions)
        case .subscribed: subscriptions.received(try Subscribed.decode(header), into: &subscriptionActions)
        case .drain: drainRequested(try Drain.decode(header))
        default: try receivedSession(header, verb)
        }
    }

    private func receivedSession(_ header: UnsafeRawBufferPointer, _ verb: Verb?) throws {
        switch verb {
        case .welcome: session.received(try Welcome.decode(header), now: now, into: &sessionActions)
        case .reject: session.received(try Reject.decode(header), now: now, into: &sessionActions)
        case .ping: session.received(try Ping.decode(header), into: &sessionActions)
        case .pong: _ = try Pong.decode(header)
        case .bye: session.received(try Bye.decode(header), now: now, into: &sessionActions)
        default:
            let name = verb?.name ?? "a message of an unknown verb"
            throw MeshError(.protocolError, "the broker sent \(name), which a peer does not take")
        }
    }

    private func receivedCredit(_ credit: Credit, for id: WireID) {
        if id.isLease {
            leases.received(credit, for: id, into: &leaseActions)
        } else {
            calls.received(credit, for: id, into: &callActions)
        }
    }

    private func receivedEnd(_ end: End, _ body: [UInt8]?) {
        if let waiter = calls.received(end) {
            // A stream's chunks that came before are handed over already: actions are done after every message.
            let reply = Reply(end, body: body ?? [])
            switch waiter {
            case .unary(let waiter): return waiter.resume(returning: .success(reply))
            case .stream(let state): return state.end(.success(reply))
            }
        }
        if registrations.received(end, into: &registrationActions) { return }
        _ = subscriptions.received(end, into: &subscriptionActions)
    }

    private func receivedFail(_ fail: Fail, _ body: [UInt8]?) {
        if calls.received(fail, body: body, into: &callActions) { return }
        if registrations.received(fail, now: now, into: &registrationActions) { return }
        if subscriptions.received(fail, into: &subscriptionActions) { return }
        if fail.id.rawValue & ConnectionCore.publishBit != 0, !fail.id.isLease {
            logger.warning("an event that was not to be acknowledged was refused: \(MeshError(fail, body: nil))")
        }
    }

    private func receivedCall(_ header: CallHeader, _ body: [UInt8]?) {
        let found = registrations.find(header)
        let mayStart = leases.admit(
            header,
            registration: found?.id,
            capacity: found?.description.capacity ?? 0,
            now: now,
            into: &leaseActions
        )
        guard mayStart, let found else { return }
        let call = IncomingCall(
            core: core,
            context: context(of: header),
            service: found.description.name,
            version: found.description.version,
            header: header,
            body: body ?? [],
            window: leases.window
        )
        leases.attach(call, to: header.id)
        call.start(found.registration.handler)
    }

    private func context(of header: CallHeader) -> CallContext {
        var trace = header.trace
        if trace != .none {
            var generator = SystemRandomNumberGenerator()
            trace.span = generator.next() | 1
        }
        let total = header.clocks.total
        let isBounded = total != 0 && total != CallClocks.none
        return CallContext(
            caller: header.caller,
            deadline: isBounded ? ContinuousClock.now + .milliseconds(Int64(total)) : nil,
            trace: trace,
            parentSpan: header.trace.span,
            affinity: header.affinity,
            band: header.band,
            hops: Int(header.hops),
            lease: LeaseKey(lease: header.id, session: sessionKey)
        )
    }

    private func drainRequested(_ drain: Drain) {
        guard leaving == nil else { return }
        let request = DrainRequest(grace: MeshError.delay(drain.graceMilliseconds), reason: drain.reason)
        logger.info("the broker asks this worker to finish and leave: \(drain.reason)")
        leaving = Leaving(request: request)
        tellDrainHandler()
        leases.drain(into: &leaseActions)
    }

    /// Runs the handler of drains, once, when both it and a request are there.
    func tellDrainHandler() {
        guard let handler = drainHandler, let leaving, !leaving.isTold else { return }
        self.leaving?.isTold = true
        self.leaving?.isHandled = false
        let request = leaving.request
        let inbox = core.inbox
        Task {
            await handler(request)
            inbox.push(.leave)
        }
    }

    /// Says BYE when the broker asked for it and nothing is left to do.
    func leaveIfDrained() {
        guard let leaving, leaving.isHandled, leaving.isDrained, core.configuration.leavesWhenDrained else { return }
        session.close(reason: "drained", into: &sessionActions)
    }
}
