// The core's timers: a hierarchical timing wheel after Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP
// 1987), scheme 7, with an occupancy bitmap for each wheel so that idle ticks cost nothing. Pure: time is passed in.

/// Names a scheduled timer. Ids of timers that have fired or were cancelled are stale and never name another.
struct TimerID: Hashable, Sendable {
    /// The node of the slab.
    var slot: UInt32
    /// Counts the uses of the node.
    var generation: UInt32
    /// No timer.
    static let none = TimerID(slot: .max, generation: 0)
}

/// Timers with a tick of one millisecond.
struct TimingWheel<Payload: BitwiseCopyable & Sendable>: Sendable {
    /// How many timers are pending.
    private(set) var count = 0
    /// Makes an empty wheel whose time begins at `start`.
    init(start: MeshInstant = MeshInstant(nanoseconds: 0), capacity: Int = 1024) {}
    /// Schedules a timer; it fires at the first tick that is not before `deadline`, one in the past at once.
    mutating func schedule(_ payload: Payload, at deadline: MeshInstant) -> TimerID { .none }
    /// Cancels a timer; false when the id is stale.
    @discardableResult mutating func cancel(_ id: TimerID) -> Bool { false }
    /// True when the timer is pending.
    func isPending(_ id: TimerID) -> Bool { false }
    /// A time not after the earliest timer; calling ``next(due:)`` then makes progress. Nil when there are no timers.
    var nextDeadline: MeshInstant? { nil }
    /// Takes out the earliest timer that is due. Nil when none is, or when the work of one call is used up (then
    /// ``nextDeadline`` is not after `now`).
    mutating func next(due now: MeshInstant) -> Payload? { nil }
}
