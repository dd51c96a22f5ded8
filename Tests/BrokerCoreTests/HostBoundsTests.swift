// Where hosts end: whom they may start, whose instances they mean, what a change of the policy takes from them, and how
// many tickets may be out.

import MeshProtocol
import Testing

@testable import BrokerCore

struct HostBoundsTests {
    let host = HostTests()
    var bench: CoreBench { host.bench }

    @Test func `an operator's host never means the instance of another host that has the same label`() throws {
        let own = try host.start("echo#1@1", owner: "root")
        let other = try host.start("echo#1@1", owner: "machine-b")
        bench.disconnect(own)
        #expect(bench.run { $0.instanceEnded("echo#1@1", cause: "exit 0", by: "root", now: $1, into: &$2) } == 0)
        let new = try host.start("echo#1@2", owner: "root", isShadow: true)
        #expect(host.promote(["echo#1@2"], retire: ["echo#1@1"]) == .success(promotion(["echo#1@2"])))
        #expect(!other.isClosed && other.next() == nil && !new.isClosed)
        guard case .failure = host.promote(["echo#1@1"]) else {
            Issue.record("another host's instance was promoted")
            return
        }
    }

    private func promotion(_ labels: [String]) -> Promotion { Promotion(promoted: labels, retired: []) }

    @Test func `the broker's own program stands behind instances that any operator may name`() throws {
        let worker = try host.start("echo#1@1", owner: "")
        #expect(bench.run { $0.instanceEnded("echo#1@1", cause: "x", by: "machine-a", now: $1, into: &$2) } == 0)
        #expect(bench.run { $0.instanceEnded("echo#1@1", cause: "x", by: "root", now: $1, into: &$2) } == 1)
        #expect(worker.isClosed)
    }

    @Test func `a host starts plugins alone, and those of other hosts not`() {
        var policy = HostTests.policy
        policy.principals["boss"] = Policy.Principal(roles: ["plugin", "operator"])
        policy.principals["double"] = Policy.Principal(roles: ["plugin", "host"])
        policy.principals["far"] = Policy.Principal(roles: ["plugin"], host: "machine-b")
        policy.principals["near"] = Policy.Principal(roles: ["plugin"], host: "")
        let bench = CoreBench(policy: policy)
        func statuses(_ caller: String) -> [Status?] {
            bench.run { core, _, _ in
                ["echo", "boss", "double", "far", "near", "stranger"]
                    .map { core.ticketProblem(TicketGrant(name: $0, principal: $0), for: caller)?.status }
            }
        }
        let no = Status.permissionDenied
        #expect(statuses("machine-a") == [nil, no, no, no, no, no])
        #expect(statuses("machine-b") == [nil, no, no, nil, no, no])
        #expect(statuses("root") == [nil, nil, nil, nil, nil, nil])
    }

    @Test func `a host expects nothing of principals that it may not start, whatever they may provide`() throws {
        var policy = HostTests.policy
        policy.principals["far"] = Policy.Principal(roles: ["plugin"], host: "machine-b")
        let bench = CoreBench(policy: policy)
        let machine = try bench.peer("host", .key(principal: "machine-a"))
        for (owner, isAllowed) in [("root", false), ("far", false), ("echo", true)] {
            let result = expect(owner, by: machine, on: bench)
            if case .success = result { #expect(isAllowed) } else { #expect(!isAllowed) }
        }
    }

    private func expect(_ owner: String, by host: Peer, on bench: CoreBench) -> Result<UInt64, Failure> {
        let service = Expectation.Service(
            service: "echo",
            version: "1.0.0",
            methods: [MethodDescription(name: "run")]
        )
        let expectation = Expectation(owner: owner, services: [service])
        return bench.run { $0.expect(expectation, by: host.session, now: $1, into: &$2) }
    }

    @Test(arguments: ["host", "rule"])
    func `an expectation ends when the policy allows it no longer`(_ lost: String) throws {
        let machine = try bench.peer("host", .key(principal: "machine-a"))
        let caller = try bench.peer("wiz")
        let id = try expect("echo", by: machine, on: bench).get()
        try caller.call("echo")
        #expect(caller.next() == nil)
        var policy = HostTests.policy
        bench.run { $0.setPolicy(policy, now: $1, into: &$2) }
        #expect(caller.next() == nil)
        if lost == "host" {
            policy.principals["machine-a"] = nil
        } else {
            policy.rules.removeAll { $0.action == .provide }
        }
        bench.run { $0.setPolicy(policy, now: $1, into: &$2) }
        _ = try caller.expectFail(.unavailable)
        #expect(!bench.run { $0.unexpect(id, by: machine.session, now: $1, into: &$2) })
    }

    @Test func `a host's service is not taken by another host, though the mesh file gives both its name`() throws {
        var policy = HostTests.policy
        for name in ["machine-a", "machine-b"] { policy.principals[name]?.names = ["a", "b"] }
        policy.rules.append(
            Policy.Rule(effect: .allow, subject: "role:host", action: .provide, target: "host.>", origin: "t:2")
        )
        let bench = CoreBench(policy: policy)
        let first = try bench.peer("a", .key(principal: "machine-a"))
        try first.provide("host.a")
        let again = try bench.peer("a", .key(principal: "machine-a"))
        try again.provide("host.a")
        let thief = try bench.peer("b", .key(principal: "machine-b"))
        thief.send(.provide(Provide(id: try thief.id(), capacity: 1, service: "host.a", version: "9.0.0", methods: [])))
        _ = try thief.expectFail(.alreadyExists)
        try thief.provide("host.b")
    }

    @Test func `an instance that says it is not ready without end is held back in time`() throws {
        let worker = try host.start("echo#1@1", isReady: false)
        _ = bench.takeNotices()
        for _ in 0..<500 {
            bench.run {
                _ = $0.setNotReady(worker.session, reason: "x", retryAfterMilliseconds: nil, now: $1, into: &$2)
                _ = $0.setReady(worker.session, now: $1, into: &$2)
            }
        }
        let count = bench.takeNotices().count
        #expect(count >= 32 && count < 200, "\(count)")
    }

    @Test func `tickets that nobody takes have a bound, for each host and in all, and make room when they run out`() {
        var limits = Limits()
        limits.sessionCount = 1
        limits.ticketCount = 8
        let bench = CoreBench(limits: limits, policy: HostTests.policy)
        func problem(_ owner: String, afterTaking count: Int) -> Status? {
            bench.run { core, now, _ in
                let grant = TicketGrant(name: "echo", principal: "echo", owner: owner)
                for _ in 0..<count { _ = core.issueTicket(grant, now: now) }
                return core.ticketRoomProblem(for: owner, now: now)?.status
            }
        }
        #expect(problem("machine-a", afterTaking: 3) == nil)
        #expect(problem("machine-a", afterTaking: 1) == .resourceExhausted)
        #expect(problem("machine-b", afterTaking: 3) == nil)
        #expect(problem("machine-c", afterTaking: 3) == .resourceExhausted)
        #expect(problem("machine-b", afterTaking: 0) == .resourceExhausted)
        bench.pass(milliseconds: 60_001)
        for owner in ["machine-a", "machine-b", "machine-c"] { #expect(problem(owner, afterTaking: 0) == nil) }
    }
}
