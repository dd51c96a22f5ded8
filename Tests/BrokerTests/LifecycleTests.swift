// A broker's beginning and end: the run folder, the lock, reload, shutdown, and nothing left behind.

import Broker
import BrokerCore
import CLinuxShims
import Glibc
import MeshProtocol
import Testing
import ZeroMQ

@Suite(.serialized) struct LifecycleTests {
    @Test func `it describes itself while it serves and takes everything away at the end`() throws {
        let folder = try withBroker { broker, folder in
            let run = folder.path + "/run"
            let json = try #require(text(run + "/broker.json"))
            #expect(json.contains(broker.endpoints[0]))
            #expect(json.contains("\"pid\":\(getpid())"))
            #expect(access(run + "/mesh.sock", F_OK) == 0)
            var status = stat()
            // Root lets the plugins' group pass through.
            #expect(stat(run, &status) == 0 && status.st_mode & 0o777 == (geteuid() == 0 ? 0o710 : 0o700))
            return folder
        }
        #expect(access(folder.path + "/run/plugins", F_OK) != 0)
        #expect(access(folder.path + "/run/mesh.sock", F_OK) != 0)
        #expect(access(folder.path + "/run/broker.json", F_OK) != 0)
    }

    @Test func `plugins have a folder with the socket alone`() throws {
        try withBroker { broker, folder in
            let plugins = folder.path + "/run/plugins"
            var status = stat()
            #expect(stat(plugins, &status) == 0 && status.st_mode & 0o777 == (geteuid() == 0 ? 0o750 : 0o700))
            var socket = stat()
            #expect(stat(plugins + "/mesh.sock", &socket) == 0 && socket.st_mode & 0o777 == 0o666)
            #expect(broker.endpoints[0] != "ipc://\(plugins)/mesh.sock")
        }
    }

    @Test func `who comes by the plugins' socket is who its ticket says, whatever user it runs as`() throws {
        try withBroker { configuration, _ in
            configuration.policy.principals["llm"] = Policy.Principal(roles: ["plugin"])
        } _: { broker, folder in
            let endpoint = "ipc://\(folder.path)/run/plugins/mesh.sock"
            var stranger = try TestPeer(endpoint)
            try stranger.send(Hello(name: "wiz", version: "1.0.0", ticket: "", sdk: "test"))
            let answer = try stranger.expect().header
            guard case .reject(let reject) = answer else { throw UnexpectedHeader(header: answer) }
            #expect(reject.status == .unauthenticated && reject.message.contains("without a ticket"))
            var plugin = try TestPeer(endpoint)
            let welcome = try plugin.hello("llm", ticket: try broker.issueTicket(name: "llm"))
            #expect(welcome.principal == "llm")
            var own = try TestPeer(broker.endpoints[0])
            #expect(try own.hello().principal == "operator")
        }
    }

    @Test func `a second broker in the same folder is refused and names the first one`() throws {
        try withBroker { broker, folder in
            let second = BrokerConfiguration(runFolder: folder.path + "/run")
            let error = #expect(throws: RunFolderError.self) { try Broker.start(second, logger: quietLogger()) }
            #expect(error?.description.contains("\(getpid())") == true)
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
        }
    }

    @Test func `a folder that others may write in is refused with the command that mends it`() throws {
        let folder = TemporaryFolder()
        let run = folder.path + "/run"
        mkdir(run, 0o700)
        chmod(run, 0o777)
        let configuration = BrokerConfiguration(runFolder: run)
        let error = #expect(throws: RunFolderError.self) { try Broker.start(configuration, logger: quietLogger()) }
        #expect(error?.description.contains("chmod 700") == true)
    }

    @Test func `a socket that a dead broker left is replaced`() throws {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/run", 0o700)
        _ = folder.file("run/mesh.sock", "")
        let broker = try Broker.start(BrokerConfiguration(runFolder: folder.path + "/run"), logger: quietLogger())
        defer { broker.stopAndBlock() }
        var peer = try TestPeer(broker.endpoints[0])
        try peer.hello()
    }

    @Test func `at shutdown every peer is told and calls in flight fail`() throws {
        let folder = TemporaryFolder()
        let broker = try Broker.start(BrokerConfiguration(runFolder: folder.path + "/run"), logger: quietLogger())
        var caller = try TestPeer(broker.endpoints[0])
        var worker = try TestPeer(broker.endpoints[0])
        try caller.hello("caller")
        try worker.hello("worker")
        try worker.provide("slow")
        try caller.call("slow", "run", id: 1)
        _ = try worker.expect()
        broker.stopAndBlock(reason: "maintenance")
        guard case .fail(let fail) = try caller.expect().header else {
            Issue.record("the call did not fail")
            return
        }
        #expect(fail.status == .unavailable)
        for peer in [0, 1] {
            let incoming = peer == 0 ? try caller.expect() : try worker.expectBye()
            guard case .bye(let bye) = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
            #expect(bye.status == .unavailable)
            #expect(bye.reason.contains("maintenance"))
        }
    }

    @Test func `a broken address gives everything back`() throws {
        let folder = TemporaryFolder()
        var configuration = BrokerConfiguration(runFolder: folder.path + "/run")
        configuration.tcp = .init(listen: "203.0.113.9:7400", key: try KeyFile(creating: folder.path + "/key"))
        let broken = configuration
        #expect(throws: (any Error).self) { try Broker.start(broken, logger: quietLogger()) }
        configuration.tcp = nil
        let broker = try Broker.start(configuration, logger: quietLogger())
        broker.stopAndBlock()
    }

    @Test func `reload puts a good file into force and leaves a broken one alone`() throws {
        try withBroker { broker, folder in
            var peer = try TestPeer(broker.endpoints[0])
            try peer.hello()
            let file = folder.file("mesh.yaml", "broker: { limits: { queue: 17 } }\n")
            #expect(try broker.reload(file) == ["limits"])
            #expect(try peer.ask("mesh", "limits", id: 1).text.contains("\"queue\":17"))
            _ = folder.file("mesh.yaml", "broker: { limits: { quue: 18 } }\n")
            #expect(throws: (any Error).self) { try broker.reload(file) }
            #expect(try peer.ask("mesh", "limits", id: 2).text.contains("\"queue\":17"))
        }
    }

    @Test func `a key that is taken out of the mesh file ends its session`() throws {
        let keys = try CurveKeyPair.generate()
        try withBroker { configuration, folder in
            configuration.tcp = .init(listen: "127.0.0.1:0", key: try KeyFile(creating: folder.path + "/key"))
            configuration.keys = [keys.publicKey.z85: "theme"]
            configuration.policy.principals["theme"] = Policy.Principal()
        } _: { broker, folder in
            var options = TestPeer.options()
            options.security = .curveClient(
                serverKey: try CurvePublicKey(z85: #require(broker.publicKey)),
                keys: keys
            )
            var theme = try TestPeer(broker.endpoints[1], options: options)
            try theme.hello("theme")
            var local = try TestPeer(broker.endpoints[0])
            try local.hello("local")
            #expect(try broker.reload(folder.file("mesh.yaml", "mesh: demo\n")) == ["policy", "keys"])
            switch try theme.expect().header {
            case .bye, .reject: break
            case let other: throw UnexpectedHeader(header: other)
            }
            #expect(try !local.ask("mesh", "sessions", id: 1).text.contains("theme"))
            var again = try TestPeer(broker.endpoints[1], options: options)
            try again.send(Hello(name: "theme"))
            #expect(try again.receive(within: .milliseconds(200)) == nil)
        }
    }

    @Test func `several brokers serve in one process and nothing is left after them`() throws {
        for round in 0..<4 {
            let folders = [TemporaryFolder(), TemporaryFolder()]
            let brokers = try folders.map {
                try Broker.start(BrokerConfiguration(runFolder: $0.path + "/run"), logger: quietLogger())
            }
            for broker in brokers {
                var peer = try TestPeer(broker.endpoints[0])
                try peer.hello("peer-\(round)")
            }
            for broker in brokers { broker.stopAndBlock() }
        }
        let folder = TemporaryFolder()
        let counts = { (files: wiz_open_file_count(), threads: wiz_thread_count()) }
        let before = counts()
        for _ in 0..<3 {
            let broker = try Broker.start(
                BrokerConfiguration(runFolder: folder.path + "/run"),
                logger: quietLogger()
            )
            broker.stopAndBlock()
        }
        // Other suites run beside this one, so what they hold may come and go.
        let isClean = eventually { counts().files <= before.files + 2 && counts().threads <= before.threads + 2 }
        #expect(isClean, "before \(before), after \(counts())")
    }

    private func text(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

extension TestPeer {
    /// The BYE, after whatever else comes.
    mutating func expectBye() throws -> Incoming {
        while true {
            let incoming = try expect()
            if case .bye = incoming.header { return incoming }
        }
    }
}
