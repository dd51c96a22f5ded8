// The headers of a call under way: ACCEPT CHUNK END FAIL REFUSE CANCEL CREDIT. Pure.

/// ACCEPT: the worker is at the call.
///
/// It may leave it out when it answers within a second.
public struct Accept: HeaderFields {
    /// ACCEPT.
    public static let verb = Verb.accept
    /// The lease.
    public var id: WireID
    /// What the worker is ready to take of the request stream.
    public var credit: Credit
    /// Makes an ACCEPT.
    public init(id: WireID, credit: Credit = .none) {
        self.id = id
        self.credit = credit
    }

    /// Reads an ACCEPT.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Accept {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.accept, from: &reader)
        let accept = Accept(id: prefix.id, credit: try reader.credit())
        try reader.finish()
        return accept
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.accept, id: id, to: &buffer)
        HeaderWriter.credit(credit, to: &buffer)
    }
}

/// CHUNK: one element of a stream, in either direction; the payload is the element.
public struct Chunk: HeaderFields {
    /// CHUNK.
    public static let verb = Verb.chunk
    /// Whether the direction ends.
    public var flags: ChunkFlags
    /// What the payload holds.
    public var contentType: ContentType
    /// The request or the lease.
    public var id: WireID
    /// Counts the chunks of one direction from zero, so that a loss shows.
    public var sequence: UInt32
    /// Makes a CHUNK.
    public init(flags: ChunkFlags = [], contentType: ContentType = .json, id: WireID, sequence: UInt32) {
        self.flags = flags
        self.contentType = contentType
        self.id = id
        self.sequence = sequence
    }

    /// Reads a CHUNK.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Chunk {
        if let prefix = HeaderPrefix.usual(.chunk, byteCount: 20, knownFlags: ChunkFlags.known.rawValue, bytes) {
            return Chunk(
                flags: ChunkFlags(rawValue: prefix.flags),
                contentType: prefix.contentType,
                id: prefix.id,
                sequence: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
            )
        }
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.chunk, knownFlags: ChunkFlags.known.rawValue, from: &reader)
        let chunk = Chunk(
            flags: ChunkFlags(rawValue: prefix.flags),
            contentType: prefix.contentType,
            id: prefix.id,
            sequence: try reader.integer("sequence")
        )
        try reader.finish()
        return chunk
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        let words = (
            HeaderWriter.prefixWord(.chunk, flags.rawValue, contentType, .ok),
            id.rawValue.littleEndian,
            sequence.littleEndian
        )
        withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) }
    }
}

/// END: the good end of a call or of any other request; a call's payload is its result.
public struct End: HeaderFields {
    /// END.
    public static let verb = Verb.end
    /// What the payload holds.
    public var contentType: ContentType
    /// The request or the lease.
    public var id: WireID
    /// How long the call waited in the broker, in microseconds; the broker fills it in.
    public var queuedMicroseconds: UInt32
    /// How long the worker had it, in microseconds; the broker fills it in.
    public var serviceMicroseconds: UInt32
    /// The session of the worker; the broker fills it in.
    ///
    /// Zero: the broker itself.
    public var provider: UInt64
    /// Makes an END.
    public init(
        contentType: ContentType = .json,
        id: WireID,
        queuedMicroseconds: UInt32 = 0,
        serviceMicroseconds: UInt32 = 0,
        provider: UInt64 = 0
    ) {
        self.contentType = contentType
        self.id = id
        self.queuedMicroseconds = queuedMicroseconds
        self.serviceMicroseconds = serviceMicroseconds
        self.provider = provider
    }

    /// Reads an END.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> End {
        if let prefix = HeaderPrefix.usual(.end, byteCount: 32, bytes) {
            return End(
                contentType: prefix.contentType,
                id: prefix.id,
                queuedMicroseconds: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)),
                serviceMicroseconds: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self)),
                provider: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
            )
        }
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.end, from: &reader)
        let end = End(
            contentType: prefix.contentType,
            id: prefix.id,
            queuedMicroseconds: try reader.integer("queuedMicroseconds"),
            serviceMicroseconds: try reader.integer("serviceMicroseconds"),
            provider: try reader.integer("provider")
        )
        try reader.finish()
        return end
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        let words = (
            HeaderWriter.prefixWord(.end, 0, contentType, .ok),
            id.rawValue.littleEndian,
            HeaderWriter.pair(queuedMicroseconds, serviceMicroseconds),
            provider.littleEndian
        )
        withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) }
    }
}

/// FAIL: the bad end of a call or of any other request; the payload, if any, holds details for programs.
public struct Fail: HeaderFields {
    /// FAIL.
    public static let verb = Verb.fail
    /// Retryable, outcome unknown, from the worker.
    public var flags: FailFlags
    /// What the payload holds.
    public var contentType: ContentType
    /// Why.
    public var status: Status
    /// The request or the lease.
    public var id: WireID
    /// Not before this long, in milliseconds.
    public var retryAfterMilliseconds: UInt32
    /// The clock that ran out.
    public var clock: Clock
    /// Where the call was.
    public var phase: CallPhase
    /// Who ended it: a worker's principal, or empty for the broker.
    public var origin: String
    /// What happened, where and why.
    public var message: String
    /// What to do or type next; may be empty.
    public var hint: String

    /// Makes a FAIL.
    public init(
        flags: FailFlags = [],
        contentType: ContentType = .json,
        status: Status,
        id: WireID,
        retryAfterMilliseconds: UInt32 = 0,
        clock: Clock = .none,
        phase: CallPhase = .none,
        origin: String = "",
        message: String,
        hint: String = ""
    ) {
        self.flags = flags
        self.contentType = contentType
        self.status = status
        self.id = id
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.clock = clock
        self.phase = phase
        self.origin = origin
        self.message = message
        self.hint = hint
    }

    /// Reads a FAIL.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Fail {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.fail, knownFlags: FailFlags.known.rawValue, from: &reader)
        let status = try prefix.failure(reader)
        let retryAfter: UInt32 = try reader.integer("retryAfterMilliseconds")
        let clock: Clock = try reader.choice("clock")
        let phase: CallPhase = try reader.choice("phase")
        let fail = Fail(
            flags: FailFlags(rawValue: prefix.flags),
            contentType: prefix.contentType,
            status: status,
            id: prefix.id,
            retryAfterMilliseconds: retryAfter,
            clock: clock,
            phase: phase,
            origin: try reader.text("origin", maximum: WireLimits.nameByteCount),
            message: try reader.text("message", maximum: WireLimits.messageByteCount),
            hint: try reader.text("hint", maximum: WireLimits.messageByteCount)
        )
        try reader.finish()
        return fail
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(
            .fail,
            flags: flags.rawValue,
            contentType: contentType,
            status: status,
            id: id,
            to: &buffer
        )
        HeaderWriter.integer(retryAfterMilliseconds, to: &buffer)
        HeaderWriter.integer(clock.rawValue, to: &buffer)
        HeaderWriter.integer(phase.rawValue, to: &buffer)
        HeaderWriter.text(origin, to: &buffer)
        HeaderWriter.sentence(message, maximum: WireLimits.messageByteCount, to: &buffer)
        HeaderWriter.sentence(hint, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}

/// REFUSE: the worker does not take the call it was given and has not begun it, so another worker may.
public struct Refuse: HeaderFields {
    /// REFUSE.
    public static let verb = Verb.refuse
    /// RESOURCE_EXHAUSTED when busy, UNAVAILABLE when draining.
    public var status: Status
    /// The lease.
    public var id: WireID
    /// When the worker expects to be free, in milliseconds.
    public var retryAfterMilliseconds: UInt32
    /// For people.
    public var message: String
    /// Makes a REFUSE.
    public init(status: Status, id: WireID, retryAfterMilliseconds: UInt32 = 0, message: String = "") {
        self.status = status
        self.id = id
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.message = message
    }

    /// Reads a REFUSE.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Refuse {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.refuse, from: &reader)
        let refuse = Refuse(
            status: try prefix.failure(reader),
            id: prefix.id,
            retryAfterMilliseconds: try reader.integer("retryAfterMilliseconds"),
            message: try reader.text("message", maximum: WireLimits.messageByteCount)
        )
        try reader.finish()
        return refuse
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.refuse, status: status, id: id, to: &buffer)
        HeaderWriter.integer(retryAfterMilliseconds, to: &buffer)
        HeaderWriter.sentence(message, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}

/// CANCEL: stop.
///
/// From a caller, its call ends with FAIL CANCELLED. To a worker: the caller no longer waits; the worker acknowledges
/// with END or FAIL, and its slot stays taken until then.
public struct Cancel: HeaderFields {
    /// CANCEL.
    public static let verb = Verb.cancel
    /// CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE.
    public var status: Status
    /// The request or the lease.
    public var id: WireID
    /// For people.
    public var reason: String
    /// Makes a CANCEL.
    public init(status: Status = .cancelled, id: WireID, reason: String = "") {
        self.status = status
        self.id = id
        self.reason = reason
    }

    /// Reads a CANCEL.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Cancel {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.cancel, from: &reader)
        let cancel = Cancel(
            status: prefix.status,
            id: prefix.id,
            reason: try reader.text("reason", maximum: WireLimits.messageByteCount)
        )
        try reader.finish()
        return cancel
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.cancel, status: status, id: id, to: &buffer)
        HeaderWriter.sentence(reason, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}

/// CREDIT: the reader of a stream or of a subscription is ready for that much more.
public struct CreditGrant: HeaderFields {
    /// CREDIT.
    public static let verb = Verb.credit
    /// The request, the lease or the subscription.
    public var id: WireID
    /// What is added to the credit given so far.
    public var credit: Credit
    /// Makes a CREDIT.
    public init(id: WireID, credit: Credit) {
        self.id = id
        self.credit = credit
    }

    /// Reads a CREDIT.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> CreditGrant {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.credit, from: &reader)
        let grant = CreditGrant(id: prefix.id, credit: try reader.credit())
        try reader.finish()
        return grant
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.credit, id: id, to: &buffer)
        HeaderWriter.credit(credit, to: &buffer)
    }
}

extension HeaderReader {
    mutating func credit() throws(DecodeError) -> Credit {
        Credit(messages: try integer("creditMessages"), bytes: try integer("creditBytes"))
    }
}

extension HeaderWriter {
    static func credit(_ credit: Credit, to buffer: inout [UInt8]) {
        integer(credit.messages, to: &buffer)
        integer(credit.bytes, to: &buffer)
    }
}
