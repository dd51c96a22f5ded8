// What a plugin finds when it tries to get out of its sandbox, asked from inside.

import CLinuxShims
import Glibc
import Manifest
import PluginHost
import Testing

@Suite(.enabled(if: sandboxWorks), .timeLimit(.minutes(1)))
struct SandboxInsideTests {
    private static let unix = "socket:\(AF_UNIX):1:0"
    private static let outward = [
        "socket:\(AF_INET):1:0", "socket:\(AF_INET):2:0", "socket:\(AF_INET):3:1", "socket:\(AF_INET6):1:0",
        "socket:\(AF_INET6):2:0", "socket:\(AF_PACKET):3:0", "socket:\(AF_NETLINK):3:0", "socket:40:1:0",
    ]

    @Test func `without networking there is no socket but a unix one`() async throws {
        let place = try Place()
        let answers = try await ask(Self.outward + [Self.unix, "interfaces"], in: place)
        for socket in Self.outward { #expect(answers[socket] == "EACCES", "\(socket)") }
        #expect(answers[Self.unix] == "ok")
        #expect(answers["interfaces"] == "lo")
    }

    @Test func `of unix sockets only the broker's can be reached`() async throws {
        let place = try Place()
        let server = try #require(TestServer(unix: place.path + "/other/other.sock"))
        let abstract = try #require(TestServer(abstract: "wiz-test-\(getpid())"))
        let questions = [
            "unix:/run/wiz/mesh.sock", "unix:\(place.path)/other/other.sock", "unix:\(place.path)/mesh/mesh.sock",
            "abstract:\(abstract.name)", "write:/run/wiz",
        ]
        let answers = try await ask(questions, in: place)
        #expect(answers["unix:/run/wiz/mesh.sock"] == "ok")
        #expect(answers["unix:\(place.path)/other/other.sock"] == "ENOENT")
        #expect(answers["unix:\(place.path)/mesh/mesh.sock"] == "ENOENT")
        #expect(answers["abstract:\(abstract.name)"] == "ECONNREFUSED")
        #expect(answers["write:/run/wiz"] == "EROFS")
        withExtendedLifetime(server) {}
    }

    @Test func `no file is seen but the system's and the plugin's own`() async throws {
        let place = try Place()
        let hidden = [
            "/etc/passwd", "/etc/shadow", "/root", "/home", "/var", "/sys", place.path, place.path + "/other/secret",
        ]
        let closed = ["/", "/usr", "/plugin", "/dev", "/run", "/etc", "/data", "/proc"]
        let open = ["/tmp", "/dev/shm"]
        let questions =
            hidden.map { "read:" + $0 } + (closed + open).map { "write:" + $0 } + ["read:/plugin", "folder"]
        let answers = try await ask(questions, in: place)
        for path in hidden { #expect(answers["read:" + path] == "ENOENT", "\(path)") }
        for path in closed { #expect(answers["write:" + path] != "ok", "\(path)") }
        for path in open { #expect(answers["write:" + path] == "ok", "\(path)") }
        #expect(answers["read:/plugin"] == "ok")
        #expect(answers["folder"] == "/plugin")
    }

    @Test func `no other process is seen, and the plugin is the first of its own`() async throws {
        let place = try Place()
        let answers = try await ask(["processes", "processid", "signal:\(getpid())"], in: place)
        #expect(answers["processes"] == "1")
        #expect(answers["processid"] == "1")
        #expect(answers["signal:\(getpid())"] == "ESRCH")
    }

    @Test func `there are no capabilities, and none can be had`() async throws {
        let place = try Place()
        let none = "0000000000000000"
        let status = ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]
        let answers = try await ask(status.map { "status:" + $0 } + ["mounts", "setuid"], in: place)
        for name in status.prefix(5) { #expect(answers["status:" + name] == none, "\(name)") }
        #expect(answers["status:NoNewPrivs"] == "1")
        #expect(answers["status:Seccomp"] == "2")
        #expect(answers["mounts"] == "EPERM")
        #expect(answers["setuid"] != "ok")
    }

    @Test func `with storage there is one writable folder, and its files are kept`() async throws {
        let place = try Place()
        let storage = LaunchPermissions(storage: true)
        let answers = try await ask(
            ["write:/data", "write:/plugin", "environment:WIZ_DATA", "environment:HOME"],
            in: place,
            permissions: storage
        )
        #expect(answers["write:/data"] == "ok")
        #expect(answers["write:/plugin"] == "EROFS")
        #expect(answers["environment:WIZ_DATA"] == "/data")
        #expect(answers["environment:HOME"] == "/data")
        let heard = Heard()
        let order = place.order(
            ["write", "/data"],
            permissions: storage,
            limits: ProcessLimits(fileSizeBytes: 2 << 20)
        )
        let end = try await testLauncher().launch(order, line: heard.hear).end()
        #expect(end.cause == .exited(0), "\(heard.lines)")
        #expect(heard.texts(.standardOutput).last == "wrote \(2 << 20) error \(EFBIG)")
        #expect(access(place.path + "/data/full", F_OK) == 0)
    }

    @Test func `the temporary folder holds so much and no more`() async throws {
        let place = try Place()
        let heard = Heard()
        let launcher = testLauncher { $0.temporaryBytes = 4 << 20 }
        let end = try await launcher.launch(place.order(["write", "/tmp"]), line: heard.hear).end()
        #expect(end.cause == .exited(0))
        #expect(heard.texts(.standardOutput).last == "wrote \(4 << 20) error \(ENOSPC)")
    }

    @Test func `with networking the host's network is there, and other kinds of sockets are not`() async throws {
        let place = try Place()
        let server = try #require(TestServer(port: 0))
        let abstract = try #require(TestServer(abstract: "wiz-test-all-\(getpid())"))
        let packet = "socket:\(AF_PACKET):3:0"
        let answers = try await ask(
            ["tcp:127.0.0.1:\(server.port)", packet, "socket:40:1:0", "abstract:\(abstract.name)"],
            in: place,
            permissions: LaunchPermissions(networking: .all)
        )
        #expect(answers["tcp:127.0.0.1:\(server.port)"] == "ok")
        #expect(answers[packet] == "EACCES")
        #expect(answers["socket:40:1:0"] == "EACCES")
        // Abstract names belong to the network; Landlock keeps them apart where the kernel has version 6 of it.
        if landlockVersion >= 6 { #expect(answers["abstract:\(abstract.name)"] == "EPERM") }
    }

    @Test func `what is set is in the environment in the sandbox's own words`() async throws {
        let place = try Place()
        let names = ["WIZ_ENDPOINT", "WIZ_PLUGIN_FOLDER", "WIZ_DATA", "WIZ_TICKET", "HOME", "SECRET_OF_THE_HOST"]
        setenv("SECRET_OF_THE_HOST", "1", 1)
        let heard = Heard()
        let order = place.order(
            ["probe", "--"] + names.map { "environment:" + $0 },
            program: fixture("wizmesh-launch"),
            environment: ["WIZ_TICKET": "t", "WIZ_ENDPOINT": "ipc://\(place.path)/mesh/mesh.sock", "WIZ_DATA": "x"]
        )
        _ = try await testLauncher().launch(order, line: heard.hear).end()
        #expect(
            heard.texts(.standardOutput) == [
                "environment:WIZ_ENDPOINT=ipc:///run/wiz/mesh.sock", "environment:WIZ_PLUGIN_FOLDER=/plugin",
                "environment:WIZ_DATA=none", "environment:WIZ_TICKET=t", "environment:HOME=/tmp",
                "environment:SECRET_OF_THE_HOST=none",
            ]
        )
    }

    @Test func `settings go in over standard input, which stays open`() async throws {
        let place = try Place()
        let heard = Heard()
        var order = place.order(["input"])
        order.input = #"{"config":{}}"#
        let process = try await testLauncher().launch(order, line: heard.hear)
        await heard.wait(for: "read ")
        #expect(heard.texts(.standardOutput).last == #"read {"config":{}}"#)
        process.kill()
        #expect(await process.end().cause == .signalled(SIGKILL))
    }

    @Test func `a report names what holds each thing`() async throws {
        let place = try Place()
        let order = place.order(
            ["exit"],
            limits: ProcessLimits(memoryBytes: 64 << 20, processCount: 8, openFileCount: 32)
        )
        let process = try await testLauncher().launch(order) { _, _ in }
        _ = await process.end()
        let report = process.isolation
        #expect(report.notEnforced.isEmpty)
        #expect(report["networking"]?.rule == "none")
        #expect(report["memory"]?.rule == "at most 64 MB")
        #expect(
            report.lines.map(\.subject) == [
                "networking", "storage", "files", "processes", "privileges", "memory", "pids", "open files",
            ]
        )
    }
}
