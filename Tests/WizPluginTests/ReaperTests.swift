// Process 1 of a sandbox: what it buries, and that it can be stopped.

import Foundation
import Glibc
import Testing

@testable import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct ReaperTests {
    @Test func `only what has been dead for a while is buried`() {
        var reaper = Reaper()
        let start = ContinuousClock.now
        #expect(reaper.due([5, 9], now: start) == [])
        #expect(reaper.due([9], now: start + .seconds(5)) == [])
        // 5 was buried by whoever waited for it; the number may be another's by now.
        #expect(reaper.due([5, 9], now: start + .seconds(10)) == [9])
        #expect(reaper.due([5], now: start + .seconds(20)) == [5])
    }

    @Test func `a dead child is seen until somebody waits for it`() throws {
        var id: Int32 = 0
        var arguments = [strdup("true"), nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&id, "/bin/true", nil, nil, &arguments, environ) == 0)
        var info = siginfo_t()
        try #require(waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) == 0)
        #expect(Reaper.deadChildren().contains(id))
        var status: Int32 = 0
        #expect(waitpid(id, &status, 0) == id)
        #expect(!Reaper.deadChildren().contains(id))
    }

    static let namespace = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]

    /// Whether this process may make a namespace of processes.
    static let mayUnshare: Bool = {
        var id: Int32 = 0
        var arguments = (["unshare"] + namespace + ["true"]).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        guard posix_spawn(&id, "/usr/bin/unshare", &actions, nil, &arguments, environ) == 0 else { return false }
        var status: Int32 = -1
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status == 0
    }()

    @Test(.enabled(if: ReaperTests.mayUnshare))
    func `as process 1 it serves, heeds SIGTERM and says BYE`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.gone")
            let process = try PluginProgram(
                mesh.endpoint,
                "rogue-plugin",
                folder: SettingsTests.rogue,
                wrapper: ["/usr/bin/unshare"] + Self.namespace,
                words: ["orphan"]
            )
            try await mesh.awaitService("rogue")
            let about = try await mesh.call("rogue", "about")
            #expect(about["process"] == 1)
            // The one child of unshare is the plugin; its number outside is another one.
            let children = "/proc/\(process.id)/task/\(process.id)/children"
            let text = try String(contentsOfFile: children, encoding: .utf8)
            let id = try #require(Int32(text.split(separator: " ").first ?? ""))
            kill(id, SIGTERM)
            for try await event in events {
                let notice = try event.payload.decode(Value.self)
                #expect(notice["fields"]?["cause"] == "left", "\(event.payload.text)")
                break
            }
            #expect(await process.end() == 0)
        }
    }
}
