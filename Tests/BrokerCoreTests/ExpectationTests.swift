// Calls for what is not there yet: expectations, demand, parking, load, and the time after a broker's start.

import MeshProtocol
import Testing

@testable import BrokerCore

struct ExpectationTests {
    let bench = CoreBench()

    func expect(
        _ version: String = "1.0.0",
        methods: [MethodDescription] = [MethodDescription(name: "run")],
        attributes: [Attribute] = [],
        capabilities: [String] = [],
        queue: Int? = nil,
        by host: Peer
    ) throws -> UInt64 {
        let expectation = Expectation(
            owner: "echo",
            services: [
                Expectation.Service(
                    service: "echo",
                    version: version,
                    methods: methods,
                    attributes: attributes,
                    capabilities: capabilities,
                    queueCount: queue
                )
            ]
        )
        return try bench.run { $0.expect(expectation, by: host.session, now: $1, into: &$2) }.get()
    }

    func demands() -> [Notice] { bench.takeNotices().filter { $0.topic == "mesh.service.demand" } }

    @Test func `a call waits for what a host can start, which is told at once and every second`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect(by: host)
        #expect(demands().isEmpty)
        let id = try caller.call("echo", range: "^1.0.0")
        let told = try #require(demands().first)
        for (name, value) in [("owner", "echo"), ("service", "echo"), ("version", "1.0.0"), ("waiting", "1")] {
            #expect(told.fields.contains(Attribute(name: name, value: value)), "\(name)")
        }
        try caller.call("echo")
        #expect(demands().isEmpty)
        bench.pass(milliseconds: 1_000)
        #expect(demands().first?.fields.contains(Attribute(name: "waiting", value: "2")) == true)
        #expect(bench.services(after: nil, limit: 9).first?.latent == true)
        let worker = try bench.peer("echo")
        let provision = try worker.id()
        worker.send(
            .provide(
                Provide(
                    id: provision,
                    capacity: 1,
                    service: "echo",
                    version: "1.0.0",
                    methods: [MethodDescription(name: "run")]
                )
            )
        )
        try worker.expectEnd(provision)
        let call = try worker.expectCall()
        worker.end(call.id)
        try caller.expectEnd(id)
        worker.end(try worker.expectCall().id)
        caller.send(.ping(Ping(nonce: 1)))
        bench.pass(milliseconds: 1_500)
        #expect(demands().isEmpty)
    }

    @Test func `a latent version counts when the version is chosen, and its methods and permissions hold`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        let worker = try bench.peer("echo")
        try worker.provide("echo", "1.0.0")
        let id = try expect("2.0.0", by: host)
        try caller.call("echo", range: "^1.0.0")
        worker.end(try worker.expectCall().id)
        _ = caller.take()
        let call = try caller.call("echo")
        #expect(worker.next() == nil)
        try caller.call("echo", "missing", range: "^2.0.0")
        #expect(try caller.expectFail(.unimplemented).message.contains("run"))
        // Taken back: the range allows the version that is there.
        let isDone = bench.run { $0.unexpect(id, by: host.session, now: $1, into: &$2) }
        #expect(isDone)
        worker.end(try worker.expectCall().id)
        try caller.expectEnd(call)
    }

    @Test func `what waits fails as unavailable when the expectation ends, with its session too`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect(by: host)
        try caller.call("echo")
        bench.disconnect(host)
        let fail = try caller.expectFail(.unavailable)
        #expect(fail.flags.contains(.retryable) && !fail.flags.contains(.outcomeUnknown))
        #expect(bench.services(after: nil, limit: 9).map(\.service) == ["mesh"])
        try caller.call("echo")
        _ = try caller.expectFail(.notFound)
    }

    @Test func `conditions and capabilities find what can be started`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect(attributes: [Attribute(name: "zone", value: "1")], capabilities: ["text"], by: host)
        try caller.call("echo", conditions: "zone=2")
        _ = try caller.expectFail(.notFound)
        let first = try caller.call("echo", conditions: "zone=1")
        let second = try caller.call("text", flags: .byCapability)
        #expect(caller.next() == nil && bench.core.queuedCount == 2)
        // Another provider with the tag takes what asked for the tag; the other call goes on waiting.
        let other = try bench.peer("other")
        let id = try other.id()
        let methods = [MethodDescription(name: "run")]
        other.send(
            .provide(
                Provide(
                    id: id,
                    capacity: 4,
                    service: "other",
                    version: "1.0.0",
                    methods: methods,
                    capabilities: ["text"]
                )
            )
        )
        try other.expectEnd(id)
        other.end(try other.expectCall().id)
        try caller.expectEnd(second)
        #expect(other.next() == nil)
        // A provider without the attribute does not get the call that asked for it.
        let plain = try bench.peer("plain")
        try plain.provide("echo")
        #expect(plain.next() == nil)
        _ = try caller.expectFail(.unavailable)
        _ = first
    }

    @Test func `a worker that drains leaves a demand behind`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect(by: host)
        let worker = try bench.peer("echo")
        try worker.provide("echo")
        worker.send(.drain(Drain(id: try worker.id().wire)))
        _ = worker.take()
        _ = demands()
        let id = try caller.call("echo")
        #expect(demands().count == 1)
        worker.send(.bye(Bye()))
        #expect(caller.next() == nil)
        let next = try start()
        next.end(try next.expectCall().id)
        try caller.expectEnd(id)
    }

    private func start() throws -> Peer {
        let worker = try bench.peer("echo")
        let id = try worker.id()
        let methods = [MethodDescription(name: "run")]
        worker.send(.provide(Provide(id: id, capacity: 1, service: "echo", version: "1.0.0", methods: methods)))
        try worker.expectEnd(id)
        return worker
    }

    @Test func `as many wait as was said, within their deadlines`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect(queue: 1, by: host)
        try caller.call("echo", clocks: CallClocks(total: 300))
        try caller.call("echo")
        _ = try caller.expectFail(.resourceExhausted)
        bench.pass(milliseconds: 301)
        _ = try caller.expectFail(.deadlineExceeded)
    }

    @Test func `a host holds calls back only for what its plugin may provide`() throws {
        let bench = CoreBench(policy: HostTests.policy)
        let host = try bench.peer("host", .key(principal: "machine-a"))
        func ask(_ service: String, _ owner: String) -> Status? {
            let services = [Expectation.Service(service: service, version: "1.0.0", methods: [])]
            let expectation = Expectation(owner: owner, services: services)
            let result = bench.run { $0.expect(expectation, by: host.session, now: $1, into: &$2) }
            if case .failure(let failure) = result { return failure.status }
            return nil
        }
        #expect(ask("llm", "echo") == .permissionDenied)
        #expect(ask("echo", "nobody") == .permissionDenied)
        #expect(ask("mesh", "echo") == .permissionDenied)
        #expect(ask("echo", "echo") == nil)
    }

    @Test func `the load of a plugin is told by service`() throws {
        let host = try bench.peer("host")
        let caller = try bench.peer("wiz")
        _ = try expect("2.0.0", by: host)
        let worker = try bench.peer("echo", .key(principal: "root"))
        try worker.provide("echo", "1.0.0", capacity: 2)
        for _ in 0..<3 { try caller.call("echo", range: "^1.0.0") }
        bench.pass(milliseconds: 120)
        let load = bench.run { core, now, _ in core.load(of: "root", now: now) }
        #expect(load.map(\.version) == ["1.0.0"])
        let first = try #require(load.first)
        #expect(first.waiting == 1 && first.running == 2 && first.capacity == 2 && first.providers == 1)
        #expect(first.oldestWaitMilliseconds == 120)
        let latent = bench.run { core, now, _ in core.load(of: "echo", now: now) }
        #expect(latent.map(\.version) == ["2.0.0"] && latent.first?.providers == 0)
    }

    @Test func `after a broker's start the calls of those who come back wait for those who come back`() throws {
        bench.run { core, now, _ in core.started(at: now) }
        let stranger = try bench.peer("new")
        try stranger.call("echo")
        _ = try stranger.expectFail(.notFound)
        let caller = bench.stranger()
        caller.send(.hello(Hello(lastEpoch: 3, name: "wiz")))
        _ = caller.next()
        let first = try caller.call("echo")
        try caller.call("nowhere")
        #expect(caller.next() == nil)
        let worker = try start()
        worker.end(try worker.expectCall().id)
        try caller.expectEnd(first)
        bench.pass(milliseconds: 1_000)
        caller.send(.ping(Ping(nonce: 1)))
        bench.pass(milliseconds: 1_000)
        caller.send(.ping(Ping(nonce: 1)))
        #expect(caller.take().allSatisfy { if case .pong = $0 { true } else { false } })
        bench.pass(milliseconds: 1_001)
        _ = try caller.expectFail(.notFound)
        try caller.call("nowhere")
        _ = try caller.expectFail(.notFound)
    }
}
