// SUBSCRIBE, UNSUBSCRIBE, PUBLISH and the delivery of events: credit, drops, last values, history.

public import MeshProtocol

extension BrokerCore {
    // MARK: Subscriptions

    mutating func subscribeReceived(
        _ subscribe: Subscribe,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard requests[UInt64(session.raw), subscribe.id.rawValue] == nil else {
            return duplicate(session, subscribe.id, now: now, into: &outbox)
        }
        guard Topics.isPattern(subscribe.pattern) else {
            let message =
                "\"\(subscribe.pattern)\" is no pattern: words of letters, digits, - and _ joined by dots, * for one word,"
                + " > at the end for the rest"
            return decline(session, subscribe.id.wire, Failure(.invalidArgument, message: message), into: &outbox)
        }
        let subject = principals.records[sessions.slots[session.at].principal.at].subject
        guard policy.decide(subject, .subscribe, subscribe.pattern).isAllowed else {
            let failure = policy.refusal(subject, .subscribe, subscribe.pattern)
            denied(session, failure, target: subscribe.pattern, now: now, into: &outbox)
            return decline(session, subscribe.id.wire, failure, into: &outbox)
        }
        guard sessions.slots[session.at].subscriptionCount < limits.subscriptionCountPerSession else {
            let message =
                "the session has \(limits.subscriptionCountPerSession) subscriptions, and may have no more"
            let failure = Failure(.resourceExhausted, message: message, hint: "use patterns that match more topics")
            return decline(session, subscribe.id.wire, failure, into: &outbox)
        }
        begin(subscribe, session, into: &outbox)
    }

    private mutating func begin(_ subscribe: Subscribe, _ session: SessionIndex, into outbox: inout Outbox) {
        let replay = kept.replay(
            pattern: subscribe.pattern,
            lastValue: subscribe.flags.contains(.lastValue),
            history: subscribe.history,
            since: subscribe.flags.contains(.resume) ? subscribe.since : nil
        )
        let slot = topics.subscribe(
            owner: session.raw,
            id: subscribe.id,
            pattern: subscribe.pattern,
            credit: subscribe.credit,
            limits: limits
        )
        sessions.slots[session.at].subscriptionCount += 1
        let live = LiveRequest.subscription(UInt32(bitPattern: slot))
        requests.insert(UInt64(session.raw), subscribe.id.rawValue, live.packed)
        let answer = Subscribed(id: subscribe.id, sequence: topics.sequence, missed: replay.missed)
        send(to: session, into: &outbox) { answer.encode(to: &$0) }
        for item in replay.items { deliverKept(item, slot, session, subscribe.id, into: &outbox) }
    }

    private mutating func deliverKept(
        _ item: Replay.Item,
        _ slot: Int32,
        _ session: SessionIndex,
        _ id: RequestID,
        into outbox: inout Outbox
    ) {
        let numbers = topics.takeCredit(
            slot,
            byteCount: item.event.byteCount,
            sequence: item.event.sequence,
            timestamp: item.event.timestamp
        )
        guard let numbers else {
            counters.eventsDropped &+= 1
            return
        }
        counters.eventsOut &+= 1
        let event = Event(
            flags: item.flags,
            contentType: item.event.contentType,
            id: id,
            numbers: numbers,
            topic: item.event.topic,
            publisher: item.event.publisher
        )
        send(to: session, body: item.event.body, use: .share, into: &outbox) { event.encode(to: &$0) }
    }

    mutating func unsubscribeReceived(
        _ unsubscribe: Unsubscribe,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        switch requests[UInt64(session.raw), unsubscribe.id.rawValue].map(LiveRequest.init(packed:)) {
        case .subscription(let slot):
            endSubscription(Int32(bitPattern: slot))
            end(session, unsubscribe.id, into: &outbox)
        case .call, .registration, .drain: counters.lateFrames &+= 1
        case nil:
            let failure = Failure(.notFound, message: "the session has no subscription \(unsubscribe.id)")
            decline(session, unsubscribe.id.wire, failure, into: &outbox)
        }
    }

    mutating func endSubscription(_ slot: Int32) {
        guard let ended = topics.unsubscribe(slot) else { return }
        requests.remove(UInt64(ended.owner), ended.id.rawValue)
        sessions.slots[Int(ended.owner)].subscriptionCount -= 1
    }

    /// A session's slots and ids, since the table may not be changed while it is walked.
    func subscriptionsOf(_ session: SessionIndex) -> [(slot: Int32, subscription: Subscription)] {
        var found: [(slot: Int32, subscription: Subscription)] = []
        topics.forEach(of: session.raw) { found.append(($0, $1)) }
        return found
    }

    /// A subscriber's session ends.
    mutating func subscriberGone(_ session: SessionIndex) {
        for (slot, _) in subscriptionsOf(session) { endSubscription(slot) }
    }

    /// Ends the subscriptions that the policy no longer allows.
    mutating func recheckSubscriptions(_ session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        let subject = principals.records[sessions.slots[session.at].principal.at].subject
        for (slot, subscription) in subscriptionsOf(session) {
            guard !policy.decide(subject, .subscribe, subscription.pattern).isAllowed else { continue }
            let failure = policy.refusal(subject, .subscribe, subscription.pattern)
            endSubscription(slot)
            denied(session, failure, target: subscription.pattern, now: now, into: &outbox)
            decline(session, subscription.id.wire, failure, into: &outbox)
        }
    }

    // MARK: Publishing

    mutating func publishReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let view = try PublishView.decode(header)
        let topic = view.topic.bytes(in: header)
        guard requests[UInt64(session.raw), view.id.rawValue] == nil else {
            outbox.release(payload.body)
            return duplicate(session, view.id, now: now, into: &outbox)
        }
        let principal = sessions.slots[session.at].principal
        let key = routes.key(.topic, principal: principal, main: topic)
        if routes.find(key) == nil {
            if let failure = publicationProblem(topic, principal) {
                outbox.release(payload.body)
                if failure.status == .permissionDenied {
                    let name = view.topic.string(in: header)
                    denied(session, failure, target: name, now: now, into: &outbox)
                }
                return decline(session, view.id.wire, failure, into: &outbox)
            }
            routes.insert(key, RouteCache.Route())
        }
        let publisher = principals.records[principal.at].utf8
        let isTaken = publisher.withUnsafeBytes { name in
            deliver(topic, name, payload, view.contentType, view.flags, now: now, into: &outbox)
        }
        guard isTaken else {
            let message = "more than \(limits.fanOutCount) subscriptions match the topic"
            return decline(session, view.id.wire, Failure(.resourceExhausted, message: message), into: &outbox)
        }
        if view.flags.contains(.acknowledge) { end(session, view.id, into: &outbox) }
    }

    private func publicationProblem(_ topic: UnsafeRawBufferPointer, _ principal: PrincipalIndex) -> Failure? {
        let name = String(decoding: topic, as: UTF8.self)
        guard Topics.isTopic(topic) else {
            let message = "\"\(name)\" is no topic: words of letters, digits, - and _ joined by dots"
            return Failure(.invalidArgument, message: message)
        }
        let subject = principals.records[principal.at].subject
        return policy.permits(subject, .publish, name) ? nil : policy.refusal(subject, .publish, name)
    }

    /// Publishes an event of the broker's own.
    ///
    /// The core owns the body's reference from here.
    public mutating func publish(
        topic: String,
        body: BodyHandle,
        byteCount: Int,
        contentType: ContentType,
        retain: Bool = false,
        history: Bool = false,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        precondition(Topics.isTopic(topic), "publish(topic:): \"\(topic)\" is no topic")
        var flags: PublishFlags = []
        if retain { flags.insert(.retain) }
        if history { flags.insert(.history) }
        let payload = Payload(body: body, byteCount: byteCount)
        Array(topic.utf8).withUnsafeBytes { topic in
            let nobody = UnsafeRawBufferPointer(start: nil, count: 0)
            _ = deliver(topic, nobody, payload, contentType, flags, now: now, into: &outbox)
        }
    }

    /// Gives an event to every subscription with credit, and keeps it when asked to; false when too many match.
    private mutating func deliver(
        _ topic: UnsafeRawBufferPointer,
        _ publisher: UnsafeRawBufferPointer,
        _ payload: Payload,
        _ contentType: ContentType,
        _ flags: PublishFlags,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        topics.matches(topic, into: &matchingSlots)
        guard matchingSlots.count <= limits.fanOutCount else {
            outbox.release(payload.body)
            return false
        }
        counters.eventsIn &+= 1
        let sequence = topics.nextSequence()
        let timestamp = wallClock.nanosecondsSince1970 &+ now.nanoseconds(since: wallClock.at)
        let isKept = !flags.isDisjoint(with: [.retain, .history])
        // One behind, so that the last delivery takes the payload with it.
        var pending: (owner: SessionIndex, id: RequestID, numbers: EventNumbers)?
        func sendPending(_ core: inout BrokerCore, _ use: Outbox.BodyUse, _ outbox: inout Outbox) {
            guard let delivery = pending else { return }
            core.send(to: delivery.owner, body: payload.body, use: use, into: &outbox) { buffer in
                Event.encode(
                    flags: [],
                    contentType: contentType,
                    id: delivery.id,
                    numbers: delivery.numbers,
                    topic: topic,
                    publisher: publisher,
                    to: &buffer
                )
            }
        }
        for place in matchingSlots.indices {
            let slot = matchingSlots[place]
            let numbers = topics.takeCredit(
                slot,
                byteCount: payload.byteCount,
                sequence: sequence,
                timestamp: timestamp
            )
            guard let numbers, let target = topics.target(of: slot) else {
                counters.eventsDropped &+= 1
                continue
            }
            counters.eventsOut &+= 1
            sendPending(&self, .share, &outbox)
            pending = (SessionIndex(raw: target.owner), target.id, numbers)
        }
        sendPending(&self, isKept ? .share : .move, &outbox)
        if isKept {
            keep(topic, publisher, payload, contentType, flags, sequence, timestamp, into: &outbox)
        } else if pending == nil {
            outbox.release(payload.body)
        }
        return true
    }

    private mutating func keep(
        _ topic: UnsafeRawBufferPointer,
        _ publisher: UnsafeRawBufferPointer,
        _ payload: Payload,
        _ contentType: ContentType,
        _ flags: PublishFlags,
        _ sequence: UInt64,
        _ timestamp: UInt64,
        into outbox: inout Outbox
    ) {
        let event = KeptEvent(
            topic: String(decoding: topic, as: UTF8.self),
            publisher: String(decoding: publisher, as: UTF8.self),
            contentType: contentType,
            sequence: sequence,
            timestamp: timestamp,
            body: payload.body,
            byteCount: payload.byteCount
        )
        let isKept = kept.keep(
            event,
            retain: flags.contains(.retain),
            history: flags.contains(.history),
            limits: limits,
            released: &releasedBodies
        )
        if isKept { outbox.detach(payload.body) } else { outbox.release(payload.body) }
        flushReleased(into: &outbox)
    }

    /// Gives back what the kept events no longer hold.
    mutating func flushReleased(into outbox: inout Outbox) {
        guard !releasedBodies.isEmpty else { return }
        for body in releasedBodies { outbox.release(body) }
        releasedBodies.removeAll(keepingCapacity: true)
    }

    /// Tells the time of day, for the timestamps of events.
    public mutating func setWallClock(nanosecondsSince1970: UInt64, at now: MeshInstant) {
        wallClock = (nanosecondsSince1970, now)
    }
}
