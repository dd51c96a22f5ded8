// The table of outgoing calls, action by action.

import MeshProtocol
import Testing

@testable import MeshClient

struct CallTableTests {
    typealias Table = CallTable<String>

    /// A table with a session.
    func ready() -> Table {
        var table = Table()
        var actions: [Table.Action] = []
        table.sessionBegan(maximumPayloadByteCount: 100, now: at(0), into: &actions)
        return table
    }

    func call(
        _ number: UInt64,
        _ flags: CallFlags = [],
        options: CallOptions? = CallOptions(window: Credit(messages: 2, bytes: 10)),
        body: [UInt8]? = nil
    ) throws -> OutgoingCall<String> {
        let id = try request(number)
        let header = CallHeader(
            flags: flags,
            id: id.wire,
            clocks: options?.clocks ?? CallClocks(),
            parent: LeaseID(index: 5, generation: 1).wire,
            service: "s",
            method: "m"
        )
        let frame = Frame(header, body: body)
        return OutgoingCall(id: id, frame: frame, options: options, flags: flags, waiter: "w\(number)")
    }

    /// The actions in words.
    func words(_ actions: inout [Table.Action]) throws -> [String] {
        defer { actions = [] }
        return try actions.map { action in
            switch action {
            case .send(let frame): "send \(try Words.of(frame))"
            case .fail(let waiter, let error): "fail \(waiter) \(error.status) \(error.flags.rawValue)"
            case .chunk(let waiter, let payload): "chunk \(waiter) \(payload.text)"
            case .credit(let waiter, let credit): "credit \(waiter) \(credit.messages)/\(credit.bytes)"
            }
        }
    }

    @Test func `a call is sent, answered once, and what is late is dropped`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1), now: at(0), into: &actions)
        #expect(try words(&actions) == ["send CALL 1"])
        let end = End(id: try request(1).wire, queuedMicroseconds: 3, provider: 8)
        #expect(table.received(end) == "w1")
        #expect(table.received(end) == nil)
        #expect(!table.received(Fail(status: .aborted, id: end.id, message: ""), body: nil, into: &actions))
        table.received(Chunk(id: end.id, sequence: 0), body: nil, into: &actions)
        table.received(Credit(messages: 1, bytes: 1), for: end.id, into: &actions)
        table.cancel(try request(1), into: &actions)
        #expect(try words(&actions) == [])
        #expect(table.count == 0)
    }

    @Test func `a cancelled call ends at once and the broker is told`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1), now: at(0), into: &actions)
        table.cancel(try request(1), into: &actions)
        table.cancel(try request(1), into: &actions)
        #expect(try words(&actions) == ["send CALL 1", "send CANCEL 1", "fail w1 CANCELLED 0"])
    }

    @Test func `a reply stream is checked for its order`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1, .replyStream), now: at(0), into: &actions)
        let id = try request(1).wire
        table.received(Chunk(id: id, sequence: 0), body: Array("a".utf8), into: &actions)
        table.received(Chunk(id: id, sequence: 2), body: Array("c".utf8), into: &actions)
        #expect(
            try words(&actions) == ["send CALL 1", "chunk w1 a", "send CANCEL 1", "fail w1 DATA_LOSS 0"]
        )
    }

    @Test func `a chunk without credit is a broken rule, and credit that was granted counts`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1, .replyStream), now: at(0), into: &actions)
        let id = try request(1)
        for sequence in 0..<2 as Range<UInt32> {
            table.received(Chunk(id: id.wire, sequence: sequence), body: [65], into: &actions)
        }
        table.grant(Credit(messages: 1, bytes: 1), on: id, into: &actions)
        table.received(Chunk(id: id.wire, sequence: 2), body: Array(repeating: 66, count: 50), into: &actions)
        _ = try words(&actions)
        table.received(Chunk(id: id.wire, sequence: 3), body: [67], into: &actions)
        #expect(try words(&actions) == ["send CANCEL 1", "fail w1 PROTOCOL_ERROR 0"])
    }

    @Test func `request chunks are numbered and end once`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        let id = try request(1)
        table.begin(try call(1, .requestStream), now: at(0), into: &actions)
        table.received(Credit(messages: 3, bytes: 30), for: id.wire, into: &actions)
        table.send(.text("a"), last: false, on: id, into: &actions)
        table.send(nil, last: true, on: id, into: &actions)
        table.send(.text("b"), last: false, on: id, into: &actions)
        #expect(
            try words(&actions) == ["send CALL 1", "credit w1 3/30", "send CHUNK 1 #0 a", "send CHUNK 1 #1 last"]
        )
    }

    @Test func `a lost session fails what was sent with outcome unknown and keeps what was not`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1), now: at(0), into: &actions)
        table.sessionLost(MeshError(.unavailable, "gone"), into: &actions)
        table.begin(try call(2, options: CallOptions(deadline: .seconds(2))), now: at(1000), into: &actions)
        #expect(try words(&actions) == ["send CALL 1", "fail w1 UNAVAILABLE 2"])
        #expect(table.parkedCount == 1)
        table.sessionBegan(maximumPayloadByteCount: 100, now: at(1500), into: &actions)
        guard case .send(let frame)? = actions.first, case .call(let sent) = try frame.decoded else {
            return #expect(Bool(false), "no call was sent")
        }
        #expect(sent.clocks.total == 1500)
        #expect(sent.parent == .session)
        #expect(table.parkedCount == 0)
        #expect(table.parkedByteCount == 0)
    }

    @Test func `a call that no session came for fails within its deadline and was never sent`() throws {
        var table = Table()
        var actions: [Table.Action] = []
        table.begin(try call(1, options: CallOptions(deadline: .seconds(2))), now: at(0), into: &actions)
        table.begin(try call(2), now: at(0), into: &actions)
        #expect(table.nextDeadline == at(2000))
        table.timePassed(now: at(2000), reason: nil, into: &actions)
        #expect(try words(&actions) == ["fail w1 DEADLINE_EXCEEDED 1"])
        #expect(table.nextDeadline == at(5000))
        table.cancel(try request(2), into: &actions)
        #expect(try words(&actions) == ["fail w2 CANCELLED 0"])
        table.sessionBegan(maximumPayloadByteCount: 100, now: at(3000), into: &actions)
        #expect(try words(&actions) == [])
    }

    @Test func `a payload that the broker would not carry is refused here`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1, body: Array(repeating: 0, count: 101)), now: at(0), into: &actions)
        #expect(try words(&actions) == ["fail w1 INVALID_ARGUMENT 0"])
    }

    @Test func `an event is not cancelled on the wire`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1, options: nil), now: at(0), into: &actions)
        table.cancel(try request(1), into: &actions)
        #expect(try words(&actions) == ["send CALL 1", "fail w1 CANCELLED 0"])
    }

    @Test func `closing fails everything once`() throws {
        var table = ready()
        var actions: [Table.Action] = []
        table.begin(try call(1), now: at(0), into: &actions)
        table.begin(try call(2), now: at(0), into: &actions)
        _ = try words(&actions)
        table.failAll(.closed, into: &actions)
        table.failAll(.closed, into: &actions)
        #expect(try words(&actions).sorted() == ["fail w1 CANCELLED 0", "fail w2 CANCELLED 0"])
    }
}
