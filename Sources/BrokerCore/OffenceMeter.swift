// Counts a session's offences in a sliding window. Pure.

/// The offences of one session: the times of the latest ones, as many as the limit, so that the count is exact.
struct OffenceMeter: Sendable {
    /// Offences so far.
    private(set) var total: UInt64 = 0

    /// The latest times; once it is full, `oldest` is the place of the oldest.
    private var times: [MeshInstant] = []
    private var oldest = 0

    /// A higher limit counts as this one, so that a session's record stays small.
    private static var longestRing: Int { 1_024 }

    /// Makes a clean record; nothing is allocated until the first offence.
    init() {}

    /// Counts an offence; true when it is the `limit`th, or a later one, within the window that ends now.
    mutating func record(now: MeshInstant, limit: Int, windowMilliseconds: UInt64) -> Bool {
        total &+= 1
        let limit = min(limit, Self.longestRing)
        guard limit > 1 else { return true }
        if times.count > limit { restart(keeping: limit) }
        if times.count < limit {
            // The limit may have been raised since the ring was full: put it in order before it grows.
            if oldest != 0 { restart(keeping: times.count) }
            times.append(now)
        } else {
            times[oldest] = now
            oldest = (oldest + 1) % times.count
        }
        guard times.count == limit else { return false }
        let (window, overflow) = windowMilliseconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow || now.nanoseconds(since: times[oldest]) < window
    }

    /// Puts the ring in order, keeping the latest times.
    private mutating func restart(keeping count: Int) {
        times = Array((times[oldest...] + times[..<oldest]).suffix(count))
        oldest = 0
    }
}
