// What the broker, and through it a host, hears of a plugin's readiness.

import Broker
import Glibc
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct ReadinessTests {
    private func next(_ topic: String, _ events: Subscription) async throws -> Value {
        for try await event in events where event.topic == topic { return try event.payload.decode(Value.self) }
        throw MeshError(.notFound, "\(topic) did not come")
    }

    @Test func `ready is told once everything is registered`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.>")
            let journal = Journal()
            let gate = AsyncStream<Void>.makeStream()
            let plugin = ScriptedPlugin(
                journal: journal,
                register: { registry in
                    try await registry.registerService("early") { service in
                        service.raw("say") { payload, _ in payload }
                    }
                    for await _ in gate.stream { break }
                }
            )
            let running = try RunningPlugin(plugin, LifeTests.manifest, mesh)
            try await mesh.awaitService("early")
            let before = try await mesh.call("mesh", "sessions", [:])
            let states = (before["items"]?.array ?? []).filter { $0["name"] == "worker" }.map { $0["ready"] }
            #expect(states == [false])
            gate.continuation.yield()
            let notice = try await next("mesh.session.ready", events)
            #expect(notice["fields"]?["name"] == "worker" || notice["message"]?.string?.contains("worker") == true)
            // The service that only plugin.json declares is there by then.
            #expect(try await mesh.call("worker", "declared") == .null)
            #expect(await running.end() == 0)
        }
    }

    @Test func `a plugin that is not ready says why, and when it may be`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.>")
            let plugin = ScriptedPlugin(
                journal: Journal(),
                initialize: { _ in throw PluginError.notReady(reason: "the disk is away", retryAfter: .seconds(3)) }
            )
            let running = try RunningPlugin(plugin, LifeTests.manifest, mesh)
            let notice = try await next("mesh.session.notready", events)
            #expect(notice["fields"]?["reason"] == "the disk is away")
            #expect(notice["fields"]?["retryAfterMilliseconds"] == "3000")
            #expect(await running.exitCode.value == PluginExit.notReady)
        }
    }

    @Test func `a failure is not told as not ready`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.>")
            let plugin = ScriptedPlugin(
                journal: Journal(),
                register: { _ in throw PluginError.configuration("the key is wrong") }
            )
            let running = try RunningPlugin(plugin, LifeTests.manifest, mesh)
            #expect(await running.exitCode.value == PluginExit.configuration)
            var topics: [String] = []
            for try await event in events {
                topics.append(event.topic)
                if event.topic == "mesh.session.gone" { break }
            }
            #expect(!topics.contains("mesh.session.notready") && !topics.contains("mesh.session.ready"))
        }
    }

    @Test func `after a restart of the broker it is told again`() async throws {
        let folder = TemporaryFolder()
        let first = try TestMesh.startBroker(folder)
        let endpoint = "ipc://" + folder.path + "/run/mesh.sock"
        let echo = try PluginProgram(endpoint, folder: ProcessTests.folder)
        let client = try await MeshConnection.connect(MeshConfiguration(endpoint: endpoint, name: "tester"))
        try await awaitReady(client)
        await first.stop()
        let second = try await TestMesh.startNextBroker(folder)
        try await awaitReady(client)
        echo.closeInput()
        kill(echo.id, SIGTERM)
        #expect(await echo.end() == 0)
        await client.close()
        await second.stop()
    }

    /// Asks until the session of echo is ready; the suite's time limit bounds it.
    private func awaitReady(_ client: MeshConnection) async throws {
        while true {
            do {
                let reply = try await client.call(.service("mesh", method: "sessions"), payload: .json(text: "{}"))
                let sessions = try reply.payload.decode(Value.self)["items"]?.array ?? []
                if sessions.contains(where: { $0["name"] == "echo" && $0["ready"] == true }) { return }
            } catch let error as MeshError where error.status == .unavailable {
                // Between two brokers.
            }
            await Task.yield()
        }
    }
}
