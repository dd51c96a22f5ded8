// BATCH seen by the SDK: it takes them, and sends them to a broker that does.

import MeshProtocol
import Testing
import ZeroMQ

@testable import MeshClient

@Suite(.serialized) struct BatchTests {
    private static func welcome(batchByteCount: UInt32) -> Welcome {
        var welcome = FakeBroker.welcome
        welcome.batchByteCount = batchByteCount
        return welcome
    }

    /// The messages in what a peer has sent.
    private func messages(in received: Received) throws -> [Header] {
        guard case .batch = received.header else { return [received.header] }
        return try (received.body ?? []).withUnsafeBytes { bytes in
            var reader = BatchReader(bytes)
            var headers: [Header] = []
            while let item = try reader.next() { headers.append(try Header.decode(item.header)) }
            return headers
        }
    }

    private func batch(_ items: [(any HeaderFields, [UInt8]?)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (fields, payload) in items {
            fields.encoded().withUnsafeBytes { header in
                guard let payload else { return Batch.append(header: header, payload: nil, to: &bytes) }
                payload.withUnsafeBytes { Batch.append(header: header, payload: $0, to: &bytes) }
            }
        }
        return bytes
    }

    /// A connection with three subscriptions that has lost its session: what it says first in the next one.
    private func saysAgain(_ broker: FakeBroker) async throws -> [Received] {
        let connection = try await MeshConnection.connect(broker.configuration())
        var subscriptions: [Subscription] = []
        var peer: RoutingID?
        for topic in ["a.b", "a.c", "a.d"] {
            async let subscription = connection.subscribe(topic)
            let received = try await broker.next()
            guard case .subscribe(let subscribe) = received.header else { throw Unexpected(received.header) }
            broker.send(Subscribed(id: subscribe.id, sequence: 1), to: received.peer)
            subscriptions.append(try await subscription)
            peer = received.peer
        }
        broker.send(Bye(status: .unavailable, reason: "a test"), to: try #require(peer))
        var all: [Received] = []
        var count = 0
        while count < 3 {
            let received = try await broker.next()
            all.append(received)
            count += try messages(in: received).count
        }
        await connection.close()
        return all
    }

    @Test func `what is ready together leaves in one message, if the broker takes it`() async throws {
        let welcome = Self.welcome(batchByteCount: 65_536)
        let broker = try FakeBroker(welcome: welcome)
        defer { broker.remove() }
        let said = try await saysAgain(broker)
        #expect(said.count == 1)
        let patterns = try messages(in: try #require(said.first)).map { header -> String in
            guard case .subscribe(let subscribe) = header else { return "\(header)" }
            return subscribe.pattern
        }
        #expect(Set(patterns) == ["a.b", "a.c", "a.d"])
    }

    @Test(arguments: [0, 40]) func `each leaves by itself if the broker takes none, or none so large`(
        byteCount: UInt32
    ) async throws {
        let welcome = Self.welcome(batchByteCount: byteCount)
        let broker = try FakeBroker(welcome: welcome)
        defer { broker.remove() }
        #expect(try await saysAgain(broker).count == 3)
    }

    @Test func `answers that come together reach their callers`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        async let first = connection.call(.service("echo", method: "say"))
        let one = try await broker.nextCall()
        async let second = connection.call(.service("echo", method: "say"))
        let two = try await broker.nextCall()
        let body = batch([
            (End(contentType: .text, id: two.call.id), Array("two".utf8)), (Ping(nonce: 8), nil),
            (End(contentType: .text, id: one.call.id), Array("one".utf8)),
        ])
        broker.send(Batch(), body: body, to: one.peer)
        #expect(try await first.payload == .text("one"))
        #expect(try await second.payload == .text("two"))
        #expect(try await broker.nextHeader() == .pong(Pong(nonce: 8)))
        await connection.close()
    }

    @Test func `a malformed batch ends the session: an end that somebody waits for may be in it`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let reply = Task { try await connection.call(.service("echo", method: "say")) }
        let call = try await broker.nextCall()
        broker.send(Batch(), body: batch([(Ping(nonce: 1), nil)]) + [1], to: call.peer)
        let error = try await #require(throws: MeshError.self) { try await reply.value }
        #expect(error.status == .unavailable && error.isOutcomeUnknown)
        await connection.close()
    }
}
