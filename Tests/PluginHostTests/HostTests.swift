// The host with real processes: tiny shell scripts in folders of their own.

import ConfigDocument
import Glibc
import Manifest
import PluginHost
import Synchronization
import Testing

struct HostTests {
    @Test func `a process gets its folder, endpoint, ticket, instance and settings, and its lines are told`()
        async throws
    {
        let folder = try ScriptPlugin(
            "shows",
            """
            pwd; echo "$WIZ_PLUGIN_FOLDER|$WIZ_ENDPOINT|$WIZ_TICKET|$WIZ_INSTANCE|$WIZ_PLUGIN_CONFIG|$EXTRA|$1"
            echo oops >&2
            exec sleep 60
            """
        )
        let log = EventLog(readyOnLine: "oops")
        let host = PluginHost(hooks: log.hooks)
        try await host.start([
            try PluginSpecification(
                folder: folder.path,
                arguments: ["argument"],
                environment: ["EXTRA": "extra"],
                config: #"{"a":1}"#
            )
        ])
        await log.wait { $0.lines.count == 3 }
        let path = folder.path
        #expect(log.lines.contains("shows#1 stdout \(path)"))
        #expect(
            log.lines.contains(#"shows#1 stdout \#(path)|ipc:///test|ticket-shows#1|1|{"a":1}|extra|argument"#)
        )
        #expect(log.lines.contains("shows#1 stderr oops"))
        let statuses = await host.statuses
        #expect(statuses.map(\.state) == [.ready])
        await host.stop()
        #expect(await host.statuses.map(\.state) == [.stopped])
        #expect(log.ends.map(\.cause) == [.signalled(SIGTERM)])
    }

    @Test func `a process that ends before it is ready fails the start with its last lines`() async throws {
        let folder = try ScriptPlugin("fails", "for i in $(seq 1 30); do echo line $i >&2; done; exit 3")
        let log = EventLog(readyOnLine: "never")
        let host = PluginHost(hooks: log.hooks)
        let failure = await #expect(throws: PluginStartFailure.self) {
            try await host.start([try PluginSpecification(folder: folder.path)])
        }
        #expect(failure?.reason == "it ended with exit 3 before it was registered")
        #expect(failure?.lastLines == (11...30).map { "line \($0)" })
        await host.stop()
    }

    @Test func `a process that does not register in time fails the start and is ended`() async throws {
        let folder = try ScriptPlugin("idles", "echo idle >&2; exec sleep 60")
        let log = EventLog(readyOnLine: "never")
        let host = PluginHost(hooks: log.hooks, bounds: PluginHost.Bounds(ready: .milliseconds(300)))
        let failure = await #expect(throws: PluginStartFailure.self) {
            try await host.start([try PluginSpecification(folder: folder.path)])
        }
        #expect(failure?.reason.contains("did not register") == true)
        #expect(failure?.lastLines == ["idle"])
        #expect(log.ends.map(\.cause) == [.signalled(SIGTERM)])
        await host.stop()
    }

    @Test func `a killed process is told at once and started again`() async throws {
        let folder = try ScriptPlugin("lives", "echo up >&2; exec sleep 60", restart: "permanent")
        let log = EventLog(readyOnLine: "up")
        let timing = RestartMachine.Timing(first: .milliseconds(10))
        let host = PluginHost(hooks: log.hooks, bounds: PluginHost.Bounds(restart: timing))
        try await host.start([try PluginSpecification(folder: folder.path)])
        let first = try #require(await host.statuses.first?.process)
        let begin = ContinuousClock.now
        kill(first, SIGKILL)
        await log.wait { $0.ends.count == 1 }
        #expect(begin.duration(to: .now) < .milliseconds(500))
        #expect(log.ends.first?.process == first)
        #expect(log.ends.first?.cause == .signalled(SIGKILL))
        await log.wait { $0.started.count == 2 && $0.readyCount == 2 }
        let second = try #require(await host.statuses.first?.process)
        #expect(second != first)
        await host.stop()
        #expect(kill(second, 0) != 0)
    }

    @Test func `the end is told although a grandchild holds the output open`() async throws {
        let folder = try ScriptPlugin("forks", "sleep 30 & echo up >&2; exec sleep 60", restart: "temporary")
        let log = EventLog(readyOnLine: "up")
        let host = PluginHost(hooks: log.hooks)
        try await host.start([try PluginSpecification(folder: folder.path)])
        let process = try #require(await host.statuses.first?.process)
        let begin = ContinuousClock.now
        kill(process, SIGKILL)
        await log.wait { $0.ends.count == 1 }
        #expect(begin.duration(to: .now) < .milliseconds(500))
        kill(-process, SIGKILL)
        await host.stop()
    }

    @Test func `a process that ignores SIGTERM is killed after the grace`() async throws {
        let folder = try ScriptPlugin("stays", "trap '' TERM; echo up >&2; while :; do sleep 0.05; done")
        let log = EventLog(readyOnLine: "up")
        let host = PluginHost(hooks: log.hooks, bounds: PluginHost.Bounds(grace: .milliseconds(200)))
        try await host.start([try PluginSpecification(folder: folder.path)])
        await host.stop()
        #expect(log.ends.map(\.cause) == [.signalled(SIGKILL)])
    }

    @Test func `standard input stays open while the host runs`() async throws {
        let folder = try ScriptPlugin("reads", "echo up >&2; read line; echo ended >&2; exit 5", restart: "temporary")
        let log = EventLog(readyOnLine: "up")
        let host = PluginHost(hooks: log.hooks)
        try await host.start([try PluginSpecification(folder: folder.path)])
        await host.stop()
        #expect(log.ends.map(\.cause) == [.signalled(SIGTERM)])
    }

    @Test func `plugins start after those they require and stop before them`() async throws {
        let script = "trap 'echo bye >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.02; done"
        let provider = try ScriptPlugin("provider", script, more: #""provides":[{"service":"things"}],"#)
        let user = try ScriptPlugin(
            "user",
            script,
            more: #""dependencies":{"required":[{"service":"things","range":"*"}]},"#
        )
        let log = EventLog(readyOnLine: "up")
        let host = PluginHost(hooks: log.hooks)
        try await host.start([
            try PluginSpecification(folder: user.path), try PluginSpecification(folder: provider.path, instances: 2),
        ])
        let order = log.started.map(\.plugin)
        #expect(order == ["provider", "provider", "user"])
        await host.stop()
        #expect(log.ends.map(\.instance.plugin) == ["user", "provider", "provider"])
        #expect(log.ends.allSatisfy { $0.cause == .exited(0) })
    }

    @Test func `a program that is missing is told with what to do`() throws {
        let folder = try ScriptPlugin("missing", "exit 0")
        unlink(folder.path + "/main.sh")
        let errors = #expect(throws: ConfigErrors.self) { try PluginSpecification(folder: folder.path) }
        #expect(errors?.description.contains("build the plugin first") == true)
    }
}
