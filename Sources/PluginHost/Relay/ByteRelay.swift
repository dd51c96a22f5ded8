// Lets a plugin that has no network reach a broker on another machine: a unix socket whose connections are carried, byte by
// byte, to the broker's tcp endpoint. ZMTP and CURVE pass through unchanged, so the relay sees nothing and can forge nothing:
// the plugin's keys and the broker's are the two ends.

internal import Glibc
internal import Synchronization

/// A unix socket that leads to a tcp endpoint.
public final class ByteRelay: Sendable {
    /// The bounds of a relay.
    public struct Bounds: Sendable {
        /// Connections at a time; one more is closed at once.
        public var connectionCount: Int
        /// Bytes that wait in each direction of a connection; then its sender is slowed.
        public var bufferByteCount: Int
        /// How long the broker may take to accept a connection.
        public var connect: Duration
        /// How long a connection that one side has ended may stay still.
        public var halfClosed: Duration

        /// Bounds; the defaults suit the plugins of one machine.
        public init(
            connectionCount: Int = 1_024,
            bufferByteCount: Int = 64 << 10,
            connect: Duration = .seconds(5),
            halfClosed: Duration = .seconds(30)
        ) {
            self.connectionCount = connectionCount
            self.bufferByteCount = bufferByteCount
            self.connect = connect
            self.halfClosed = halfClosed
        }
    }

    /// How a relay is doing.
    public struct Status: Sendable, Hashable {
        /// Connections now.
        public var connectionCount = 0
        /// Connections that have ended.
        public var endedCount = 0
        /// Bytes that those carried to the broker.
        public var outwardByteCount: UInt64 = 0
        /// Bytes that those carried from the broker.
        public var inwardByteCount: UInt64 = 0
        /// How often its thread had something to do.
        public var turnCount: UInt64 = 0
        /// Why a connection came to nothing or broke, the last time one did.
        public var lastFailure: RelayFailure?
    }

    /// The socket's path.
    public let path: String
    /// Where it leads.
    public let target: RelayTarget
    private let shared: RelayShared
    private let end: RelayEnd

    /// What plugins connect to.
    public var endpoint: String { "ipc://" + path }
    /// How it is doing.
    public var status: Status { shared.status }

    /// Binds the socket, in place of one that was left there, and begins.
    ///
    /// - Parameters:
    ///   - path: Where the socket is made; its folder decides who can reach it.
    ///   - target: The broker.
    ///   - mode: The socket's mode.
    ///   - bounds: Its bounds.
    /// - Throws: ``RelayFailure`` when the socket cannot be made.
    public init(
        at path: String,
        to target: RelayTarget,
        mode: UInt32 = 0o600,
        bounds: Bounds = Bounds()
    ) throws(RelayFailure) {
        guard let shared = RelayShared() else { throw RelayFailure(errno: errno) }
        let listener = try Self.listen(path, mode: mode)
        let end = RelayEnd()
        let isStarted = RelayThread.start("relay") {
            RelayLoop(listener: listener, target: target, bounds: bounds, shared: shared).run()
            end.reached()
        }
        guard isStarted else {
            close(listener)
            throw RelayFailure("the relay's thread cannot be started")
        }
        self.path = path
        self.target = target
        self.shared = shared
        self.end = end
    }

    deinit {
        shared.stop()
        unlink(path)
    }

    /// Ends every connection and the socket; returns when that is done.
    public func stop() async {
        unlink(path)
        shared.stop()
        await end.wait()
    }

    private static func listen(_ path: String, mode: UInt32) throws(RelayFailure) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw RelayFailure("the path \(path) is too long for a socket: at most 107 bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw RelayFailure(errno: errno) }
        unlink(path)
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
        }
        guard isBound, chmod(path, mode) == 0, Glibc.listen(descriptor, 128) == 0 else {
            let failure = RelayFailure("\(path) cannot be made: \(String(cString: strerror(errno)))")
            close(descriptor)
            throw failure
        }
        return descriptor
    }
}

/// The end of the relay's thread, which may be waited for.
private final class RelayEnd: Sendable {
    private struct State {
        var isReached = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func reached() {
        let waiters = state.withLock { state in
            state.isReached = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if !state.isReached { state.waiters.append(continuation) }
                return state.isReached
            }
            if isReached { continuation.resume() }
        }
    }
}
