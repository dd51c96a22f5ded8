// A ROUTER that peers connect to, with the monitor that tells of lost connections. The options here are the ones that
// libzmq 4.3.4 needs to be safe against its peers. Owned by the mesh thread.

import BrokerCore
import ZeroMQ

/// One of the broker's two sockets.
struct Listener: ~Copyable {
    /// Messages queued for one peer inside libzmq; what is beyond waits in the shell's overflow, which is bounded too.
    static let sendHighWaterMark = 2048
    /// Messages of one peer that wait for the mesh thread; a peer that fills it is stopped by its own connection.
    static let receiveHighWaterMark = 8192
    /// How long answers may take to leave after the end.
    static let linger = Duration.milliseconds(300)

    let socket: Socket
    var monitor: Monitor

    /// Makes the socket, not bound yet.
    init(
        _ context: Context,
        security: SocketSecurity,
        domain: String,
        isLocal: Bool,
        limits: Limits
    ) throws(ZeroMQError) {
        let socket = try Socket(
            context,
            .router,
            options: Listener.options(security: security, domain: domain, isLocal: isLocal, limits: limits)
        )
        monitor = try Monitor(context, watching: socket, for: [.disconnected])
        self.socket = socket
    }

    // The I/O thread would wait forever to tell a monitor that is gone.
    deinit { socket.stopMonitoring() }

    /// The longest frame that libzmq takes in: twice a payload, so that one that is somewhat too long can still be
    /// answered with a status; beyond that the connection ends.
    static func frameByteCount(_ limits: Limits) -> Int { limits.payloadByteCount * 2 + (64 << 10) }

    private static func options(
        security: SocketSecurity,
        domain: String,
        isLocal: Bool,
        limits: Limits
    ) -> SocketOptions {
        var options = SocketOptions()
        options.linger = linger
        options.sendHighWaterMark = sendHighWaterMark
        options.receiveHighWaterMark = receiveHighWaterMark
        options.routerMandatory = true
        options.maximumMessageByteCount = Int64(frameByteCount(limits))
        options.handshakeTimeout = .seconds(isLocal ? 2 : 5)
        options.zapDomain = domain
        options.security = security
        options.backlog = 4096
        guard !isLocal else { return options }
        // The kernel tells of a local peer's end; a remote one may vanish without a word.
        options.heartbeatInterval = .seconds(5)
        options.heartbeatTimeout = .seconds(10)
        options.heartbeatTimeToLive = .seconds(30)
        options.keepAlive = TCPKeepAlive()
        options.maximumRetransmitTime = .seconds(10)
        return options
    }
}
