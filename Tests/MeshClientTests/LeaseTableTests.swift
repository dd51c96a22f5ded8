// The table of incoming calls, action by action.

import MeshProtocol
import Testing

@testable import MeshClient

struct LeaseTableTests {
    typealias Table = LeaseTable<String>

    var table: Table {
        var table = Table(window: Credit(messages: 2, bytes: 10))
        table.sessionBegan(maximumPayloadByteCount: 100)
        return table
    }

    func call(_ number: UInt32, _ flags: CallFlags = []) -> CallHeader {
        CallHeader(flags: flags, id: lease(number), service: "s", method: "m")
    }

    func admit(
        _ number: UInt32,
        _ flags: CallFlags = [],
        capacity: Int = 2,
        now: Moment = at(0),
        to table: inout Table,
        _ actions: inout [Table.Action]
    ) throws -> Bool {
        let call = call(number, flags)
        let mayStart = table.admit(
            call,
            registration: try request(1),
            capacity: capacity,
            now: now,
            into: &actions
        )
        if mayStart { table.attach("h\(number)", to: call.id) }
        return mayStart
    }

    func words(_ actions: inout [Table.Action]) throws -> [String] {
        defer { actions = [] }
        return try actions.map { action in
            switch action {
            case .send(let frame): "send \(try Words.of(frame))"
            case .cancel(let handle, let error): "cancel \(handle) \(error.status)"
            case .chunk(let handle, let payload): "chunk \(handle) \(payload.text)"
            case .requestsEnded(let handle): "requests ended \(handle)"
            case .credit(let handle, let credit): "credit \(handle) \(credit.messages)/\(credit.bytes)"
            case .drained: "drained"
            }
        }
    }

    @Test func `a call that is answered in time is not accepted`() throws {
        var table = table
        var actions: [Table.Action] = []
        #expect(try admit(1, to: &table, &actions))
        #expect(try words(&actions) == [])
        table.finish(lease(1), .success(.text("ok")), into: &actions)
        table.finish(lease(1), .success(.text("again")), into: &actions)
        #expect(try words(&actions) == ["send END lease 1 ok"])
        table.timePassed(now: at(1000), into: &actions)
        #expect(try words(&actions) == [])
        #expect(table.nextDeadline == nil)
    }

    @Test func `a call that takes longer than a second is accepted once`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        _ = try admit(2, now: at(500), to: &table, &actions)
        table.timePassed(now: at(999), into: &actions)
        #expect(try words(&actions) == [])
        #expect(table.nextDeadline == at(1000))
        table.timePassed(now: at(1000), into: &actions)
        #expect(try words(&actions) == ["send ACCEPT lease 1 0/0"])
        table.finish(lease(2), .failure(MeshError(.notFound, "no")), into: &actions)
        table.timePassed(now: at(2000), into: &actions)
        #expect(try words(&actions) == ["send FAIL lease 2 NOT_FOUND 4"])
    }

    @Test func `a request stream is accepted with credit at once`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, .requestStream, to: &table, &actions)
        #expect(try words(&actions) == ["send ACCEPT lease 1 2/10"])
        table.received(Chunk(id: lease(1), sequence: 0), body: Array("a".utf8), into: &actions)
        table.grant(Credit(messages: 1, bytes: 1), on: lease(1), into: &actions)
        table.received(Chunk(flags: .last, id: lease(1), sequence: 1), body: nil, into: &actions)
        #expect(try words(&actions) == ["chunk h1 a", "send CREDIT lease 1 1/1", "requests ended h1"])
    }

    @Test func `a gap in a request stream ends the call with DATA_LOSS once its handler has returned`()
        throws
    {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, .requestStream, capacity: 1, to: &table, &actions)
        _ = try words(&actions)
        table.received(Chunk(id: lease(1), sequence: 1), body: nil, into: &actions)
        // FAIL gives the slot back to the broker, so it must not go out while the handler still has it.
        #expect(try words(&actions) == ["cancel h1 DATA_LOSS"])
        table.received(Chunk(id: lease(1), sequence: 0), body: nil, into: &actions)
        table.grant(Credit(messages: 1, bytes: 1), on: lease(1), into: &actions)
        #expect(try words(&actions) == [])
        #expect(try !admit(2, capacity: 1, to: &table, &actions))
        #expect(try words(&actions) == ["send REFUSE lease 2 RESOURCE_EXHAUSTED"])
        table.finish(lease(1), .failure(MeshError(.cancelled, "")), into: &actions)
        #expect(try words(&actions) == ["send FAIL lease 1 DATA_LOSS 4"])
        #expect(try admit(3, capacity: 1, to: &table, &actions))
    }

    @Test func `a chunk that the broker would not carry ends the call once its handler has returned`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, .replyStream, to: &table, &actions)
        table.send(Payload(Array(repeating: 1, count: 101)), on: lease(1), into: &actions)
        table.send(.text("after"), on: lease(1), into: &actions)
        #expect(try words(&actions) == ["cancel h1 RESOURCE_EXHAUSTED"])
        // The handler takes its time: the broker must not take the worker for one that is stuck.
        table.timePassed(now: at(1000), into: &actions)
        #expect(try words(&actions) == ["send ACCEPT lease 1 0/0"])
        table.finish(lease(1), .success(.empty), into: &actions)
        #expect(try words(&actions) == ["send FAIL lease 1 RESOURCE_EXHAUSTED 4"])
    }

    @Test func `cancel stops the handler and its return acknowledges`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        table.received(Cancel(status: .deadlineExceeded, id: lease(1)), into: &actions)
        table.received(Cancel(id: lease(9)), into: &actions)
        #expect(try words(&actions) == ["cancel h1 DEADLINE_EXCEEDED"])
        table.finish(lease(1), .failure(.carrying(CancellationError())), into: &actions)
        #expect(try words(&actions) == ["send FAIL lease 1 CANCELLED 4"])
    }

    @Test func `reply chunks are numbered`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, .replyStream, to: &table, &actions)
        table.received(Credit(messages: 5, bytes: 50), for: lease(1), into: &actions)
        table.send(.text("a"), on: lease(1), into: &actions)
        table.send(.text("b"), on: lease(1), into: &actions)
        table.finish(lease(1), .success(.empty), into: &actions)
        table.send(.text("c"), on: lease(1), into: &actions)
        #expect(
            try words(&actions) == [
                "credit h1 5/50", "send CHUNK lease 1 #0 a", "send CHUNK lease 1 #1 b", "send END lease 1",
            ]
        )
    }

    @Test func `a draining worker refuses and tells when it is empty`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        table.drain(into: &actions)
        #expect(try !admit(2, to: &table, &actions))
        table.finish(lease(1), .success(.empty), into: &actions)
        #expect(try words(&actions) == ["send REFUSE lease 2 UNAVAILABLE", "send END lease 1", "drained"])
    }

    @Test func `a lost session stops every handler and answers none`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        table.sessionLost(MeshError(.unavailable, "gone"), session: first, into: &actions)
        table.finish(lease(1), .success(.empty), into: &actions)
        table.timePassed(now: at(5000), into: &actions)
        #expect(try words(&actions) == ["cancel h1 UNAVAILABLE"])
        #expect(table.count == 0)
    }

    let first = SessionKey(connection: 1, generation: 1)
    let second = SessionKey(connection: 1, generation: 2)

    @Test func `a handler of a lost session keeps its slot until it has returned`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        _ = try admit(2, to: &table, &actions)
        table.sessionLost(MeshError(.unavailable, "gone"), session: first, into: &actions)
        actions = []
        #expect(table.leftoverCount(of: try request(1)) == 2)
        // The same numbers in the next session are other calls.
        #expect(try !admit(1, to: &table, &actions))
        #expect(try words(&actions) == ["send REFUSE lease 1 RESOURCE_EXHAUSTED"])
        #expect(table.finishLeftover(LeaseKey(lease: lease(1), session: second), into: &actions) == nil)
        #expect(table.finishLeftover(LeaseKey(lease: lease(1), session: first), into: &actions) == (try request(1)))
        #expect(table.finishLeftover(LeaseKey(lease: lease(1), session: first), into: &actions) == nil)
        #expect(try admit(1, to: &table, &actions))
        #expect(try !admit(3, to: &table, &actions))
        #expect(table.leftoverCount(of: try request(1)) == 1)
    }

    @Test func `a drain waits for the handlers of a lost session, too`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        table.drain(into: &actions)
        table.sessionLost(MeshError(.unavailable, "gone"), session: first, into: &actions)
        #expect(try words(&actions) == ["cancel h1 UNAVAILABLE"])
        _ = table.finishLeftover(LeaseKey(lease: lease(1), session: first), into: &actions)
        #expect(try words(&actions) == ["drained"])
    }

    @Test func `an answer that the broker would not carry fails the call`() throws {
        var table = table
        var actions: [Table.Action] = []
        _ = try admit(1, to: &table, &actions)
        table.finish(lease(1), .success(Payload(Array(repeating: 1, count: 101))), into: &actions)
        #expect(try words(&actions) == ["send FAIL lease 1 RESOURCE_EXHAUSTED 4"])
    }
}
