// The queue of one service and version: bands by urgency, and within a band deficit round robin between callers after
// Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin" (SIGCOMM 1995). Pure.

import MeshProtocol

/// Names a waiting call in its queue. Tokens of calls that have left are stale.
struct QueueToken: Hashable, Sendable {
    /// The node of the slab.
    var slot: UInt32
    /// Counts the uses of the node.
    var generation: UInt32
    /// No place in a queue.
    static let none = QueueToken(slot: .max, generation: 0)
}

/// Waiting calls. Bounds on count and bytes are the owner's.
struct FairQueue: Sendable {
    /// How many calls wait.
    private(set) var count = 0
    /// True when none waits.
    var isEmpty: Bool { count == 0 }
    /// Makes an empty queue.
    init() {}
    /// Appends a call to its caller's line; a cost of zero counts as one.
    mutating func push(_ call: UInt32, caller: UInt32, band: Band, cost: UInt32) -> QueueToken { .none }
    /// Puts a call that was popped back: it leaves first in its band, and its cost is not charged again.
    mutating func pushFront(_ call: UInt32, caller: UInt32, band: Band, cost: UInt32) -> QueueToken { .none }
    /// Takes out the call whose turn it is.
    mutating func pop() -> UInt32? { nil }
    /// Takes out a call; false when the token is stale.
    @discardableResult mutating func remove(_ token: QueueToken) -> Bool { false }
    /// How many calls of a band wait.
    func count(in band: Band) -> Int { 0 }
    /// Visits every waiting call, in no particular order.
    func forEach(_ body: (UInt32) -> Void) {}
}
