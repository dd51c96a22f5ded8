// The subscriptions of this side, from SUBSCRIBE to their end. A pure value: a subscription is repeated in every session
// and resumes after its last event when the broker is still the same.

import MeshProtocol

/// The subscriptions of a connection, by their request.
struct SubscriptionTable<Subscription: Sendable, Waiter: Sendable> {
    /// What shall be done, in this order.
    enum Action {
        /// Send a message.
        case send(Frame)
        /// Somebody's request has ended.
        case answer(Waiter, Result<Void, MeshError>)
        /// An event for a subscription.
        case event(Subscription, MeshEvent)
        /// The subscription has ended; nil: as its holder wished.
        case ended(Subscription, MeshError?)
    }

    private struct Entry {
        var subscription: Subscription
        var pattern: String
        var options: SubscriptionOptions
        var subscriber: Waiter?
        var unsubscribers: [Waiter] = []
        var isOver = false
        var hasBegun = false
        /// The last event, or the point where the subscription began.
        var position: SubscriptionOptions.Position?
        /// What was missed in earlier sessions, and in this one before its first event.
        var missed: UInt64 = 0
        /// What the broker says was dropped in this session.
        var dropped: UInt64 = 0
    }

    private var entries: [RequestID: Entry] = [:]
    private var epoch: UInt64?

    /// The subscriptions that have not ended.
    var count: Int { entries.count }

    /// Subscribes.
    mutating func add(
        _ id: RequestID,
        pattern: String,
        options: SubscriptionOptions,
        subscription: Subscription,
        waiter: Waiter,
        into actions: inout [Action]
    ) {
        entries[id] = Entry(
            subscription: subscription,
            pattern: pattern,
            options: options,
            subscriber: waiter,
            position: options.since
        )
        subscribe(id, credit: options.window, into: &actions)
    }

    private func subscribe(_ id: RequestID, credit: Credit, into actions: inout [Action]) {
        guard let epoch, let entry = entries[id] else { return }
        var flags: SubscribeFlags = []
        var since: UInt64 = 0
        if let position = entry.position, position.epoch == epoch {
            flags.insert(.resume)
            since = position.sequence
        }
        // What a resumed subscription has seen already is not asked for again.
        let isAgain = entry.hasBegun && flags.contains(.resume)
        if entry.options.lastValue, !isAgain { flags.insert(.lastValue) }
        let header = Subscribe(
            flags: flags,
            id: id,
            credit: credit,
            history: isAgain ? 0 : entry.options.history,
            since: since,
            pattern: entry.pattern
        )
        actions.append(.send(Frame(header)))
    }

    /// Ends a subscription from this side.
    mutating func remove(_ id: RequestID, waiter: Waiter?, into actions: inout [Action]) {
        guard let entry = entries[id] else {
            if let waiter { actions.append(.answer(waiter, .success(()))) }
            return
        }
        if let waiter { entries[id]?.unsubscribers.append(waiter) }
        guard !entry.isOver else { return }
        entries[id]?.isOver = true
        if let subscriber = entry.subscriber {
            entries[id]?.subscriber = nil
            let error = MeshError(.cancelled, "the subscription was taken back before the broker answered")
            actions.append(.answer(subscriber, .failure(error)))
        }
        if epoch != nil { return actions.append(.send(Frame(Unsubscribe(id: id)))) }
        end(id, nil, into: &actions)
    }

    private mutating func end(_ id: RequestID, _ error: MeshError?, into actions: inout [Action]) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        if let subscriber = entry.subscriber {
            actions.append(.answer(subscriber, error.map { .failure($0) } ?? .success(())))
        }
        for waiter in entry.unsubscribers { actions.append(.answer(waiter, .success(()))) }
        actions.append(.ended(entry.subscription, error))
    }

    /// Grants credit.
    func grant(_ credit: Credit, on id: RequestID, into actions: inout [Action]) {
        guard epoch != nil, let entry = entries[id], !entry.isOver else { return }
        actions.append(.send(Frame(CreditGrant(id: id.wire, credit: credit))))
    }

    /// Takes SUBSCRIBED.
    mutating func received(_ subscribed: Subscribed, into actions: inout [Action]) {
        let id = subscribed.id
        guard let epoch, let entry = entries[id] else { return }
        entries[id]?.hasBegun = true
        entries[id]?.missed += subscribed.missed
        // Without a place to resume from, what comes after this point is what must not be missed.
        if entry.position?.epoch != epoch {
            entries[id]?.position = .init(epoch: epoch, sequence: subscribed.sequence)
        }
        guard let subscriber = entry.subscriber else { return }
        entries[id]?.subscriber = nil
        actions.append(.answer(subscriber, .success(())))
    }

    /// Takes END; false when it is for nothing of this table.
    mutating func received(_ end: End, into actions: inout [Action]) -> Bool {
        guard let id = RequestID(end.id), entries[id] != nil else { return false }
        self.end(id, nil, into: &actions)
        return true
    }

    /// Takes FAIL; false when it is for nothing of this table.
    mutating func received(_ fail: Fail, into actions: inout [Action]) -> Bool {
        guard let id = RequestID(fail.id), let entry = entries[id] else { return false }
        end(id, entry.isOver ? nil : MeshError(fail, body: nil).about(entry.pattern), into: &actions)
        return true
    }

    /// Takes EVENT.
    mutating func received(_ event: Event, body: [UInt8]?, into actions: inout [Action]) {
        guard let epoch, let entry = entries[event.id], !entry.isOver else { return }
        entries[event.id]?.dropped = event.numbers.dropped
        let sequence = event.numbers.sequence
        if !event.flags.contains(.lastValue) {
            let last = entry.position.map { $0.epoch == epoch ? $0.sequence : 0 } ?? 0
            entries[event.id]?.position = .init(epoch: epoch, sequence: max(sequence, last))
        }
        let meshEvent = MeshEvent(
            topic: event.topic,
            payload: Payload(body ?? [], contentType: event.contentType),
            publisher: event.publisher,
            sequence: sequence,
            epoch: epoch,
            delivery: event.numbers.delivery,
            dropped: entry.missed + event.numbers.dropped,
            timestamp: event.numbers.timestamp,
            isLastValue: event.flags.contains(.lastValue),
            isReplay: event.flags.contains(.replay)
        )
        actions.append(.event(entry.subscription, meshEvent))
    }

    /// A session has begun: everything is subscribed again.
    /// - Parameters:
    ///   - epoch: the broker's start.
    ///   - credit: what a subscription's reader has room for.
    ///   - actions: gets what is to be done.
    mutating func sessionBegan(
        epoch: UInt64,
        credit: (Subscription) -> Credit,
        into actions: inout [Action]
    ) {
        self.epoch = epoch
        for id in entries.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let entry = entries[id] else { continue }
            subscribe(id, credit: credit(entry.subscription), into: &actions)
        }
    }

    /// The session is gone.
    mutating func sessionLost(into actions: inout [Action]) {
        epoch = nil
        for (id, entry) in entries {
            entries[id]?.missed += entry.dropped
            entries[id]?.dropped = 0
            if entry.isOver { end(id, nil, into: &actions) }
        }
    }

    /// Ends everything.
    mutating func failAll(_ error: MeshError, into actions: inout [Action]) {
        for id in Array(entries.keys) { end(id, error, into: &actions) }
    }
}
