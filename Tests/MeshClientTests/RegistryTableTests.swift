// The tables of registrations and subscriptions, action by action.

import MeshProtocol
import Testing

@testable import MeshClient

struct RegistrationTableTests {
    typealias Table = RegistrationTable<String, String>

    func service(_ name: String = "echo", _ version: String = "1.0.0") -> ServiceDescription {
        ServiceDescription(name: name, version: version, methods: [MethodDescription(name: "say")])
    }

    func words(_ actions: inout [Table.Action]) throws -> [String] {
        defer { actions = [] }
        return try actions.map { action in
            switch action {
            case .send(let frame): "send \(try Words.of(frame))"
            case .answer(let waiter, .success): "answer \(waiter)"
            case .answer(let waiter, .failure(let error)): "fail \(waiter) \(error.status)"
            case .ended(let registration, .success): "ended \(registration)"
            case .ended(let registration, .failure(let error)): "ended \(registration) \(error.status)"
            }
        }
    }

    /// A table with a session and one live registration.
    func live() throws -> Table {
        var table = Table()
        var actions: [Table.Action] = []
        table.sessionBegan(into: &actions)
        table.add(try request(1), service(), registration: "r1", waiter: "w1", into: &actions)
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1", "answer w1"])
        return table
    }

    @Test func `a registration is repeated in every session`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.setCapacity(try request(1), capacity: 3, weight: 50, into: &actions)
        table.sessionLost(into: &actions)
        table.sessionBegan(into: &actions)
        guard case .send(let frame)? = actions.last, case .provide(let provide) = try frame.decoded else {
            return #expect(Bool(false), "no PROVIDE was sent")
        }
        #expect(provide.capacity == 3)
        #expect(provide.weight == 50)
        #expect(try words(&actions) == ["send CAPACITY 1 3 50", "send PROVIDE 1"])
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == [])
    }

    @Test func `slots that handlers of a lost session still take are not offered to the next one`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.setCapacity(try request(1), capacity: 3, weight: 50, into: &actions)
        table.sessionLost(into: &actions)
        actions = []
        table.sessionBegan(busy: { _ in 2 }, into: &actions)
        guard case .send(let frame)? = actions.last, case .provide(let provide) = try frame.decoded else {
            return #expect(Bool(false), "no PROVIDE was sent")
        }
        #expect(provide.capacity == 1)
        actions = []
        table.setBusy(1, of: try request(1), into: &actions)
        table.setBusy(1, of: try request(1), into: &actions)
        table.setCapacity(try request(1), capacity: 8, weight: 50, into: &actions)
        table.setBusy(0, of: try request(1), into: &actions)
        #expect(try words(&actions) == ["send CAPACITY 1 2 50", "send CAPACITY 1 7 50", "send CAPACITY 1 8 50"])
    }

    @Test func `everything is registered when each registration is, in the present session`() throws {
        var table = Table()
        var actions: [Table.Action] = []
        table.settle("s1", into: &actions)
        #expect(try words(&actions) == [])
        table.sessionBegan(into: &actions)
        #expect(try words(&actions) == ["answer s1"])
        table.add(try request(1), service(), registration: "r1", waiter: "w1", into: &actions)
        table.add(try request(2), service("b"), registration: "r2", waiter: "w2", into: &actions)
        table.settle("s2", into: &actions)
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1", "send PROVIDE 2", "answer w1"])
        _ = table.received(
            Fail(status: .permissionDenied, id: try request(2).wire, message: "no"),
            now: at(0),
            into: &actions
        )
        #expect(try words(&actions) == ["fail w2 PERMISSION_DENIED", "ended r2 PERMISSION_DENIED", "answer s2"])
        table.sessionLost(into: &actions)
        table.settle("s3", into: &actions)
        table.sessionBegan(into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1"])
        _ = table.received(
            Fail(flags: .retryable, status: .unavailable, id: try request(1).wire, message: "no"),
            now: at(0),
            into: &actions
        )
        #expect(try words(&actions) == [])
        table.timePassed(now: at(600), into: &actions)
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1", "answer s3"])
    }

    @Test func `withdrawing is answered once and frees the registration`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.withdraw(try request(1), waiter: "x", into: &actions)
        table.withdraw(try request(1), waiter: "y", into: &actions)
        #expect(try words(&actions) == ["send WITHDRAW 1"])
        #expect(table.received(End(id: try request(1).wire), into: &actions))
        #expect(try words(&actions) == ["answer x", "answer y", "ended r1"])
        #expect(!table.received(End(id: try request(1).wire), into: &actions))
        #expect(table.count == 0)
    }

    @Test func `taking back before the broker answered needs both answers`() throws {
        var table = Table()
        var actions: [Table.Action] = []
        table.sessionBegan(into: &actions)
        table.add(try request(1), service(), registration: "r1", waiter: "w1", into: &actions)
        table.withdraw(try request(1), waiter: nil, into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1", "fail w1 CANCELLED", "send WITHDRAW 1"])
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(table.count == 1)
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == ["ended r1"])
    }

    @Test func `a refusal ends the registration, the first one and a later one`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        let fail = Fail(status: .permissionDenied, id: try request(1).wire, message: "no")
        #expect(table.received(fail, now: at(0), into: &actions))
        #expect(try words(&actions) == ["ended r1 PERMISSION_DENIED"])
        table.add(try request(2), service(), registration: "r2", waiter: "w2", into: &actions)
        let second = Fail(status: .alreadyExists, id: try request(2).wire, message: "no")
        #expect(table.received(second, now: at(0), into: &actions))
        #expect(try words(&actions) == ["send PROVIDE 2", "fail w2 ALREADY_EXISTS", "ended r2 ALREADY_EXISTS"])
    }

    @Test func `a repeated registration that is refused for the moment is tried again`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.sessionLost(into: &actions)
        table.sessionBegan(into: &actions)
        let fail = Fail(
            flags: .retryable,
            status: .resourceExhausted,
            id: try request(1).wire,
            retryAfterMilliseconds: 800,
            message: "full"
        )
        _ = table.received(fail, now: at(0), into: &actions)
        #expect(table.nextDeadline == at(800))
        table.timePassed(now: at(800), into: &actions)
        #expect(try words(&actions) == ["send PROVIDE 1", "send PROVIDE 1"])
    }

    @Test func `a call goes to the highest version in its range`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.add(try request(2), service("echo", "1.4.0"), registration: "r2", waiter: "w", into: &actions)
        table.add(try request(3), service("echo", "2.0.0"), registration: "r3", waiter: "w", into: &actions)
        func found(_ range: String) -> String? {
            table.find(CallHeader(id: lease(1), service: "echo", range: range, method: "say"))?.registration
        }
        #expect(found("^1.0.0") == "r2")
        #expect(found("1.0.0") == "r1")
        #expect(found("") == "r3")
        #expect(found("^3") == nil)
        #expect(table.find(CallHeader(id: lease(1), service: "other", method: "say")) == nil)
    }

    @Test func `draining is answered and nothing is registered afterwards`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.drain(try request(5), waiter: "d", into: &actions)
        _ = table.received(End(id: try request(5).wire), into: &actions)
        #expect(try words(&actions) == ["send DRAIN 5", "answer d"])
        table.sessionLost(into: &actions)
        table.sessionBegan(into: &actions)
        table.add(try request(6), service(), registration: "r6", waiter: "w6", into: &actions)
        #expect(try words(&actions) == ["fail w6 FAILED_PRECONDITION", "ended r6 FAILED_PRECONDITION"])
    }
}

struct SubscriptionTableTests {
    typealias Table = SubscriptionTable<String, String>

    let options = SubscriptionOptions(lastValue: true, window: Credit(messages: 4, bytes: 40))

    func words(_ actions: inout [Table.Action]) throws -> [String] {
        defer { actions = [] }
        return try actions.map { action in
            switch action {
            case .send(let frame): "send \(try Words.of(frame))"
            case .answer(let waiter, .success): "answer \(waiter)"
            case .answer(let waiter, .failure(let error)): "fail \(waiter) \(error.status)"
            case .event(let name, let event): "event \(name) \(event.sequence) dropped \(event.dropped)"
            case .ended(let name, let error): "ended \(name) \(error.map { "\($0.status)" } ?? "as wished")"
            }
        }
    }

    func live() throws -> Table {
        var table = Table()
        var actions: [Table.Action] = []
        table.sessionBegan(epoch: 7, credit: { _ in .none }, into: &actions)
        table.add(
            try request(1),
            pattern: "a.>",
            options: options,
            subscription: "s1",
            waiter: "w1",
            into: &actions
        )
        table.received(Subscribed(id: try request(1), sequence: 10), into: &actions)
        #expect(try words(&actions) == ["send SUBSCRIBE 1 1 4/40 since 0", "answer w1"])
        return table
    }

    func event(_ sequence: UInt64, dropped: UInt64 = 0) throws -> Event {
        let numbers = EventNumbers(sequence: sequence, delivery: 1, dropped: dropped)
        return Event(id: try request(1), numbers: numbers, topic: "a.b")
    }

    @Test func `events are delivered with what was dropped, and credit is passed on`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.received(try event(11), body: nil, into: &actions)
        table.received(try event(15, dropped: 3), body: nil, into: &actions)
        table.grant(Credit(messages: 2, bytes: 20), on: try request(1), into: &actions)
        #expect(
            try words(&actions) == ["event s1 11 dropped 0", "event s1 15 dropped 3", "send CREDIT 1 2/20"]
        )
    }

    @Test func `it resumes after its last event when the broker is still the same`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.received(try event(15, dropped: 3), body: nil, into: &actions)
        table.sessionLost(into: &actions)
        table.grant(Credit(messages: 2, bytes: 20), on: try request(1), into: &actions)
        table.sessionBegan(epoch: 7, credit: { _ in Credit(messages: 3, bytes: 30) }, into: &actions)
        table.received(Subscribed(id: try request(1), sequence: 20, missed: 2), into: &actions)
        table.received(try event(21, dropped: 1), body: nil, into: &actions)
        #expect(
            try words(&actions) == [
                "event s1 15 dropped 3", "send SUBSCRIBE 1 2 3/30 since 15", "event s1 21 dropped 6",
            ]
        )
    }

    @Test func `without an event it resumes where it began`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.sessionLost(into: &actions)
        table.sessionBegan(epoch: 7, credit: { _ in Credit(messages: 4, bytes: 40) }, into: &actions)
        #expect(try words(&actions) == ["send SUBSCRIBE 1 2 4/40 since 10"])
    }

    @Test func `it begins anew when the broker is another one`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.received(try event(15), body: nil, into: &actions)
        _ = try words(&actions)
        table.sessionLost(into: &actions)
        table.sessionBegan(epoch: 8, credit: { _ in Credit(messages: 4, bytes: 40) }, into: &actions)
        #expect(try words(&actions) == ["send SUBSCRIBE 1 1 4/40 since 0"])
        table.received(Subscribed(id: try request(1), sequence: 2), into: &actions)
        table.received(try event(3), body: nil, into: &actions)
        table.sessionLost(into: &actions)
        table.sessionBegan(epoch: 8, credit: { _ in Credit(messages: 4, bytes: 40) }, into: &actions)
        #expect(try words(&actions) == ["event s1 3 dropped 0", "send SUBSCRIBE 1 2 4/40 since 3"])
    }

    @Test func `unsubscribing is answered once and late events are dropped`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        table.remove(try request(1), waiter: "u", into: &actions)
        table.remove(try request(1), waiter: nil, into: &actions)
        table.received(try event(11), body: nil, into: &actions)
        _ = table.received(End(id: try request(1).wire), into: &actions)
        #expect(try words(&actions) == ["send UNSUBSCRIBE 1", "answer u", "ended s1 as wished"])
        #expect(!table.received(End(id: try request(1).wire), into: &actions))
    }

    @Test func `a permission taken back ends the subscription`() throws {
        var table = try live()
        var actions: [Table.Action] = []
        let fail = Fail(status: .permissionDenied, id: try request(1).wire, message: "no")
        _ = table.received(fail, into: &actions)
        #expect(try words(&actions) == ["ended s1 PERMISSION_DENIED"])
    }
}

struct CreditTests {
    @Test func `a chunk may overdraw the bytes once and the messages never`() {
        var window = SendWindow(Credit(messages: 2, bytes: 10))
        #expect(({ window.take(byteCount: 50) })() == true)
        #expect(({ window.take(byteCount: 0) })() == false)
        window.grant(Credit(messages: 0, bytes: 41))
        #expect(({ window.take(byteCount: 1) })() == true)
        window.grant(Credit(messages: 0, bytes: 100))
        #expect(!window.isOpen)
    }

    @Test func `credit comes back when half of the window is read`() {
        var window = ReceiveWindow(Credit(messages: 4, bytes: 100))
        #expect(({ window.consumed(byteCount: 1) })() == nil)
        #expect(({ window.consumed(byteCount: 2) })() == Credit(messages: 2, bytes: 3))
        #expect(({ window.consumed(byteCount: 60) })() == Credit(messages: 1, bytes: 60))
    }

    @Test func `a cancelled reader and a cancelled sender wake up`() async throws {
        let channel = ReceiveChannel<Int>(window: Credit(messages: 1, bytes: 1)) { _ in }
        let gate = SendChannel(.none)
        let reader = Task { try await channel.next() }
        let sender = Task { try await gate.acquire(byteCount: 1) }
        reader.cancel()
        sender.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        await #expect(throws: CancellationError.self) { try await sender.value }
    }

    @Test func `what came before the end is read before the end`() async throws {
        let channel = ReceiveChannel<Int>(window: Credit(messages: 8, bytes: 8)) { _ in }
        channel.push(1, byteCount: 1)
        channel.finish(MeshError(.aborted, "over"))
        channel.push(2, byteCount: 1)
        #expect(try await channel.next() == 1)
        await #expect(throws: MeshError.self) { try await channel.next() }
    }
}
