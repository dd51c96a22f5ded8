// What happens to a socket's connections, as libzmq reports it: events with a descriptor or an errno, no routing id.
// libzmq writes events from its I/O thread and waits if it cannot, so the reader's queue has no bound and only the
// events that were asked for are written. Used and dropped on the thread that made it.

import CLinuxShims
import CZeroMQ
import Synchronization

/// Something that happened to a connection or an endpoint.
public struct MonitorEvent: Sendable, CustomStringConvertible {
    /// What happened.
    public struct Kind: OptionSet, Hashable, Sendable {
        /// The bits, as libzmq has them.
        public let rawValue: Int32

        /// Makes a set from its bits.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// A connection to a peer was made.
        public static let connected = Kind(rawValue: 0x0001)
        /// Connecting goes on in the background.
        public static let connectDelayed = Kind(rawValue: 0x0002)
        /// Connecting will be tried again.
        public static let connectRetried = Kind(rawValue: 0x0004)
        /// The endpoint is bound.
        public static let listening = Kind(rawValue: 0x0008)
        /// The endpoint could not be bound.
        public static let bindFailed = Kind(rawValue: 0x0010)
        /// A connection was accepted.
        public static let accepted = Kind(rawValue: 0x0020)
        /// A connection could not be accepted.
        public static let acceptFailed = Kind(rawValue: 0x0040)
        /// The connection was closed from this side.
        public static let closed = Kind(rawValue: 0x0080)
        /// The connection could not be closed.
        public static let closeFailed = Kind(rawValue: 0x0100)
        /// The connection was lost.
        public static let disconnected = Kind(rawValue: 0x0200)
        /// The monitor has ended.
        public static let monitorStopped = Kind(rawValue: 0x0400)
        /// The handshake failed for a reason that errno tells.
        public static let handshakeFailed = Kind(rawValue: 0x0800)
        /// The handshake is complete: messages can flow.
        public static let handshakeSucceeded = Kind(rawValue: 0x1000)
        /// The peer broke the protocol in its handshake.
        public static let handshakeFailedProtocol = Kind(rawValue: 0x2000)
        /// The handshake was refused by the ZAP handler.
        public static let handshakeFailedAuthentication = Kind(rawValue: 0x4000)

        /// Everything that ends a handshake without success.
        public static let anyHandshakeFailure: Kind = [
            .handshakeFailed, .handshakeFailedProtocol, .handshakeFailedAuthentication,
        ]
        /// Enough to notice peers come and go.
        public static let comingAndGoing: Kind = [
            .accepted, .connected, .handshakeSucceeded, .disconnected, .anyHandshakeFailure,
        ]
    }

    /// What happened; exactly one bit.
    public let kind: Kind
    /// A descriptor, an errno, a reconnect interval or a ZAP status, by kind.
    public let value: Int32
    /// The endpoint of this side.
    public let endpoint: String

    /// The connection's descriptor, for the kinds that have one; it may be closed already.
    public var fileDescriptor: Int32? {
        let withDescriptor: Kind = [.connected, .listening, .accepted, .closed, .disconnected]
        return withDescriptor.contains(kind) ? value : nil
    }

    /// The kind's bit, the value and the endpoint.
    public var description: String { "event \(kind.rawValue) value \(value) at \(endpoint)" }
}

/// The name under which a socket's events are offered to a reader on another thread.
public struct MonitorEndpoint: Hashable, Sendable {
    private static let next = Atomic<Int>(0)

    /// The inproc endpoint.
    let name: String

    /// Makes a name that is unique in the process.
    public init() {
        let number = MonitorEndpoint.next.add(1, ordering: .relaxed).oldValue
        name = "inproc://wiz.monitor.\(number)"
    }
}

/// A reader of a socket's connection events.
///
/// Make it before the socket binds or connects. At the end first close the socket (or call its `stopMonitoring()`), then
/// drop the reader: libzmq's I/O thread would wait forever to tell a reader that is gone.
public struct Monitor: ~Copyable {
    let socket: Socket
    private var frames: FrameBuffer

    /// The reader's raw socket, for a poller.
    var handle: UnsafeMutableRawPointer { socket.handle }

    /// Watches a socket from the socket's own thread.
    public init(
        _ context: Context,
        watching watched: borrowing Socket,
        for events: MonitorEvent.Kind
    ) throws(ZeroMQError) {
        let endpoint = MonitorEndpoint()
        let reader = try Monitor.makeReader(context, of: endpoint)
        try watched.startMonitoring(events, at: endpoint)
        socket = reader
        frames = FrameBuffer(capacity: 2)
    }

    /// Makes the reader of events that a socket on another thread will offer; only then may that socket offer them.
    public init(_ context: Context, reading endpoint: MonitorEndpoint) throws(ZeroMQError) {
        let reader = try Monitor.makeReader(context, of: endpoint)
        socket = reader
        frames = FrameBuffer(capacity: 2)
    }

    private static func makeReader(_ context: Context, of endpoint: MonitorEndpoint) throws(ZeroMQError) -> Socket {
        var options = SocketOptions()
        options.receiveHighWaterMark = 0
        let reader = try Socket(context, .pair, options: options)
        try reader.connect(endpoint.name)
        return reader
    }

    /// The next event without waiting; nil if there is none.
    public mutating func next() throws(ZeroMQError) -> MonitorEvent? {
        while true {
            switch try socket.tryReceive(into: &frames) {
            case .nothing: return nil
            case .tooManyFrames: continue
            case .received: if let event = parse() { return event }
            }
        }
    }

    private func parse() -> MonitorEvent? {
        guard frames.count == 2, frames.size(at: 0) == 6 else { return nil }
        let (kind, value) = frames.withUnsafeBytes(at: 0) { bytes in
            (bytes.loadUnaligned(as: UInt16.self), bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self))
        }
        let endpoint = frames.withUnsafeBytes(at: 1) { String(decoding: $0, as: UTF8.self) }
        return MonitorEvent(kind: .init(rawValue: Int32(kind)), value: value, endpoint: endpoint)
    }
}

extension Socket {
    /// Offers this socket's events to a reader that exists already; call it before bind and connect.
    public borrowing func startMonitoring(
        _ events: MonitorEvent.Kind,
        at endpoint: MonitorEndpoint
    ) throws(ZeroMQError) {
        checkThread()
        guard zmq_socket_monitor(handle, endpoint.name, events.rawValue) == 0 else {
            throw ZeroMQError(lastErrorOf: .monitor, subject: endpoint.name)
        }
    }

    /// Ends the offering of events; closing the socket does so too.
    public borrowing func stopMonitoring() {
        checkThread()
        _ = zmq_socket_monitor(handle, nil, 0)
    }
}
