// The headers by which a session begins, lives and ends: HELLO WELCOME REJECT PING PONG BYE. Pure.

/// HELLO: a peer's first word on a connection.
///
/// Names in it are claims; the broker checks them against the principal.
public struct Hello: HeaderFields {
    /// HELLO.
    public static let verb = Verb.hello
    /// The lowest protocol version that the peer speaks.
    public var minimumVersion: ProtocolVersion
    /// The highest protocol version that the peer speaks.
    public var maximumVersion: ProtocolVersion
    /// The epoch of the broker that the peer last spoke with; zero when it is its first.
    public var lastEpoch: UInt64
    /// The peer's name: a plugin's name, or a client's.
    public var name: String
    /// The peer's version, as a semantic version; may be empty for a client.
    public var version: String
    /// What tells this process from others of the same name; may be empty.
    public var instance: String
    /// The one-time ticket that the host or an earlier WELCOME gave; may be empty.
    public var ticket: String
    /// The SDK and its version, for operators.
    public var sdk: String
    /// The largest BATCH that the peer takes, in bytes of payload; zero: none.
    public var batchByteCount: UInt32

    /// Makes a HELLO for the current protocol version.
    public init(
        minimumVersion: ProtocolVersion = .current,
        maximumVersion: ProtocolVersion = .current,
        lastEpoch: UInt64 = 0,
        name: String,
        version: String = "",
        instance: String = "",
        ticket: String = "",
        sdk: String = "",
        batchByteCount: UInt32 = 0
    ) {
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
        self.lastEpoch = lastEpoch
        self.name = name
        self.version = version
        self.instance = instance
        self.ticket = ticket
        self.sdk = sdk
        self.batchByteCount = batchByteCount
    }

    /// Reads a HELLO; bytes after the last known field are left to later versions.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Hello {
        var reader = HeaderReader(bytes)
        _ = try HeaderPrefix.read(.hello, from: &reader)
        let minimum: UInt8 = try reader.integer("minimumVersion")
        let maximum: UInt8 = try reader.integer("maximumVersion")
        return Hello(
            minimumVersion: ProtocolVersion(rawValue: minimum),
            maximumVersion: ProtocolVersion(rawValue: maximum),
            lastEpoch: try reader.integer("lastEpoch"),
            name: try reader.text("name", maximum: WireLimits.nameByteCount, required: true),
            version: try reader.text("version", maximum: WireLimits.versionByteCount),
            instance: try reader.text("instance", maximum: WireLimits.nameByteCount),
            ticket: try reader.text("ticket", maximum: WireLimits.ticketByteCount),
            sdk: try reader.text("sdk", maximum: WireLimits.nameByteCount),
            batchByteCount: try reader.integer("batchByteCount")
        )
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.hello, id: .session, to: &buffer)
        HeaderWriter.integer(minimumVersion.rawValue, to: &buffer)
        HeaderWriter.integer(maximumVersion.rawValue, to: &buffer)
        HeaderWriter.integer(lastEpoch, to: &buffer)
        HeaderWriter.text(name, to: &buffer)
        HeaderWriter.text(version, to: &buffer)
        HeaderWriter.text(instance, to: &buffer)
        HeaderWriter.text(ticket, to: &buffer)
        HeaderWriter.sentence(sdk, maximum: WireLimits.nameByteCount, to: &buffer)
        HeaderWriter.integer(batchByteCount, to: &buffer)
    }
}

/// WELCOME: the broker took the peer in.
public struct Welcome: HeaderFields {
    /// WELCOME.
    public static let verb = Verb.welcome
    /// The version that both speak from here on.
    public var version: ProtocolVersion
    /// Changes with every start of the broker; a peer that sees a new one registers again.
    public var epoch: UInt64
    /// The session's number: for logs and for operators, no secret.
    public var session: UInt64
    /// The peer sends a PING when it has sent nothing else for this long, in milliseconds.
    public var heartbeatMilliseconds: UInt32
    /// The largest payload that the broker carries, in bytes.
    public var maximumPayloadByteCount: UInt32
    /// How many calls the peer may have in flight.
    public var maximumCallCount: UInt32
    /// Who the broker found the peer to be.
    public var principal: String
    /// The ticket for the peer's next HELLO; empty when it needs none.
    public var ticket: String
    /// The broker's name and version.
    public var broker: String
    /// The largest BATCH that the broker takes, in bytes of payload; zero: none.
    public var batchByteCount: UInt32

    /// Makes a WELCOME.
    public init(
        version: ProtocolVersion = .current,
        epoch: UInt64,
        session: UInt64,
        heartbeatMilliseconds: UInt32,
        maximumPayloadByteCount: UInt32,
        maximumCallCount: UInt32,
        principal: String,
        ticket: String = "",
        broker: String = "",
        batchByteCount: UInt32 = 0
    ) {
        self.version = version
        self.epoch = epoch
        self.session = session
        self.heartbeatMilliseconds = heartbeatMilliseconds
        self.maximumPayloadByteCount = maximumPayloadByteCount
        self.maximumCallCount = maximumCallCount
        self.principal = principal
        self.ticket = ticket
        self.broker = broker
        self.batchByteCount = batchByteCount
    }

    /// Reads a WELCOME; bytes after the last known field are left to later versions.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Welcome {
        var reader = HeaderReader(bytes)
        _ = try HeaderPrefix.read(.welcome, from: &reader)
        let version: UInt8 = try reader.integer("version")
        return Welcome(
            version: ProtocolVersion(rawValue: version),
            epoch: try reader.integer("epoch"),
            session: try reader.integer("session"),
            heartbeatMilliseconds: try reader.integer("heartbeatMilliseconds"),
            maximumPayloadByteCount: try reader.integer("maximumPayloadByteCount"),
            maximumCallCount: try reader.integer("maximumCallCount"),
            principal: try reader.text("principal", maximum: WireLimits.nameByteCount),
            ticket: try reader.text("ticket", maximum: WireLimits.ticketByteCount),
            broker: try reader.text("broker", maximum: WireLimits.nameByteCount),
            batchByteCount: try reader.integer("batchByteCount")
        )
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.welcome, id: .session, to: &buffer)
        HeaderWriter.integer(version.rawValue, to: &buffer)
        HeaderWriter.integer(epoch, to: &buffer)
        HeaderWriter.integer(session, to: &buffer)
        HeaderWriter.integer(heartbeatMilliseconds, to: &buffer)
        HeaderWriter.integer(maximumPayloadByteCount, to: &buffer)
        HeaderWriter.integer(maximumCallCount, to: &buffer)
        HeaderWriter.text(principal, to: &buffer)
        HeaderWriter.text(ticket, to: &buffer)
        HeaderWriter.sentence(broker, maximum: WireLimits.nameByteCount, to: &buffer)
        HeaderWriter.integer(batchByteCount, to: &buffer)
    }
}

/// REJECT: the broker did not take the peer in, or ends its session for a broken rule.
///
/// Nothing more is read from it.
public struct Reject: HeaderFields {
    /// REJECT.
    public static let verb = Verb.reject
    /// Why.
    public var status: Status
    /// Not before this long, in milliseconds; zero: do not try again unchanged.
    public var retryAfterMilliseconds: UInt32
    /// What happened, and what to do.
    public var message: String

    /// Makes a REJECT.
    public init(status: Status, retryAfterMilliseconds: UInt32 = 0, message: String) {
        self.status = status
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.message = message
    }

    /// Reads a REJECT; bytes after the last known field are left to later versions.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Reject {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.reject, from: &reader)
        return Reject(
            status: try prefix.failure(reader),
            retryAfterMilliseconds: try reader.integer("retryAfterMilliseconds"),
            message: try reader.text("message", maximum: WireLimits.messageByteCount)
        )
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.reject, status: status, id: .session, to: &buffer)
        HeaderWriter.integer(retryAfterMilliseconds, to: &buffer)
        HeaderWriter.sentence(message, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}

/// PING: asks the other side to answer, so that both know that the other lives.
public struct Ping: HeaderFields {
    /// PING.
    public static let verb = Verb.ping
    /// Comes back in the PONG.
    public var nonce: UInt64
    /// Makes a PING.
    public init(nonce: UInt64) { self.nonce = nonce }

    /// Reads a PING.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Ping {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.ping, from: &reader)
        try reader.finish()
        return Ping(nonce: prefix.id.rawValue)
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.ping, id: WireID(rawValue: nonce), to: &buffer)
    }
}

/// PONG: answers a PING.
public struct Pong: HeaderFields {
    /// PONG.
    public static let verb = Verb.pong
    /// The PING's.
    public var nonce: UInt64
    /// Makes a PONG.
    public init(nonce: UInt64) { self.nonce = nonce }

    /// Reads a PONG.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Pong {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.pong, from: &reader)
        try reader.finish()
        return Pong(nonce: prefix.id.rawValue)
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.pong, id: WireID(rawValue: nonce), to: &buffer)
    }
}

/// BYE: the sender ends the session in good order and sends nothing more.
public struct Bye: HeaderFields {
    /// BYE.
    public static let verb = Verb.bye
    /// Why: OK for an ordinary leave, UNAVAILABLE for a broker that shuts down.
    public var status: Status
    /// For people.
    public var reason: String
    /// Makes a BYE.
    public init(status: Status = .ok, reason: String = "") {
        self.status = status
        self.reason = reason
    }

    /// Reads a BYE.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Bye {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.bye, from: &reader)
        let bye = Bye(
            status: prefix.status,
            reason: try reader.text("reason", maximum: WireLimits.messageByteCount)
        )
        try reader.finish()
        return bye
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.bye, status: status, id: .session, to: &buffer)
        HeaderWriter.sentence(reason, maximum: WireLimits.messageByteCount, to: &buffer)
    }
}
