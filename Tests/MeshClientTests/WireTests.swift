// Connections against a broker that does what the test says, over real sockets.

import CLinuxShims
import Foundation
import MeshProtocol
import Synchronization
import Testing
import ZeroMQ

@testable import MeshClient

@Suite(.serialized) struct WireTests {
    let echo = CallTarget.service("echo", range: "^1", method: "say")

    @Test func `a call goes out and its answer comes back`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        #expect(connection.session?.principal == "tester")
        let target = echo
        async let reply = connection.call(
            target,
            payload: .text("hi"),
            options: CallOptions(deadline: .seconds(3), band: .interactive, affinity: "k")
        )
        let (peer, call, body) = try await broker.nextCall()
        #expect(call.service == "echo" && call.range == "^1" && call.method == "say" && call.affinity == "k")
        #expect(call.clocks.total == 3000 && call.band == .interactive && call.contentType == .text)
        #expect(body == Array("hi".utf8))
        let end = End(contentType: .text, id: call.id, queuedMicroseconds: 5, serviceMicroseconds: 7, provider: 2)
        broker.send(end, body: Array("ho".utf8), to: peer)
        broker.send(end, body: Array("late".utf8), to: peer)
        #expect(
            try await reply
                == Reply(
                    payload: .text("ho"),
                    queued: .microseconds(5),
                    service: .microseconds(7),
                    provider: 2
                )
        )
        await connection.close()
        #expect(try await broker.nextHeader() == .bye(Bye()))
        #expect(connection.state == .closed(nil))
    }

    @Test func `a failure keeps all that the broker said`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let target = echo
        let task = Task { try await connection.call(target) }
        let (peer, call, _) = try await broker.nextCall()
        broker.send(
            Fail(
                flags: [.retryable],
                status: .deadlineExceeded,
                id: call.id,
                retryAfterMilliseconds: 250,
                clock: .queue,
                phase: .queued,
                message: "no worker",
                hint: "Start one."
            ),
            to: peer
        )
        let error = try await #require(throws: MeshError.self) { try await task.value }
        #expect(error.status == .deadlineExceeded && error.clock == .queue && error.phase == .queued)
        #expect(error.retryAfter == .milliseconds(250) && error.isRetryable && !error.isFromWorker)
        #expect(
            error.description
                == "echo@^1.say: DEADLINE_EXCEEDED: no worker [clock queue, call was queued] "
                + "(retry after 0.25 seconds). Start one."
        )
        await connection.close()
    }

    @Test func `a cancelled task cancels its call`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let target = echo
        let task = Task { try await connection.call(target) }
        let (_, call, _) = try await broker.nextCall()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        guard case .cancel(let cancel) = try await broker.nextHeader() else {
            return #expect(Bool(false), "no CANCEL")
        }
        #expect(cancel.id == call.id)
        await connection.close()
    }

    @Test func `a reply stream is read in order and gives credit back`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let stream = try await connection.openStream(
            echo,
            options: CallOptions(window: Credit(messages: 2, bytes: 1000))
        )
        let (peer, call, _) = try await broker.nextCall()
        #expect(call.flags == .replyStream && call.credit == Credit(messages: 2, bytes: 1000))
        for sequence in 0..<2 as Range<UInt32> {
            broker.send(Chunk(contentType: .text, id: call.id, sequence: sequence), body: [65], to: peer)
        }
        var iterator = stream.makeAsyncIterator()
        #expect(try await iterator.next()?.text == "A")
        #expect(
            try await broker.nextHeader()
                == .credit(CreditGrant(id: call.id, credit: Credit(messages: 1, bytes: 1)))
        )
        #expect(try await iterator.next()?.text == "A")
        broker.send(End(contentType: .text, id: call.id), body: Array("sum".utf8), to: peer)
        #expect(try await iterator.next() == nil)
        #expect(try await stream.reply().payload.text == "sum")
        await connection.close()
    }

    @Test func `a stream that is left early is cancelled`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let stream = try await connection.openStream(echo)
        let (peer, call, _) = try await broker.nextCall()
        broker.send(Chunk(id: call.id, sequence: 0), body: [1], to: peer)
        for try await _ in stream { break }
        guard case .cancel(let cancel) = try await broker.nextHeader() else {
            return #expect(Bool(false), "no CANCEL")
        }
        #expect(cancel.id == call.id)
        let error = try await #require(throws: MeshError.self) { try await stream.reply() }
        #expect(error.status == .cancelled)
        await connection.close()
    }

    @Test func `a request stream waits for credit and ends with last`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let stream = try await connection.openStream(echo, directions: .requests)
        let (peer, call, _) = try await broker.nextCall()
        #expect(call.flags == .requestStream && call.credit == .none)
        let sender = Task {
            for word in ["a", "b"] { try await stream.send(.text(word)) }
            try await stream.finish()
        }
        broker.send(Accept(id: call.id, credit: Credit(messages: 1, bytes: 10)), to: peer)
        #expect(
            try await broker.nextHeader() == .chunk(Chunk(contentType: .text, id: call.id, sequence: 0))
        )
        broker.send(CreditGrant(id: call.id, credit: Credit(messages: 2, bytes: 10)), to: peer)
        #expect(
            try await broker.nextHeader() == .chunk(Chunk(contentType: .text, id: call.id, sequence: 1))
        )
        #expect(
            try await broker.nextHeader()
                == .chunk(Chunk(flags: .last, contentType: .bytes, id: call.id, sequence: 2))
        )
        try await sender.value
        broker.send(End(contentType: .text, id: call.id), body: Array("2".utf8), to: peer)
        #expect(try await stream.reply().payload.text == "2")
        await #expect(throws: MeshError.self) { try await stream.send(.text("c")) }
        await connection.close()
    }

    @Test func `events come with their numbers, and a refused pattern throws`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let task = Task { try await connection.subscribe("a.*") }
        let message = try await broker.next()
        guard case .subscribe(let header) = message.header else { throw Unexpected(message.header) }
        broker.send(Subscribed(id: header.id, sequence: 4), to: message.peer)
        let subscription = try await task.value
        let numbers = EventNumbers(sequence: 5, delivery: 1, dropped: 2, timestamp: 99)
        broker.send(
            Event(contentType: .text, id: header.id, numbers: numbers, topic: "a.b", publisher: "p"),
            body: Array("e".utf8),
            to: message.peer
        )
        var events = subscription.makeAsyncIterator()
        let event = try #require(try await events.next())
        #expect(event.topic == "a.b" && event.payload.text == "e" && event.publisher == "p")
        #expect(event.sequence == 5 && event.dropped == 2 && event.epoch == 7 && event.timestamp == 99)
        async let cancelled: Void = subscription.cancel()
        #expect(try await broker.nextHeader() == .unsubscribe(Unsubscribe(id: header.id)))
        broker.send(End(id: header.id.wire), to: message.peer)
        await cancelled
        #expect(try await events.next() == nil)

        let refused = Task { try await connection.subscribe("mesh.>") }
        let second = try await broker.next()
        guard case .subscribe(let again) = second.header else { throw Unexpected(second.header) }
        broker.send(Fail(status: .permissionDenied, id: again.id.wire, message: "no"), to: second.peer)
        let error = try await #require(throws: MeshError.self) { try await refused.value }
        #expect(error.status == .permissionDenied && error.subject == "mesh.>")
        await #expect(throws: MeshError.self) { try await connection.subscribe("a..b") }
        await connection.close()
    }

    @Test func `an event is published, acknowledged or not`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        try await connection.publish(
            topic: "a.b",
            payload: .text("x"),
            options: PublishOptions(retain: true, acknowledge: false)
        )
        let first = try await broker.next()
        guard case .publish(let quiet) = first.header else { throw Unexpected(first.header) }
        #expect(quiet.flags == .retain && quiet.topic == "a.b" && first.body == Array("x".utf8))
        let task = Task { try await connection.publish(topic: "a.b", payload: .text("y")) }
        let second = try await broker.next()
        guard case .publish(let loud) = second.header else { throw Unexpected(second.header) }
        #expect(loud.flags == .acknowledge)
        broker.send(Fail(status: .permissionDenied, id: loud.id.wire, message: "no"), to: second.peer)
        await #expect(throws: MeshError.self) { try await task.value }
        await connection.close()
    }

    @Test func `closing fails what is in flight with CANCELLED and refuses what comes after`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let target = echo
        let call = Task { try await connection.call(target) }
        _ = try await broker.nextCall()
        await connection.close()
        await connection.close()
        let error = try await #require(throws: MeshError.self) { try await call.value }
        #expect(error.status == .cancelled)
        let late = try await #require(throws: MeshError.self) { try await connection.call(target) }
        #expect(late.status == .cancelled)
        await #expect(throws: MeshError.self) { try await connection.subscribe("a.b") }
        await #expect(throws: MeshError.self) { try await connection.openStream(target) }
    }

    @Test func `a rejected peer is told why`() async throws {
        let broker = try FakeBroker(welcome: nil)
        defer { broker.remove() }
        let task = Task { [configuration = broker.configuration()] in
            try await MeshConnection.connect(configuration)
        }
        let hello = try await broker.next()
        guard case .hello(let header) = hello.header else { throw Unexpected(hello.header) }
        #expect(header.name == "tester" && header.lastEpoch == 0)
        broker.send(Reject(status: .unauthenticated, message: "unknown ticket"), to: hello.peer)
        let error = try await #require(throws: MeshError.self) { try await task.value }
        #expect(error.status == .unauthenticated && error.message == "unknown ticket")
    }

    @Test func `keys encrypt the connection, and wrong ones are told apart from a silent broker`() async throws {
        let (server, client) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let broker = try FakeBroker(keys: server)
        defer { broker.remove() }
        var configuration = broker.configuration()
        configuration.keys = .init(
            server: server.publicKey.z85,
            clientPublic: client.publicKey.z85,
            clientSecret: client.secretKey.revealedZ85
        )
        let connection = try await MeshConnection.connect(configuration)
        try await connection.publish(topic: "a", payload: .text("x"), options: PublishOptions(acknowledge: false))
        #expect(try await broker.next().body == Array("x".utf8))
        await connection.close()
        configuration.keys?.server = "short"
        let error = await #expect(throws: MeshError.self) { try await MeshConnection.connect(configuration) }
        #expect(error?.status == .invalidArgument)
    }

    @Test func `the environment names broker, ticket and keys`() throws {
        let configuration = try MeshConfiguration.fromEnvironment(
            name: "echo",
            environment: ["WIZ_RUN": "/run/mesh", "WIZ_TICKET": "t", "WIZ_INSTANCE": "2"]
        )
        #expect(configuration.endpoint == "ipc:///run/mesh/mesh.sock")
        #expect(configuration.ticket == "t" && configuration.instance == "2" && configuration.keys == nil)
        for wrong in [["WIZ_ENDPOINT": "http://x"], ["WIZ_ENDPOINT": "tcp://x:1"], ["WIZ_SERVER_KEY": "k"]] {
            #expect(throws: MeshError.self) {
                try MeshConfiguration.fromEnvironment(name: "echo", environment: wrong)
            }
        }
    }

    @Test func `connecting to nobody ends in time and says what to do`() async throws {
        let folder = try FakeBroker.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let configuration = MeshConfiguration(
            endpoint: "ipc://" + folder + "/none.sock",
            name: "tester",
            connectTimeout: .milliseconds(300)
        )
        let error = try await #require(throws: MeshError.self) { try await MeshConnection.connect(configuration) }
        #expect(error.status == .unavailable && error.hint.contains("Start it"))
        #expect(error.subject == configuration.endpoint)
    }

    @Test func `nothing is left behind after closing`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        func round() async throws {
            let connection = try await MeshConnection.connect(broker.configuration())
            let target = echo
            let call = Task { try await connection.call(target) }
            let (peer, header, _) = try await broker.nextCall()
            broker.send(End(id: header.id), to: peer)
            _ = try await call.value
            await connection.close()
            _ = try await broker.nextHeader()
        }
        try await round()
        let sockets = try SharedContext.get().openSocketCount
        let (threads, files) = (wiz_thread_count(), wiz_open_file_count())
        for _ in 0..<20 { try await round() }
        // The pool of Swift's own threads may have grown by a few meanwhile; twenty connections are more than a few.
        try await within(.seconds(10), "the return of files, sockets and threads") {
            while try wiz_thread_count() > threads + 4 || wiz_open_file_count() > files + 4
                || SharedContext.get().openSocketCount > sockets
            {
                await Task.yield()
            }
        }
    }
}
