// A libzmq socket: made with its options, bound or connected, closed when dropped. It belongs to the thread that made it:
// the type cannot be sent to another, and every operation traps on a wrong thread, where libzmq would corrupt itself.
// Not usable after fork(); start other programs with posix_spawn.

import CLinuxShims
import CZeroMQ

/// A socket, owned by the thread that made it.
public struct Socket: ~Copyable {
    /// What a socket does with messages.
    public enum Kind: Hashable, Sendable {
        case router, dealer, pair, request, reply, publish, subscribe, push, pull

        var type: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .pair: ZMQ_PAIR
            case .request: ZMQ_REQ
            case .reply: ZMQ_REP
            case .publish: ZMQ_PUB
            case .subscribe: ZMQ_SUB
            case .push: ZMQ_PUSH
            case .pull: ZMQ_PULL
            }
        }
    }

    /// The raw socket.
    let handle: UnsafeMutableRawPointer
    private let owner: UInt64
    private let context: Context
    /// What the socket does with messages.
    public let kind: Kind

    /// Makes a socket on the thread that will use and drop it.
    public init(
        _ context: Context,
        _ kind: Kind,
        options: SocketOptions = SocketOptions()
    ) throws(ZeroMQError) {
        let handle = try context.openSocket(kind.type)
        do throws(ZeroMQError) {
            try OptionSetter(handle: handle, kind: kind).apply(options)
        } catch {
            zmq_close(handle)
            context.socketClosed()
            throw error
        }
        self.handle = handle
        self.owner = wiz_thread_self()
        self.context = context
        self.kind = kind
    }

    deinit {
        checkThread()
        zmq_close(handle)
        context.socketClosed()
    }

    /// Traps if the caller runs on another thread than the one that made the socket.
    borrowing func checkThread() {
        precondition(wiz_thread_self() == owner, "a socket may only be used and dropped on the thread that made it")
    }

    /// Binds to an endpoint.
    /// - Parameters:
    ///   - endpoint: `ipc://PATH`, `tcp://ADDRESS:PORT` (port `*` for a free one) or `inproc://NAME`.
    ///   - allowsAnyAddress: permits tcp on all of the machine's addresses.
    /// - Returns: the endpoint as bound, with the port that was chosen.
    /// - Throws: `.addressNotAvailable` for all addresses without permission; else what libzmq says.
    @discardableResult
    public borrowing func bind(_ endpoint: String, allowsAnyAddress: Bool = false) throws(ZeroMQError) -> String {
        checkThread()
        guard allowsAnyAddress || !Socket.bindsAnyAddress(endpoint) else {
            throw ZeroMQError(code: .addressNotAvailable, operation: .bind, subject: endpoint)
        }
        guard zmq_bind(handle, endpoint) == 0 else { throw ZeroMQError(lastErrorOf: .bind, subject: endpoint) }
        return try lastEndpoint()
    }

    /// Connects to an endpoint; returns before the connection is complete.
    public borrowing func connect(_ endpoint: String) throws(ZeroMQError) {
        checkThread()
        guard zmq_connect(handle, endpoint) == 0 else {
            throw ZeroMQError(lastErrorOf: .connect, subject: endpoint)
        }
    }

    /// Stops accepting connections at an endpoint that `bind` returned.
    public borrowing func unbind(_ endpoint: String) throws(ZeroMQError) {
        checkThread()
        guard zmq_unbind(handle, endpoint) == 0 else { throw ZeroMQError(lastErrorOf: .unbind, subject: endpoint) }
    }

    /// Ends the connection to an endpoint that `connect` was given.
    public borrowing func disconnect(_ endpoint: String) throws(ZeroMQError) {
        checkThread()
        guard zmq_disconnect(handle, endpoint) == 0 else {
            throw ZeroMQError(lastErrorOf: .disconnect, subject: endpoint)
        }
    }

    /// Whether something can be received or sent right now.
    public borrowing func readiness() throws(ZeroMQError) -> Poller.Events {
        checkThread()
        var events: Int32 = 0
        var length = MemoryLayout<Int32>.size
        while zmq_getsockopt(handle, ZMQ_EVENTS, &events, &length) != 0 {
            guard zmq_errno() == ZMQErrno.interrupted else {
                throw ZeroMQError(lastErrorOf: .getOption, subject: "EVENTS")
            }
        }
        return Poller.Events(rawValue: Int16(truncatingIfNeeded: events))
    }

    private borrowing func lastEndpoint() throws(ZeroMQError) -> String {
        var text = [UInt8](repeating: 0, count: 512)
        var length = text.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &length) == 0 else {
            throw ZeroMQError(lastErrorOf: .getOption, subject: "LAST_ENDPOINT")
        }
        return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Whether a tcp endpoint stands for every address of the machine.
    static func bindsAnyAddress(_ endpoint: String) -> Bool {
        guard endpoint.hasPrefix("tcp://") || endpoint.hasPrefix("ws://") else { return false }
        let address = endpoint.drop { $0 != "/" }.dropFirst(2)
        let host = address.lastIndex(of: ":").map { address[..<$0] } ?? address
        let bare = host.filter { $0 != "[" && $0 != "]" }
        // All zeros in whatever notation: 0, 0.0.0.0, 0x0, ::, ::0, ::ffff:0.0.0.0.
        return host.contains("*") || bare.isEmpty || isUnspecified(String(bare))
    }

    private static func isUnspecified(_ host: String) -> Bool {
        let lowercase = host.lowercased()
        let mapped = lowercase.hasPrefix("::ffff:") ? String(lowercase.dropFirst(7)) : lowercase
        let withoutPrefix = mapped.split(separator: ".").map { $0.hasPrefix("0x") ? $0.dropFirst(2) : $0 }
        return withoutPrefix.allSatisfy { part in part.allSatisfy { $0 == "0" || $0 == ":" } }
    }
}
