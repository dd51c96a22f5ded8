// The mesh file: what it gives, and that every problem comes at once with its place.

import BrokerCore
import ConfigDocument
import Glibc
import Logging
import Manifest
import Testing
import ZeroMQ

@testable import Broker

@Suite struct MeshFileTests {
    private func plugin(_ folder: TemporaryFolder, _ name: String, provides: String = "[]") {
        mkdir(folder.path + "/" + name, 0o700)
        _ = folder.file(
            "\(name)/plugin.json",
            "{ \"name\": \"\(name)\", \"version\": \"1.0.0\", \"main\": \"x\", \"provides\": \(provides) }"
        )
    }

    @Test func `an empty file is a mesh of local peers`() throws {
        let file = try MeshFile(text: "", path: "/m/mesh.yaml")
        #expect(file.mesh == "wizmesh")
        #expect(file.runFolder == nil && file.tcp == nil && file.plugins.isEmpty)
        #expect(file.policy == BrokerConfiguration.builtInPolicy())
        #expect(file.limits == Limits())
    }

    @Test func `everything that a file may say arrives`() throws {
        let key = try CurveKeyPair.generate().publicKey.z85
        let folder = TemporaryFolder()
        plugin(folder, "ui", provides: #"[{ "service": "ui.panels", "methods": {} }]"#)
        let text = """
            mesh: demo
            broker:
              run: run
              tcp: { listen: "127.0.0.1:7400", key: keys/broker.json }
              limits: { payload: 2MiB, queue: 99, ticket: 30s }
              deadline: 6s
              heartbeat: 500ms
              log: debug
            users: { 1000: operator, 1001: guest }
            principals:
              guest: { roles: [viewer], permissions: [storage], names: [guest-east], key: '\(key)' }
            rules:
              - allow: role:viewer
                call: [ui.show, "llm.>"]
                subscribe: ui.>
              - deny: guest
                publish: ui.secret
            services:
              llm: { balance: weighted }
            plugins:
              - path: ui
                instances: 2
                executable: bin/ui
                arguments: [--fast]
                environment: { MODE: dark }
                config: { theme: { name: midnight } }
                grant: { permissions: [networking], call: [llm.chat], publish: ["ui.>"] }
            """
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        #expect(file.mesh == "demo")
        #expect(file.runFolder == folder.path + "/run")
        #expect(file.tcp == MeshFile.TCP(listen: "127.0.0.1:7400", key: folder.path + "/keys/broker.json"))
        #expect(file.limits.payloadByteCount == 2 << 20)
        #expect(file.limits.queueCount == 99)
        #expect(file.limits.ticketMilliseconds == 30_000)
        #expect(file.limits.unaryDeadlineMilliseconds == 6_000)
        #expect(file.limits.heartbeatMilliseconds == 500)
        #expect(file.logLevel == .debug)
        #expect(file.policy.localUsers[1000] == "operator" && file.policy.localUsers[1001] == "guest")
        #expect(file.keys == [key: "guest"])
        #expect(file.policy.principals["guest"]?.names == ["guest-east"])
        #expect(file.balances == ["llm": .weighted])
        let rules = file.policy.rules.filter { $0.origin != "built in" }
        #expect(rules.contains(rule(.allow, "role:viewer", .call, "ui.show", 14)))
        #expect(rules.contains(rule(.allow, "role:viewer", .subscribe, "ui.>", 15)))
        #expect(rules.contains(rule(.deny, "guest", .publish, "ui.secret", 17)))
        #expect(rules.contains(rule(.allow, "ui", .provide, "ui", 21)))
        #expect(rules.contains(rule(.allow, "ui", .provide, "ui.panels", 21)))
        #expect(rules.contains(rule(.allow, "ui", .call, "llm.chat", 27)))
        let entry = try #require(file.plugins.first)
        #expect(entry.folder == folder.path + "/ui" && entry.name == "ui" && entry.instances == 2...2)
        #expect(entry.executable == folder.path + "/bin/ui")
        #expect(entry.arguments == ["--fast"] && entry.environment == ["MODE": "dark"])
        #expect(entry.config == #"{"theme":{"name":"midnight"}}"#)
        #expect(file.policy.principals["ui"]?.permissions == ["networking"])
        #expect(file.policy.principals["ui"]?.roles == ["plugin"])
    }

    @Test func `a plugin's entry says all that its host needs`() throws {
        let folder = TemporaryFolder()
        plugin(folder, "chat", provides: #"[{ "service": "chat", "methods": {}, "capabilities": ["talk"] }]"#)
        let text = """
            plugins:
              - path: chat
                instances: { min: 0, max: 4 }
                activation: lazy
                reload: exclusive
                idle: 90s
                enforcement: prefer
                limits: { memoryMB: 256, cpuPercent: 50, pids: 20, openFiles: 128 }
                grant: { permissions: [networking], hosts: ["api.example.org:443"] }
              - { name: far, host: machine-b, provides: [far.away], capabilities: [distant] }
            principals: { machine-b: { roles: [host] } }
            """
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        let near = try #require(file.plugins.first)
        #expect(near.instances == 0...4 && near.activation == .lazy && near.reload == .exclusive)
        #expect(near.idle == .seconds(90) && near.enforcement == .prefer && near.isRun)
        #expect(near.limits.memoryMB == 256 && near.limits.cpuPercent == 50)
        #expect(near.limits.pids == 20 && near.limits.openFiles == 128)
        #expect(near.grant.hosts?.map(\.description) == ["api.example.org:443"])
        let far = try #require(file.plugins.last)
        #expect(far.host == "machine-b" && far.folder.isEmpty && far.name == "far")
        let provided = file.policy.rules.filter { $0.action == .provide }.map { $0.subject + ":" + $0.target }
        #expect(provided.contains("chat:capability.talk") && provided.contains("far:far.away"))
        #expect(provided.contains("far:capability.distant") && provided.contains("role:host:host.>"))
        #expect(file.policy.rules.contains { $0.effect == .deny && $0.target == "host.local" })
        #expect(file.policy.principals["far"]?.roles == ["plugin"])
        #expect(file.policy.principals["far"]?.host == "machine-b" && file.policy.principals["chat"]?.host == "")
    }

    @Test func `a folder of plugins is read whole, and entries of its own go before`() throws {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/plugins", 0o700)
        for name in ["a", "b", "c"] {
            mkdir(folder.path + "/plugins/" + name, 0o700)
            _ = folder.file("plugins/\(name)/plugin.json", #"{ "name": "\#(name)", "version": "1.0.0", "main": "x" }"#)
        }
        mkdir(folder.path + "/plugins/none", 0o700)
        let text = "pluginsFolder: plugins\nplugins: [{ path: plugins/b, instances: 3 }]"
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        #expect(file.plugins.map(\.name) == ["b", "a", "c"])
        #expect(file.plugins.map(\.instances) == [3...3, nil, nil])
    }

    @Test func `the grants file takes the place of grants for the plugins that it lists`() throws {
        let folder = TemporaryFolder()
        plugin(folder, "chat")
        plugin(folder, "ui")
        let grants = "plugins: { chat: { permissions: [storage], hosts: [\"api.example.org:443\"] } }"
        _ = folder.file("grants.yaml", grants)
        let text = """
            plugins:
              - { path: chat, grant: { permissions: [networking] } }
              - { path: ui, grant: { permissions: [networking] } }
            """
        let file = try MeshFile(text: text, path: folder.path + "/mesh.yaml")
        #expect(file.grantsPath == folder.path + "/grants.yaml")
        #expect(file.plugins.map(\.permissions) == [["storage"], ["networking"]])
        #expect(file.plugins.first?.grant.hosts?.count == 1)
        #expect(file.policy.principals["chat"]?.permissions == ["storage"])
        _ = folder.file("other.yaml", "plugins: { chat: { permissons: [] } }")
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshFile(text: "grants: other.yaml\n" + text, path: folder.path + "/mesh.yaml")
        }
        #expect(errors?.description.contains("did you mean \"permissions\"") == true, "\(errors?.description ?? "")")
    }

    @Test(arguments: [
        ("{ name: far, host: b, path: x }", "has the plugin's folder"),
        ("{ host: b }", "key \"name\" is missing"),
        ("{ path: ui, provides: [x] }", "the manifest says"),
        ("{ path: ui, instances: { min: 3, max: 2 } }", "at least 3"),
        ("{ path: ui, enforcement: perhaps }", "require"),
        ("{ path: ui, limits: { memory: 1 } }", "memoryMB"),
        ("{ path: ui, activation: later }", "eager"),
    ])
    func `what does not fit together is told`(entry: String, part: String) throws {
        let folder = TemporaryFolder()
        plugin(folder, "ui")
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshFile(text: "plugins: [\(entry)]", path: folder.path + "/mesh.yaml")
        }
        #expect(errors?.description.contains(part) == true, "\(errors?.description ?? "")")
    }

    private func rule(
        _ effect: Policy.Effect,
        _ subject: String,
        _ action: Policy.Action,
        _ target: String,
        _ line: Int
    ) -> Policy.Rule {
        Policy.Rule(effect: effect, subject: subject, action: action, target: target, origin: "mesh.yaml:\(line)")
    }

    @Test func `every problem comes at once with its line`() throws {
        let text = """
            broker: { limits: { quue: 1 }, tcp: { listen: "*:7400" } }
            users: { bob: operator }
            principals: { Good: {} }
            rules:
              - allow: nobody
                deny: operator
                call: ui
              - allow: operator
                cal: x
            services: { llm: { balance: fastest } }
            plugins: [{ path: nowhere, instances: many, environment: { WIZ_TICKET: x } }]
            """
        let errors = #expect(throws: ConfigErrors.self) { try MeshFile(text: text, path: "/m/mesh.yaml") }
        let description = try #require(errors?.description)
        for part in [
            ":1:21 ", "did you mean \"queue\"", "every address", "key \"key\" is missing", "\"bob\" is not a user",
            "\"Good\"",
            "allows or denies", "unknown key \"cal\"", "about nothing", "least-loaded", "instances", "WIZ_TICKET",
            "plugin.json",
        ] {
            #expect(description.contains(part), "\(part) in:\n\(description)")
        }
    }

    @Test(arguments: ["0.0.0.0:1", "[::]:1", "*:1", "127.0.0.1", "127.0.0.1:99999", ":7400"])
    func `an address that is for everybody or none is refused`(listen: String) {
        let text = "broker: { tcp: { listen: \"\(listen)\", key: k } }"
        #expect(throws: ConfigErrors.self) { try MeshFile(text: text, path: "/m/mesh.yaml") }
    }

    @Test func `each name and each key is given once`() throws {
        let folder = TemporaryFolder()
        plugin(folder, "ui")
        let key = try CurveKeyPair.generate().publicKey.z85
        let text = """
            principals: { a: { key: '\(key)' }, b: { key: '\(key)' } }
            plugins: [{ path: ui }, { path: ui }]
            """
        let errors = #expect(throws: ConfigErrors.self) { try MeshFile(text: text, path: folder.path + "/mesh.yaml") }
        #expect(errors?.problems.count == 2)
    }

    @Test func `every limit has a name and keeps its own value`() {
        #expect(LimitTable.entries.count == Mirror(reflecting: Limits()).children.count)
        #expect(Set(LimitTable.entries.map(\.name)).count == LimitTable.entries.count)
        for entry in LimitTable.entries {
            #expect(entry.range.contains(entry.get(Limits())), "\(entry.name)")
            var limits = Limits()
            entry.set(&limits, entry.range.upperBound)
            #expect(entry.get(limits) == entry.range.upperBound, "\(entry.name)")
            let others = LimitTable.entries.filter { $0.name != entry.name }
            #expect(others.allSatisfy { $0.get(limits) == $0.get(Limits()) }, "\(entry.name)")
        }
    }
}
