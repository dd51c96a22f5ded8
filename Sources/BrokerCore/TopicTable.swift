// The live subscriptions: who gets an event, with what credit. It does not send: the core asks for the matches of a topic
// and then, for each, takes credit. Pure.

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

/// All subscriptions, by slot. A slot is given again after its subscription has ended.
struct TopicTable: Sendable {
    /// How many there are.
    private(set) var count = 0
    /// The sequence of the latest event; zero when there was none.
    private(set) var sequence: UInt64 = 0
    /// Makes an empty table; `seed` spreads the hashes, so that no peer can aim at collisions.
    init(seed: UInt64 = 0) {}
    /// Adds a subscription; the pattern must be well formed (``Topics/isPattern(_:)``). Returns its slot.
    mutating func subscribe(owner: UInt32, id: RequestID, pattern: String, credit: Credit, limits: Limits) -> Int32 {
        0
    }
    /// Ends a subscription; nil when the slot is free.
    @discardableResult mutating func unsubscribe(_ slot: Int32) -> Subscription? { nil }
    /// Ends all subscriptions of a session; returns how many.
    @discardableResult mutating func sessionEnded(_ owner: UInt32) -> Int { 0 }
    /// The subscription in a slot.
    subscript(slot: Int32) -> Subscription? { nil }
    /// Visits the subscriptions of a session, in order of their making.
    func forEach(of owner: UInt32, _ body: (Int32, Subscription) -> Void) {}
    /// Replaces `slots` with those of all subscriptions that match a topic. Allocates nothing once `slots` has room.
    func matches(_ topic: UnsafeRawBufferPointer, into slots: inout [Int32]) {}
    /// Numbers the next event.
    mutating func nextSequence() -> UInt64 { 0 }
    /// Adds credit, cut to the limits; false when the slot is free.
    @discardableResult mutating func grant(_ credit: Credit, to slot: Int32, limits: Limits) -> Bool { false }
    /// Takes credit for one event: the numbers for EVENT, or nil when there is none left, which is counted as dropped.
    mutating func takeCredit(_ slot: Int32, byteCount: Int, sequence: UInt64, timestamp: UInt64) -> EventNumbers? {
        nil
    }
}
