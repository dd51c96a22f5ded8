// Registry and routing: versions, capabilities, the choice of workers, fairness, permissions.

import MeshProtocol
import Testing

@testable import BrokerCore

struct RoutingTests {
    @Test func `the methods that a service remembers are bounded`() throws {
        let bench = CoreBench()
        let first = try bench.peer("echo")
        let second = try bench.peer("echo")
        try first.provide("echo")
        func provide(_ id: RequestID, _ round: Int) {
            let methods = (0..<256).map { MethodDescription(name: "run-\(round)-\($0)") }
            second.send(.provide(Provide(id: id, capacity: 1, service: "echo", version: "1.0.0", methods: methods)))
        }
        let id = try second.id()
        for round in 0..<15 {
            provide(id, round)
            try second.expectEnd(id)
        }
        provide(id, 15)
        _ = try second.expectFail(.resourceExhausted)
        try first.call("echo")
        _ = try first.expectCall()
    }

    @Test func `a method is what its providers say together, and again when one of them leaves`() throws {
        let bench = CoreBench()
        let first = try bench.peer("echo")
        let second = try bench.peer("echo")
        func methods() throws -> [MethodSnapshot] {
            try #require(bench.services(after: nil, limit: 1).first).methods
        }
        let careful = MethodDescription(name: "run", flags: .replyStream, deadlineMilliseconds: 9, permissions: ["a"])
        let plain = MethodDescription(name: "run", flags: .idempotent, permissions: ["b"])
        try first.provide("echo", methods: [careful])
        let id = try second.provide("echo", methods: [plain, MethodDescription(name: "fly")])
        let together = try #require(methods().first)
        #expect(together.replyStream && !together.idempotent && together.deadlineMilliseconds == 9)
        #expect(together.permissions == ["a", "b"])
        bench.disconnect(first)
        let alone = try #require(methods().first)
        #expect(alone.idempotent && !alone.replyStream && alone.deadlineMilliseconds == 0 && alone.permissions == ["b"])
        #expect(try methods().map(\.name) == ["run", "fly"])
        second.send(.withdraw(Withdraw(id: id)))
        try second.expectEnd(id)
    }

    @Test func `the ways in which a method is described are bounded`() throws {
        let bench = CoreBench()
        let workers = try (0..<17).map { _ in try bench.peer("echo") }
        func method(_ number: Int) -> MethodDescription {
            MethodDescription(name: "run", deadlineMilliseconds: UInt32(number))
        }
        for number in 0..<16 { try workers[number].provide("echo", methods: [method(number)]) }
        let provide = Provide(id: try workers[16].id(), service: "echo", version: "1.0.0", methods: [method(16)])
        workers[16].send(.provide(provide))
        #expect(try workers[16].expectFail(.resourceExhausted).message.contains("16 different ways"))
        try workers[16].provide("echo", methods: [method(3)])
        bench.disconnect(workers[0])
        try workers[16].provide("echo", "2.0.0", methods: [method(16)])
    }

    @Test func `each caller's range chooses among versions side by side`() throws {
        let bench = CoreBench()
        let caller = try bench.peer("wiz")
        var workers: [String: Peer] = [:]
        for version in ["1.0.0", "1.4.0", "2.0.0", "3.0.0-beta.1"] {
            let worker = try bench.peer("echo")
            try worker.provide("echo", version, capacity: 9)
            workers[version] = worker
        }
        let expected = [
            "": "2.0.0", "^1.0.0": "1.4.0", "1.0.0": "1.0.0", ">=3.0.0-0 <3.0.0": "3.0.0-beta.1", "*": "2.0.0",
        ]
        for (range, version) in expected {
            _ = try caller.call("echo", range: range)
            _ = try #require(workers[version]).expectCall()
        }
        _ = try caller.call("echo", range: "^4.0.0")
        #expect(try caller.expectFail(.notFound).message.contains("1.4.0"))
        _ = try caller.call("ohce")
        _ = try caller.expectFail(.notFound)
        _ = try caller.call("echo", "fly")
        #expect(try caller.expectFail(.unimplemented).message.contains("run"))
        _ = try caller.call("echo", range: "not a range")
        _ = try caller.expectFail(.invalidArgument)
    }

    @Test func `calls that wait for the last provider of a version go to another version in range`() throws {
        let bench = CoreBench()
        let old = try bench.peer("old")
        let new = try bench.peer("new")
        let caller = try bench.peer("wiz")
        try old.provide("echo", "1.0.0")
        try new.provide("echo", "1.1.0")
        let first = try caller.call("echo")
        let second = try caller.call("echo")
        _ = try new.expectCall()
        bench.disconnect(new)
        _ = try caller.expectFail(.unavailable)
        let call = try old.expectCall()
        old.end(call.id)
        try caller.expectEnd(second)
        _ = first
    }

    @Test func `a call waits while providers are paused and fails when the last is withdrawn`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        let registration = try worker.provide("echo", capacity: 0)
        let first = try caller.call("echo")
        _ = try caller.call("echo")
        #expect(worker.next() == nil)
        worker.send(.capacity(Capacity(id: registration, capacity: 1)))
        let call = try worker.expectCall()
        worker.send(.capacity(Capacity(id: registration, capacity: 0)))
        worker.end(call.id)
        try caller.expectEnd(first)
        #expect(worker.next() == nil)
        worker.send(.withdraw(Withdraw(id: registration)))
        try worker.expectEnd(registration)
        _ = try caller.expectFail(.notFound)
    }

    @Test func `a capability and conditions find providers across services`() throws {
        let bench = CoreBench()
        let small = try bench.peer("small")
        let large = try bench.peer("large")
        let caller = try bench.peer("wiz")
        try small.provide("tiny", attributes: [Attribute(name: "contextLength", value: "512")], capabilities: ["llm"])
        try large.provide("huge", attributes: [Attribute(name: "contextLength", value: "8192")], capabilities: ["llm"])
        _ = try caller.call("llm", flags: .byCapability, conditions: "contextLength>=4096")
        let call = try large.expectCall()
        // The same again waits for that worker, and is served when it is free.
        _ = try caller.call("llm", flags: .byCapability, conditions: "contextLength>=4096")
        #expect(large.next() == nil)
        large.end(call.id)
        _ = try large.expectCall()
        _ = try caller.call("llm", flags: .byCapability)
        _ = try small.expectCall()
        _ = caller.take()
        _ = try caller.call("llm", flags: .byCapability, conditions: "contextLength>=99999")
        _ = try caller.expectFail(.notFound)
        _ = try caller.call("tiny", conditions: "contextLength>4096")
        _ = try caller.expectFail(.notFound)
        _ = try caller.call("llm", flags: .byCapability, conditions: "=")
        _ = try caller.expectFail(.invalidArgument)
    }

    @Test func `a method that only some providers have goes to them`() throws {
        let bench = CoreBench()
        let one = try bench.peer("one")
        let two = try bench.peer("two")
        let caller = try bench.peer("wiz")
        try one.provide("echo", methods: [MethodDescription(name: "run")])
        try two.provide("echo", methods: [MethodDescription(name: "run"), MethodDescription(name: "fly")])
        _ = try caller.call("echo", "fly")
        let call = try two.expectCall()
        _ = try caller.call("echo", "fly")
        #expect(one.next() == nil)
        two.end(call.id)
        #expect(try two.expectCall().method == "fly")
    }

    @Test func `least-loaded work goes to the worker with most room`() throws {
        let counts = try spread(.leastLoaded, capacities: [10, 20], calls: 30)
        #expect(counts == [10, 20])
        #expect(try spread(.leastLoaded, capacities: [8, 8, 8], calls: 6) == [2, 2, 2])
    }

    @Test func `round robin takes one after the other, whatever their capacity`() throws {
        #expect(try spread(.roundRobin, capacities: [100, 10, 30], calls: 9) == [3, 3, 3])
    }

    @Test func `weighted work follows the weights`() throws {
        #expect(try spread(.weighted, capacities: [200, 200, 200], weights: [75, 25, 0], calls: 100) == [75, 25, 0])
    }

    private func spread(
        _ balance: Balance,
        capacities: [UInt32],
        weights: [UInt32] = [],
        calls: Int
    ) throws -> [Int] {
        let bench = CoreBench()
        bench.run { core, _, _ in core.setBalance(["echo": balance]) }
        let caller = try bench.peer("wiz")
        var workers: [Peer] = []
        for (place, capacity) in capacities.enumerated() {
            let worker = try bench.peer("echo")
            try worker.provide("echo", capacity: capacity, weight: weights.isEmpty ? 100 : weights[place])
            workers.append(worker)
        }
        for _ in 0..<calls { _ = try caller.call("echo", bytes: nil) }
        return workers.map { $0.take().count }
    }

    @Test func `equal keys go to the same worker, and few move when one leaves`() throws {
        let bench = CoreBench()
        let caller = try bench.peer("wiz")
        var workers: [Peer] = []
        for _ in 0..<4 {
            let worker = try bench.peer("echo")
            try worker.provide("echo", capacity: 1_000)
            workers.append(worker)
        }
        func place(_ key: Int) throws -> UInt64 {
            _ = try caller.call("echo", affinity: "key-\(key)", bytes: nil)
            let worker = try #require(workers.first { $0.hasMail(bench) })
            _ = worker.take()
            return worker.session.rawValue
        }
        let before = try (0..<60).map(place)
        #expect(try (0..<60).map(place) == before)
        #expect(Set(before).count == 4)
        let gone = workers.removeFirst()
        bench.disconnect(gone)
        let after = try (0..<60).map(place)
        for (old, new) in zip(before, after) where old != gone.session.rawValue { #expect(old == new) }
    }

    @Test func `urgent calls leave the queue first and callers take turns`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let greedy = try bench.peer("greedy")
        let modest = try bench.peer("modest")
        try worker.provide("echo")
        _ = try greedy.call("echo")
        for _ in 0..<6 { _ = try greedy.call("echo") }
        let own = try modest.call("echo")
        let urgent = try greedy.call("echo", band: .interactive)
        var lease = try worker.expectCall().id
        worker.end(lease)
        _ = greedy.take()
        lease = try worker.expectCall().id
        worker.end(lease)
        try greedy.expectEnd(urgent)
        for _ in 0..<2 {
            lease = try worker.expectCall().id
            worker.end(lease)
        }
        try modest.expectEnd(own)
    }

    @Test func `a registration can be replaced and its id is one thing only`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        let id = try worker.provide("echo", capacity: 1)
        worker.send(
            .provide(Provide(id: id, capacity: 2, service: "echo", version: "1.0.0", methods: [.init(name: "fly")]))
        )
        try worker.expectEnd(id)
        _ = try caller.call("echo", "run")
        _ = try caller.expectFail(.unimplemented)
        _ = try caller.call("echo", "fly")
        _ = try worker.expectCall()
        let other = try worker.id()
        worker.send(.provide(Provide(id: other, service: "echo", version: "1.0.0", methods: [])))
        _ = try worker.expectFail(.alreadyExists)
        worker.send(.provide(Provide(id: other, service: "mesh", version: "1.0.0", methods: [])))
        _ = try worker.expectFail(.permissionDenied)
        worker.send(.provide(Provide(id: other, service: "x", version: "1", methods: [])))
        _ = try worker.expectFail(.invalidArgument)
        #expect(bench.services(after: nil, limit: 9).map(\.service) == ["echo", "mesh"])
        guard case .changes(let changes) = bench.registryChanges(since: 0) else {
            throw BenchError.unexpected("resync")
        }
        #expect(changes.map(\.kind) == [.added, .updated])
        #expect(bench.registryChanges(since: 99) == .resync)
    }

    // MARK: Permissions

    @Test func `what no rule allows is denied, with the rule or the permission and the way to grant it`() throws {
        var policy = CoreBench.policy
        policy.rules = [
            Policy.Rule(effect: .allow, subject: "guest", action: .call, target: "files.*", origin: "mesh.yaml:9"),
            Policy.Rule(effect: .deny, subject: "guest", action: .call, target: "files.erase", origin: "mesh.yaml:10"),
        ]
        let bench = CoreBench(policy: policy)
        let worker = try bench.peer("files")
        let guest = try bench.peer("guest", .key(principal: "guest"))
        try worker.provide(
            "files",
            methods: [
                MethodDescription(name: "list"), MethodDescription(name: "erase"),
                MethodDescription(name: "read", permissions: ["storage"]),
            ],
            capacity: 9,
            capabilities: ["files-of-all"]
        )
        _ = try guest.call("files", "list")
        _ = try worker.expectCall()
        _ = try guest.call("files", "erase")
        #expect(try guest.expectFail(.permissionDenied).message.contains("mesh.yaml:10"))
        _ = try guest.call("files", "read")
        let missing = try guest.expectFail(.permissionDenied)
        #expect(missing.message.contains("storage"))
        #expect(!missing.hint.isEmpty)
        _ = try guest.call("files-of-all", "read", flags: .byCapability)
        _ = try guest.expectFail(.permissionDenied)
        _ = try guest.call("other", "run")
        _ = try guest.expectFail(.permissionDenied)
        _ = try guest.call("mesh", "sessions")
        _ = try guest.expectFail(.permissionDenied)
        guest.send(.provide(Provide(id: try guest.id(), service: "x", version: "1.0.0", methods: [])))
        _ = try guest.expectFail(.permissionDenied)
        #expect(bench.core.counters.denied == 6)
        #expect(bench.notices.contains { $0.topic == "mesh.denied" })
    }

    @Test func `a new policy takes effect on live sessions and waiting calls at once`() throws {
        var policy = CoreBench.policy
        policy.rules = [
            Policy.Rule(effect: .allow, subject: "guest", action: .call, target: "echo.*", origin: "a"),
            Policy.Rule(effect: .allow, subject: "guest", action: .subscribe, target: "news.>", origin: "b"),
            Policy.Rule(effect: .allow, subject: "guest", action: .provide, target: "own", origin: "c"),
        ]
        let bench = CoreBench(policy: policy)
        let worker = try bench.peer("echo")
        let guest = try bench.peer("guest", .key(principal: "guest"))
        try worker.provide("echo")
        try guest.provide("own")
        guest.send(.subscribe(Subscribe(id: try guest.id(), credit: Credit(messages: 1, bytes: 1), pattern: "news.a")))
        guard case .subscribed? = guest.next() else { throw BenchError.unexpected("no SUBSCRIBED") }
        _ = try guest.call("echo")
        _ = try guest.call("echo")
        bench.run { $0.setPolicy(CoreBench.policy, now: $1, into: &$2) }
        let fails = guest.take().compactMap { header -> Status? in
            if case .fail(let fail) = header { fail.status } else { nil }
        }
        #expect(fails == [.permissionDenied, .permissionDenied, .permissionDenied])
        #expect(bench.services(after: nil, limit: 9).map(\.service) == ["echo", "mesh"])
    }
}
