// Events that are kept: the last value of topics and a bounded history of each; what was published longest ago goes first.
// Pure: payloads are handles, and those that are no longer kept are handed back to be released.

import MeshProtocol

/// An event that is kept.
struct KeptEvent: Hashable, Sendable {
    /// The topic.
    var topic: String
    /// The publisher's principal.
    var publisher: String
    /// What the payload holds.
    var contentType: ContentType
    /// The event's sequence.
    var sequence: UInt64
    /// When it was taken, in nanoseconds since 1970.
    var timestamp: UInt64
    /// The payload; the table owns the reference.
    var body: BodyHandle
    /// The payload's length.
    var byteCount: Int
}

/// What a subscriber is to get before the live events.
struct Replay: Sendable {
    /// One event; `flags` say why.
    struct Item: Hashable, Sendable {
        /// The event. Its payload stays the table's: share it.
        var event: KeptEvent
        /// Last value, replay, or both.
        var flags: EventFlags
    }
    /// In order of sequence.
    var items: [Item] = []
    /// With resume: how many events after `since` are no longer kept, as far as can be told.
    var missed: UInt64 = 0
}

/// Last values and histories by topic.
struct RetainedValues: Sendable {
    /// Topics that are kept.
    var topicCount: Int { 0 }
    /// Payloads that are held (without those that are `none`).
    private(set) var bodyCount = 0
    /// Payload bytes that are held.
    private(set) var byteCount = 0
    /// Makes an empty table.
    init() {}
    /// Keeps an event as the topic's last value, in its history, or both; false when it is too large to be kept, and
    /// the reference stays the caller's. What is kept no longer is appended to `released`.
    mutating func keep(
        _ event: KeptEvent,
        retain: Bool,
        history: Bool,
        limits: Limits,
        released: inout [BodyHandle]
    ) -> Bool { false }
    /// What a new subscription gets: the last values (when asked), the latest `history` of each topic, and (when
    /// `since` is given) every kept history event with a higher sequence.
    func replay(pattern: String, lastValue: Bool, history: UInt32, since: UInt64?) -> Replay { Replay() }
    /// Applies lowered limits.
    mutating func trim(to limits: Limits, released: inout [BodyHandle]) {}
    /// Forgets everything.
    mutating func removeAll(released: inout [BodyHandle]) {}
}
