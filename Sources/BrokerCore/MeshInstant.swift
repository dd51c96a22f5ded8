// A point in monotonic time, passed in by whoever drives the core; the core never reads a clock.

/// A point in monotonic time with an arbitrary origin.
public struct MeshInstant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the origin.
    public var nanoseconds: UInt64
    /// Makes a point.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    /// Orders points in time.
    @inlinable public static func < (left: MeshInstant, right: MeshInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
    /// The point that many milliseconds later.
    @inlinable public func advanced(milliseconds: UInt64) -> MeshInstant {
        MeshInstant(nanoseconds: nanoseconds &+ milliseconds &* 1_000_000)
    }
    /// The nanoseconds from an earlier point to this one; zero when that point is later.
    @inlinable public func nanoseconds(since earlier: MeshInstant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds &- earlier.nanoseconds : 0
    }
}
