// A plugin's life against a real broker: the order of its steps, what ends it, and the exit codes.

import Synchronization
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct LifeTests {
    static let manifest: Value = [
        "name": "worker", "version": "1.0.0", "lifecycle": ["drainTimeoutMs": 1000],
        "provides": [["service": "worker", "methods": ["declared": [:]]]],
    ]

    @Test func `its steps come in order, and SIGTERM ends it with 0`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let plugin = ScriptedPlugin(
                journal: journal,
                initialize: { config in
                    #expect(config["greeting"] == "hi")
                    #expect(config.plugin.name == "worker")
                },
                execute: { method, params, context in
                    ["method": .string(method), "params": params, "caller": .string(context.caller)]
                }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh, config: ["greeting": "hi"])
            await journal.wait(for: "registered")
            try await mesh.awaitService("worker")
            let answer = try await mesh.call("worker", "declared", ["n": 1])
            #expect(answer == ["method": "declared", "params": ["n": 1], "caller": "operator"])
            #expect(await running.end() == 0)
            #expect(journal.entries == ["initialize", "register", "registered", "teardown", "exit 0"])
        }
    }

    @Test func `a call in flight is answered before teardown`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let gate = AsyncStream<Void>.makeStream()
            let plugin = ScriptedPlugin(
                journal: journal,
                execute: { _, _, _ in
                    journal.note("called")
                    for await _ in gate.stream { break }
                    journal.note("answered")
                    return "done"
                }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            try await mesh.awaitService("worker")
            let call = Task { try await mesh.call("worker", "declared") }
            await journal.wait(for: "called")
            running.requestDrain()
            gate.continuation.yield()
            #expect(try await call.value == "done")
            #expect(await running.exitCode.value == 0)
            let entries = journal.entries
            #expect(entries.firstIndex(of: "answered") ?? 9 < entries.firstIndex(of: "teardown") ?? 0)
        }
    }

    @Test func `a call that outlasts the drain is cancelled`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let plugin = ScriptedPlugin(
                journal: journal,
                execute: { _, _, _ in
                    journal.note("called")
                    let (never, _) = AsyncStream<Void>.makeStream()
                    for await _ in never {}
                    journal.note("cancelled \(Task.isCancelled)")
                    return nil
                }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            try await mesh.awaitService("worker")
            let call = Task { try await mesh.call("worker", "declared", options: CallOptions(deadline: .seconds(30))) }
            await journal.wait(for: "called")
            #expect(await running.end() == 0)
            // What handlers use is there until they have ended.
            let entries = journal.entries
            let end = try #require(entries.firstIndex(of: "cancelled true"))
            let teardown = try #require(entries.firstIndex(of: "teardown"))
            #expect(end < teardown)
            await #expect(throws: MeshError.self) { try await call.value }
        }
    }

    @Test func `an operator's drain ends it with 0`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let session = Mutex<Int>(0)
            let plugin = ScriptedPlugin(
                journal: journal,
                register: { registry in session.withLock { $0 = Int(registry.mesh.session?.session ?? 0) } }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            try await mesh.awaitService("worker")
            _ = try await mesh.call("mesh", "drain", ["session": .int(session.withLock { $0 }), "reason": "a test"])
            #expect(await running.exitCode.value == 0)
            #expect(journal.entries.contains("teardown"))
        }
    }

    enum Trouble: String, CaseIterable, Sendable {
        case configuration, notReady, other

        var error: any Error {
            switch self {
            case .configuration: PluginError.configuration("the key is wrong")
            case .notReady: PluginError.notReady(reason: "the disk is away", retryAfter: .seconds(1))
            case .other: MeshError(.internal, "it broke")
            }
        }

        var code: Int32 {
            switch self {
            case .configuration: 78
            case .notReady: 75
            case .other: 70
            }
        }
    }

    @Test(arguments: Trouble.allCases, [true, false])
    func `a failure at the start has its exit code, and onError hears of it`(
        _ trouble: Trouble,
        inInitialize: Bool
    ) async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let plugin = ScriptedPlugin(
                journal: journal,
                initialize: { _ in if inInitialize { throw trouble.error } },
                register: { _ in throw trouble.error }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            #expect(await running.exitCode.value == trouble.code)
            #expect(journal.entries.contains("error: \(trouble.error)"))
            #expect(journal.entries.contains("register") == !inInitialize)
            #expect(journal.entries.contains("teardown"))
        }
    }

    @Test func `a stop while it waits for a service ends it with 0`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let plugin = ScriptedPlugin(
                journal: journal,
                register: { _ = try await $0.requireService("absent", within: .seconds(50)) }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            await journal.wait(for: "register")
            #expect(await running.end() == 0)
            #expect(!journal.entries.contains("registered"))
        }
    }

    @Test func `errors of handlers reach onError and the caller`() async throws {
        try await withMesh { mesh in
            let journal = Journal()
            let plugin = ScriptedPlugin(
                journal: journal,
                execute: { _, _, _ in throw MeshError(.dataLoss, "the shelf fell") }
            )
            let running = try RunningPlugin(plugin, Self.manifest, mesh)
            try await mesh.awaitService("worker")
            await #expect { try await mesh.call("worker", "declared") } throws: { error in
                (error as? MeshError)?.status == .dataLoss && (error as? MeshError)?.isFromWorker == true
            }
            await journal.wait(for: "error: DATA_LOSS: the shelf fell")
            #expect(await running.end() == 0)
        }
    }
}
