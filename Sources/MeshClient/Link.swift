// One connection attempt: a DEALER, its monitor and the poller over both and the inbox's wake-up. Lives on the connection
// thread from the socket's opening to its end and is never used again.

import MeshProtocol
import ZeroMQ

/// The sockets of one attempt.
struct Link: ~Copyable {
    let socket: Socket
    var monitor: Monitor
    var poller: Poller
    var frames = FrameBuffer(capacity: 2)
    private let socketIndex: Int
    private let wakeUp: WakeUp
    private let wakeUpIndex: Int
    private let monitorIndex: Int

    /// Messages that libzmq may hold before sends are kept here.
    private static let highWaterMark = 4096

    /// Opens the socket and begins to connect.
    static func open(_ configuration: MeshConfiguration, wakeUp: WakeUp) throws -> Link {
        let context = try SharedContext.get()
        let socket = try Socket(context, .dealer, options: try options(configuration))
        let monitor = try Monitor(context, watching: socket, for: [.disconnected, .closed, .anyHandshakeFailure])
        try socket.connect(configuration.endpoint)
        return Link(socket: socket, monitor: monitor, wakeUp: wakeUp)
    }

    private static func options(_ configuration: MeshConfiguration) throws -> SocketOptions {
        var options = SocketOptions()
        options.linger = .milliseconds(500)
        options.sendHighWaterMark = highWaterMark
        options.receiveHighWaterMark = highWaterMark
        options.reconnect = .byOwner
        options.connectTimeout = .seconds(5)
        options.handshakeTimeout = .seconds(5)
        // Else a name is looked up as IPv6 first, where a broker on 127.0.0.1 does not listen.
        options.ipv6 = configuration.endpoint.contains("[")
        guard let keys = configuration.keys else { return options }
        let pair = CurveKeyPair(
            publicKey: try CurvePublicKey(z85: keys.clientPublic),
            secretKey: try CurveSecretKey(z85: keys.clientSecret)
        )
        options.security = .curveClient(serverKey: try CurvePublicKey(z85: keys.server), keys: pair)
        return options
    }

    private init(socket: consuming Socket, monitor: consuming Monitor, wakeUp: WakeUp) {
        var poller = Poller(capacity: 3)
        socketIndex = poller.add(socket, events: .readable)
        wakeUpIndex = poller.add(wakeUp)
        monitorIndex = poller.add(monitor)
        self.poller = poller
        self.socket = socket
        self.monitor = monitor
        self.wakeUp = wakeUp
    }

    /// Waits for messages, room to send, connection events or commands.
    /// - Returns: whether the monitor has something to say.
    mutating func wait(timeoutNanoseconds: Int64, wantsToSend: Bool) throws(ZeroMQError) -> Bool {
        poller.setEvents(wantsToSend ? [.readable, .writable] : .readable, at: socketIndex)
        let ready = try poller.wait(timeoutNanoseconds: timeoutNanoseconds)
        if ready.contains(wakeUpIndex) { wakeUp.drain() }
        return ready.contains(monitorIndex)
    }

    /// Why the connection is gone, if it is.
    mutating func loss() throws(ZeroMQError) -> MeshError? {
        while let event = try monitor.next() {
            switch event.kind {
            case .disconnected:
                return MeshError(.unavailable, "the connection to the broker was lost", flags: .retryable)
            case .closed:
                return MeshError(
                    .unavailable,
                    "no broker accepts connections",
                    hint: "Start it (wizmesh-broker, or wiz up), or set WIZ_ENDPOINT to where it is.",
                    flags: .retryable
                )
            case .handshakeFailedAuthentication:
                return MeshError(
                    .unauthenticated,
                    "the broker does not let this peer in",
                    hint: "On tcp this peer's public key must be listed under principals in the mesh file; "
                        + "on ipc the user must be listed under users.",
                    flags: .retryable
                )
            case .handshakeFailed, .handshakeFailedProtocol:
                return MeshError(
                    .unavailable,
                    "the handshake with the broker failed",
                    hint: "Check that WIZ_SERVER_KEY is the broker's public key and that the endpoint is the mesh's.",
                    flags: .retryable
                )
            default: continue
            }
        }
        return nil
    }

    /// Ends the attempt; what was sent goes out within the linger.
    consuming func close() { socket.stopMonitoring() }
}
