// The methods of the service `mesh` for hosts, and its orders, as calls over real connections.

import Broker
import BrokerCore
import FoundationEssentials
import MeshProtocol
import Testing
import ZeroMQ

@Suite struct HostCallTests {
    private func ticket(_ peer: inout TestPeer, _ json: String, id: UInt64) throws -> String {
        struct Ticket: Decodable {
            var ticket: String
        }
        let incoming = try peer.ask("mesh", "ticket", json, id: id)
        guard case .end = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
        return try JSONDecoder().decode(Ticket.self, from: Data(incoming.payload)).ticket
    }

    private func expectEnd(_ incoming: Incoming) throws -> String {
        guard case .end = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
        return incoming.text
    }

    private func expectFail(_ incoming: Incoming, _ status: Status) throws {
        guard case .fail(let fail) = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
        #expect(fail.status == status, "\(fail.message)")
    }

    @Test func `an instance comes in shadow, is ready, is promoted and ends`() throws {
        try withBroker { configuration, _ in
            configuration.policy.principals["echo"] = Policy.Principal(roles: ["plugin"])
            for target in ["echo", "capability.text"] {
                configuration.policy.rules.append(
                    Policy.Rule(effect: .allow, subject: "echo", action: .provide, target: target, origin: "t:1")
                )
            }
        } _: { broker, _ in
            var host = try TestPeer(broker.endpoints[0])
            try host.hello("host")
            let secret = try ticket(&host, #"{"name": "echo", "instance": "echo#1@1", "stage": "shadow"}"#, id: 1)
            var plugin = try TestPeer(broker.endpoints[0])
            try plugin.hello("echo", ticket: secret)
            try plugin.provide("echo")
            try expectFail(host.ask("echo", "run", id: 2), .notFound)
            let order = #"{"instances": ["echo#1@1"], "retire": ["echo#1@0"]}"#
            try expectFail(host.ask("mesh", "promote", order, id: 3), .failedPrecondition)
            #expect(try host.ask("mesh", "services", id: 4).text.contains(#""stage":"shadow""#))
            _ = try expectEnd(plugin.ask("mesh", "ready", "{}", id: 9))
            let done = try expectEnd(host.ask("mesh", "promote", order, id: 5))
            #expect(done == #"{"promoted":["echo#1@1"],"retired":[]}"#)
            #expect(try host.ask("mesh", "sessions", id: 6).text.contains(#""instance":"echo#1@1""#))
            let load = try expectEnd(host.ask("mesh", "load", #"{"principal": "echo"}"#, id: 7))
            #expect(load.contains(#""capacity":1000"#) && load.contains(#""providers":1"#))
            let gone = try expectEnd(host.ask("mesh", "exited", #"{"instance": "echo#1@1", "cause": "x"}"#, id: 8))
            #expect(gone == #"{"done":true,"sessions":1}"#)
            _ = try expectEnd(host.ask("mesh", "notReady", #"{"reason": "no disk"}"#, id: 10))
        }
    }

    @Test func `calls wait for what a host expects`() throws {
        try withBroker { broker, _ in
            var host = try TestPeer(broker.endpoints[0])
            try host.hello("host")
            let services = #"[{"service": "echo", "version": "1.0.0", "methods": [{"name": "run", "stream": "none"}]}]"#
            let order = #"{"owner": "echo", "services": \#(services)}"#
            #expect(try expectEnd(host.ask("mesh", "expect", order, id: 1)) == #"{"expectation":1}"#)
            var caller = try TestPeer(broker.endpoints[0])
            try caller.hello("caller")
            try caller.call("echo", "run", id: 1)
            #expect(
                try eventually {
                    try host.ask("mesh", "load", #"{"principal": "echo"}"#, id: 2).text.contains(#""waiting":1"#)
                }
            )
            _ = try expectEnd(host.ask("mesh", "unexpect", #"{"expectation": 1}"#, id: 3))
            try expectFail(caller.expect(), .unavailable)
            try expectFail(host.ask("mesh", "unexpect", #"{"expectation": 1}"#, id: 4), .notFound)
        }
    }

    @Test func `a key made for one process is let in for its ticket, and no longer`() throws {
        try withBroker { configuration, folder in
            let key = try KeyFile(creating: folder.path + "/broker.json")
            configuration.tcp = BrokerConfiguration.TCP(listen: "127.0.0.1:0", key: key)
            configuration.policy.principals["echo"] = Policy.Principal(roles: ["plugin"])
        } _: { broker, _ in
            let server = try CurvePublicKey(z85: #require(broker.publicKey))
            let pair = try CurveKeyPair.generate()
            var options = TestPeer.options()
            options.security = .curveClient(serverKey: server, keys: pair)
            var host = try TestPeer(broker.endpoints[0])
            try host.hello("host")
            let json =
                #"{"name": "echo", "instance": "echo#1@1", "publicKey": \#(ConfigText.json(pair.publicKey.z85))}"#
            let secret = try ticket(&host, json, id: 1)
            var plugin = try TestPeer(broker.endpoints[1], options: options)
            #expect(try plugin.hello("echo", ticket: secret).principal == "echo")
            _ = try expectEnd(host.ask("mesh", "exited", #"{"instance": "echo#1@1", "cause": "x"}"#, id: 2))
            let late = try TestPeer(broker.endpoints[1], options: options)
            try late.send(Hello(name: "echo", ticket: secret))
            var third = late
            #expect(try third.receive(within: .milliseconds(300)) == nil)
        }
    }

    @Test func `cancel, drain and reload are calls like any other`() throws {
        struct Page: Decodable {
            struct Call: Decodable {
                var lease, service: String
            }
            var items: [Call]
        }
        try withBroker { configuration, folder in
            configuration.meshFilePath = folder.file("mesh.yaml", "mesh: demo\nbroker: { limits: { queue: 7 } }\n")
        } _: { broker, folder in
            var admin = try TestPeer(broker.endpoints[0])
            try admin.hello("operator")
            var worker = try TestPeer(broker.endpoints[0])
            let session = try worker.hello("worker").session
            try worker.provide("llm")
            var caller = try TestPeer(broker.endpoints[0])
            try caller.hello("caller")
            try caller.call("llm", "run", id: 1)
            guard case .call = try worker.expect().header else {
                Issue.record("no CALL")
                return
            }
            let calls = try JSONDecoder().decode(Page.self, from: Data(admin.ask("mesh", "calls", id: 1).payload))
            let lease = try #require(calls.items.first { $0.service == "llm" }).lease
            _ = try expectEnd(admin.ask("mesh", "cancel", #"{"call": "\#(lease)"}"#, id: 2))
            try expectFail(caller.expect(), .cancelled)
            guard case .cancel(let cancel) = try worker.expect().header else {
                Issue.record("no CANCEL")
                return
            }
            try expectFail(admin.ask("mesh", "cancel", #"{"call": "\#(lease)"}"#, id: 3), .notFound)
            try worker.send(End(id: cancel.id))
            let order = #"{"session": \#(session), "graceMilliseconds": 9000, "reason": "enough"}"#
            _ = try expectEnd(admin.ask("mesh", "drain", order, id: 4))
            guard case .drain(let drain) = try worker.expect().header else {
                Issue.record("no DRAIN")
                return
            }
            #expect(drain.reason == "enough" && drain.graceMilliseconds == 9_000)
            #expect(try expectEnd(admin.ask("mesh", "reload", id: 5)).contains("limits"))
            #expect(try admin.ask("mesh", "limits", id: 6).text.contains(#""queue":7"#))
            _ = folder.file("mesh.yaml", "mehs: demo\n")
            try expectFail(admin.ask("mesh", "reload", id: 7), .invalidArgument)
        }
    }

    @Test func `a watch without a stream is refused at once`() throws {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            try expectFail(peer.ask("mesh", "watch", id: 1), .invalidArgument)
        }
    }

    @Test func `every page goes on where the last one ended`() throws {
        struct Page: Decodable {
            struct Item: Decodable {
                var service, version, pattern: String?
            }
            var items: [Item]
            var next: String?
        }
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            for (id, version) in ["1.0.0", "2.0.0", "2.0.0-beta.1"].enumerated() {
                let request = try #require(RequestID(rawValue: UInt64(id) + 10))
                let methods = [MethodDescription(name: "run")]
                try worker.send(Provide(id: request, capacity: 1, service: "llm", version: version, methods: methods))
                _ = try worker.expect()
            }
            for id in 1...3 {
                let request = try #require(RequestID(rawValue: UInt64(id)))
                try worker.send(Subscribe(id: request, credit: .none, pattern: "news.\(id)"))
                _ = try worker.expect()
            }
            var admin = try TestPeer(broker.endpoints[0])
            try admin.hello("operator")
            var request: UInt64 = 0
            func all(_ method: String) throws -> [Page.Item] {
                var items: [Page.Item] = []
                var after: String?
                repeat {
                    request += 1
                    let json = after.map { #"{"limit": 1, "after": "\#($0)"}"# } ?? #"{"limit": 1}"#
                    let incoming = try admin.ask("mesh", method, json, id: request)
                    let page = try JSONDecoder().decode(Page.self, from: Data(incoming.payload))
                    items += page.items
                    after = page.next
                } while after != nil && request < 30
                return items
            }
            #expect(
                try all("services").filter { $0.service == "llm" }.map(\.version) == ["2.0.0", "2.0.0-beta.1", "1.0.0"]
            )
            #expect(try all("subscriptions").map(\.pattern) == ["news.1", "news.2", "news.3"])
        }
    }
}

/// A text in JSON.
private enum ConfigText {
    static func json(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
