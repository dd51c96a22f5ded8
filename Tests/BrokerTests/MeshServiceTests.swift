// The service `mesh` over a real connection.

import Broker
import BrokerCore
import FoundationEssentials
import MeshProtocol
import Testing

@Suite struct MeshServiceTests {
    private struct Page<Item: Decodable>: Decodable {
        var items: [Item]
        var next: String?
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ incoming: Incoming) throws -> Value {
        guard case .end = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
        return try JSONDecoder().decode(Value.self, from: Data(incoming.payload))
    }

    @Test func `info tells what serves and where`() throws {
        struct Info: Decodable {
            var mesh, version: String
            var epoch: String
            var endpoints: [String]
            var pid: Int32
        }
        try withBroker { configuration, _ in
            configuration.mesh = "demo"
        } _: { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            let info = try decode(Info.self, peer.ask("mesh", "info", id: 1))
            #expect(info.mesh == "demo")
            #expect(info.endpoints == broker.endpoints)
            #expect(info.epoch == String(broker.epoch))
        }
    }

    @Test func `sessions come in pages`() throws {
        struct Session: Decodable {
            var session: UInt64
            var name: String
        }
        try withBroker { broker, _ in
            var first = try TestPeer(broker.endpoints[0])
            var second = try TestPeer(broker.endpoints[0])
            var third = try TestPeer(broker.endpoints[0])
            try first.hello("a")
            try second.hello("b")
            try third.hello("c")
            let page = try decode(Page<Session>.self, first.ask("mesh", "sessions", #"{"limit": 2}"#, id: 1))
            #expect(page.items.map(\.name) == ["a", "b"])
            let next = try #require(page.next)
            let rest = try decode(
                Page<Session>.self,
                first.ask("mesh", "sessions", #"{"limit": 2, "after": "\#(next)"}"#, id: 2)
            )
            #expect(rest.items.map(\.name) == ["c"])
            #expect(rest.next == nil)
        }
    }

    @Test func `services are filtered by range and described`() throws {
        struct Service: Decodable {
            var service, version: String
        }
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("llm", version: "1.2.0")
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            let found = try decode(
                Page<Service>.self,
                peer.ask("mesh", "services", #"{"service": "llm", "range": "^1.0.0"}"#, id: 1)
            )
            #expect(found.items.map(\.version) == ["1.2.0"])
            let none = try decode(
                Page<Service>.self,
                peer.ask("mesh", "services", #"{"service": "llm", "range": "^2.0.0"}"#, id: 2)
            )
            #expect(none.items.isEmpty)
            #expect(try peer.ask("mesh", "describe", #"{"service": "llm"}"#, id: 3).text == "{}")
            #expect(try peer.ask("mesh", "plugins", id: 4).text.contains("llm@1.2.0"))
        }
    }

    @Test(arguments: [
        ("sessions", #"{"limt": 3}"#, "limit"),
        ("sessions", "[]", "a mapping"),
        ("kick", "{}", "session"),
        ("cancel", #"{"call": "x"}"#, "calls"),
        ("explain", #"{"caller": "a", "action": "cal", "target": "b"}"#, "call"),
        ("services", #"{"range": "not a range"}"#, "range"),
        ("describe", "{", "service"),
    ])
    func `wrong arguments are refused with what would be right`(method: String, arguments: String, word: String) throws
    {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            let incoming = try peer.ask("mesh", method, arguments, id: 1)
            guard case .fail(let fail) = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
            #expect(fail.status == .invalidArgument)
            #expect((fail.message + fail.hint).contains(word), "\(fail.message) | \(fail.hint)")
        }
    }

    @Test func `every method answers an operator`() throws {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            let methods: [(String, String)] = [
                ("info", ""), ("plugins", ""), ("sessions", ""), ("services", ""), ("calls", ""), ("subscriptions", ""),
                ("metrics", ""), ("counters", ""), ("limits", ""),
                ("exited", #"{"process": 999999999, "cause": "test"}"#),
                ("explain", #"{"caller": "operator", "target": "ui.show"}"#), ("ticket", #"{"name": "llm"}"#),
                ("metrics", #"{"format": "prometheus"}"#),
            ]
            for (index, (method, arguments)) in methods.enumerated() {
                let incoming = try peer.ask("mesh", method, arguments, id: UInt64(index + 1))
                guard case .end = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
                #expect(!incoming.payload.isEmpty, "\(method)")
            }
        }
    }

    @Test func `a kicked session is told and gone`() throws {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello("operator")
            var victim = try TestPeer(broker.endpoints[0])
            let session = try victim.hello("victim").session
            let done = try peer.ask("mesh", "kick", #"{"session": \#(session), "reason": "enough"}"#, id: 1)
            guard case .end = done.header else { throw UnexpectedHeader(header: done.header) }
            let last = try victim.expect()
            switch last.header {
            case .bye, .reject: break
            default: throw UnexpectedHeader(header: last.header)
            }
            #expect(try !peer.ask("mesh", "sessions", id: 2).text.contains("victim"))
            let again = try peer.ask("mesh", "kick", #"{"session": \#(session)}"#, id: 3)
            guard case .fail(let fail) = again.header else { throw UnexpectedHeader(header: again.header) }
            #expect(fail.status == .notFound)
        }
    }

    @Test func `a watcher gets the registry and then what changes, at the pace of its credit`() throws {
        try withBroker { broker, _ in
            var watcher = try TestPeer(broker.endpoints[0])
            try watcher.hello("watcher")
            try watcher.call(
                "mesh",
                "watch",
                id: 1,
                clocks: CallClocks(idle: CallClocks.none),
                credit: Credit(messages: 1, bytes: 1 << 20),
                flags: .replyStream
            )
            let first = try watcher.expect()
            guard case .chunk = first.header else { throw UnexpectedHeader(header: first.header) }
            #expect(first.text.contains("\"services\":["))
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("llm")
            #expect(try watcher.receive(within: .milliseconds(100)) == nil)
            try watcher.send(CreditGrant(id: WireID(rawValue: 1), credit: Credit(messages: 10, bytes: 1 << 20)))
            let second = try watcher.expect()
            #expect(second.text.contains("\"kind\":\"added\""))
            #expect(second.text.contains("\"service\":\"llm\""))
            try worker.send(Bye())
            #expect(try watcher.expect().text.contains("\"kind\":\"removed\""))
            try watcher.send(Cancel(id: WireID(rawValue: 1)))
            guard case .fail(let fail) = try watcher.expect().header else {
                Issue.record("the watch did not end")
                return
            }
            #expect(fail.status == .cancelled)
        }
    }

    @Test func `notices are published as events under their topics`() throws {
        try withBroker { broker, _ in
            var watcher = try TestPeer(broker.endpoints[0])
            try watcher.hello("watcher")
            let id = try #require(RequestID(rawValue: 1))
            try watcher.send(Subscribe(id: id, credit: Credit(messages: 100, bytes: 1 << 20), pattern: "mesh.>"))
            guard case .subscribed = try watcher.expect().header else {
                Issue.record("no SUBSCRIBED")
                return
            }
            var other = try TestPeer(broker.endpoints[0])
            try other.hello("newcomer")
            let event = try watcher.expect()
            guard case .event(let header) = event.header else { throw UnexpectedHeader(header: event.header) }
            #expect(header.topic.hasPrefix("mesh."))
            #expect(event.text.contains("\"message\":"))
            #expect(event.text.contains("\"time\":\"20"))
        }
    }
}
