// Points in time for the pure machines: numbers that come in from outside, so that tests can make their own time.

/// A point on a monotonic clock.
struct Moment: Hashable, Comparable, Sendable {
    /// Nanoseconds since an arbitrary start.
    var nanoseconds: Int64

    static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

    static func + (moment: Moment, duration: Duration) -> Moment {
        Moment(nanoseconds: moment.nanoseconds &+ duration.wholeNanoseconds)
    }

    /// How long from this moment to a later one; zero when it is past.
    func remaining(until later: Moment) -> Duration { .nanoseconds(Swift.max(0, later.nanoseconds - nanoseconds)) }
}

extension Duration {
    /// Nanoseconds, clamped to a century.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds < 3_000_000_000 else { return 3_000_000_000_000_000_000 }
        guard seconds > -3_000_000_000 else { return -3_000_000_000_000_000_000 }
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// Milliseconds, rounded up.
    var roundedMilliseconds: Int64 {
        let nanoseconds = wholeNanoseconds
        return nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 > 0 ? 1 : 0)
    }
}

/// The earlier of two moments, either of which may be missing.
func earliest(_ left: Moment?, _ right: Moment?) -> Moment? {
    guard let left else { return right }
    guard let right else { return left }
    return Swift.min(left, right)
}
