// A broker that does what a test tells it: a ROUTER on ipc in a temporary folder, on a thread of its own. It answers PING
// by itself, and HELLO unless it is told not to.

import Foundation
import MeshProtocol
import Synchronization
import Testing
import ZeroMQ

@testable import MeshClient

/// One message that a peer has sent.
struct Received: Sendable {
    var peer: RoutingID
    var header: Header
    var body: [UInt8]?
}

/// Waits for something, but not for ever.
func within<Value: Sendable>(
    _ bound: Duration = .seconds(10),
    _ what: String = "what the test waits for",
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: bound)  // allowed: a bound
            throw MeshError(.deadlineExceeded, "\(what) did not happen within \(bound)")
        }
        let value = try await group.next()
        group.cancelAll()
        return try #require(value)
    }
}

final class FakeBroker: Sendable {
    private enum Order: Sendable {
        case send(RoutingID, [UInt8], [UInt8]?)
        case stop
    }

    let folder: String
    let endpoint: String
    private let keys: CurveKeyPair?
    private let messages = ReceiveChannel<Received>(window: Credit(messages: .max, bytes: .max)) { _ in }
    private let orders = Mutex<[Order]>([])
    private let wakeUp: WakeUp
    private let thread = Mutex<OSThread?>(nil)
    private let context: Context
    private let welcome: Welcome?
    private let answersCalls: Bool

    static let welcome = Welcome(
        epoch: 7,
        session: 3,
        heartbeatMilliseconds: 1000,
        maximumPayloadByteCount: 1 << 20,
        maximumCallCount: 1000,
        principal: "tester",
        broker: "fake/1.0"
    )

    /// Starts a broker.
    /// - Parameters:
    ///   - folder: where its socket is; a new folder when nil.
    ///   - welcome: what HELLO is answered with; nil: the test answers.
    ///   - keys: the broker's, to speak CURVE.
    ///   - answersCalls: whether a CALL is answered at once with what came with it.
    /// - Throws: when there is no thread or no folder.
    init(
        in folder: String? = nil,
        welcome: Welcome? = FakeBroker.welcome,
        keys: CurveKeyPair? = nil,
        answersCalls: Bool = false
    ) throws {
        self.answersCalls = answersCalls

        self.keys = keys
        self.folder = try folder ?? Self.makeFolder()
        endpoint = "ipc://" + self.folder + "/mesh.sock"
        self.welcome = welcome
        wakeUp = try WakeUp()
        context = try SharedContext.get()
        let started = try WakeUp()
        let running = try OSThread.start(name: "fake-broker") { self.run(started) }
        thread.withLock { $0 = running }
        var poller = Poller(capacity: 1)
        poller.add(started)
        _ = try poller.wait(timeout: .seconds(10))
    }

    static func makeFolder() throws -> String {
        let folder = "/tmp/wiz-client-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    /// A configuration of a peer of this broker.
    func configuration(name: String = "tester") -> MeshConfiguration {
        MeshConfiguration(endpoint: endpoint, name: name)
    }

    /// Ends the broker, as a crash would: nobody is told.
    func stop() {
        order(.stop)
        thread.withLock { $0 }?.join()
    }

    /// Ends the broker and removes its folder.
    func remove() {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private func order(_ order: Order) {
        orders.withLock { $0.append(order) }
        wakeUp.signal()
    }

    /// Sends a message to a peer.
    func send(_ header: some HeaderFields, body: [UInt8]? = nil, to peer: RoutingID) {
        order(.send(peer, header.encoded(), body))
    }

    /// The next message that is neither PING nor, when answered by itself, HELLO.
    func next() async throws -> Received {
        try await within(.seconds(10), "a message to the broker") { [messages] in
            let message = try await messages.next()
            return try #require(message)
        }
    }

    private func run(_ started: WakeUp) {
        do {
            var options = SocketOptions()
            if let keys { options.security = .curveServer(keys.secretKey) }
            let socket = try Socket(context, .router, options: options)
            try socket.bind(endpoint)
            started.signal()
            var poller = Poller(capacity: 2)
            poller.add(socket, events: .readable)
            poller.add(wakeUp)
            var frames = FrameBuffer(capacity: 3)
            while true {
                _ = try poller.wait(timeout: nil)
                wakeUp.drain()
                for order in orders.withLock({ orders in
                    defer { orders = [] }
                    return orders
                }) {
                    guard case .send(let peer, let header, let body) = order else { return }
                    let message = body.map { Message(copying: $0) }
                    _ = try socket.trySend(to: peer, header: header.span.bytes, body: message)
                }
                while try socket.tryReceive(into: &frames) == .received { try take(&frames, socket) }
            }
        } catch {
            Issue.record("the fake broker failed: \(error)")
            started.signal()
        }
    }

    private func take(_ frames: inout FrameBuffer, _ socket: borrowing Socket) throws {
        guard let peer = frames.routingID else {
            Issue.record("a peer chose its own id")
            return
        }
        let header = try frames.withUnsafeBytes(at: 1) { try Header.decode($0) }
        let body: [UInt8]? = frames.count > 2 ? frames.withUnsafeBytes(at: 2) { Array($0) } : nil
        switch header {
        case .ping(let ping):
            _ = try socket.trySend(to: peer, header: Pong(nonce: ping.nonce).encoded().span.bytes, body: nil)
        case .hello where welcome != nil:
            _ = try socket.trySend(to: peer, header: (welcome ?? Self.welcome).encoded().span.bytes, body: nil)
        case .call(let call) where answersCalls:
            let end = End(contentType: call.contentType, id: call.id)
            let answer = frames.count > 2 ? frames.take(at: 2) : nil
            _ = try socket.trySend(to: peer, header: end.encoded().span.bytes, body: answer)
        default: messages.push(Received(peer: peer, header: header, body: body), byteCount: 0)
        }
    }
}

extension FakeBroker {
    /// The next message, which must be a CALL.
    func nextCall() async throws -> (peer: RoutingID, call: CallHeader, body: [UInt8]?) {
        let message = try await next()
        guard case .call(let call) = message.header else { throw Unexpected(message.header) }
        return (message.peer, call, message.body)
    }

    /// The next message's header.
    func nextHeader() async throws -> Header { try await next().header }
}

/// A message that a test did not expect.
struct Unexpected: Error, CustomStringConvertible {
    let header: Header
    init(_ header: Header) { self.header = header }
    var description: String { "unexpected \(header)" }
}
