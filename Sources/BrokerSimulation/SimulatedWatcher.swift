// A subscriber and publisher in the simulation: some read slowly, and each checks that its deliveries have no gap and
// that what it missed was counted. Pure.

import MeshProtocol

/// What a subscriber knows of one subscription.
struct OpenSubscription {
    var pattern: String
    var isConfirmed = false
    var isEnding = false
    var credit: Int
    var lastDelivery: UInt64 = 0
    var lastSequence: UInt64 = 0
    var dropped: UInt64 = 0
}

/// A subscriber and publisher.
struct SimulatedWatcher {
    var subscriptions: [UInt64: OpenSubscription] = [:]
    var publications: Set<UInt64> = []
    var nextID: UInt64 = 1 << 50

    static let topics = ["news.a", "news.b", "news.a.deep", "other", "mesh.fake"]
    static let patterns = ["news.>", "news.*", "*", ">", "news.a", "mesh.>"]

    /// A SUBSCRIBE.
    mutating func newSubscribe(using random: inout SeededGenerator) -> Subscribe? {
        nextID += 1
        guard let id = RequestID(rawValue: nextID) else { return nil }
        let pattern = Self.patterns[random.pick(0...Self.patterns.count - 1)]
        let credit = random.pick(0...8)
        subscriptions[nextID] = OpenSubscription(pattern: pattern, credit: credit)
        return Subscribe(
            flags: random.once(in: 3) ? .lastValue : [],
            id: id,
            credit: Credit(messages: UInt32(credit), bytes: 1 << 20),
            history: UInt32(random.pick(0...3)),
            pattern: pattern
        )
    }

    /// A PUBLISH.
    mutating func newPublish(using random: inout SeededGenerator) -> PublishHeader? {
        nextID += 1
        guard let id = RequestID(rawValue: nextID) else { return nil }
        var flags: PublishFlags = []
        if random.once(in: 3) { flags.insert(.retain) }
        if random.once(in: 3) { flags.insert(.history) }
        if random.once(in: 2) {
            flags.insert(.acknowledge)
            publications.insert(nextID)
        }
        return PublishHeader(flags: flags, id: id, topic: Self.topics[random.pick(0...Self.topics.count - 1)])
    }

    /// A frame about events came; what is wrong with it, if anything.
    mutating func received(_ header: Header) -> String? {
        switch header {
        case .subscribed(let subscribed):
            guard subscriptions[subscribed.id.rawValue]?.isConfirmed == false else { return "SUBSCRIBED twice" }
            subscriptions[subscribed.id.rawValue]?.isConfirmed = true
        case .event(let event):
            return received(event)
        case .end(let end):
            if publications.remove(end.id.rawValue) != nil { return nil }
            guard subscriptions.removeValue(forKey: end.id.rawValue)?.isEnding == true else {
                return "END \(end.id.rawValue) for nothing that was asked"
            }
        case .fail(let fail):
            if publications.remove(fail.id.rawValue) == nil {
                subscriptions.removeValue(forKey: fail.id.rawValue)
            }
        default:
            break
        }
        return nil
    }

    private mutating func received(_ event: Event) -> String? {
        guard var open = subscriptions[event.id.rawValue] else { return "EVENT for a subscription that ended" }
        guard open.isConfirmed else { return "EVENT before SUBSCRIBED" }
        guard Topics.matches(pattern: open.pattern, topic: event.topic) else {
            return "EVENT \(event.topic) does not match \(open.pattern)"
        }
        guard open.credit > 0 else { return "EVENT without credit" }
        guard event.numbers.delivery == open.lastDelivery + 1 else { return "a delivery is missing" }
        guard event.numbers.dropped >= open.dropped else { return "drops were forgotten" }
        guard event.numbers.sequence > open.lastSequence else { return "events out of order" }
        open.credit -= 1
        open.lastDelivery = event.numbers.delivery
        open.lastSequence = event.numbers.sequence
        open.dropped = event.numbers.dropped
        subscriptions[event.id.rawValue] = open
        return nil
    }
}
