// Puts a SocketOptions value onto a new socket.

import CZeroMQ

/// Sets the options of a raw socket that is neither bound nor connected yet.
struct OptionSetter {
    /// ZMQ_ZAP_ENFORCE_DOMAIN: in the stable library, but its header shows it to drafts only.
    private static let zapEnforceDomain: Int32 = 93

    let handle: UnsafeMutableRawPointer
    let kind: Socket.Kind

    /// Sets every option.
    func apply(_ options: SocketOptions) throws(ZeroMQError) {
        try set(ZMQ_LINGER, options.linger.map { $0.wholeMilliseconds } ?? -1, "linger")
        try set(ZMQ_SNDHWM, options.sendHighWaterMark, "sendHighWaterMark")
        try set(ZMQ_RCVHWM, options.receiveHighWaterMark, "receiveHighWaterMark")
        if kind == .router { try set(ZMQ_ROUTER_MANDATORY, options.routerMandatory ? 1 : 0, "routerMandatory") }
        if let limit = options.maximumMessageByteCount { try setWide(ZMQ_MAXMSGSIZE, limit, "maximumMessageByteCount") }
        try set(ZMQ_HANDSHAKE_IVL, options.handshakeTimeout, "handshakeTimeout")
        try set(ZMQ_HEARTBEAT_IVL, options.heartbeatInterval, "heartbeatInterval")
        try set(ZMQ_HEARTBEAT_TIMEOUT, options.heartbeatTimeout, "heartbeatTimeout")
        try set(ZMQ_HEARTBEAT_TTL, options.heartbeatTimeToLive.map { min($0, .seconds(65)) }, "heartbeatTimeToLive")
        try apply(options.reconnect)
        try set(ZMQ_IMMEDIATE, options.immediate ? 1 : 0, "immediate")
        try applyTransport(options)
        try applySecurity(options)
    }

    private func apply(_ policy: ReconnectPolicy) throws(ZeroMQError) {
        switch policy {
        case .byOwner:
            // A day: libzmq adds a jitter as large as the interval, and a monitor's reader acts within milliseconds.
            try set(ZMQ_RECONNECT_IVL, 86_400_000, "reconnect")
        case .every(let interval, let maximum):
            try set(ZMQ_RECONNECT_IVL, max(1, interval.wholeMilliseconds), "reconnect")
            try set(ZMQ_RECONNECT_IVL_MAX, maximum, "reconnect maximum")
        }
    }

    private func applyTransport(_ options: SocketOptions) throws(ZeroMQError) {
        try set(ZMQ_SNDBUF, options.sendBufferByteCount, "sendBufferByteCount")
        try set(ZMQ_RCVBUF, options.receiveBufferByteCount, "receiveBufferByteCount")
        if let keepAlive = options.keepAlive {
            try set(ZMQ_TCP_KEEPALIVE, 1, "keepAlive")
            try set(ZMQ_TCP_KEEPALIVE_IDLE, wholeSeconds(keepAlive.idle), "keepAlive.idle")
            try set(ZMQ_TCP_KEEPALIVE_INTVL, wholeSeconds(keepAlive.interval), "keepAlive.interval")
            try set(ZMQ_TCP_KEEPALIVE_CNT, keepAlive.probeCount, "keepAlive.probeCount")
        }
        try set(ZMQ_TCP_MAXRT, options.maximumRetransmitTime, "maximumRetransmitTime")
        try set(ZMQ_CONNECT_TIMEOUT, options.connectTimeout, "connectTimeout")
        try set(ZMQ_IPV6, options.ipv6 ? 1 : 0, "ipv6")
        try set(ZMQ_BACKLOG, options.backlog, "backlog")
    }

    private func applySecurity(_ options: SocketOptions) throws(ZeroMQError) {
        if let domain = options.zapDomain {
            guard !domain.isEmpty else {
                throw ZeroMQError(code: .invalidArgument, operation: .setOption, subject: "zapDomain is empty")
            }
            guard zmq_setsockopt(handle, ZMQ_ZAP_DOMAIN, domain, domain.utf8.count) == 0 else {
                throw ZeroMQError(lastErrorOf: .setOption, subject: "zapDomain")
            }
            // Without it, a connection is let in when the handler is missing.
            try set(OptionSetter.zapEnforceDomain, 1, "zapDomain enforcement")
        }
        switch options.security {
        case .none:
            break
        case .curveServer(let secretKey):
            try set(ZMQ_CURVE_SERVER, 1, "curveServer")
            try set(ZMQ_CURVE_SECRETKEY, secretKey.words, "curveServer secret key")
        case .curveClient(let serverKey, let keys):
            try set(ZMQ_CURVE_SERVERKEY, serverKey.words, "curveClient server key")
            try set(ZMQ_CURVE_PUBLICKEY, keys.publicKey.words, "curveClient public key")
            try set(ZMQ_CURVE_SECRETKEY, keys.secretKey.words, "curveClient secret key")
        }
    }

    private func wholeSeconds(_ duration: Duration) -> Int {
        Int(max(1, (duration.wholeMilliseconds + 999) / 1000))
    }

    private func set(_ option: Int32, _ value: Int32, _ name: StaticString) throws(ZeroMQError) {
        var value = value
        guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size) == 0 else {
            throw ZeroMQError(lastErrorOf: .setOption, subject: "\(name)")
        }
    }

    private func set(_ option: Int32, _ value: Int?, _ name: StaticString) throws(ZeroMQError) {
        guard let value else { return }
        guard let narrow = Int32(exactly: value), narrow >= 0 else {
            throw ZeroMQError(code: .invalidArgument, operation: .setOption, subject: "\(name)")
        }
        try set(option, narrow, name)
    }

    private func set(_ option: Int32, _ value: Duration?, _ name: StaticString) throws(ZeroMQError) {
        guard let value else { return }
        try set(option, value.wholeMilliseconds, name)
    }

    private func set(_ option: Int32, _ key: CurveKeyWords, _ name: StaticString) throws(ZeroMQError) {
        let result = key.withUnsafeBytes { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
        guard result == 0 else { throw ZeroMQError(lastErrorOf: .setOption, subject: "\(name)") }
    }

    private func setWide(_ option: Int32, _ value: Int64, _ name: StaticString) throws(ZeroMQError) {
        var value = value
        guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int64>.size) == 0 else {
            throw ZeroMQError(lastErrorOf: .setOption, subject: "\(name)")
        }
    }
}
