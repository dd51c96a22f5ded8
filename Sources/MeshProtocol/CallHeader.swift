// CALL: the header that begins a call, read in two ways: with strings by those who keep them, with places in the header
// by the broker, which looks at each call once. Pure.

/// How much a stream's reader is ready to take.
public struct Credit: Hashable, Sendable {
    /// Chunks or events.
    public var messages: UInt32
    /// Payload bytes.
    public var bytes: UInt32
    /// Grants an amount.
    @inlinable public init(messages: UInt32, bytes: UInt32) {
        self.messages = messages
        self.bytes = bytes
    }
    /// Nothing.
    public static let none = Credit(messages: 0, bytes: 0)
}

/// A call's clocks in milliseconds: zero asks for the default, ``none`` for no bound.
public struct CallClocks: Hashable, Sendable {
    /// The whole call.
    public var total: UInt32
    /// The wait for a free worker.
    public var queue: UInt32
    /// The wait for a stream's first chunk.
    public var firstChunk: UInt32
    /// The gap between a stream's chunks.
    public var idle: UInt32
    /// No bound.
    public static let none = UInt32.max
    /// Sets the clocks; the default asks for the defaults.
    @inlinable public init(total: UInt32 = 0, queue: UInt32 = 0, firstChunk: UInt32 = 0, idle: UInt32 = 0) {
        self.total = total
        self.queue = queue
        self.firstChunk = firstChunk
        self.idle = idle
    }
}

/// CALL: asks for a method of a service.
///
/// From a caller, `id` is its request and `caller` is empty; on its way to a worker the broker puts a lease in `id`,
/// the budget that is left in `clocks.total`, and the caller's principal in `caller`.
public struct Call<Text: HeaderText>: Hashable, Sendable {
    /// Streams, capability look-up, idempotence.
    public var flags: CallFlags
    /// What the payload holds.
    public var contentType: ContentType
    /// The request or the lease.
    public var id: WireID
    /// The clocks.
    public var clocks: CallClocks
    /// What the caller is ready to take of a reply stream at once.
    public var credit: Credit
    /// The caller's estimate of the work, in units that the service defines; zero counts as one.
    public var cost: UInt32
    /// The urgency.
    public var band: Band
    /// How many calls this one is nested in.
    public var hops: UInt8
    /// The lease in whose service this call is made: its budget bounds this call, its end cancels it.
    ///
    /// Zero: none.
    public var parent: WireID
    /// The trace that the call belongs to.
    public var trace: TraceContext
    /// The service; with ``CallFlags/byCapability``, the capability.
    public var service: Text
    /// The semver range that the provider's version must be in; empty: any release.
    public var range: Text
    /// The method.
    public var method: Text
    /// Calls with the same key go to the same worker while it can take them; empty: no preference.
    public var affinity: Text
    /// Conditions on the provider's attributes: `model=tiny;contextLength>=4096`; empty: none.
    public var conditions: Text
    /// The caller's principal, filled in by the broker.
    public var caller: Text

    /// Reads a CALL.
    ///
    /// - Throws: ``DecodeError``.
    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Call<Text> {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.call, knownFlags: CallFlags.known.rawValue, from: &reader)
        guard !prefix.id.isSession else {
            throw reader.error("id", at: 8, .malformed("must be a request id or a lease, not zero"))
        }
        let clocks = CallClocks(
            total: try reader.integer("totalMilliseconds"),
            queue: try reader.integer("queueMilliseconds"),
            firstChunk: try reader.integer("firstChunkMilliseconds"),
            idle: try reader.integer("idleMilliseconds")
        )
        let credit = Credit(messages: try reader.integer("creditMessages"), bytes: try reader.integer("creditBytes"))
        let cost: UInt32 = try reader.integer("cost")
        let band: Band = try reader.choice("band")
        let hops: UInt8 = try reader.integer("hops")
        try reader.zero("reserved", as: UInt16.self)
        let parent = WireID(rawValue: try reader.integer("parent"))
        let trace = TraceContext(
            traceHigh: try reader.integer("traceHigh"),
            traceLow: try reader.integer("traceLow"),
            span: try reader.integer("span"),
            flags: try reader.integer("traceFlags")
        )
        let call = Call(
            flags: CallFlags(rawValue: prefix.flags),
            contentType: prefix.contentType,
            id: prefix.id,
            clocks: clocks,
            credit: credit,
            cost: cost,
            band: band,
            hops: hops,
            parent: parent,
            trace: trace,
            service: try Text.read("service", maximum: WireLimits.nameByteCount, from: &reader),
            range: try Text.read("range", maximum: WireLimits.versionByteCount, from: &reader),
            method: try Text.read("method", maximum: WireLimits.nameByteCount, from: &reader),
            affinity: try Text.read("affinity", maximum: WireLimits.valueByteCount, from: &reader),
            conditions: try Text.read("conditions", maximum: WireLimits.valueByteCount, from: &reader),
            caller: try Text.read("caller", maximum: WireLimits.nameByteCount, from: &reader)
        )
        try reader.finish()
        guard call.service.byteCount > 0 else { throw reader.error("service", at: Self.fixedByteCount, .empty) }
        return call
    }

    /// Where the texts begin.
    static var fixedByteCount: Int { 84 }
}

/// CALL with strings: what callers write and workers read.
public typealias CallHeader = Call<String>

extension CallHeader: HeaderFields {
    /// CALL.
    public static let verb = Verb.call

    /// Makes a CALL as a caller sends it.
    public init(
        flags: CallFlags = [],
        contentType: ContentType = .json,
        id: WireID,
        clocks: CallClocks = CallClocks(),
        credit: Credit = .none,
        cost: UInt32 = 0,
        band: Band = .normal,
        hops: UInt8 = 0,
        parent: WireID = .session,
        trace: TraceContext = .none,
        service: String,
        range: String = "",
        method: String,
        affinity: String = "",
        conditions: String = "",
        caller: String = ""
    ) {
        self.flags = flags
        self.contentType = contentType
        self.id = id
        self.clocks = clocks
        self.credit = credit
        self.cost = cost
        self.band = band
        self.hops = hops
        self.parent = parent
        self.trace = trace
        self.service = service
        self.range = range
        self.method = method
        self.affinity = affinity
        self.conditions = conditions
        self.caller = caller
    }

    /// Reads a CALL.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> CallHeader { try read(bytes) }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        Self.fixed(
            flags: flags,
            contentType: contentType,
            id: id,
            clocks: clocks,
            credit: credit,
            cost: cost,
            band: band,
            hops: hops,
            parent: parent,
            trace: trace,
            to: &buffer
        )
        HeaderWriter.text(service, to: &buffer)
        HeaderWriter.text(range, to: &buffer)
        HeaderWriter.text(method, to: &buffer)
        HeaderWriter.text(affinity, to: &buffer)
        HeaderWriter.text(conditions, to: &buffer)
        HeaderWriter.text(caller, to: &buffer)
    }

    @inline(__always)
    static func fixed(
        flags: CallFlags,
        contentType: ContentType,
        id: WireID,
        clocks: CallClocks,
        credit: Credit,
        cost: UInt32,
        band: Band,
        hops: UInt8,
        parent: WireID,
        trace: TraceContext,
        to buffer: inout [UInt8]
    ) {
        let hopsAndBand = UInt32(band.rawValue) | UInt32(hops) << 8
        let words = (
            HeaderWriter.prefixWord(.call, flags.rawValue, contentType, .ok),
            id.rawValue.littleEndian,
            HeaderWriter.pair(clocks.total, clocks.queue),
            HeaderWriter.pair(clocks.firstChunk, clocks.idle),
            HeaderWriter.pair(credit.messages, credit.bytes),
            HeaderWriter.pair(cost, hopsAndBand),
            parent.rawValue.littleEndian,
            trace.traceHigh.littleEndian,
            trace.traceLow.littleEndian,
            trace.span.littleEndian
        )
        withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) }
        HeaderWriter.integer(trace.flags, to: &buffer)
    }
}
