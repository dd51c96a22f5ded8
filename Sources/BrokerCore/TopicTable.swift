// The live subscriptions: who gets an event, with what credit. It does not send: the core asks for the matches of a
// topic and then, for each, takes credit. Pure.

import MeshProtocol

/// A subscription and its account.
struct Subscription: Sendable, Hashable {
    /// The owner: the core's index of the session.
    var owner: UInt32
    /// The subscriber's id.
    var id: RequestID
    /// The pattern.
    var pattern: String
    /// Events that may be delivered.
    var creditMessages: UInt32
    /// Payload bytes that may be delivered; negative when overdrawn.
    var creditBytes: Int64
    /// Events delivered.
    var delivered: UInt64
    /// Events dropped for want of credit.
    var dropped: UInt64
}

/// All subscriptions, by slot.
///
/// A slot is given again after its subscription has ended; calls that name a free slot do nothing.
struct TopicTable: Sendable {
    /// How many there are.
    private(set) var count = 0
    /// The sequence of the latest event; zero when there was none.
    private(set) var sequence: UInt64 = 0

    private var trie: TopicTrie
    private var slots: [Slot] = []
    private var firstFree: Int32 = -1
    /// First and last subscription of each session that has any.
    private var lists: [UInt32: OwnerList] = [:]

    private struct Slot: Sendable {
        /// Nil when the slot is free.
        var subscription: Subscription?
        /// In the list of the owner's subscriptions, or of free slots.
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    private struct OwnerList: Sendable {
        var first: Int32
        var last: Int32
    }

    /// Makes an empty table; `seed` spreads the hashes, so that no peer can aim at collisions.
    init(seed: UInt64 = 0) { trie = TopicTrie(seed: seed) }

    /// Adds a subscription; the pattern must be well formed (``Topics/isPattern(_:)``).
    ///
    /// Credit is cut to the limits. Returns the slot.
    mutating func subscribe(owner: UInt32, id: RequestID, pattern: String, credit: Credit, limits: Limits) -> Int32 {
        let slot: Int32
        if firstFree >= 0 {
            slot = firstFree
            firstFree = slots[Int(slot)].next
        } else {
            slot = Int32(truncatingIfNeeded: slots.count)
            slots.append(Slot())
        }
        let last = lists[owner]?.last ?? -1
        slots[Int(slot)] = Slot(
            subscription: Subscription(
                owner: owner,
                id: id,
                pattern: pattern,
                creditMessages: min(credit.messages, limits.creditMessageCount),
                creditBytes: Int64(min(credit.bytes, limits.creditByteCount)),
                delivered: 0,
                dropped: 0
            ),
            next: -1,
            previous: last
        )
        if last >= 0 { slots[Int(last)].next = slot }
        lists[owner] = OwnerList(first: lists[owner]?.first ?? slot, last: slot)
        var pattern = pattern
        pattern.withUTF8 { trie.insert(slot, pattern: UnsafeRawBufferPointer($0)) }
        count += 1
        return slot
    }

    /// Ends a subscription; nil when the slot is free.
    @discardableResult
    mutating func unsubscribe(_ slot: Int32) -> Subscription? {
        guard let subscription = self[slot] else { return nil }
        let next = slots[Int(slot)].next
        let previous = slots[Int(slot)].previous
        if next >= 0 { slots[Int(next)].previous = previous } else { lists[subscription.owner]?.last = previous }
        if previous >= 0 { slots[Int(previous)].next = next } else { lists[subscription.owner]?.first = next }
        if next < 0, previous < 0 { lists[subscription.owner] = nil }
        trie.remove(slot)
        slots[Int(slot)] = Slot(subscription: nil, next: firstFree, previous: -1)
        firstFree = slot
        count -= 1
        return subscription
    }

    /// Ends all subscriptions of a session; returns how many.
    @discardableResult
    mutating func sessionEnded(_ owner: UInt32) -> Int {
        var ended = 0
        while let slot = lists[owner]?.first {
            unsubscribe(slot)
            ended += 1
        }
        return ended
    }

    /// The subscription in a slot.
    subscript(slot: Int32) -> Subscription? {
        slots.indices.contains(Int(slot)) ? slots[Int(slot)].subscription : nil
    }

    /// Where a delivery goes, without a copy of the subscription.
    func target(of slot: Int32) -> (owner: UInt32, id: RequestID)? {
        guard slots.indices.contains(Int(slot)), let owner = slots[Int(slot)].subscription?.owner,
            let id = slots[Int(slot)].subscription?.id
        else { return nil }
        return (owner, id)
    }

    /// Visits the subscriptions of a session, in order of their making.
    func forEach(of owner: UInt32, _ body: (Int32, Subscription) -> Void) {
        var slot = lists[owner]?.first ?? -1
        while slot >= 0 {
            if let subscription = self[slot] { body(slot, subscription) }
            slot = slots[Int(slot)].next
        }
    }

    /// Visits all subscriptions, in order of their slots.
    func forEach(_ body: (Int32, Subscription) -> Void) {
        for (index, slot) in slots.enumerated() {
            if let subscription = slot.subscription { body(Int32(truncatingIfNeeded: index), subscription) }
        }
    }

    /// Replaces `slots` with those of all subscriptions that match a topic.
    ///
    /// The order is fixed: by place in the trie, then by age. Allocates nothing once `slots` has room.
    func matches(_ topic: UnsafeRawBufferPointer, into slots: inout [Int32]) {
        slots.removeAll(keepingCapacity: true)
        trie.match(topic, into: &slots)
    }

    /// Numbers the next event.
    mutating func nextSequence() -> UInt64 {
        sequence &+= 1
        return sequence
    }

    /// Adds credit, cut to the limits; false when the slot is free.
    @discardableResult
    mutating func grant(_ credit: Credit, to slot: Int32, limits: Limits) -> Bool {
        guard slots.indices.contains(Int(slot)), slots[Int(slot)].subscription != nil else { return false }
        Self.grant(credit, limits, to: &slots[Int(slot)].subscription)
        return true
    }

    /// Takes credit for one event: the numbers for EVENT, or nil when there is none left, which is counted as dropped.
    ///
    /// An event goes while a message and a byte of credit are left, and may overdraw the bytes.
    mutating func takeCredit(_ slot: Int32, byteCount: Int, sequence: UInt64, timestamp: UInt64) -> EventNumbers? {
        guard slots.indices.contains(Int(slot)) else { return nil }
        return Self.take(byteCount, sequence, timestamp, from: &slots[Int(slot)].subscription)
    }

    private static func grant(_ credit: Credit, _ limits: Limits, to subscription: inout Subscription?) {
        guard let messages = subscription?.creditMessages, let bytes = subscription?.creditBytes else { return }
        let (sum, overflow) = messages.addingReportingOverflow(credit.messages)
        // What was granted stays, should the limits have been lowered since.
        subscription?.creditMessages = max(messages, min(overflow ? .max : sum, limits.creditMessageCount))
        // At most 2^33 are added to what is at most 2^32; no overflow.
        subscription?.creditBytes = max(bytes, min(bytes &+ Int64(credit.bytes), Int64(limits.creditByteCount)))
    }

    private static func take(
        _ byteCount: Int,
        _ sequence: UInt64,
        _ timestamp: UInt64,
        from subscription: inout Subscription?
    ) -> EventNumbers? {
        guard let messages = subscription?.creditMessages, let bytes = subscription?.creditBytes,
            let delivered = subscription?.delivered, let dropped = subscription?.dropped
        else { return nil }
        guard messages > 0, bytes > 0 else {
            subscription?.dropped = dropped &+ 1
            return nil
        }
        subscription?.creditMessages = messages - 1
        subscription?.creditBytes = bytes &- Int64(max(0, min(byteCount, Int(Int32.max))))
        subscription?.delivered = delivered &+ 1
        return EventNumbers(sequence: sequence, delivery: delivered &+ 1, dropped: dropped, timestamp: timestamp)
    }
}
