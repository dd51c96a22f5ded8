// Sessions: every way in and every way out.

import MeshProtocol
import Testing

@testable import BrokerCore

struct SessionTests {
    @Test func `a peer is welcomed with what it needs to know`() throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        peer.send(.hello(Hello(name: "echo", version: "1.2.3")))
        guard case .welcome(let welcome)? = peer.next() else { throw BenchError.notWelcomed }
        #expect(welcome.epoch == 7)
        #expect(welcome.session == 1)
        #expect(welcome.principal == "root")
        #expect(welcome.ticket.isEmpty)
        #expect(welcome.heartbeatMilliseconds == 700)
        #expect(bench.notices.map(\.topic) == ["mesh.session.welcomed"])
        peer.send(.ping(Ping(nonce: 5)))
        #expect(peer.take() == [.pong(Pong(nonce: 5))])
    }

    @Test func `anything before HELLO is rejected and the peer forgotten`() throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        peer.send(.ping(Ping(nonce: 1)))
        _ = try peer.expectReject(.protocolError)
        #expect(bench.knows(peer.handle) == false)
        let other = bench.stranger()
        other.sendRaw([1, 2, 3])
        _ = try other.expectReject(.protocolError)
    }

    @Test func `a second HELLO ends the session`() throws {
        let bench = CoreBench()
        let peer = try bench.peer("echo")
        peer.send(.hello(Hello(name: "echo")))
        _ = try peer.expectReject(.alreadyExists)
    }

    @Test func `versions that do not meet are rejected`() throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        let later = ProtocolVersion(rawValue: 2)
        peer.send(.hello(Hello(minimumVersion: later, maximumVersion: later, name: "echo")))
        _ = try peer.expectReject(.failedPrecondition)
    }

    @Test(arguments: ["Echo", "-x", "a..b"])
    func `a name outside of the grammar is rejected`(name: String) throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        peer.send(.hello(Hello(name: name)))
        _ = try peer.expectReject(.invalidArgument)
    }

    @Test func `a ticket is good once and is followed by another`() throws {
        let bench = CoreBench()
        let grant = TicketGrant(name: "echo", principal: "plugin-echo")
        let ticket = bench.run { core, now, _ in core.issueTicket(grant, now: now) }
        let local = Credentials.local(user: 4_000, process: 12)
        let peer = bench.stranger(local)
        peer.send(.hello(Hello(name: "echo", ticket: ticket)))
        guard case .welcome(let welcome)? = peer.next() else { throw BenchError.notWelcomed }
        #expect(welcome.principal == "plugin-echo")
        #expect(!welcome.ticket.isEmpty && welcome.ticket != ticket)
        let thief = bench.stranger(local)
        thief.send(.hello(Hello(name: "echo", ticket: ticket)))
        _ = try thief.expectReject(.unauthenticated)
        bench.disconnect(peer)
        let again = bench.stranger(local)
        again.send(.hello(Hello(name: "echo", ticket: welcome.ticket)))
        guard case .welcome? = again.next() else { throw BenchError.notWelcomed }
    }

    @Test func `a ticket that has run out, of another name or of another process is rejected`() throws {
        let bench = CoreBench()
        let local = Credentials.local(user: 4_000, process: 12)
        let grant = TicketGrant(name: "echo", principal: "plugin-echo", process: 13)
        let tickets = (0..<3).map { _ in bench.run { core, now, _ in core.issueTicket(grant, now: now) } }
        let other = bench.stranger(local)
        other.send(.hello(Hello(name: "ohce", ticket: tickets[0])))
        _ = try other.expectReject(.permissionDenied)
        let wrong = bench.stranger(local)
        wrong.send(.hello(Hello(name: "echo", ticket: tickets[1])))
        _ = try wrong.expectReject(.unauthenticated)
        bench.pass(milliseconds: 60_001)
        let late = bench.stranger(.local(user: 4_000, process: 13))
        late.send(.hello(Hello(name: "echo", ticket: tickets[2])))
        _ = try late.expectReject(.unauthenticated)
    }

    @Test func `a local user without a ticket is who the policy says, or nobody`() throws {
        let bench = CoreBench()
        _ = try bench.peer("wiz", .local(user: 1_000, process: 1))
        let peer = bench.stranger(.local(user: 1_001, process: 2))
        peer.send(.hello(Hello(name: "wiz")))
        #expect(try peer.expectReject(.unauthenticated).message.contains("1001"))
    }

    @Test func `a connection that says nothing is closed`() throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        bench.pass(milliseconds: 5_001)
        _ = try peer.expectReject(.deadlineExceeded)
    }

    @Test func `strangers and sessions are bounded`() throws {
        var limits = Limits()
        limits.unwelcomedCount = 1
        limits.sessionCountPerPrincipal = 1
        let bench = CoreBench(limits: limits)
        _ = try bench.peer("echo")
        let second = bench.stranger()
        let third = bench.stranger()
        #expect(try third.expectReject(.resourceExhausted).retryAfterMilliseconds > 0)
        second.send(.hello(Hello(name: "echo")))
        _ = try second.expectReject(.resourceExhausted)
    }

    @Test func `a session is measured by the heartbeat that it was told`() throws {
        let bench = CoreBench()
        let peer = try bench.peer("echo")
        var limits = Limits()
        limits.heartbeatMilliseconds = 100
        bench.run { core, _, outbox in core.setLimits(limits, into: &outbox) }
        bench.pass(milliseconds: 1_700)
        #expect(peer.next() == nil && bench.knows(peer.handle))
        bench.pass(milliseconds: 1_200)
        #expect(!bench.knows(peer.handle))
    }

    @Test func `a silent session is suspect, then gone; a word revives it`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        bench.pass(milliseconds: 1_000)
        caller.send(.ping(Ping(nonce: 1)))
        bench.pass(milliseconds: 800)
        guard case .ping? = worker.next() else { throw BenchError.unexpected("no PING") }
        #expect(bench.probed.contains(worker.handle))
        _ = caller.take()
        _ = try caller.call("echo")
        #expect(worker.next() == nil)
        worker.send(.pong(Pong(nonce: 1)))
        _ = try worker.expectCall()
        caller.send(.ping(Ping(nonce: 1)))
        bench.pass(milliseconds: 2_100)
        caller.send(.ping(Ping(nonce: 1)))
        bench.pass(milliseconds: 800)
        #expect(bench.knows(worker.handle) == false)
        let fail = caller.take().compactMap { header -> Fail? in
            if case .fail(let fail) = header { fail } else { nil }
        }
        #expect(fail.map(\.status) == [.unavailable])
        #expect(bench.core.counters.sessionsClosedByName["silent"] == 1)
    }

    @Test func `sixteen offences end a session`() throws {
        let bench = CoreBench()
        let peer = try bench.peer("wiz")
        for number in 1...15 {
            peer.sendRaw([1, 0x20, 0, 0, 0, 0, 0, 0, UInt8(number), 0, 0, 0, 0, 0, 0, 0])
            #expect(try peer.expectFail(.protocolError).message.contains("totalMilliseconds"))
        }
        peer.sendRaw([1, 0x20, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0])
        _ = try peer.expectReject(.protocolError)
    }

    @Test func `WELCOME says how large a BATCH may be`() throws {
        let bench = CoreBench()
        let peer = bench.stranger()
        peer.send(.hello(Hello(name: "echo", batchByteCount: 500)))
        guard case .welcome(let welcome)? = peer.next() else { throw BenchError.unexpected("no WELCOME") }
        #expect(Int(welcome.batchByteCount) == Limits.batchByteCount)
    }

    @Test func `a BATCH that the shell does not take apart ends the session, whatever its id`() throws {
        for header: [UInt8] in [[1, 7, 0, 0], [1, 7, 1, 0], [9, 7, 0, 0]] {
            let bench = CoreBench()
            let peer = try bench.peer("wiz")
            peer.sendRaw(header + [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
            _ = try peer.expectReject(.protocolError)
        }
    }

    @Test func `a header that concerns no request is answered with REJECT`() throws {
        let bench = CoreBench()
        let peer = try bench.peer("wiz")
        peer.send(
            .welcome(
                Welcome(
                    epoch: 1,
                    session: 1,
                    heartbeatMilliseconds: 1,
                    maximumPayloadByteCount: 1,
                    maximumCallCount: 1,
                    principal: ""
                )
            )
        )
        _ = try peer.expectReject(.protocolError)
        let other = try bench.peer("wiz")
        bench.run { $0.violated(by: other.handle, .tooManyFrames(4), now: $1, into: &$2) }
        _ = try other.expectReject(.protocolError)
    }

    @Test func `a session whose process ended is gone at once`() throws {
        let bench = CoreBench()
        _ = try bench.peer("wiz", .local(user: 1_000, process: 55))
        bench.run { $0.processEnded(55, cause: "exit 1", now: $1, into: &$2) }
        #expect(bench.core.counters.sessionsClosedByName["process-ended"] == 1)
        #expect(bench.sessions(after: nil, limit: 9, now: bench.now).isEmpty)
    }

    @Test func `a drained session gets no new work and is ended after the grace`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo", capacity: 4)
        let isDone1 = bench.run {
            $0.drainSession(worker.session, graceMilliseconds: 300, reason: "x", now: $1, into: &$2)
        }
        #expect(isDone1)
        guard case .drain(let drain)? = worker.next() else { throw BenchError.unexpected("no DRAIN") }
        #expect(drain.id == .session)
        _ = try caller.call("echo")
        #expect(worker.next() == nil)
        bench.pass(milliseconds: 301)
        guard case .bye? = worker.next() else { throw BenchError.unexpected("no BYE") }
        _ = try caller.expectFail(.notFound)
    }

    @Test func `a worker's DRAIN is answered when its last call has ended`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        let call = try worker.expectCall()
        let id = try worker.id()
        worker.send(.drain(Drain(id: id.wire)))
        #expect(worker.next() == nil)
        worker.end(call.id)
        try worker.expectEnd(id)
        worker.send(.bye(Bye()))
        #expect(bench.core.counters.sessionsClosedByName["left"] == 1)
    }

    @Test func `a shutdown tells everybody`() throws {
        let bench = CoreBench()
        let worker = try bench.peer("echo")
        let caller = try bench.peer("wiz")
        try worker.provide("echo")
        _ = try caller.call("echo")
        bench.run { $0.shutDown(reason: "maintenance", now: $1, into: &$2) }
        _ = try caller.expectFail(.unavailable)
        guard case .bye(let bye)? = caller.next() else { throw BenchError.unexpected("no BYE") }
        #expect(bye.status == .unavailable)
        let late = bench.stranger()
        _ = try late.expectReject(.unavailable)
    }

    @Test func `what is kicked or never reads is ended`() throws {
        let bench = CoreBench()
        let first = try bench.peer("a")
        let second = try bench.peer("b")
        let isDone2 = bench.run { $0.kickSession(first.session, reason: "go", now: $1, into: &$2) }
        #expect(isDone2)
        let isDone3 = bench.run { $0.kickSession(first.session, reason: "go", now: $1, into: &$2) }
        #expect(!isDone3)
        guard case .bye? = first.next() else { throw BenchError.unexpected("no BYE") }
        bench.run { $0.overflowed(second.handle, now: $1, into: &$2) }
        #expect(second.isClosed)
        #expect(bench.core.counters.sessionsClosedByName["overflow"] == 1)
    }
}
