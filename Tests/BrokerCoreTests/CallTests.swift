// Unary calls: from CALL to exactly one terminal, on every path.

import MeshProtocol
import Testing

@testable import BrokerCore

struct CallTests {
    @Test func `a call goes to the worker and its end to the caller`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo", methods: [MethodDescription(name: "run", flags: .idempotent)])
        let id = try caller.call("echo")
        let call = try worker.expectCall()
        #expect(call.id.isLease)
        #expect(call.caller == "root")
        #expect(call.clocks.total == 5_000)
        #expect(call.flags == .idempotent)
        #expect(call.service == "echo" && call.method == "run")
        bench.pass(milliseconds: 3)
        worker.end(call.id)
        guard case .end(let end)? = caller.next() else { throw BenchError.unexpected("no END") }
        #expect(end.id == id.wire)
        #expect(end.provider == worker.session.rawValue)
        #expect(end.serviceMicroseconds == 3_000)
        #expect(bench.core.counters.ends == 1)
        #expect(bench.core.heldBodyCount == 0)
        #expect(caller.take().isEmpty && worker.take().isEmpty)
    }

    @Test func `a call waits for a busy worker and leaves the queue when it is free`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let second = try caller.call("echo")
        let first = try worker.expectCall()
        #expect(worker.next() == nil)
        worker.end(first.id)
        let next = try worker.expectCall()
        worker.end(next.id)
        _ = caller.next()
        try caller.expectEnd(second)
    }

    @Test func `a full queue answers at once and says when to try again`() throws {
        var limits = Limits()
        limits.queueCount = 2
        let bench = CoreBench(limits: limits)
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        for _ in 0..<3 { _ = try caller.call("echo") }
        #expect(caller.next() == nil)
        _ = try caller.call("echo")
        let fail = try caller.expectFail(.resourceExhausted)
        #expect(fail.retryAfterMilliseconds > 0)
        #expect(fail.flags.contains(.retryable))
        #expect(bench.notices.contains { $0.topic == "mesh.call.overload" })
    }

    @Test func `the id of a live call cannot be used again`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        let id = try caller.call("echo")
        caller.send(.call(CallHeader(id: id.wire, service: "echo", method: "run")), bytes: 3)
        _ = try caller.expectFail(.alreadyExists)
        let call = try worker.expectCall()
        worker.end(call.id)
        try caller.expectEnd(id)
    }

    @Test func `a worker's failure reaches the caller with its origin`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let call = try worker.expectCall()
        worker.send(.fail(Fail(status: .outOfRange, id: call.id, message: "no", hint: "less")), bytes: 4)
        let fail = try caller.expectFail(.outOfRange)
        #expect(fail.flags.contains(.fromWorker))
        #expect(fail.origin == "root")
        #expect(fail.hint == "less")
    }

    @Test func `a refused call goes to another worker, and after three refusals fails`() throws {
        let bench = CoreBench()
        let workers = try (0..<3).map { try bench.peer("echo\($0)") }
        let caller = try bench.peer("wiz")
        for worker in workers { try worker.provide("echo") }
        _ = try caller.call("echo")
        var seen: Set<UInt64> = []
        for _ in 0..<3 {
            let worker = try #require(
                workers.first { seen.contains($0.session.rawValue) == false && $0.hasMail(bench) }
            )
            seen.insert(worker.session.rawValue)
            let call = try worker.expectCall()
            worker.send(.refuse(Refuse(status: .resourceExhausted, id: call.id, message: "busy")))
        }
        #expect(seen.count == 3)
        _ = try caller.expectFail(.resourceExhausted)
    }

    @Test func `an idempotent call survives the loss of two workers`() throws {
        let bench = CoreBench()
        let caller = try bench.peer("wiz")
        let methods = [MethodDescription(name: "run", flags: .idempotent)]
        var workers: [Peer] = []
        for number in 0..<3 {
            let worker = try bench.peer("echo\(number)")
            try worker.provide("echo", methods: methods)
            workers.append(worker)
        }
        let id = try caller.call("echo")
        for _ in 0..<2 {
            let worker = try #require(workers.first { $0.hasMail(bench) })
            let call = try worker.expectCall()
            worker.accept(call.id)
            bench.disconnect(worker)
            #expect(caller.next() == nil)
        }
        let last = try #require(workers.first { $0.hasMail(bench) })
        let call = try last.expectCall()
        last.end(call.id)
        try caller.expectEnd(id)
    }

    @Test func `the loss of a worker leaves the outcome of another call unknown`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let other = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        _ = try worker.expectCall()
        try other.provide("echo")
        bench.disconnect(worker)
        let fail = try caller.expectFail(.unavailable)
        #expect(fail.flags.contains(.outcomeUnknown))
        #expect(other.next() == nil)
    }

    @Test func `an idempotent call whose only worker is lost fails with an unknown outcome`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo", methods: [MethodDescription(name: "run", flags: .idempotent)])
        _ = try caller.call("echo")
        let waiting = try caller.call("echo")
        _ = try worker.expectCall()
        bench.disconnect(worker)
        let fails = caller.take().compactMap { header -> Fail? in
            guard case .fail(let fail) = header else { return nil }
            return fail
        }
        #expect(fails.count == 2)
        let given = fails.first { $0.id != waiting.wire }
        #expect(given?.status == .unavailable)
        #expect(given?.flags == [.outcomeUnknown, .retryable])
        #expect(given?.message.contains("the worker was lost") == true)
        // What no worker has seen is known not to have been done.
        let queued = fails.first { $0.id == waiting.wire }
        #expect(queued?.status == .notFound)
        #expect(queued?.flags.contains(.outcomeUnknown) == false)
        #expect(bench.core.heldBodyCount == 0)
    }

    @Test func `a cancelled call in the queue never reaches a worker`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let second = try caller.call("echo")
        let first = try worker.expectCall()
        caller.send(.cancel(Cancel(id: second.wire)))
        let fail = try caller.expectFail(.cancelled)
        #expect(fail.phase == .queued)
        worker.end(first.id)
        #expect(worker.next() == nil)
    }

    @Test func `a cancelled call keeps its slot until the worker acknowledges`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        let first = try caller.call("echo")
        let second = try caller.call("echo")
        let lease = try worker.expectCall().id
        caller.send(.cancel(Cancel(id: first.wire, reason: "enough")))
        _ = try caller.expectFail(.cancelled)
        try worker.expectCancel(lease)
        #expect(worker.next() == nil)
        // The id is free at once.
        caller.send(.call(CallHeader(id: first.wire, service: "echo", method: "run")))
        #expect(caller.next() == nil)
        worker.end(lease)
        let next = try worker.expectCall()
        worker.end(next.id)
        try caller.expectEnd(second)
    }

    @Test func `a worker that does not acknowledge is suspect until it does`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo", capacity: 2)
        let first = try caller.call("echo")
        let lease = try worker.expectCall().id
        caller.send(.cancel(Cancel(id: first.wire)))
        _ = try caller.expectFail(.cancelled)
        try worker.expectCancel(lease)
        bench.keepAlive([worker, caller], milliseconds: 2_100)
        #expect(bench.sessions(after: nil, limit: 1, now: bench.now).first?.state == .suspect)
        _ = worker.take()
        _ = caller.take()
        let waiting = try caller.call("echo")
        #expect(worker.take().isEmpty)
        worker.send(.fail(Fail(status: .cancelled, id: lease, message: "stopped")))
        let next = try worker.expectCall()
        worker.end(next.id)
        try caller.expectEnd(waiting)
    }

    @Test func `the calls of a caller that is gone are cancelled and nobody is told`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        _ = try caller.call("echo")
        let lease = try worker.expectCall().id
        bench.disconnect(caller)
        try worker.expectCancel(lease)
        worker.end(lease)
        #expect(worker.next() == nil)
        #expect(caller.take().isEmpty)
    }

    @Test func `a call within a call ends with it and has no more time than it`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("outer")
        let inner = try bench.peer("inner")
        let caller = try bench.peer("wiz")
        try worker.provide("outer")
        try inner.provide("inner")
        let id = try caller.call("outer", clocks: CallClocks(total: 700))
        let outer = try worker.expectCall()
        bench.pass(milliseconds: 100)
        _ = try worker.call("inner", parent: outer.id)
        let nested = try inner.expectCall()
        #expect(nested.clocks.total == 600)
        #expect(nested.hops == 1)
        caller.send(.cancel(Cancel(id: id.wire)))
        _ = try caller.expectFail(.cancelled)
        try worker.expectCancel(outer.id)
        _ = try worker.expectFail(.cancelled)
        try inner.expectCancel(nested.id)
        _ = try worker.call("inner", parent: WireID(rawValue: WireID.leaseBit | 99))
        _ = try worker.expectFail(.invalidArgument)
    }

    @Test func `an operator can cancel a call`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let lease = try worker.expectCall().id
        let name = try #require(LeaseID(lease))
        let done = bench.run { $0.cancelCall(name, by: "root", now: $1, into: &$2) }
        #expect(done)
        #expect(try caller.expectFail(.cancelled).message.contains("root"))
        try worker.expectCancel(lease)
        #expect(!bench.run { $0.cancelCall(name, by: "root", now: $1, into: &$2) })
    }

    @Test func `late frames are counted and are no offence`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let lease = try worker.expectCall().id
        worker.end(lease)
        _ = caller.take()
        worker.end(lease)
        worker.accept(lease)
        worker.send(.chunk(Chunk(id: lease, sequence: 0)), bytes: 3)
        worker.send(.refuse(Refuse(status: .unavailable, id: lease)))
        #expect(bench.core.counters.lateFrames == 4)
        #expect(caller.take().isEmpty && worker.take().isEmpty)
    }

    @Test func `more calls than the quota are refused`() throws {
        var limits = Limits()
        limits.callCountPerSession = 2
        let bench = CoreBench(limits: limits)
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        for _ in 0..<3 { _ = try caller.call("echo") }
        _ = try caller.expectFail(.resourceExhausted)
    }
}

extension Peer {
    func hasMail(_ bench: CoreBench) -> Bool { bench.hasMail(handle) }
}

extension CoreBench {
    func hasMail(_ peer: PeerHandle) -> Bool { mailCount(peer) > 0 }

    /// Lets time pass while peers ping.
    func keepAlive(_ peers: [Peer], milliseconds: UInt64) {
        var left = milliseconds
        while left > 0 {
            let step = min(left, 500)
            pass(milliseconds: step)
            for peer in peers { peer.send(.ping(Ping(nonce: 1))) }
            left -= step
        }
    }
}
