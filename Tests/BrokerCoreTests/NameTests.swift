// Names: what a peer calls itself against what its key, its user or its ticket say, the services of hosts, and of which
// plugins a host speaks.

import MeshProtocol
import Testing

@testable import BrokerCore

struct NameTests {
    /// Two plugins with keys, one of which has a further name, two hosts, a person and an operator's plugin.
    static var policy: Policy {
        var policy = HostTests.policy
        policy.principals["ui"] = Policy.Principal(roles: ["plugin"], names: ["ui-east"], host: "machine-b")
        policy.principals["machine-b"] = Policy.Principal(roles: ["host"], names: ["cellar"])
        policy.principals["chat.east"] = Policy.Principal(roles: ["plugin"])
        policy.principals["chat-east"] = Policy.Principal(roles: ["plugin"], host: "machine-b")
        policy.principals["ann"] = Policy.Principal(roles: ["viewer"])
        policy.principals["tool"] = Policy.Principal(roles: ["plugin", "operator"])
        policy.localUsers[1_001] = "echo"
        policy.rules += [
            Policy.Rule(effect: .allow, subject: "role:host", action: .provide, target: "host.>", origin: "t:2"),
            Policy.Rule(effect: .allow, subject: "role:host", action: .publish, target: "mesh.plugin.>", origin: "t:3"),
        ]
        return policy
    }

    let bench = CoreBench(policy: NameTests.policy)

    @Test(arguments: [
        ("echo", "echo", true), ("echo", "ui", false), ("ui", "ui", true), ("ui", "ui-east", true),
        ("ui", "echo", false),
        ("ann", "anything", true), ("tool", "anything", true), ("machine-a", "anything", true),
        ("machine-b", "cellar", true), ("machine-b", "attic", false), ("nobody", "anything", true),
    ])
    func `a plugin's key goes by its own names, others by any`(principal: String, name: String, isGood: Bool) throws {
        let peer = bench.stranger(.key(principal: principal))
        peer.send(.hello(Hello(name: name)))
        guard !isGood else {
            guard case .welcome(let welcome)? = peer.next() else { throw BenchError.notWelcomed }
            return #expect(welcome.principal == principal)
        }
        let reject = try peer.expectReject(.permissionDenied)
        #expect(reject.message.contains("\"\(name)\"") && reject.message.contains("`names:`"), "\(reject.message)")
    }

    @Test func `a local user who is a plugin goes by its own name, too`() throws {
        let peer = bench.stranger(.local(user: 1_001, process: 3))
        peer.send(.hello(Hello(name: "ui")))
        _ = try peer.expectReject(.permissionDenied)
        _ = try bench.peer("echo", .local(user: 1_001, process: 3))
    }

    @Test func `a session whose name the mesh file takes back ends`() throws {
        let east = try bench.peer("ui-east", .key(principal: "ui"))
        let plain = try bench.peer("ui", .key(principal: "ui"))
        var policy = NameTests.policy
        policy.principals["ui"]?.names = []
        bench.run { $0.setPolicy(policy, now: $1, into: &$2) }
        _ = try east.expectReject(.permissionDenied)
        #expect(!plain.isClosed)
    }

    @Test func `a host gets tickets for its plugins' own names alone`() {
        func problem(_ name: String, _ principal: String, _ caller: String) -> Failure? {
            bench.run { core, _, _ in core.ticketProblem(TicketGrant(name: name, principal: principal), for: caller) }
        }
        #expect(problem("ui", "ui", "machine-b") == nil)
        #expect(problem("ui-east", "ui", "machine-b") == nil)
        #expect(problem("echo", "ui", "machine-b")?.status == .permissionDenied)
        #expect(problem("anything", "ui", "root") == nil)
    }

    @Test func `a host provides the service of its own name alone, whether the owner of another is there or not`()
        throws
    {
        let first = try bench.peer("box-7", .key(principal: "machine-a"))
        try first.provide("host.machine-a")
        let second = try bench.peer("cellar", .key(principal: "machine-b"))
        try second.provide("host.machine-b")
        try second.provide("host.cellar")
        for service in ["host.box-7", "host.machine-b", "host.cellar", "host.machine-a.x", "host."] {
            first.send(
                .provide(Provide(id: try first.id(), capacity: 1, service: service, version: "1.0.0", methods: []))
            )
            let status: Status = service == "host." ? .invalidArgument : .permissionDenied
            #expect(try first.expectFail(status).message.contains(service))
        }
        let root = try bench.peer("wiz")
        try root.provide("host.local")
    }

    @Test func `a host loses the service of a name that the mesh file takes back`() throws {
        let host = try bench.peer("machine-b", .key(principal: "machine-b"))
        let id = try host.provide("host.cellar")
        try host.provide("host.machine-b")
        var policy = NameTests.policy
        policy.principals["machine-b"]?.names = []
        bench.run { $0.setPolicy(policy, now: $1, into: &$2) }
        #expect(try host.expectFail(.permissionDenied).id == id.wire)
        #expect(bench.services(after: nil, limit: 9).map(\.service) == ["host.machine-b", "mesh"])
    }

    @Test(arguments: [
        ("mesh.plugin.echo.ready", true), ("mesh.plugin.ui.ready", false), ("mesh.plugin.stranger.ready", false),
        ("mesh.plugin.root.ready", false), ("mesh.plugin", false), ("mesh.session.gone", false), ("mesh", false),
        ("mesh.plugin.chat-east.ready", false),
    ])
    func `a host speaks of the plugins that it may start alone`(topic: String, isGood: Bool) throws {
        let host = try bench.peer("machine-a", .key(principal: "machine-a"))
        let id = try host.id()
        host.send(.publish(Publish(flags: .acknowledge, id: id, topic: topic)))
        guard !isGood else { return try host.expectEnd(id) }
        #expect(try host.expectFail(.permissionDenied).message.contains("\"\(topic)\""))
        #expect(
            bench.run { core, _, _ in core.explain(caller: "machine-a", action: .publish, target: topic).allowed }
                == false
        )
    }

    @Test func `a plugin whose host the mesh file names is spoken of by no other from then on`() throws {
        let host = try bench.peer("machine-a", .key(principal: "machine-a"))
        func publish() throws -> RequestID {
            let id = try host.id()
            host.send(.publish(Publish(flags: .acknowledge, id: id, topic: "mesh.plugin.echo.ready")))
            return id
        }
        try host.expectEnd(publish())
        var policy = NameTests.policy
        policy.principals["echo"]?.host = "machine-b"
        bench.run { $0.setPolicy(policy, now: $1, into: &$2) }
        _ = try publish()
        #expect(try host.expectFail(.permissionDenied).message.contains("machine-b"))
    }

    @Test func `nobody but hosts and operators speaks of plugins, and an operator of any`() throws {
        for (principal, topic, isGood) in [
            ("root", "mesh.plugin.ui.ready", true), ("root", "mesh.session.gone", false),
            ("echo", "mesh.plugin.echo.ready", false),
        ] {
            let peer = try bench.peer(principal, .key(principal: principal))
            let id = try peer.id()
            peer.send(.publish(Publish(flags: .acknowledge, id: id, topic: topic)))
            if isGood { try peer.expectEnd(id) } else { _ = try peer.expectFail(.permissionDenied) }
        }
    }

    @Test func `what is out of a host's reach is explained with the lines that would change it`() {
        let answer = bench.run { core, _, _ in
            core.explain(caller: "machine-a", action: .provide, target: "host.attic")
        }
        #expect(!answer.allowed && answer.reason.contains("host.machine-a"))
        #expect(answer.grant == ["principals:", "  machine-a:", "    names: [attic]"])
        #expect(
            bench.run { core, _, _ in core.explain(caller: "machine-b", action: .provide, target: "host.cellar").allowed
            }
        )
    }
}
