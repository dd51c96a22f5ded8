// What the machines want done: messages sent, tasks resumed, handlers started and stopped.

import Logging
import MeshProtocol

extension Driver {
    /// Does what the machines have asked for, until nothing is left.
    func perform() {
        while !sessionActions.isEmpty || !callActions.isEmpty || !leaseActions.isEmpty
            || !registrationActions.isEmpty || !subscriptionActions.isEmpty
        {
            performCalls()
            performLeases()
            performRegistrations()
            performSubscriptions()
            performSession()
        }
    }

    private func performCalls() {
        guard !callActions.isEmpty else { return }
        for action in callActions {
            switch action {
            case .send(let frame): emit(frame)
            case .fail(.unary(let waiter), let error): waiter.resume(returning: .failure(error))
            case .fail(.stream(let state), let error): state.end(.failure(error))
            case .chunk(.stream(let state), let payload): state.replies.push(payload, byteCount: payload.bytes.count)
            case .credit(.stream(let state), let credit): state.requests.grant(credit)
            case .chunk(.unary, _), .credit(.unary, _): break
            }
        }
        callActions.removeAll(keepingCapacity: true)
    }

    private func performLeases() {
        guard !leaseActions.isEmpty else { return }
        for action in leaseActions {
            switch action {
            case .send(let frame): emit(frame)
            case .cancel(let call, let error): call.cancel(error)
            case .chunk(let call, let payload): call.requests.channel?.push(payload, byteCount: payload.bytes.count)
            case .requestsEnded(let call): call.requests.channel?.finish(nil)
            case .credit(let call, let credit): call.replies?.grant(credit)
            case .drained:
                leaving?.isDrained = true
                leaveIfDrained()
            }
        }
        leaseActions.removeAll(keepingCapacity: true)
    }

    private func performRegistrations() {
        guard !registrationActions.isEmpty else { return }
        for action in registrationActions {
            switch action {
            case .send(let frame): emit(frame)
            case .answer(let waiter, let result): waiter.resume(returning: result)
            case .ended(let registration, let result):
                if case .failure(let error) = result, error.status != .cancelled {
                    logger.warning("a registration has ended: \(error)")
                }
                registration.ending.resolve(result)
            }
        }
        registrationActions.removeAll(keepingCapacity: true)
    }

    private func performSubscriptions() {
        guard !subscriptionActions.isEmpty else { return }
        for action in subscriptionActions {
            switch action {
            case .send(let frame): emit(frame)
            case .answer(let waiter, let result): waiter.resume(returning: result)
            case .event(let subscription, let event):
                subscription.events.push(event, byteCount: event.payload.bytes.count)
            case .ended(let subscription, let error): subscription.events.finish(error)
            }
        }
        subscriptionActions.removeAll(keepingCapacity: true)
    }

    private func performSession() {
        guard !sessionActions.isEmpty else { return }
        let actions = sessionActions
        sessionActions.removeAll(keepingCapacity: true)
        for action in actions {
            switch action {
            case .open:
                unsent.removeAll()
                unsentByteCount = 0
                batchByteCount = 0
                wantedLink += 1
                wantsLink = true
            case .close: wantsLink = false
            case .send(let frame): emit(frame)
            case .began(let welcome, _): began(welcome)
            case .lost(let error): lost(error)
            case .changed(let state): changed(to: state)
            case .ended(let error): ended(error)
            }
        }
    }

    private func began(_ welcome: Welcome) {
        let limit = Int(welcome.maximumPayloadByteCount)
        let bound = limit == 0 ? Int.max : limit
        batchByteCount = min(Int(welcome.batchByteCount), WireLimits.batchByteCount)
        leases.sessionBegan(maximumPayloadByteCount: bound)
        registrations.sessionBegan(busy: { leases.leftoverCount(of: $0) }, into: &registrationActions)
        subscriptions.sessionBegan(
            epoch: welcome.epoch,
            credit: { $0.events.renew($0.options.window) },
            into: &subscriptionActions
        )
        // Services and subscriptions are there before the first call goes out.
        performRegistrations()
        performSubscriptions()
        calls.sessionBegan(maximumPayloadByteCount: bound, now: now, into: &callActions)
        guard let info = core.info else { return }
        for (waiter, _) in welcomeWaiters { waiter.resume(returning: .success(info)) }
        welcomeWaiters = []
    }

    private func lost(_ error: MeshError) {
        calls.sessionLost(error, into: &callActions)
        leases.sessionLost(error, session: sessionKey, into: &leaseActions)
        registrations.sessionLost(into: &registrationActions)
        subscriptions.sessionLost(into: &subscriptionActions)
    }

    private func changed(to state: ConnectionState) {
        switch state {
        case .connected(let info):
            sessionKey.generation += 1
            logger.debug("session \(info.session) of \(info.principal) with \(info.broker) has begun")
        case .disconnected(let error, let delay):
            lastLoss = error
            if error.status == .unauthenticated { failWelcomeWaiters(error) }
            // Before the first session it is for the one who connects to say what is wrong.
            let level: Logger.Level = sessionKey.generation > 0 ? .warning : .debug
            logger.log(level: level, "no session, next attempt in \(delay): \(error)")
        case .closed(let error?) where sessionKey.generation > 0: logger.error("the connection has ended: \(error)")
        case .connecting, .closed: break
        }
        core.changed(to: state, session: sessionKey)
    }

    private func ended(_ error: MeshError?) {
        isEnded = true
        let reason = error ?? .closed
        calls.failAll(reason, into: &callActions)
        registrations.failAll(reason, into: &registrationActions)
        subscriptions.failAll(reason, into: &subscriptionActions)
        failWelcomeWaiters(reason)
    }

    private func failWelcomeWaiters(_ error: MeshError) {
        for (waiter, _) in welcomeWaiters { waiter.resume(returning: .failure(error)) }
        welcomeWaiters = []
    }
}
