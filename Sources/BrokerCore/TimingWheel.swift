// The core's timers: a hierarchical timing wheel after Varghese and Lauck, "Hashed and Hierarchical Timing Wheels"
// (SOSP 1987), scheme 7, with an occupancy bitmap for each wheel so that idle ticks cost nothing. Pure: time is passed
// in.

/// Names a scheduled timer.
///
/// Ids of timers that have fired or were cancelled are stale and do not name another until 2^32 uses of the node later.
struct TimerID: Hashable, Sendable {
    /// The node of the slab.
    var slot: UInt32
    /// Counts the uses of the node.
    var generation: UInt32
    /// No timer.
    static let none = TimerID(slot: .max, generation: 0)
}

/// Timers with a tick of one millisecond: eight wheels of 64 places, each place a list through a slab of nodes.
///
/// A timer stands in the wheel of the highest base-64 digit in which its tick differs from the present one, so all
/// timers of a lower wheel are earlier than all of a higher one. When time reaches a place of a higher wheel, its
/// timers move to lower ones (at most seven times in a timer's life). Timers of one tick fire in the order in which
/// they were scheduled.
struct TimingWheel<Payload: BitwiseCopyable & Sendable>: ~Copyable, Sendable {
    /// How many timers are pending.
    private(set) var count = 0

    /// The tick up to which everything has fired.
    private var elapsed: UInt64
    /// The slab, in two parts: a cancellation touches only the links of a timer and its neighbours.
    private var links: Slab<Link>
    private var timers: Slab<Timer>
    private var firstFree = UInt32.max
    /// First and last node of each place.
    private var lists: Slab<List>
    /// Which places of each wheel are taken.
    private var places: Slab<UInt64>
    /// Which wheels have a place that is taken.
    private var wheels: UInt32 = 0
    /// The list whose timers are on their way to lower wheels; negative when none is.
    private var moving = -1

    /// Sixteen bytes, so that four share a cache line.
    struct Link: Sendable {
        var next: UInt32
        var previous: UInt32
        var generation: UInt32
        /// The list; ``free`` when the node is in none.
        var list: UInt16
    }

    struct Timer: Sendable {
        var tick: UInt64
        var payload: Payload
    }

    struct List: Sendable {
        var first = UInt32.max
        var last = UInt32.max
    }

    private static var free: UInt16 { .max }
    private static var wheelCount: Int { 8 }
    private static var nanosecondsPerTick: UInt64 { 1_000_000 }
    /// Timers that one call moves at most: about a millisecond of work.
    private static var moveCount: Int { 16_384 }

    /// Makes an empty wheel whose time begins at `start`.
    init(start: MeshInstant = MeshInstant(nanoseconds: 0), capacity: Int = 1024) {
        elapsed = start.nanoseconds / Self.nanosecondsPerTick
        lists = Slab(repeating: List(), count: Self.wheelCount * 64)
        places = Slab(repeating: 0, count: Self.wheelCount)
        links = Slab(capacity: capacity)
        timers = Slab(capacity: capacity)
    }

    /// Schedules a timer.
    ///
    /// It fires at the first tick that is not before `deadline`, one in the past as soon as ``next(due:)`` is asked.
    mutating func schedule(_ payload: Payload, at deadline: MeshInstant) -> TimerID {
        // Rounded up, so that no timer fires early; the last tick that an instant can reach is the latest.
        let whole = deadline.nanoseconds / Self.nanosecondsPerTick
        let isExact = whole &* Self.nanosecondsPerTick == deadline.nanoseconds
        let latest = UInt64.max / Self.nanosecondsPerTick
        let tick = max(elapsed, min(latest, isExact ? whole : whole &+ 1))
        let slot: UInt32
        if firstFree != .max {
            slot = firstFree
            firstFree = links[Int(slot)].next
            timers[Int(slot)] = Timer(tick: tick, payload: payload)
        } else {
            slot = UInt32(truncatingIfNeeded: links.count)
            links.append(Link(next: .max, previous: .max, generation: 1, list: Self.free))
            timers.append(Timer(tick: tick, payload: payload))
        }
        link(slot, tick: tick)
        count &+= 1
        return TimerID(slot: slot, generation: links[Int(slot)].generation)
    }

    /// Cancels a timer; false when the id is stale.
    @discardableResult
    mutating func cancel(_ id: TimerID) -> Bool {
        guard isPending(id) else { return false }
        unlink(id.slot)
        release(id.slot)
        return true
    }

    /// True when the timer is pending.
    func isPending(_ id: TimerID) -> Bool {
        let index = Int(id.slot)
        return index < links.count && links[index].generation == id.generation && links[index].list != Self.free
    }

    /// A time not after the earliest timer, at which ``next(due:)`` makes progress; nil when there are no timers.
    var nextDeadline: MeshInstant? {
        guard count > 0 else { return nil }
        let tick = moving >= 0 ? elapsed : firstPlace().start
        return MeshInstant(nanoseconds: tick &* Self.nanosecondsPerTick)
    }

    /// Takes out the earliest timer that is due.
    ///
    /// Nil when none is, or when the work of one call is used up; then ``nextDeadline`` is not after `now`, and the
    /// next call goes on.
    mutating func next(due now: MeshInstant) -> Payload? {
        let tick = now.nanoseconds / Self.nanosecondsPerTick
        guard tick >= elapsed else { return nil }
        var budget = Self.moveCount
        while count > 0 {
            if moving >= 0 {
                guard move(&budget) else { return nil }
                continue
            }
            let place = firstPlace()
            guard place.start <= tick else { break }
            elapsed = place.start
            if place.list >= 64 {
                moving = place.list
                continue
            }
            let slot = lists[place.list].first
            let payload = timers[Int(slot)].payload
            unlink(slot)
            release(slot)
            return payload
        }
        elapsed = tick
        return nil
    }

    // MARK: The wheels

    /// The earliest place that is taken, and the first tick that it stands for; there must be one.
    private func firstPlace() -> (list: Int, start: UInt64) {
        let wheel = wheels.trailingZeroBitCount & (Self.wheelCount - 1)
        let place = places[wheel].trailingZeroBitCount & 63
        let shift = UInt64(wheel * 6)
        let block = (elapsed >> (shift + 6)) << (shift + 6)
        return (wheel << 6 | place, block | UInt64(place) << shift)
    }

    /// Moves timers of the list that time has reached to lower wheels; false when the budget ends first.
    private mutating func move(_ budget: inout Int) -> Bool {
        while true {
            let slot = lists[moving].first
            guard slot != .max else { break }
            guard budget > 0 else { return false }
            budget -= 1
            unlink(slot)
            link(slot, tick: timers[Int(slot)].tick)
        }
        moving = -1
        return true
    }

    /// Appends a node to the list of its tick, which must not be before `elapsed`.
    private mutating func link(_ slot: UInt32, tick: UInt64) {
        let wheel = (63 - ((tick ^ elapsed) | 63).leadingZeroBitCount) / 6
        let place = Int(truncatingIfNeeded: tick >> UInt64(wheel * 6)) & 63
        let list = wheel << 6 | place
        let last = lists[list].last
        links[Int(slot)].list = UInt16(truncatingIfNeeded: list)
        links[Int(slot)].next = .max
        links[Int(slot)].previous = last
        lists[list].last = slot
        if last != .max {
            links[Int(last)].next = slot
        } else {
            lists[list].first = slot
            places[wheel] |= 1 << UInt64(place)
            wheels |= 1 << UInt32(wheel)
        }
    }

    /// Takes a node out of its list.
    private mutating func unlink(_ slot: UInt32) {
        let next = links[Int(slot)].next
        let previous = links[Int(slot)].previous
        let list = Int(links[Int(slot)].list)
        if next != .max { links[Int(next)].previous = previous } else { lists[list].last = previous }
        if previous != .max { links[Int(previous)].next = next } else { lists[list].first = next }
        if next == .max, previous == .max {
            let wheel = list >> 6
            places[wheel] &= ~(1 << UInt64(list & 63))
            if places[wheel] == 0 { wheels &= ~(1 << UInt32(wheel)) }
        }
    }

    /// Gives an unlinked node back to the slab.
    private mutating func release(_ slot: UInt32) {
        links[Int(slot)].list = Self.free
        links[Int(slot)].generation &+= 1
        links[Int(slot)].next = firstFree
        firstFree = slot
        count &-= 1
    }
}
