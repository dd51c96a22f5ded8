// The role of a worker, and what happens when the session is lost, against a broker that does what the test says.

import Foundation
import MeshProtocol
import Synchronization
import Testing
import ZeroMQ

@testable import MeshClient

@Suite(.serialized) struct WorkerTests {
    let service = ServiceDescription(
        name: "echo",
        version: "1.0.0",
        methods: [MethodDescription(name: "say")],
        capacity: 2,
        schema: .json(text: "{}")
    )

    /// Connects and registers the service.
    func provide(
        _ broker: FakeBroker,
        handler: @escaping CallHandler
    ) async throws -> (connection: MeshConnection, registration: Registration, peer: RoutingID) {
        let connection = try await MeshConnection.connect(broker.configuration())
        let service = service
        let task = Task { try await connection.provide(service, handler: handler) }
        let message = try await broker.next()
        guard case .provide(let provide) = message.header else { throw Unexpected(message.header) }
        #expect(provide.service == "echo" && provide.capacity == 2 && message.body == Array("{}".utf8))
        broker.send(End(id: provide.id.wire), to: message.peer)
        return (connection, try await task.value, message.peer)
    }

    func call(_ number: UInt32, _ flags: CallFlags = [], credit: Credit = .none, total: UInt32 = 5000) -> CallHeader {
        CallHeader(
            flags: flags,
            contentType: .text,
            id: lease(number),
            clocks: CallClocks(total: total),
            credit: credit,
            hops: 1,
            trace: TraceContext(traceHigh: 1, traceLow: 2, span: 3),
            service: "echo",
            method: "say",
            caller: "alice"
        )
    }

    @Test func `a handler answers, fails with its status, and its other errors are INTERNAL`() async throws {
        struct Broken: Error {}
        let broker = try FakeBroker()
        defer { broker.remove() }
        let (connection, _, peer) = try await provide(broker) { call in
            switch call.payload.text {
            case "fail": throw MeshError(.notFound, "nothing", hint: "Look elsewhere.", details: .text("d"))
            case "break": throw Broken()
            default:
                let remaining = try #require(call.context.remaining)
                #expect(remaining > .seconds(3) && remaining <= .seconds(5))
                #expect(CallContext.current?.caller == "alice" && call.service == "echo" && call.version == "1.0.0")
                return .text(call.payload.text + "!")
            }
        }
        broker.send(call(1), body: Array("hi".utf8), to: peer)
        let first = try await broker.next()
        #expect(first.header == .end(End(contentType: .text, id: lease(1))))
        #expect(first.body == Array("hi!".utf8))
        broker.send(call(2), body: Array("fail".utf8), to: peer)
        let second = try await broker.next()
        #expect(
            second.header
                == .fail(
                    Fail(
                        flags: .fromWorker,
                        contentType: .text,
                        status: .notFound,
                        id: lease(2),
                        message: "nothing",
                        hint: "Look elsewhere."
                    )
                )
        )
        #expect(second.body == Array("d".utf8))
        broker.send(call(3), body: Array("break".utf8), to: peer)
        guard case .fail(let third) = try await broker.nextHeader() else { throw Unexpected(second.header) }
        #expect(third.status == .internal && third.message.contains("Broken"))
        await connection.close()
    }

    @Test func `a nested call is a child of the handler's call`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let inner = Mutex<MeshConnection?>(nil)
        let (connection, _, peer) = try await provide(broker) { _ in
            let connection = try #require(inner.withLock { $0 })
            return try await connection.call(.service("other", method: "do")).payload
        }
        inner.withLock { $0 = connection }
        broker.send(call(1, total: 2000), to: peer)
        let (_, nested, _) = try await broker.nextCall()
        #expect(nested.parent == lease(1) && nested.service == "other")
        #expect(nested.clocks.total > 1000 && nested.clocks.total <= 2000)
        #expect(nested.trace.traceHigh == 1 && nested.trace.traceLow == 2 && nested.trace.span != 3)
        broker.send(End(contentType: .text, id: nested.id), body: Array("in".utf8), to: peer)
        let answer = try await broker.next()
        #expect(answer.header == .end(End(contentType: .text, id: lease(1))))
        #expect(answer.body == Array("in".utf8))
        inner.withLock { $0 = nil }
        await connection.close()
    }

    @Test func `cancelling a call cancels its task, and the slot is free only then`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let (connection, registration, peer) = try await provide(broker) { _ in
            try await untilCancelled()
            return .empty
        }
        for number in 1...3 as ClosedRange<UInt32> { broker.send(call(number), to: peer) }
        guard case .refuse(let refuse) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        #expect(refuse.id == lease(3) && refuse.status == .resourceExhausted)
        broker.send(Cancel(status: .deadlineExceeded, id: lease(1)), to: peer)
        guard case .fail(let fail) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        #expect(fail.id == lease(1) && fail.status == .cancelled)
        registration.setCapacity(5, weight: 10)
        guard case .capacity(let capacity) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        #expect(capacity.capacity == 5 && capacity.weight == 10 && registration.service.capacity == 5)
        await connection.close()
    }

    @Test func `a long call is accepted by itself`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let (connection, _, peer) = try await provide(broker) { _ in
            try await untilCancelled()
            return .empty
        }
        let start = ContinuousClock.now
        broker.send(call(1), to: peer)
        #expect(try await broker.nextHeader() == .accept(Accept(id: lease(1))))
        #expect(start.duration(to: .now) > .milliseconds(900))
        await connection.close()
    }

    @Test func `a handler reads requests and sends replies, both within credit`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let (connection, _, peer) = try await provide(broker) { call in
            var count = 0
            for try await chunk in call.requests {
                count += 1
                try await call.send(.text(chunk.text.uppercased()))
            }
            return .text("\(count)")
        }
        broker.send(
            call(1, [.requestStream, .replyStream], credit: Credit(messages: 1, bytes: 100)),
            to: peer
        )
        #expect(
            try await broker.nextHeader() == .accept(Accept(id: lease(1), credit: CallOptions.standardWindow))
        )
        broker.send(Chunk(contentType: .text, id: lease(1), sequence: 0), body: Array("a".utf8), to: peer)
        broker.send(Chunk(contentType: .text, id: lease(1), sequence: 1), body: Array("b".utf8), to: peer)
        broker.send(Chunk(flags: .last, id: lease(1), sequence: 2), to: peer)
        let first = try await broker.next()
        #expect(first.header == .chunk(Chunk(contentType: .text, id: lease(1), sequence: 0)))
        #expect(first.body == Array("A".utf8))
        broker.send(CreditGrant(id: lease(1), credit: Credit(messages: 1, bytes: 100)), to: peer)
        #expect(try await broker.next().body == Array("B".utf8))
        let end = try await broker.next()
        #expect(end.header == .end(End(contentType: .text, id: lease(1))))
        #expect(end.body == Array("2".utf8))
        await connection.close()
    }

    @Test func `withdrawing and draining are answered`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let (connection, registration, peer) = try await provide(broker) { _ in .empty }
        let draining = Task { try await connection.drain() }
        guard case .drain(let drain) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        broker.send(call(1), to: peer)
        guard case .refuse(let refuse) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        #expect(refuse.status == .unavailable)
        broker.send(End(id: drain.id), to: peer)
        try await draining.value
        let withdrawing = Task { try await registration.withdraw() }
        guard case .withdraw(let withdraw) = try await broker.nextHeader() else { return #expect(Bool(false)) }
        broker.send(End(id: withdraw.id.wire), to: peer)
        try await withdrawing.value
        try await registration.ended()
        try await registration.withdraw()
        await connection.close()
    }

    @Test func `a drain that the broker asks for runs the handler, waits for the calls and says BYE`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let gate = ReceiveChannel<Int>(window: Credit(messages: 8, bytes: 8)) { _ in }
        let (connection, registration, peer) = try await provide(broker) { _ in
            _ = try await gate.next()
            return .empty
        }
        let asked = ReceiveChannel<DrainRequest>(window: Credit(messages: 8, bytes: 8)) { _ in }
        connection.onDrainRequested { asked.push($0, byteCount: 0) }
        broker.send(call(1), to: peer)
        broker.send(Drain(id: .session, graceMilliseconds: 9000, reason: "update"), to: peer)
        #expect(try await within { try await asked.next() } == DrainRequest(grace: .seconds(9), reason: "update"))
        gate.push(1, byteCount: 0)
        #expect(try await broker.nextHeader() == .end(End(contentType: .bytes, id: lease(1))))
        #expect(try await broker.nextHeader() == .bye(Bye(reason: "drained")))
        await #expect(throws: MeshError.self) { try await registration.ended() }
        #expect(connection.state == .closed(nil))
        await connection.close()
    }

    @Test func `a lost broker fails calls, stops handlers, and everything is there again after the reconnect`()
        async throws
    {
        let broker = try FakeBroker()
        let stopped = ReceiveChannel<Int>(window: Credit(messages: 8, bytes: 8)) { _ in }
        let (connection, _, peer) = try await provide(broker) { _ in
            stopped.push(0, byteCount: 0)
            do {
                try await untilCancelled()
            } catch {
                stopped.push(1, byteCount: 0)
            }
            return .empty
        }
        let subscribing = Task { try await connection.subscribe("a.>") }
        let message = try await broker.next()
        guard case .subscribe(let subscribe) = message.header else { throw Unexpected(message.header) }
        broker.send(Subscribed(id: subscribe.id, sequence: 4), to: peer)
        let subscription = try await subscribing.value
        broker.send(call(1), to: peer)
        #expect(try await within { try await stopped.next() } == 0)
        let calling = Task { try await connection.call(.service("other", method: "do")) }
        _ = try await broker.nextCall()
        broker.stop()
        let error = try await #require(throws: MeshError.self) { try await within { try await calling.value } }
        #expect(error.status == .unavailable && error.isOutcomeUnknown)
        #expect(try await within { try await stopped.next() } == 1)

        // A call made now waits for the next session.
        let waiting = Task { try await connection.call(.service("other", method: "again")) }
        let second = try FakeBroker(in: broker.folder)
        defer { second.remove() }
        let provideAgain = try await second.next()
        guard case .provide(let provide) = provideAgain.header else { throw Unexpected(provideAgain.header) }
        #expect(provide.service == "echo")
        guard case .subscribe(let resumed) = try await second.nextHeader() else { return #expect(Bool(false)) }
        #expect(resumed.flags == .resume && resumed.since == 4)
        let (newPeer, again, _) = try await second.nextCall()
        #expect(again.method == "again")
        second.send(End(id: again.id), to: newPeer)
        _ = try await within { try await waiting.value }
        _ = subscription
        await connection.close()
    }

    @Test func `after a reconnect the broker is offered only the slots that no old handler takes`() async throws {
        let broker = try FakeBroker()
        let gate = ReceiveChannel<Int>(window: Credit(messages: 8, bytes: 8)) { _ in }
        let begun = ReceiveChannel<Int>(window: Credit(messages: 8, bytes: 8)) { _ in }
        let (connection, _, peer) = try await provide(broker) { _ in
            begun.push(0, byteCount: 0)
            // A task of its own: the handler does not heed its cancellation.
            _ = try await Task { try await gate.next() }.value
            return .empty
        }
        broker.send(call(1), to: peer)
        _ = try await within { try await begun.next() }
        broker.stop()
        let second = try FakeBroker(in: broker.folder)
        defer { second.remove() }
        let again = try await second.next()
        guard case .provide(let provide) = again.header else { throw Unexpected(again.header) }
        #expect(provide.capacity == 1)
        second.send(End(id: provide.id.wire), to: again.peer)
        try await connection.registered()
        // The same number, another call.
        second.send(call(1), to: again.peer)
        second.send(call(2), to: again.peer)
        guard case .refuse(let refuse) = try await second.nextHeader() else { return #expect(Bool(false)) }
        #expect(refuse.id == lease(2) && refuse.status == .resourceExhausted)
        gate.push(1, byteCount: 0)
        gate.push(2, byteCount: 0)
        var ends = 0
        var capacity: UInt32 = 0
        while ends < 1 || capacity < 2 {
            switch try await second.nextHeader() {
            case .end(let end):
                #expect(end.id == lease(1))
                ends += 1
            case .capacity(let told): capacity = told.capacity
            case let header: throw Unexpected(header)
            }
        }
        await connection.close()
    }

    @Test func `states are told in order`() async throws {
        let broker = try FakeBroker()
        defer { broker.remove() }
        let connection = try await MeshConnection.connect(broker.configuration())
        let states = connection.states
        await connection.close()
        var seen: [ConnectionState] = []
        for await state in states { seen.append(state) }
        #expect(seen == [.connected(SessionInfo(FakeBroker.welcome)), .closed(nil)])
    }
}
