// What tasks ask for, handed to the machine that it concerns.

import MeshProtocol

extension Driver {
    /// Hands a command to its machine.
    func handle(_ command: Command) {
        switch command {
        case .call(let call): begin(call)
        case .cancel(let id): calls.cancel(id, into: &callActions)
        case .chunk(let id, let payload, let last): calls.send(payload, last: last, on: id, into: &callActions)
        case .credit(let id, let credit):
            calls.grant(credit, on: id, into: &callActions)
            subscriptions.grant(credit, on: id, into: &subscriptionActions)
        case .leaseChunk(let key, let payload):
            if key.session == sessionKey { leases.send(payload, on: key.lease, into: &leaseActions) }
        case .leaseCredit(let key, let credit):
            if key.session == sessionKey { leases.grant(credit, on: key.lease, into: &leaseActions) }
        case .finish(let key, let result):
            if key.session == sessionKey { return leases.finish(key.lease, result, into: &leaseActions) }
            guard let id = leases.finishLeftover(key, into: &leaseActions) else { return }
            registrations.setBusy(leases.leftoverCount(of: id), of: id, into: &registrationActions)
        case .publish(let frame): if session.isLive { emit(frame) }
        case .close(let waiter): close(waiter)
        default: handleRegistry(command)
        }
    }

    private func handleRegistry(_ command: Command) {
        switch command {
        case .subscribe(let state, let waiter):
            subscriptions.add(
                state.id,
                pattern: state.pattern,
                options: state.options,
                subscription: state,
                waiter: waiter,
                into: &subscriptionActions
            )
        case .unsubscribe(let id, let waiter): subscriptions.remove(id, waiter: waiter, into: &subscriptionActions)
        case .provide(let state, let waiter):
            registrations.add(
                state.id,
                state.description,
                registration: state,
                waiter: waiter,
                into: &registrationActions
            )
        case .withdraw(let id, let waiter): registrations.withdraw(id, waiter: waiter, into: &registrationActions)
        case .capacity(let id, let capacity, let weight):
            registrations.setCapacity(id, capacity: capacity, weight: weight, into: &registrationActions)
        case .settle(let waiter): registrations.settle(waiter, into: &registrationActions)
        case .drain(let id, let waiter):
            leases.drain(into: &leaseActions)
            registrations.drain(id, waiter: waiter, into: &registrationActions)
        case .onDrain(let handler):
            drainHandler = handler
            tellDrainHandler()
        case .leave:
            leaving?.isHandled = true
            leaveIfDrained()
        case .awaitWelcome(let bound, let waiter): awaitWelcome(waiter, within: bound)
        default: break
        }
    }

    private func begin(_ call: OutgoingCall<CallWaiter>) {
        let parent = call.isEvent ? .session : call.frame.parent
        // A later session's broker may have given the same number to another call.
        let isLive = call.parentSession == sessionKey && leases.isLive(parent)
        guard !parent.isSession, !isLive else { return calls.begin(call, now: now, into: &callActions) }
        var orphan = call
        orphan.frame.clearParent()
        calls.begin(orphan, now: now, into: &callActions)
    }

    private func close(_ waiter: Waiter<Void>?) {
        if let waiter { closers.append(waiter) }
        perform()
        session.close(reason: "", into: &sessionActions)
    }

    private func awaitWelcome(_ waiter: Waiter<SessionInfo>, within bound: Duration) {
        if let info = core.info { return waiter.resume(returning: .success(info)) }
        welcomeWaiters.append((waiter, now + bound))
    }

    /// Fails those who have waited for WELCOME for too long.
    func expireWelcomeWaiters() {
        guard !welcomeWaiters.isEmpty else { return }
        var left: [(waiter: Waiter<SessionInfo>, until: Moment)] = []
        for (waiter, until) in welcomeWaiters {
            guard now >= until else {
                left.append((waiter, until))
                continue
            }
            var error = lastLoss ?? MeshError(.unavailable, "the broker has not answered yet")
            error.message = "no session within \(core.configuration.connectTimeout): " + error.message
            waiter.resume(returning: .failure(error.about(core.configuration.endpoint)))
        }
        welcomeWaiters = left
    }

    /// Answers a command that came after the end.
    func refuse(_ command: Command) {
        switch command {
        case .call(let call):
            switch call.waiter {
            case .unary(let waiter): waiter.resume(returning: .failure(.closed))
            case .stream(let state): state.end(.failure(.closed))
            }
        case .subscribe(_, let waiter), .provide(_, let waiter), .drain(_, let waiter), .settle(let waiter):
            waiter.resume(returning: .failure(.closed))
        case .unsubscribe(_, let waiter), .withdraw(_, let waiter): waiter?.resume(returning: .success(()))
        case .awaitWelcome(_, let waiter): waiter.resume(returning: .failure(.closed))
        case .close(let waiter): if let waiter { closers.append(waiter) }
        default: break
        }
    }
}
