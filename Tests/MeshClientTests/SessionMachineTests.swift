// The session machine, action by action, on a clock that the tests move.

import MeshProtocol
import Testing

@testable import MeshClient

struct SessionMachineTests {
    let hello = Hello(name: "tester", ticket: "t1")
    /// With this number, delays are neither shortened nor lengthened.
    var machine: SessionMachine { SessionMachine(hello: hello, endpoint: "ipc:///x") { 500 } }
    let welcome = Welcome(
        epoch: 9,
        session: 4,
        heartbeatMilliseconds: 1000,
        maximumPayloadByteCount: 100,
        maximumCallCount: 10,
        principal: "tester",
        ticket: "t2"
    )
    let loss = MeshError(.unavailable, "gone", subject: "ipc:///x")

    func live() -> SessionMachine {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        machine.received(welcome, now: at(0), into: &actions)
        return machine
    }

    @Test func `it opens a connection and says HELLO first`() {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        #expect(actions == [.changed(.connecting(attempt: 1)), .open, .send(Frame(hello))])
        machine.start(now: at(1), into: &actions)
        #expect(actions.count == 3)
        #expect(machine.nextDeadline == at(5000))
    }

    @Test func `WELCOME begins the session once`() {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        actions = []
        machine.received(welcome, now: at(10), into: &actions)
        machine.received(welcome, now: at(11), into: &actions)
        #expect(actions == [.changed(.connected(SessionInfo(welcome))), .began(welcome, isSameEpoch: false)])
        #expect(machine.isLive)
    }

    @Test func `a silent peer sends PING every heartbeat, and hears that the broker is lost after four`() throws {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.timePassed(now: at(999), into: &actions)
        #expect(actions.isEmpty)
        #expect(machine.nextDeadline == at(1000))
        for second in [1, 2, 3] as [Int64] {
            machine.timePassed(now: at(second * 1000), into: &actions)
            machine.wrote(now: at(second * 1000))
        }
        #expect(actions == [1, 2, 3].map { .send(Frame(Ping(nonce: $0))) })
        actions = []
        machine.timePassed(now: at(4000), into: &actions)
        let error = MeshError(
            .unavailable,
            "the broker has been silent for 4 heartbeats",
            flags: .retryable,
            subject: "ipc:///x"
        )
        #expect(actions == [.close, .lost(error), .changed(.disconnected(error, retryIn: .milliseconds(100)))])
    }

    @Test func `a peer that only sends asks with PING whether the broker lives`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.wrote(now: at(900))
        machine.timePassed(now: at(1000), into: &actions)
        #expect(actions == [.send(Frame(Ping(nonce: 1)))])
    }

    @Test func `a broker that is heard stays`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.wrote(now: at(3900))
        machine.heard(now: at(3900))
        machine.timePassed(now: at(4100), into: &actions)
        #expect(actions.isEmpty)
    }

    @Test func `PING is answered with its PONG`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.received(Ping(nonce: 77), into: &actions)
        #expect(actions == [.send(Frame(Pong(nonce: 77)))])
    }

    @Test func `each attempt waits twice as long as the one before, up to five seconds`() {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        var now = at(0)
        machine.start(now: now, into: &actions)
        var delays: [Duration] = []
        for _ in 0..<8 {
            actions = []
            machine.connectionLost(loss, now: now, into: &actions)
            guard case .changed(.disconnected(_, let delay))? = actions.last else { continue }
            #expect(actions == [.close, .changed(.disconnected(loss, retryIn: delay))])
            delays.append(delay)
            now = now + delay
            actions = []
            machine.timePassed(now: now, into: &actions)
            #expect(actions.contains(.open))
        }
        #expect(delays == [100, 200, 400, 800, 1600, 3200, 5000, 5000].map { .milliseconds($0) })
    }

    @Test(arguments: [(0, 50), (500, 100), (1000, 150)] as [(UInt64, Int)])
    func `the delay is between half and one and a half of itself`(_ random: UInt64, _ milliseconds: Int) {
        var machine = SessionMachine(hello: hello, endpoint: "ipc:///x") { random }
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        machine.connectionLost(loss, now: at(0), into: &actions)
        #expect(actions.last == .changed(.disconnected(loss, retryIn: .milliseconds(milliseconds))))
    }

    @Test func `a new HELLO carries the renewed ticket and the last epoch, and the same epoch is known again`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.connectionLost(loss, now: at(10), into: &actions)
        actions = []
        machine.timePassed(now: at(110), into: &actions)
        let again = Hello(lastEpoch: 9, name: "tester", ticket: "t2")
        #expect(actions == [.changed(.connecting(attempt: 2)), .open, .send(Frame(again))])
        actions = []
        machine.received(welcome, now: at(120), into: &actions)
        #expect(actions.last == .began(welcome, isSameEpoch: true))
    }

    @Test func `a session that lasted lets the back-off begin anew`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.connectionLost(loss, now: at(10), into: &actions)
        machine.timePassed(now: at(110), into: &actions)
        machine.received(welcome, now: at(110), into: &actions)
        machine.connectionLost(loss, now: at(6000), into: &actions)
        #expect(actions.last == .changed(.disconnected(loss, retryIn: .milliseconds(100))))
    }

    @Test func `REJECT without a delay is final`() {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        actions = []
        let reject = Reject(status: .permissionDenied, message: "not you")
        machine.received(reject, now: at(1), into: &actions)
        let error = MeshError(.permissionDenied, "not you", subject: "ipc:///x")
        #expect(actions == [.close, .changed(.closed(error)), .ended(error)])
        #expect(machine.nextDeadline == nil)
    }

    @Test func `REJECT with a delay is obeyed`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        let reject = Reject(status: .resourceExhausted, retryAfterMilliseconds: 700, message: "full")
        machine.received(reject, now: at(0), into: &actions)
        let error = MeshError(
            .resourceExhausted,
            "full",
            retryAfter: .milliseconds(700),
            flags: .retryable,
            subject: "ipc:///x"
        )
        #expect(actions == [.close, .lost(error), .changed(.disconnected(error, retryIn: .milliseconds(700)))])
        #expect(machine.nextDeadline == at(700))
    }

    @Test func `BYE from the broker ends the session and not the connection`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.received(Bye(status: .unavailable, reason: "restart"), now: at(0), into: &actions)
        #expect(actions.first == .close)
        #expect(machine.nextDeadline == at(100))
    }

    @Test func `closing says BYE once`() {
        var machine = live()
        var actions: [SessionMachine.Action] = []
        machine.close(reason: "done", into: &actions)
        machine.close(reason: "done", into: &actions)
        #expect(
            actions == [
                .send(Frame(Bye(reason: "done"))), .close, .lost(.closed), .changed(.closed(nil)), .ended(nil),
            ]
        )
    }

    @Test func `a broker that does not answer HELLO is given up after five seconds`() {
        var machine = machine
        var actions: [SessionMachine.Action] = []
        machine.start(now: at(0), into: &actions)
        actions = []
        machine.timePassed(now: at(5000), into: &actions)
        #expect(actions.first == .close)
        #expect(machine.nextDeadline == at(5100))
    }
}
