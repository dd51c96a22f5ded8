// What no peer may do to the others: hold slots by deafness, hold memory, be handed what it has just refused.

import MeshProtocol
import Testing

@testable import BrokerCore

struct BoundsTests {
    // MARK: Cancelled calls

    @Test func `a worker that does not acknowledge CANCEL loses its session, and its slots come back`() throws {
        let (bench, worker, caller) = try pair()
        try cancelACall(of: caller)
        let lease = try worker.expectCall().id
        try worker.expectCancel(lease)
        keepAlive([worker, caller], milliseconds: 29_000)
        #expect(!worker.isClosed && bench.core.calls.count == 1)
        keepAlive([worker, caller], milliseconds: 1_500)
        #expect(worker.isClosed)
        #expect(bench.core.calls.count == 0)
        #expect(bench.core.counters.sessionsClosedByName["deaf"] == 1)
    }

    @Test func `a worker may leave so many CANCELs unacknowledged and no more`() throws {
        let (bench, worker, caller) = try pair { $0.cancelCountPerSession = 3 }
        for round in 0..<4 {
            #expect(!worker.isClosed, "\(round)")
            try cancelACall(of: caller)
            bench.pass(milliseconds: 1)
        }
        #expect(worker.isClosed)
        #expect(bench.core.calls.count == 0)
    }

    @Test func `an acknowledged CANCEL is forgotten`() throws {
        let (bench, worker, caller) = try pair { $0.cancelCountPerSession = 1 }
        for _ in 0..<5 {
            try cancelACall(of: caller)
            worker.end(try worker.expectCall().id, bytes: nil)
            bench.pass(milliseconds: 1)
            _ = worker.take()
        }
        #expect(!worker.isClosed)
    }

    @Test func `a worker that acknowledges in time what was too many keeps its session`() throws {
        let (bench, worker, caller) = try pair { $0.cancelCountPerSession = 1 }
        for _ in 0..<2 { try cancelACall(of: caller) }
        // The first is acknowledged; the second, which was one too many, is not.
        worker.end(try worker.expectCall().id, bytes: nil)
        bench.pass(milliseconds: 5)
        #expect(!worker.isClosed && bench.core.calls.count == 1)
        keepAlive([worker, caller], milliseconds: 40_000)
        #expect(worker.isClosed && bench.core.calls.count == 0)
    }

    // MARK: Refusals

    @Test(arguments: ["", "key"])
    func `a refused call waits and does not go straight back`(affinity: String) throws {
        let (bench, worker, caller) = try pair()
        let id = try caller.call("echo", affinity: affinity)
        let first = try worker.expectCall()
        worker.send(.refuse(Refuse(status: .resourceExhausted, id: first.id)))
        #expect(worker.take().isEmpty && caller.take().isEmpty)
        bench.pass(milliseconds: 101)
        let second = try worker.expectCall()
        worker.send(.refuse(Refuse(status: .resourceExhausted, id: second.id, retryAfterMilliseconds: 500)))
        bench.pass(milliseconds: 400)
        #expect(worker.take().isEmpty && caller.take().isEmpty)
        bench.pass(milliseconds: 101)
        worker.end(try worker.expectCall().id)
        try caller.expectEnd(id)
    }

    @Test func `a refused call goes to whoever provides next, and back when CAPACITY says so`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        let registration = try worker.provide("echo", capacity: 4)
        _ = try caller.call("echo")
        worker.send(.refuse(Refuse(status: .unavailable, id: try worker.expectCall().id)))
        let other = try bench.peer("echo2")
        try other.provide("echo")
        let taken = try other.expectCall()
        _ = try caller.call("echo")
        #expect(worker.take().isEmpty)
        worker.send(.capacity(Capacity(id: registration, capacity: 4)))
        _ = try worker.expectCall()
        other.end(taken.id)
    }

    @Test func `a worker that refused with calls in hand is given one when one of them ends`() throws {
        let (_, worker, caller) = try pair()
        _ = try caller.call("echo")
        let kept = try worker.expectCall()
        _ = try caller.call("echo")
        worker.send(.refuse(Refuse(status: .resourceExhausted, id: try worker.expectCall().id)))
        #expect(worker.take().isEmpty)
        worker.end(kept.id)
        _ = try worker.expectCall()
    }

    // MARK: Clocks and credit

    @Test func `the clock of the wait begins anew when a worker is lost`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        let idle = try bench.peer("echo2")
        let methods = [MethodDescription(name: "run", flags: .idempotent)]
        try worker.provide("echo", methods: methods)
        let id = try caller.call("echo", clocks: CallClocks(queue: 200))
        worker.accept(try worker.expectCall().id)
        try idle.provide("echo", methods: methods)
        _ = try caller.call("echo")
        let busy = try idle.expectCall()
        bench.pass(milliseconds: 500)
        bench.disconnect(worker)
        bench.pass(milliseconds: 150)
        #expect(caller.take().isEmpty)
        idle.end(busy.id)
        idle.end(try idle.expectCall().id)
        _ = caller.next()
        try caller.expectEnd(id)
    }

    @Test func `lowered limits take no credit back`() throws {
        var credit = StreamCredit()
        var limits = Limits()
        credit.grant(Credit(messages: 100, bytes: 1_000), limits: limits)
        limits.creditMessageCount = 10
        limits.creditByteCount = 100
        credit.grant(Credit(messages: 5, bytes: 50), limits: limits)
        #expect(credit.messages == 100 && credit.bytes == 1_000)
    }

    // MARK: Memory

    @Test func `payloads in flight are bounded for a principal and in all`() throws {
        var limits = Limits()
        limits.heldByteCountPerPrincipal = 1_000
        limits.heldByteCount = 1_500
        let bench = CoreBench(limits: limits, policy: Self.policy)
        let worker = try bench.peer("echo")
        let first = try bench.peer("one", .key(principal: "one"))
        let second = try bench.peer("two", .key(principal: "two"))
        try worker.provide("echo", capacity: 10)
        _ = try first.call("echo", bytes: 600)
        _ = try first.call("echo", bytes: 600)
        #expect(try first.expectFail(.resourceExhausted).flags.contains(.retryable))
        _ = try second.call("echo", bytes: 900)
        _ = try second.call("echo", bytes: 100)
        #expect(second.take().isEmpty == false)
        #expect(bench.core.heldByteCount == 1_500)
        #expect(bench.core.counters.overBudget == 2)
        // A call without a payload always may.
        _ = try first.call("echo", bytes: nil)
        for header in worker.take() { if case .call(let call) = header { worker.end(call.id) } }
        #expect(bench.core.heldByteCount == 0)
        _ = try first.call("echo", bytes: 600)
        #expect(worker.take().count == 1)
    }

    @Test func `what is kept for peers that are behind counts, and the one for which it is too much is ended`() throws {
        let (bench, slow, caller) = try pair { $0.heldByteCountPerPrincipal = 1_000 }
        func hold(_ byteCount: Int) {
            bench.run { $0.holdsOverflow(of: slow.handle, byteCount: byteCount, now: $1, into: &$2) }
        }
        hold(900)
        _ = try caller.call("echo", bytes: 200)
        _ = try caller.expectFail(.resourceExhausted)
        hold(100)
        _ = try caller.call("echo", bytes: 200)
        #expect(slow.take().count == 1)
        hold(801)
        #expect(slow.isClosed)
        #expect(bench.core.heldByteCount == 0)
        #expect(bench.core.counters.overBudget == 2)
    }

    // MARK: Helpers

    private static var policy: Policy {
        var policy = CoreBench.policy
        for name in ["one", "two"] { policy.principals[name] = Policy.Principal(roles: ["operator"]) }
        return policy
    }

    /// A worker of `echo` that takes ten calls, and a caller.
    private func pair(
        _ change: (inout Limits) -> Void = { _ in }
    ) throws -> (bench: CoreBench, worker: Peer, caller: Peer) {
        var limits = Limits()
        change(&limits)
        let bench = CoreBench(limits: limits)
        let worker = try bench.peer("echo")
        try worker.provide("echo", capacity: 10)
        return (bench, worker, try bench.peer("wiz"))
    }

    /// Makes a call and gives it up.
    private func cancelACall(of caller: Peer) throws {
        let id = try caller.call("echo")
        caller.send(.cancel(Cancel(id: id.wire)))
    }

    /// Lets time pass in which peers say PING.
    private func keepAlive(_ peers: [Peer], milliseconds: UInt64) {
        for _ in 0..<milliseconds / 500 {
            for peer in peers where !peer.isClosed { peer.send(.ping(Ping(nonce: 1))) }
            peers.first?.bench.pass(milliseconds: 500)
        }
        for peer in peers { _ = peer.take() }
    }
}
