// Sessions and calls over real sockets: ipc, and tcp with CURVE.

import Broker
import BrokerCore
import Glibc
import MeshProtocol
import Testing
import ZeroMQ

@Suite struct SessionTests {
    @Test func `a call goes to a worker and its answer comes back over ipc`() throws {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            var caller = try TestPeer(broker.endpoints[0])
            let welcome = try worker.hello("worker")
            #expect(welcome.principal == "operator")
            #expect(welcome.epoch == broker.epoch)
            try caller.hello("caller")
            try worker.provide("echo")
            try exchange(&caller, &worker, service: "echo")
        }
    }

    @Test func `payloads of every size arrive as they were sent`() throws {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            var caller = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try caller.hello("caller")
            try worker.provide("echo")
            for (index, size) in [0, 1, 33, 34, 8192, 100_000, 1 << 20].enumerated() {
                let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                try caller.call("echo", "run", id: UInt64(index + 1), payload: payload)
                let received = try worker.expect()
                guard case .call(let call) = received.header else { throw UnexpectedHeader(header: received.header) }
                #expect(received.payload == payload)
                try worker.send(End(id: call.id), payload: received.payload)
                let answer = try caller.expect()
                #expect(answer.payload == payload)
            }
        }
    }

    @Test func `tcp peers come with a key, and strangers do not come in`() throws {
        let keys = try CurveKeyPair.generate()
        try withBroker { configuration, folder in
            let key = try KeyFile(creating: folder.path + "/broker.key")
            configuration.tcp = BrokerConfiguration.TCP(listen: "127.0.0.1:0", key: key)
            configuration.keys = [keys.publicKey.z85: "theme"]
            configuration.policy.principals["theme"] = Policy.Principal(roles: ["operator"])
        } _: { broker, _ in
            let serverKey = try CurvePublicKey(z85: #require(broker.publicKey))
            var known = TestPeer.options()
            known.security = .curveClient(serverKey: serverKey, keys: keys)
            var worker = try TestPeer(broker.endpoints[1], options: known)
            #expect(try worker.hello("theme").principal == "theme")
            var stranger = TestPeer.options()
            stranger.security = .curveClient(serverKey: serverKey, keys: try CurveKeyPair.generate())
            var refused = try TestPeer(broker.endpoints[1], options: stranger)
            try refused.send(Hello(name: "theme"))
            #expect(try refused.receive(within: .milliseconds(300)) == nil)
            var plain = try TestPeer(broker.endpoints[1])
            try plain.send(Hello(name: "theme"))
            #expect(try plain.receive(within: .milliseconds(300)) == nil)
            var caller = try TestPeer(broker.endpoints[0])
            try caller.hello("caller")
            try worker.provide("ui")
            try exchange(&caller, &worker, service: "ui")
        }
    }

    @Test func `the key of a plugin goes by the names that the mesh file gives it`() throws {
        let keys = try CurveKeyPair.generate()
        let folder = TemporaryFolder()
        _ = try KeyFile(creating: folder.path + "/broker.key")
        let text = """
            broker: { run: run, tcp: { listen: "127.0.0.1:0", key: broker.key } }
            principals:
              theme: { roles: [plugin], names: [night], key: '\(keys.publicKey.z85)' }
            """
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        let broker = try Broker.start(try BrokerConfiguration(file), logger: quietLogger())
        defer { broker.stopAndBlock() }
        var options = TestPeer.options()
        let serverKey = try CurvePublicKey(z85: #require(broker.publicKey))
        options.security = .curveClient(serverKey: serverKey, keys: keys)
        for name in ["theme", "night"] {
            var peer = try TestPeer(broker.endpoints[1], options: options)
            #expect(try peer.hello(name).principal == "theme")
        }
        var liar = try TestPeer(broker.endpoints[1], options: options)
        try liar.send(Hello(name: "ui"))
        #expect(try rejection(&liar) == .permissionDenied)
    }

    @Test func `a ticket is good once and names its bearer`() throws {
        try withBroker { configuration, _ in
            configuration.policy.principals["llm"] = Policy.Principal(roles: ["plugin"])
        } _: { broker, _ in
            let ticket = try broker.issueTicket(name: "llm")
            var first = try TestPeer(broker.endpoints[0])
            let welcome = try first.hello("llm", ticket: ticket)
            #expect(welcome.principal == "llm")
            #expect(!welcome.ticket.isEmpty && welcome.ticket != ticket)
            var second = try TestPeer(broker.endpoints[0])
            try second.send(Hello(name: "llm", ticket: ticket))
            #expect(try rejection(&second) == .unauthenticated)
            var liar = try TestPeer(broker.endpoints[0])
            try liar.send(Hello(name: "other", ticket: try broker.issueTicket(name: "llm")))
            #expect(try rejection(&liar) == .permissionDenied)
        }
    }

    @Test func `a user whom the mesh file does not list needs a ticket`() throws {
        try withBroker { configuration, _ in
            configuration.policy.localUsers = [:]
            configuration.policy.principals["llm"] = Policy.Principal(roles: ["plugin"])
        } _: { broker, _ in
            var stranger = try TestPeer(broker.endpoints[0])
            try stranger.send(Hello(name: "someone"))
            #expect(try rejection(&stranger) == .unauthenticated)
            var plugin = try TestPeer(broker.endpoints[0])
            #expect(try plugin.hello("llm", ticket: broker.issueTicket(name: "llm")).principal == "llm")
        }
    }

    private func exchange(_ caller: inout TestPeer, _ worker: inout TestPeer, service: String) throws {
        try caller.call(service, "run", id: 42, payload: Array("ping".utf8))
        let received = try worker.expect()
        guard case .call(let call) = received.header else { throw UnexpectedHeader(header: received.header) }
        #expect(received.text == "ping")
        #expect(call.id.isLease)
        try worker.send(End(id: call.id), json: "pong")
        let answer = try caller.expect()
        guard case .end(let end) = answer.header else { throw UnexpectedHeader(header: answer.header) }
        #expect(end.id.rawValue == 42)
        #expect(answer.text == "pong")
    }
}

/// The status of the REJECT that a peer gets.
func rejection(_ peer: inout TestPeer) throws -> Status {
    let incoming = try peer.expect()
    guard case .reject(let reject) = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
    return reject.status
}
