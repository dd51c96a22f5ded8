// Limits of events, and limits that are lowered while the broker serves.

import MeshProtocol
import Testing

@testable import BrokerCore

struct LimitTests {
    private func publish(_ topic: String, _ flags: PublishFlags, from peer: Peer) throws {
        let id = try peer.id()
        peer.send(.publish(Publish(flags: flags.union(.acknowledge), id: id, topic: topic)), bytes: 10)
    }

    private func subscribe(_ pattern: String, _ peer: Peer, history: UInt32 = 0, lastValue: Bool = false) throws {
        let credit = Credit(messages: 100, bytes: 1 << 20)
        let flags: SubscribeFlags = lastValue ? .lastValue : []
        peer.send(
            .subscribe(Subscribe(flags: flags, id: try peer.id(), credit: credit, history: history, pattern: pattern))
        )
    }

    private func topics(_ peer: Peer) -> [String] {
        peer.take().compactMap { if case .event(let event) = $0 { event.topic } else { nil } }
    }

    @Test func `an event for more subscriptions than the limit allows goes to nobody`() throws {
        var limits = Limits()
        limits.fanOutCount = 2
        let bench = CoreBench(limits: limits)
        let readers = try (0..<3).map { _ in try bench.peer("reader") }
        for reader in readers { try subscribe(readers[2] === reader ? "news.b" : "news.>", reader) }
        for reader in readers { _ = reader.take() }
        let writer = try bench.peer("writer")
        try publish("news.a", [], from: writer)
        guard case .end? = writer.next() else { throw BenchError.unexpected("no END") }
        try publish("news.b", .retain, from: writer)
        _ = try writer.expectFail(.resourceExhausted)
        #expect(readers.map { topics($0) } == [["news.a"], ["news.a"], []])
        #expect(bench.core.heldBodyCount == 0)
    }

    @Test func `a history keeps the latest events, and topics published to longest ago go first`() throws {
        var limits = Limits()
        limits.historyCount = 2
        limits.retainedTopicCount = 2
        let bench = CoreBench(limits: limits)
        let writer = try bench.peer("writer")
        for topic in ["a", "b", "b", "b", "c"] { try publish(topic, .history, from: writer) }
        let reader = try bench.peer("reader")
        try subscribe(">", reader, history: 10)
        #expect(topics(reader) == ["b", "b", "c"])
    }

    @Test func `limits that are lowered trim what is kept`() throws {
        let bench = CoreBench()
        let writer = try bench.peer("writer")
        for topic in ["a", "b", "b", "c"] { try publish(topic, [.history, .retain], from: writer) }
        let worker = try bench.peer("echo")
        try worker.provide("echo", capacity: 100)
        for number in 0..<40 { try writer.call("echo", range: ">=0.0.\(number)") }
        #expect(bench.core.routes.count >= 40)
        var limits = Limits()
        limits.retainedTopicCount = 2
        limits.historyCount = 1
        limits.routeCacheCount = 16
        bench.run { core, _, outbox in core.setLimits(limits, into: &outbox) }
        #expect(bench.core.routes.count == 0 && bench.core.kept.topicCount == 2)
        let reader = try bench.peer("reader")
        try subscribe(">", reader, history: 10)
        #expect(topics(reader) == ["b", "c"])
        for number in 0..<40 { try writer.call("echo", range: ">=0.0.\(number)") }
        #expect(bench.core.routes.count <= 16)
    }

    @Test func `a route is looked at again after the registry has settled`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo", attributes: [Attribute(name: "zone", value: "1")])
        try caller.call("echo")
        let held = try worker.expectCall()
        // Waits for the first version, in a pool of its own, until a higher one with the attribute comes.
        let waiting = try caller.call("echo", conditions: "zone=1")
        let other = try bench.peer("other")
        try other.provide("echo", "2.0.0", capacity: 2, attributes: [Attribute(name: "zone", value: "1")])
        let moved = try other.expectCall()
        // Its route makes a pool, which settles the registry before the call is given out.
        let id = try caller.call("echo", conditions: "zone<2")
        other.end(try other.expectCall().id)
        try caller.expectEnd(id)
        other.end(moved.id)
        try caller.expectEnd(waiting)
        worker.end(held.id)
        #expect(worker.next() == nil)
    }

    @Test func `services come in pages of any size, each once, the mesh's own among them`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("worker")
        for name in ["a", "lion", "mesa", "messy", "zebra"] {
            for version in ["1.0.0", "1.2.0", "2.0.0"] { try worker.provide(name, version) }
        }
        let expected = ["a", "lion", "mesa", "mesh", "messy", "zebra"].flatMap { name in
            name == "mesh" ? ["mesh@1.0.0"] : ["2.0.0", "1.2.0", "1.0.0"].map { "\(name)@\($0)" }
        }
        for limit in [1, 2, 3, 4, 7, 100, .max] {
            var found: [String] = []
            while case let page = bench.services(after: found.last, limit: limit), !page.isEmpty {
                #expect(page.count <= limit)
                found += page.map { "\($0.service)@\($0.version)" }
                if limit == .max { break }
            }
            #expect(found == expected)
        }
    }
}
