// The ids of the wire. A peer chooses request ids; the broker chooses lease ids, which have the top bit set, so that one
// session can be caller and worker and an id still says which of the two is meant. Pure.

/// The `id` of a header: a request of the peer's own or a lease given out by the broker.
public struct WireID: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt64
    /// Takes any number.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The id of a header that concerns the session as a whole.
    public static let session = WireID(rawValue: 0)
    /// The bit that marks the broker's ids.
    @inlinable public static var leaseBit: UInt64 { 1 << 63 }
    /// True when the broker gave the id to a worker.
    @inlinable public var isLease: Bool { rawValue & Self.leaseBit != 0 }
    /// True when the header concerns the session as a whole.
    @inlinable public var isSession: Bool { rawValue == 0 }
}

/// An id that a peer chose for a call, a registration, a subscription or another request; unique among its live ones.
public struct RequestID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number: 1 to 2^63 - 1.
    public let rawValue: UInt64
    /// Takes a number from 1 to 2^63 - 1; nil for any other.
    @inlinable public init?(rawValue: UInt64) {
        guard rawValue != 0, rawValue & WireID.leaseBit == 0 else { return nil }
        self.rawValue = rawValue
    }
    /// Takes the id of a header; nil when it is a lease or the session.
    @inlinable public init?(_ id: WireID) { self.init(rawValue: id.rawValue) }
    /// The id as it stands in a header.
    @inlinable public var wire: WireID { WireID(rawValue: rawValue) }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// An id that the broker chose for a call it gave to a worker: an index and a generation, so that a late answer to an
/// ended call never meets another call.
public struct LeaseID: Hashable, Sendable, CustomStringConvertible {
    /// The slot of the broker's call table.
    public let index: UInt32
    /// Counts the uses of the slot; 31 bits.
    public let generation: UInt32
    /// Makes the id of a slot's present use.
    @inlinable public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation & 0x7fff_ffff
    }
    /// Takes the id of a header; nil when it is not a lease.
    @inlinable public init?(_ id: WireID) {
        guard id.isLease else { return nil }
        self.init(
            index: UInt32(truncatingIfNeeded: id.rawValue),
            generation: UInt32(truncatingIfNeeded: id.rawValue >> 32)
        )
    }
    /// The id as it stands in a header.
    @inlinable public var wire: WireID {
        WireID(rawValue: WireID.leaseBit | UInt64(generation) << 32 | UInt64(index))
    }
    /// Takes what ``description`` gives; nil for anything else.
    public init?(text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = UInt32(parts[0]), let generation = UInt32(parts[1]),
            generation <= 0x7fff_ffff
        else { return nil }
        self.init(index: index, generation: generation)
    }
    /// `index.generation`, as the CLI shows it and takes it.
    public var description: String { "\(index).\(generation)" }
}

/// W3C trace context in binary: zero when there is none.
public struct TraceContext: Hashable, Sendable {
    /// The high half of the trace id.
    public var traceHigh: UInt64
    /// The low half of the trace id.
    public var traceLow: UInt64
    /// The span that made the call.
    public var span: UInt64
    /// Bit 0: sampled.
    public var flags: UInt32
    /// Makes a context; the default is none.
    @inlinable public init(traceHigh: UInt64 = 0, traceLow: UInt64 = 0, span: UInt64 = 0, flags: UInt32 = 0) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.flags = flags
    }
    /// No trace.
    @inlinable public static var none: TraceContext { TraceContext() }
}
