// The call in whose service the present task runs: what nested calls take over from it without being told.

public import MeshProtocol

/// The call that a handler is answering.
///
/// Calls made while ``current`` is set become its children: they are cancelled when it ends, cannot outlast its
/// deadline, and belong to its trace.
public struct CallContext: Sendable {
    /// The call that the present task is answering; nil outside of handlers.
    @TaskLocal public static var current: CallContext?

    /// The caller's principal, as the broker found it.
    public let caller: String
    /// When the caller stops waiting; nil when the call has no bound.
    public let deadline: ContinuousClock.Instant?
    /// The trace; its span is this call's own, so that it is the parent of nested calls' spans.
    public let trace: TraceContext
    /// The span of the caller, zero when there is no trace.
    public let parentSpan: UInt64
    /// The caller's affinity key; may be empty.
    public let affinity: String
    /// The urgency.
    public let band: Band
    /// How many calls this one is nested in.
    public let hops: Int
    /// The lease, valid on one session of one connection.
    let lease: LeaseKey

    /// How long the caller still waits, never negative; nil when the call has no bound.
    public var remaining: Duration? {
        deadline.map { Swift.max(.zero, ContinuousClock.now.duration(to: $0)) }
    }
}

/// Names one session of one connection of this process.
struct SessionKey: Hashable, Sendable {
    /// Counts connections.
    var connection: Int
    /// Counts the connection's sessions.
    var generation: Int
}
