// The measure of all things here: a ROUTER that forwards [id][header][payload] between one caller and one worker, or
// from one publisher to its subscribers, by a fixed mapping and without looking at anything. Whatever a broker adds
// shows in the ratio to it. Its socket has the options of the broker's.

import ZeroMQ

/// A bare relay.
struct Relay: ~Copyable {
    private let socket: Socket
    private var frames: FrameBuffer
    private var caller = RoutingID(number: 0)
    private var worker = RoutingID(number: 0)
    private var publisher = RoutingID(number: 0)
    private var subscribers: [RoutingID] = []

    /// Binds.
    init(_ context: Context, endpoint: String, secretKey: CurveSecretKey?) throws {
        var options = SocketOptions()
        options.sendHighWaterMark = 2048
        options.receiveHighWaterMark = 8192
        options.maximumMessageByteCount = 2 << 20
        options.backlog = 1024
        if let secretKey { options.security = .curveServer(secretKey) }
        let socket = try Socket(context, .router, options: options)
        try socket.bind(endpoint)
        frames = FrameBuffer(capacity: 3)
        self.socket = socket
    }

    /// Forwards until the process is ended.
    mutating func run() throws {
        var poller = Poller(capacity: 1)
        poller.add(socket, events: .readable)
        while true {
            _ = try poller.wait(timeoutNanoseconds: -1)
            while try socket.tryReceive(into: &frames) == .received { try forward() }
        }
    }

    private mutating func forward() throws {
        guard let from = frames.routingID, frames.count > 1 else { return }
        if frames.count == 2, frames.withUnsafeBytes(at: 1, { $0.count == 2 }) { return try join(from) }
        if from == publisher { return try fanOut() }
        try send(to: from == worker ? caller : worker)
    }

    private mutating func send(to peer: RoutingID) throws {
        let hasBody = frames.count == 3
        guard try begin(peer) else { return }
        _ = try socket.trySend(frames.take(at: 1), more: hasBody)
        if hasBody { _ = try socket.trySend(frames.take(at: 2)) }
    }

    /// Sends the frame that names the peer; false when the peer is gone.
    private func begin(_ peer: RoutingID) throws -> Bool {
        if try peer.withUnsafeBytes({ try socket.trySend(copying: $0, more: true) }) { return true }
        while true {
            let name = peer.withUnsafeBytes { Message(copying: $0) }
            switch try socket.trySend(name, more: true) {
            case .sent: return true
            case .unreachable: return false
            case .wouldBlock: _ = try socket.readiness()
            }
        }
    }

    private mutating func fanOut() throws {
        let header = frames.take(at: 1)
        let body = frames.take(at: 2)
        var index = 0
        while index < subscribers.count {
            guard try begin(subscribers[index]) else {
                subscribers.remove(at: index)
                continue
            }
            _ = try socket.trySend(header.share(), more: true)
            _ = try socket.trySend(body.share())
            index += 1
        }
    }

    /// Notes what a peer is, and tells it that it may begin.
    private mutating func join(_ peer: RoutingID) throws {
        switch frames.withUnsafeBytes(at: 1, { Part(rawValue: $0[1]) }) {
        case .caller: caller = peer
        case .worker: worker = peer
        case .subscriber: subscribers.append(peer)
        case .publisher: publisher = peer
        case nil: return
        }
        try send(to: peer)
    }
}
