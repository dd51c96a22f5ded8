// Streams, clocks, events and administration.

import MeshProtocol
import Testing

@testable import BrokerCore

struct StreamTests {
    private let credit = Credit(messages: 2, bytes: 100)

    @Test func `a reply stream goes as far as its credit`() throws {
        let bench = CoreBench()
        let (worker, caller, id, lease) = try stream(bench, .replyStream, credit: credit)
        worker.send(.chunk(Chunk(id: lease, sequence: 0)), bytes: 10)
        worker.send(.chunk(Chunk(id: lease, sequence: 1)), bytes: 500)
        for sequence in 0..<2 {
            guard case .chunk(let chunk)? = caller.next() else { throw BenchError.unexpected("no CHUNK") }
            #expect(chunk.id == id.wire && chunk.sequence == sequence)
        }
        caller.send(.credit(CreditGrant(id: id.wire, credit: Credit(messages: 1, bytes: 1_000))))
        guard case .credit(let grant)? = worker.next() else { throw BenchError.unexpected("no CREDIT") }
        #expect(grant.id == lease && grant.credit == Credit(messages: 1, bytes: 1_000))
        worker.send(.chunk(Chunk(id: lease, sequence: 2)), bytes: 10)
        _ = caller.next()
        worker.end(lease)
        try caller.expectEnd(id)
    }

    @Test func `a chunk without credit ends the call for both`() throws {
        let bench = CoreBench()
        let (worker, caller, _, lease) = try stream(bench, .replyStream, credit: Credit(messages: 1, bytes: 10))
        worker.send(.chunk(Chunk(id: lease, sequence: 0)), bytes: 10)
        _ = caller.next()
        worker.send(.chunk(Chunk(id: lease, sequence: 1)), bytes: 10)
        _ = try caller.expectFail(.protocolError)
        try worker.expectCancel(lease, .protocolError)
        #expect(bench.core.counters.offencesByName["overdraw"] == 1)
        worker.end(lease)
    }

    @Test func `a gap ends the call with DATA_LOSS`() throws {
        let bench = CoreBench()
        let (worker, caller, _, lease) = try stream(bench, .replyStream, credit: credit)
        worker.send(.chunk(Chunk(id: lease, sequence: 1)), bytes: 1)
        _ = try caller.expectFail(.dataLoss)
        try worker.expectCancel(lease, .dataLoss)
    }

    @Test func `a chunk without a stream is refused`() throws {
        let bench = CoreBench()
        let (worker, caller, id, lease) = try stream(bench, [], credit: .none)
        caller.send(.chunk(Chunk(id: id.wire, sequence: 0)), bytes: 1)
        _ = try caller.expectFail(.invalidArgument)
        try worker.expectCancel(lease, .invalidArgument)
    }

    @Test func `a request stream moves when the worker gives credit and ends with last`() throws {
        let bench = CoreBench()
        let (worker, caller, id, lease) = try stream(bench, .requestStream, credit: .none)
        worker.accept(lease, credit: credit)
        guard case .credit(let grant)? = caller.next() else { throw BenchError.unexpected("no CREDIT") }
        #expect(grant == CreditGrant(id: id.wire, credit: credit))
        caller.send(.chunk(Chunk(id: id.wire, sequence: 0)), bytes: 5)
        caller.send(.chunk(Chunk(flags: .last, id: id.wire, sequence: 1)), bytes: 5)
        #expect(worker.take().count == 2)
        worker.end(lease)
        try caller.expectEnd(id)
    }

    @Test func `a worker whose credit the caller holds is not exchanged for another`() throws {
        let bench = CoreBench()
        let idempotent = [MethodDescription(name: "run", flags: [.idempotent, .requestStream])]
        let first = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try first.provide("echo", methods: idempotent)
        let id = try caller.call("echo", flags: .requestStream)
        first.accept(try first.expectCall().id, credit: credit)
        _ = caller.next()
        let second = try bench.peer("echo")
        try second.provide("echo", methods: idempotent)
        bench.disconnect(first)
        let fail = try caller.expectFail(.unavailable)
        #expect(fail.flags == [.outcomeUnknown, .retryable])
        // What the caller sends meanwhile comes late, and is no offence.
        caller.send(.chunk(Chunk(id: id.wire, sequence: 0)), bytes: 5)
        #expect(caller.take().isEmpty && second.take().isEmpty)
        #expect(bench.core.counters.lateFrames == 1)
    }

    private func stream(
        _ bench: CoreBench,
        _ flags: CallFlags,
        credit: Credit,
        clocks: CallClocks = CallClocks()
    ) throws -> (Peer, Peer, RequestID, WireID) {
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        let id = try caller.call("echo", flags: flags, clocks: clocks, credit: credit)
        return (worker, caller, id, try worker.expectCall().id)
    }

    // MARK: Clocks

    @Test func `the total clock ends a call where it is and says so`() throws {
        let bench = CoreBench()
        let (worker, caller, _, lease) = try stream(bench, [], credit: .none, clocks: CallClocks(total: 300))
        worker.accept(lease)
        _ = try caller.call("echo", clocks: CallClocks(total: 200))
        bench.pass(milliseconds: 301)
        let queued = try caller.expectFail(.deadlineExceeded)
        #expect(queued.clock == .total && queued.phase == .queued)
        let running = try caller.expectFail(.deadlineExceeded)
        #expect(running.clock == .total && running.phase == .accepted)
        try worker.expectCancel(lease, .deadlineExceeded)
        #expect(bench.notices.contains { $0.topic == "mesh.call.deadline" })
    }

    @Test func `the queue clock ends only what waits`() throws {
        let bench = CoreBench()
        let (_, caller, _, _) = try stream(bench, [], credit: .none)
        _ = try caller.call("echo", clocks: CallClocks(queue: 50))
        bench.pass(milliseconds: 51)
        #expect(try caller.expectFail(.deadlineExceeded).clock == .queue)
        #expect(caller.next() == nil)
    }

    @Test func `first chunk and idle clocks rest while there is no credit`() throws {
        let bench = CoreBench()
        let clocks = CallClocks(firstChunk: 100, idle: 200)
        let (worker, caller, id, lease) = try stream(
            bench,
            .replyStream,
            credit: Credit(messages: 1, bytes: 100),
            clocks: clocks
        )
        worker.accept(lease)
        bench.pass(milliseconds: 90)
        worker.send(.chunk(Chunk(id: lease, sequence: 0)), bytes: 5)
        _ = caller.next()
        bench.keepAlive([worker, caller], milliseconds: 3_000)
        _ = worker.take()
        #expect(caller.take().allSatisfy { if case .pong = $0 { true } else { false } })
        caller.send(.credit(CreditGrant(id: id.wire, credit: credit)))
        bench.pass(milliseconds: 201)
        #expect(try caller.expectFail(.deadlineExceeded).clock == .idle)
    }

    @Test func `a stream without a first chunk ends`() throws {
        let bench = CoreBench()
        let (worker, caller, _, lease) = try stream(
            bench,
            .replyStream,
            credit: credit,
            clocks: CallClocks(firstChunk: 100)
        )
        worker.accept(lease)
        bench.pass(milliseconds: 101)
        #expect(try caller.expectFail(.deadlineExceeded).clock == .firstChunk)
    }

    // MARK: Events

    @Test func `events reach those with credit, and drops are told`() throws {
        let bench = CoreBench()
        let reader = try bench.peer("reader")
        let writer = try bench.peer("writer")
        let id = try reader.id()
        reader.send(.subscribe(Subscribe(id: id, credit: Credit(messages: 1, bytes: 1_000), pattern: "news.*")))
        guard case .subscribed? = reader.next() else { throw BenchError.unexpected("no SUBSCRIBED") }
        for topic in ["news.a", "news.b", "other.c"] {
            writer.send(.publish(PublishHeader(id: try writer.id(), topic: topic)), bytes: 9)
        }
        guard case .event(let first)? = reader.next() else { throw BenchError.unexpected("no EVENT") }
        #expect(first.topic == "news.a" && first.publisher == "root" && first.numbers.delivery == 1)
        #expect(reader.next() == nil)
        reader.send(.credit(CreditGrant(id: id.wire, credit: Credit(messages: 1, bytes: 1_000))))
        #expect(reader.next() == nil)
        let acknowledged = try writer.id()
        writer.send(.publish(PublishHeader(flags: .acknowledge, id: acknowledged, topic: "news.d")), bytes: 9)
        try writer.expectEnd(acknowledged)
        guard case .event(let second)? = reader.next() else { throw BenchError.unexpected("no EVENT") }
        #expect(second.numbers.delivery == 2 && second.numbers.dropped == 1 && second.numbers.sequence == 4)
        reader.send(.unsubscribe(Unsubscribe(id: id)))
        try reader.expectEnd(id)
        writer.send(.publish(PublishHeader(id: try writer.id(), topic: "mesh.x")), bytes: 9)
        _ = try writer.expectFail(.permissionDenied)
        writer.send(.publish(PublishHeader(id: try writer.id(), topic: "a..b")), bytes: 9)
        _ = try writer.expectFail(.invalidArgument)
    }

    @Test func `last values and history come before what is new`() throws {
        let bench = CoreBench()
        let reader = try bench.peer("reader")
        let writer = try bench.peer("writer")
        for _ in 0..<3 {
            writer.send(.publish(PublishHeader(flags: [.retain, .history], id: try writer.id(), topic: "t")), bytes: 9)
        }
        #expect(bench.detached.count == 3, "what is kept for long has memory of its own")
        let plenty = Credit(messages: 100, bytes: 1_000)
        reader.send(.subscribe(Subscribe(flags: .lastValue, id: try reader.id(), credit: plenty, pattern: "t")))
        reader.send(
            .subscribe(Subscribe(flags: .resume, id: try reader.id(), credit: plenty, since: 1, pattern: ">"))
        )
        let events = reader.take().compactMap { header -> Event? in
            if case .event(let event) = header { event } else { nil }
        }
        #expect(events.map(\.numbers.sequence) == [3, 2, 3])
        #expect(events.first?.flags.contains(.lastValue) == true)
        bench.disconnect(reader)
        bench.disconnect(writer)
    }

    // MARK: Administration

    @Test func `a call to mesh goes to the shell and its answer to the caller`() throws {
        let bench = CoreBench()
        let caller = try bench.peer("wiz")
        let id = try caller.call("mesh", "sessions")
        let call = try #require(bench.takeAdministration())
        #expect(call.method == "sessions" && call.caller == "root" && call.session == caller.session)
        #expect(bench.isLive(call.lease) == true)
        let body = bench.body()
        bench.run {
            $0.answer(call.lease, body: body, byteCount: 3, contentType: .json, now: $1, into: &$2)
        }
        try caller.expectEnd(id)
        #expect(bench.isLive(call.lease) == false)
        _ = try caller.call("mesh", "nothing")
        _ = try caller.expectFail(.unimplemented)
        _ = try caller.call("mesh", "limits")
        let second = try #require(bench.takeAdministration())
        bench.run { $0.refuse(second.lease, with: Failure(.notFound, message: "no"), now: $1, into: &$2) }
        _ = try caller.expectFail(.notFound)
    }

    @Test func `a watch streams within credit and ends when it is cancelled`() throws {
        let bench = CoreBench()
        let caller = try bench.peer("wiz")
        let id = try caller.call("mesh", "watch", flags: .replyStream, credit: Credit(messages: 1, bytes: 10))
        let lease = try #require(bench.takeAdministration()).lease
        let body = bench.body()
        let isSent = bench.run {
            $0.stream(lease, body: body, byteCount: 3, contentType: .json, now: $1, into: &$2)
        }
        #expect(isSent)
        guard case .chunk? = caller.next() else { throw BenchError.unexpected("no CHUNK") }
        let isSentAgain = bench.run {
            $0.stream(lease, body: .none, byteCount: 3, contentType: .json, now: $1, into: &$2)
        }
        #expect(!isSentAgain)
        caller.send(.cancel(Cancel(id: id.wire)))
        _ = try caller.expectFail(.cancelled)
        #expect(bench.isLive(lease) == false)
    }

    @Test func `a flood of denials is told in few notices`() throws {
        let bench = CoreBench()
        let guest = try bench.peer("guest", .key(principal: "guest"))
        for _ in 0..<100 { _ = try guest.call("echo") }
        #expect(bench.notices.filter { $0.topic == "mesh.denied" }.count == 20)
        #expect(bench.core.counters.noticesSuppressed == 80)
    }
}
