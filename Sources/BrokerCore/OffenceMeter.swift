// Counts a session's offences in a sliding window. Pure.

/// The offences of one session: the times of the latest ones, as many as the limit.
struct OffenceMeter: Sendable {
    /// Offences so far.
    private(set) var total: UInt64 = 0
    /// Makes a clean record; nothing is allocated until the first offence.
    init() {}
    /// Counts an offence; true when it is the `limit`th within the window that ends now.
    mutating func record(now: MeshInstant, limit: Int, windowMilliseconds: UInt64) -> Bool { false }
}
