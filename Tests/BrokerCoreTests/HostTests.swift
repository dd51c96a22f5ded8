// What hosts do with the instances that they start: labels, shadows, promotion in one step, ends, deaf workers.

import MeshProtocol
import Testing

@testable import BrokerCore

struct HostTests {
    /// A policy with two hosts and the plugin `echo`.
    static var policy: Policy {
        var policy = CoreBench.policy
        for name in ["machine-a", "machine-b"] { policy.principals[name] = Policy.Principal(roles: ["host"]) }
        policy.principals["echo"] = Policy.Principal(roles: ["plugin"])
        func allow(_ subject: String, _ action: Policy.Action, _ target: String) {
            policy.rules.append(
                Policy.Rule(effect: .allow, subject: subject, action: action, target: target, origin: "t:1")
            )
        }
        allow("echo", .provide, "echo")
        allow("role:host", .call, "mesh.>")
        allow("*", .publish, ">")
        return policy
    }

    let bench = CoreBench(policy: HostTests.policy)

    func start(_ label: String, owner: String = "root", isShadow: Bool = false, isReady: Bool = true) throws -> Peer {
        let grant = TicketGrant(
            name: "echo",
            principal: "echo",
            instance: label,
            owner: owner,
            isShadow: isShadow
        )
        let ticket = bench.run { core, now, _ in core.issueTicket(grant, now: now) }
        let peer = bench.stranger(.local(user: 4_000, process: 77))
        peer.send(.hello(Hello(name: "echo", instance: "forged#9@9", ticket: ticket)))
        guard case .welcome(let welcome)? = peer.next() else { throw BenchError.notWelcomed }
        peer.session = SessionID(rawValue: welcome.session)
        if isReady { bench.run { _ = $0.setReady(peer.session, now: $1, into: &$2) } }
        return peer
    }

    func promote(
        _ instances: [String],
        retire: [String] = [],
        by caller: String = "root"
    ) -> Result<Promotion, Failure> {
        let order = PromotionOrder(instances: instances, retired: retire, graceMilliseconds: 500, reason: "new")
        return bench.run { $0.promote(order, by: caller, now: $1, into: &$2) }
    }

    @Test func `a label comes with the ticket and nobody claims one`() throws {
        _ = try start("echo#1@1")
        let other = bench.stranger()
        other.send(.hello(Hello(name: "wiz", instance: "echo#1@1")))
        let sessions = bench.sessions(after: nil, limit: 9, now: bench.now)
        #expect(sessions.map(\.instance) == ["echo#1@1", ""])
        #expect(sessions.map(\.ready) == [true, false])
    }

    @Test func `a shadow is found by nobody, and shown to operators alone`() throws {
        let caller = try bench.peer("wiz")
        let shadow = try start("echo#1@2", isShadow: true)
        try shadow.provide("echo")
        try caller.call("echo")
        _ = try caller.expectFail(.notFound)
        #expect(bench.services(after: nil, limit: 9).map(\.service) == ["mesh"])
        let all = bench.run { core, _, _ in core.services(after: nil, limit: 9, withShadows: true) }
        #expect(all.first?.service == "echo" && all.first?.providers.map(\.stage) == [.shadow])
        #expect(bench.core.registryRevision == 0)
        bench.disconnect(shadow)
    }

    @Test func `promotion is one step: waiting calls go to the new ones, the old ones finish`() throws {
        let caller = try bench.peer("wiz")
        let old = try start("echo#1@1")
        try old.provide("echo", "1.0.0")
        try caller.call("echo", range: "^1.0.0")
        let held = try old.expectCall()
        let waiting = try caller.call("echo", range: "^1.0.0")
        let new = try start("echo#1@2", isShadow: true)
        try new.provide("echo", "1.1.0")
        #expect(new.next() == nil)
        let done = promote(["echo#1@2"], retire: ["echo#1@1", "echo#7@1"])
        #expect(done == .success(Promotion(promoted: ["echo#1@2"], retired: ["echo#1@1"])))
        let moved = try new.expectCall()
        guard case .drain(let drain)? = old.next() else { throw BenchError.unexpected("no DRAIN") }
        #expect(drain.graceMilliseconds == 500 && old.next() == nil)
        try caller.call("echo", range: "^1.0.0")
        old.end(held.id)
        new.end(moved.id)
        _ = try new.expectCall()
        #expect(old.next() == nil)
        _ = caller.next()
        try caller.expectEnd(waiting)
    }

    @Test func `a promotion that cannot be whole changes nothing`() throws {
        let old = try start("echo#1@1")
        try old.provide("echo")
        let new = try start("echo#1@2", isShadow: true, isReady: false)
        try new.provide("echo", "2.0.0")
        for label in ["echo#1@2", "echo#1@3", ""] {
            guard case .failure(let failure) = promote([label], retire: ["echo#1@1"]) else {
                Issue.record("\(label) was promoted")
                continue
            }
            #expect(failure.status == .failedPrecondition)
        }
        #expect(old.next() == nil && bench.services(after: nil, limit: 9).first?.version == "1.0.0")
        bench.run { _ = $0.setNotReady(new.session, reason: "no disk", retryAfterMilliseconds: 5, now: $1, into: &$2) }
        let notice = bench.notices.last { $0.topic == "mesh.session.notready" }
        #expect(notice?.fields.contains(Attribute(name: "reason", value: "no disk")) == true)
        #expect(notice?.fields.contains(Attribute(name: "instance", value: "echo#1@2")) == true)
    }

    @Test func `who comes back with the ticket of a promoted session is in service at once`() throws {
        let grant = TicketGrant(name: "echo", principal: "echo", instance: "echo#1@1", owner: "root", isShadow: true)
        let ticket = bench.run { core, now, _ in core.issueTicket(grant, now: now) }
        let first = bench.stranger(.local(user: 4_000, process: 77))
        first.send(.hello(Hello(name: "echo", ticket: ticket)))
        guard case .welcome(let welcome)? = first.next() else { throw BenchError.notWelcomed }
        bench.run { _ = $0.setReady(SessionID(rawValue: welcome.session), now: $1, into: &$2) }
        _ = promote(["echo#1@1"])
        bench.disconnect(first)
        let again = bench.stranger(.local(user: 4_000, process: 77))
        again.send(.hello(Hello(name: "echo", ticket: welcome.ticket)))
        guard case .welcome? = again.next() else { throw BenchError.notWelcomed }
        try again.provide("echo")
        let caller = try bench.peer("wiz")
        try caller.call("echo")
        _ = try again.expectCall()
    }

    @Test func `hosts manage what they started and nothing else`() throws {
        _ = try start("echo#1@1", owner: "machine-a", isShadow: true)
        _ = try start("echo#1@1", owner: "machine-b", isShadow: true)
        let own = try #require(bench.sessions(after: nil, limit: 9, now: bench.now).first)
        guard case .success = promote(["echo#1@1"], by: "machine-a") else {
            Issue.record("a host could not promote its own")
            return
        }
        let stages = bench.sessions(after: nil, limit: 9, now: bench.now).map(\.stage)
        #expect(stages == [.live, .shadow])
        let id = SessionID(rawValue: own.session)
        let may = bench.run { core, _, _ in
            (core.mayManage(id, as: "machine-a"), core.mayManage(id, as: "machine-b"), core.mayManage(id, as: "root"))
        }
        #expect(may == (true, false, true))
        let problems = bench.run { core, _, _ in
            ["echo", "root"].map { core.ticketProblem(TicketGrant(name: $0, principal: $0), for: "machine-a")?.status }
        }
        #expect(problems == [nil, .permissionDenied])
        let ended = bench.run { $0.instanceEnded("echo#1@1", cause: "exit 1", by: "machine-b", now: $1, into: &$2) }
        #expect(ended == 1)
        #expect(bench.sessions(after: nil, limit: 9, now: bench.now).map(\.session) == [own.session])
    }

    @Test func `the end of an instance fails its calls at once, closes it, and its tickets are good no longer`() throws
    {
        let caller = try bench.peer("wiz")
        let ticket = bench.run { core, now, _ in
            core.issueTicket(
                TicketGrant(name: "echo", principal: "echo", instance: "echo#1@1", owner: "root"),
                now: now
            )
        }
        let worker = try start("echo#1@1")
        try worker.provide("echo")
        try caller.call("echo")
        _ = try worker.expectCall()
        bench.run { _ = $0.instanceEnded("echo#1@1", cause: "signal 9", by: "root", now: $1, into: &$2) }
        #expect(try caller.expectFail(.unavailable).message.contains("signal 9"))
        #expect(worker.isClosed)
        let gone = bench.notices.last { $0.topic == "mesh.session.gone" }
        #expect(gone?.fields.contains { $0.name == "reason" && $0.value.contains("signal 9") } == true)
        let late = bench.stranger(.local(user: 4_000, process: 78))
        late.send(.hello(Hello(name: "echo", ticket: ticket)))
        _ = try late.expectReject(.unauthenticated)
    }

    @Test func `a key that is let in for its ticket presents that ticket or nothing`() throws {
        let grant = TicketGrant(name: "echo", principal: "echo", publicKey: "k1")
        let tickets = (0..<2).map { _ in bench.run { core, now, _ in core.issueTicket(grant, now: now) } }
        #expect(bench.run { core, now, _ in core.ticketKeys(now: now) } == ["k1"])
        let wrong = bench.stranger(.ticketKey("k2"))
        wrong.send(.hello(Hello(name: "echo", ticket: tickets[0])))
        _ = try wrong.expectReject(.permissionDenied)
        let bare = bench.stranger(.ticketKey("k1"))
        bare.send(.hello(Hello(name: "echo")))
        _ = try bare.expectReject(.unauthenticated)
        let right = bench.stranger(.ticketKey("k1"))
        right.send(.hello(Hello(name: "echo", ticket: tickets[1])))
        guard case .welcome(let welcome)? = right.next() else { throw BenchError.notWelcomed }
        #expect(welcome.principal == "echo")
        #expect(bench.run { core, now, _ in core.ticketKeys(now: now) } == ["k1"])
        bench.disconnect(right)
        bench.pass(milliseconds: 60_001)
        #expect(bench.run { core, now, _ in core.ticketKeys(now: now) }.isEmpty)
    }

    @Test func `a worker that ignores a cancel is told of once, even when it was slow before`() throws {
        let caller = try bench.peer("wiz")
        let worker = try start("echo#1@1")
        try worker.provide("echo", capacity: 2)
        for _ in 0..<2 {
            try caller.call("echo")
            _ = try worker.expectCall()
        }
        for _ in 0..<5 {
            bench.pass(milliseconds: 1_500)
            for peer in [caller, worker] { peer.send(.ping(Ping(nonce: 1))) }
        }
        let words = bench.notices.filter { $0.topic == "mesh.session.suspect" }
            .map { notice in notice.fields.first { $0.name == "reason" }?.value }
        #expect(words == ["slow to accept", "cancel ignored"])
    }

    @Test func `a capability tag takes a rule of its own`() throws {
        let peer = try bench.peer("echo", .key(principal: "echo"))
        let id = try peer.id()
        peer.send(
            .provide(
                Provide(id: id, capacity: 1, service: "echo", version: "1.0.0", methods: [], capabilities: ["text"])
            )
        )
        #expect(try peer.expectFail(.permissionDenied).message.contains("capability.text"))
        try peer.provide("echo")
        let root = try bench.peer("root")
        let other = try root.id()
        root.send(.provide(Provide(id: other, capacity: 1, service: "capability.text", version: "1.0.0", methods: [])))
        _ = try root.expectFail(.permissionDenied)
        try root.provide("any", capabilities: ["text"])
    }

    @Test func `a ticket whose holder is turned away for want of room stays good`() throws {
        var limits = Limits()
        limits.sessionCountPerPrincipal = 1
        let bench = CoreBench(limits: limits, policy: HostTests.policy)
        let grant = TicketGrant(name: "echo", principal: "echo")
        let tickets = (0..<2).map { _ in bench.run { core, now, _ in core.issueTicket(grant, now: now) } }
        func come(_ ticket: String) -> Peer {
            let peer = bench.stranger(.local(user: 4_000, process: 1))
            peer.send(.hello(Hello(name: "echo", ticket: ticket)))
            return peer
        }
        let first = come(tickets[0])
        guard case .welcome? = first.next() else { throw BenchError.notWelcomed }
        _ = try come(tickets[1]).expectReject(.resourceExhausted)
        bench.disconnect(first)
        guard case .welcome? = come(tickets[1]).next() else { throw BenchError.notWelcomed }
    }

    @Test func `one user's strangers leave room for others`() throws {
        var limits = Limits()
        limits.unwelcomedCountPerPeer = 2
        let bench = CoreBench(limits: limits)
        let crowd = (0..<3).map { bench.stranger(.local(user: 9, process: Int32($0) + 1)) }
        _ = try crowd[2].expectReject(.resourceExhausted)
        #expect(!crowd[0].isClosed && !crowd[1].isClosed)
        _ = try bench.peer("wiz", .local(user: 1_000, process: 9))
        bench.disconnect(crowd[0])
        #expect(!bench.stranger(.local(user: 9, process: 4)).isClosed)
    }
}
