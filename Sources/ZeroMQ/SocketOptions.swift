// Everything that can be set on a socket, in one value that is applied when the socket is made: libzmq ignores or
// mishandles most options that come after bind or connect. ROUTER_HANDOVER and own routing ids are left out on purpose:
// with either, a peer can take over or starve another one's connection.

/// How a socket protects its connections.
public enum SocketSecurity: Hashable, Sendable {
    /// No encryption; who may connect is for the ZAP handler to say.
    case none
    /// The server side of CURVE.
    case curveServer(CurveSecretKey)
    /// The client side of CURVE, which pins the server's key.
    case curveClient(serverKey: CurvePublicKey, keys: CurveKeyPair)
}

/// What a connecting socket does when its connection is lost.
public enum ReconnectPolicy: Hashable, Sendable {
    /// Nothing: the owner watches with a ``Monitor``, closes the socket when it tells of a loss, and makes a new one; libzmq
    /// would replay old messages to a peer that restarted.
    ///
    /// To libzmq this is a wait of a day. Its own "never" (an interval of -1) is not to be had: it throws away what was
    /// received and not yet read the moment the connection is lost, and aborts the process when that happens between two
    /// frames of a message.
    case byOwner
    /// Connect again after an interval that doubles up to a maximum.
    case every(Duration, maximum: Duration?)
}

/// When TCP asks a silent peer whether it is still there.
public struct TCPKeepAlive: Hashable, Sendable {
    /// The silence before the first question.
    public var idle: Duration
    /// The time between questions.
    public var interval: Duration
    /// The questions without an answer after which the connection is lost.
    public var probeCount: Int

    /// Makes a policy.
    public init(idle: Duration = .seconds(15), interval: Duration = .seconds(5), probeCount: Int = 3) {
        self.idle = idle
        self.interval = interval
        self.probeCount = probeCount
    }
}

/// The options of a socket; nil leaves libzmq's own default.
public struct SocketOptions: Sendable {
    /// How long unsent messages are kept after close; nil keeps them forever.
    public var linger: Duration? = .zero
    /// The messages queued per peer for sending; 0 for no bound.
    public var sendHighWaterMark: Int?
    /// The messages queued per peer on receipt; 0 for no bound.
    public var receiveHighWaterMark: Int?
    /// Whether a ROUTER reports peers that are gone or full instead of dropping silently; ignored by other types.
    public var routerMandatory = true
    /// The most bytes of one frame; a peer that sends more is disconnected.
    public var maximumMessageByteCount: Int64?
    /// How long a peer may take for its handshake.
    public var handshakeTimeout: Duration?
    /// The time between ZMTP heartbeats; they prove the peer's I/O thread alive, not the peer.
    public var heartbeatInterval: Duration?
    /// How long a heartbeat may stay without an answer.
    public var heartbeatTimeout: Duration?
    /// When the peer should give up on us; clamped to 65 s, above which libzmq miscounts.
    public var heartbeatTimeToLive: Duration?
    /// What to do when a connection is lost.
    public var reconnect: ReconnectPolicy = .byOwner
    /// Whether messages are queued only for connections that are complete.
    public var immediate = false
    /// The kernel's send buffer.
    public var sendBufferByteCount: Int?
    /// The kernel's receive buffer.
    public var receiveBufferByteCount: Int?
    /// TCP keep-alive.
    public var keepAlive: TCPKeepAlive?
    /// How long sent bytes may stay unacknowledged on TCP.
    public var maximumRetransmitTime: Duration?
    /// How long connecting may take.
    public var connectTimeout: Duration?
    /// Whether IPv6 is used beside IPv4.
    public var ipv6 = false
    /// The connections that may wait to be accepted.
    public var backlog: Int?
    /// The ZAP domain: set, every connection is put to the ZAP handler and refused without one.
    public var zapDomain: String?
    /// How connections are protected.
    public var security: SocketSecurity = .none

    /// Makes the default options.
    public init() {}
}
