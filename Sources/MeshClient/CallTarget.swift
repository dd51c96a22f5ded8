// What a caller says about a call: whom it is for, how it is bounded, and what comes back.

public import MeshProtocol

/// The method that a call is for, and how its provider is found.
public struct CallTarget: Hashable, Sendable, CustomStringConvertible {
    /// The service's name, or the capability when ``isCapability``.
    public var name: String
    /// Whether ``name`` is a capability tag that providers of any service may have.
    public var isCapability: Bool
    /// The semver range that the provider's version must be in; empty: any release.
    public var range: String
    /// Conditions on the provider's attributes: `model=tiny;contextLength>=4096`; empty: none.
    public var conditions: String
    /// The method.
    public var method: String

    /// Names a method of a service.
    public static func service(
        _ name: String,
        range: String = "",
        method: String,
        conditions: String = ""
    ) -> CallTarget {
        CallTarget(name: name, isCapability: false, range: range, conditions: conditions, method: method)
    }

    /// Names a method of whoever has a capability.
    public static func capability(
        _ tag: String,
        range: String = "",
        conditions: String = "",
        method: String
    ) -> CallTarget {
        CallTarget(name: tag, isCapability: true, range: range, conditions: conditions, method: method)
    }

    /// `service.method`, with the range after an `@` when there is one.
    public var description: String {
        let tag = isCapability ? "capability " + name : name
        return (range.isEmpty ? tag : tag + "@" + range) + "." + method
    }
}

/// How a call is bounded and placed; nil and the defaults leave it to the broker.
public struct CallOptions: Hashable, Sendable {
    /// The bound on the whole call: 5 s for unary calls and none for streams when nil.
    public var deadline: Duration?
    /// The bound on the wait for a free worker.
    public var queue: Duration?
    /// The bound on the wait for a reply stream's first chunk.
    public var firstChunk: Duration?
    /// The bound on the gap between a reply stream's chunks.
    public var idle: Duration?
    /// The urgency.
    public var band: Band
    /// Calls with the same key go to the same worker while it can take them; empty: no preference.
    public var affinity: String
    /// The caller's estimate of the work, in units that the service defines; zero counts as one.
    public var cost: UInt32
    /// The trace that the call belongs to; nil takes the trace of the call in whose service this one is made.
    public var trace: TraceContext?
    /// How many chunks and bytes of a reply stream may be on their way to this side.
    public var window: Credit

    /// No bound at all, for any of the four clocks.
    public static let unbounded = Duration.milliseconds(Int64(CallClocks.none))
    /// What a stream's reader takes at once unless told otherwise.
    public static let standardWindow = Credit(messages: 64, bytes: 1 << 20)

    /// Sets what differs from the defaults.
    public init(
        deadline: Duration? = nil,
        queue: Duration? = nil,
        firstChunk: Duration? = nil,
        idle: Duration? = nil,
        band: Band = .normal,
        affinity: String = "",
        cost: UInt32 = 0,
        trace: TraceContext? = nil,
        window: Credit = CallOptions.standardWindow
    ) {
        self.deadline = deadline
        self.queue = queue
        self.firstChunk = firstChunk
        self.idle = idle
        self.band = band
        self.affinity = affinity
        self.cost = cost
        self.trace = trace
        self.window = window
    }

    /// The clocks as they stand in a CALL.
    var clocks: CallClocks {
        CallClocks(
            total: Self.milliseconds(deadline),
            queue: Self.milliseconds(queue),
            firstChunk: Self.milliseconds(firstChunk),
            idle: Self.milliseconds(idle)
        )
    }

    /// A bound in the wire's form: zero for the default, at least one millisecond otherwise.
    static func milliseconds(_ duration: Duration?) -> UInt32 {
        guard let duration else { return 0 }
        guard duration < unbounded else { return CallClocks.none }
        return UInt32(clamping: Swift.max(1, duration.roundedMilliseconds))
    }
}

/// What a call came to.
public struct Reply: Hashable, Sendable {
    /// The answer.
    public var payload: Payload
    /// How long the call waited in the broker for a free worker.
    public var queued: Duration
    /// How long the worker took.
    public var service: Duration
    /// The session number of the provider that answered.
    public var provider: UInt64

    /// Makes a reply.
    public init(payload: Payload, queued: Duration = .zero, service: Duration = .zero, provider: UInt64 = 0) {
        self.payload = payload
        self.queued = queued
        self.service = service
        self.provider = provider
    }

    /// Takes an END.
    init(_ end: End, body: [UInt8]) {
        self.init(
            payload: Payload(body, contentType: end.contentType),
            queued: .microseconds(Int64(end.queuedMicroseconds)),
            service: .microseconds(Int64(end.serviceMicroseconds)),
            provider: end.provider
        )
    }
}
