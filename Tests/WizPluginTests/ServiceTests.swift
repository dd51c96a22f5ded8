// Typed services and their clients over a real broker, and the registry as it is followed.

import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct ServiceTests {
    struct Pair: Codable, Sendable, Equatable {
        var left: Int
        var right: Int
    }

    static let manifest: Value = ["name": "math", "version": "1.4.0"]

    static func math(_ journal: Journal) -> ScriptedPlugin {
        ScriptedPlugin(
            journal: journal,
            register: { registry in
                try await registry.registerService("math", capacity: 4) { service in
                    service.method("add", idempotent: true) { (pair: Pair, _) in pair.left + pair.right }
                    service.method("swap") { (pair: Pair, _) in Pair(left: pair.right, right: pair.left) }
                    service.stream("count") { (to: Int, _, replies) in
                        for number in 1...to { try await replies.send(number) }
                        try replies.finish(with: ["total": to])
                    }
                    service.collect("sum") { (numbers: RequestReader<Int>, _) in try await numbers.reduce(0, +) }
                    service.duplex("double") { (numbers: RequestReader<Int>, _, replies) in
                        for try await number in numbers { try await replies.send(number * 2) }
                    }
                    service.raw("bytes") { payload, _ in payload }
                    service.method("bound") { (_: Nothing, context) in
                        context.remaining.map { $0 > .seconds(1) && $0 <= .seconds(3) } ?? false
                    }
                }
            }
        )
    }

    /// A plugin that does something with its registry, next to `math`.
    private func withUser(
        of math: Bool = true,
        _ body: @escaping @Sendable (ServiceRegistry, TestMesh) async throws -> Void
    ) async throws {
        try await withMesh { mesh in
            let provider = math ? try RunningPlugin(Self.math(Journal()), Self.manifest, mesh) : nil
            if math { try await mesh.awaitService("math") }
            let journal = Journal()
            let user = ScriptedPlugin(journal: journal, register: { try await body($0, mesh) })
            let running = try RunningPlugin(user, ["name": "user", "version": "1.0.0"], mesh)
            await journal.wait(for: "register")
            let outcome = await journal.first(of: ["registered", "exit 70", "exit 75"])
            #expect(outcome == "registered", "\(journal.entries)")
            #expect(await running.end() == 0)
            if let provider { #expect(await provider.end() == 0) }
        }
    }

    @Test func `typed calls, streams in all directions, bytes`() async throws {
        try await withUser { registry, _ in
            let math = try await registry.requireService("math", range: "^1.2.0")
            let sum: Int = try await math.call("add", Pair(left: 2, right: 3))
            #expect(sum == 5)
            #expect(try await math.call("swap", Pair(left: 1, right: 2)) == Pair(left: 2, right: 1))
            let stream = try await math.stream("count", 3, of: Int.self)
            var seen: [Int] = []
            for try await number in stream { seen.append(number) }
            #expect(seen == [1, 2, 3])
            #expect(try await stream.result(Value.self) == ["total": 3])
            let sums = try await math.open("sum", directions: .requests)
            for number in 1...4 { try await sums.send(.json(number)) }
            try await sums.finish()
            #expect(try await sums.reply().payload.decode(Int.self) == 10)
            let double = try await math.open("double", directions: .both)
            try await double.send(.json(21))
            try await double.finish()
            var doubled: [Int] = []
            for try await payload in double { doubled.append(try payload.decode()) }
            #expect(doubled == [42])
            let bytes = Payload([0, 255, 3], contentType: .cbor)
            #expect(try await math.callRaw("bytes", bytes) == bytes)
            let isBounded: Bool = try await math.call("bound", options: CallOptions(deadline: .seconds(3)))
            #expect(isBounded)
        }
    }

    @Test func `parameters of the wrong shape are told by key`() async throws {
        try await withUser { registry, _ in
            let math = registry.handle("math")
            await #expect { try await math.call("add", ["left": 1]) as Int } throws: { error in
                guard let error = error as? MeshError else { return false }
                return error.status == .invalidArgument && error.message.contains("/right")
            }
        }
    }

    @Test func `getService is nil without a provider in the range`() async throws {
        try await withUser { registry, _ in
            let found = try await registry.getService("math")
            let version = try await found?.state().version
            #expect(version == "1.4.0")
            let newer = try await registry.getService("math", range: "^2")
            #expect(newer == nil)
            let nothing = try await registry.getService("nothing")
            #expect(nothing == nil)
            await #expect(throws: MeshError.self) { try await registry.getService("math", range: "not a range") }
        }
    }

    @Test func `requireService fails with what there is`() async throws {
        try await withUser { registry, _ in
            await #expect {
                try await registry.requireService("math", range: "^2", within: .milliseconds(100))
            } throws: { error in
                guard case PluginError.notReady(let reason, _) = error else { return false }
                return reason.contains("math@^2") && reason.contains("1.4.0")
            }
        }
    }

    @Test func `a handle follows its service from absent to there to gone`() async throws {
        try await withUser(of: false) { registry, mesh in
            let math = registry.handle("math")
            var updates = math.updates.makeAsyncIterator()
            #expect(await updates.next()?.isAvailable == false)
            let provider = try RunningPlugin(Self.math(Journal()), Self.manifest, mesh)
            let found = await updates.next()
            #expect(found?.version == "1.4.0")
            #expect(found?.providers.first?.methods.contains("add") == true)
            #expect(try await math.call("add", Pair(left: 1, right: 1)) == 2)
            #expect(await provider.end() == 0)
            #expect(await updates.next()?.isAvailable == false)
        }
    }

    @Test func `progress is an event`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("plugin.*.progress")
            let plugin = ScriptedPlugin(
                journal: Journal(),
                execute: { _, _, context in
                    await context.progress(0.5, "half way")
                    return nil
                }
            )
            let running = try RunningPlugin(plugin, LifeTests.manifest, mesh)
            try await mesh.awaitService("worker")
            _ = try await mesh.call("worker", "declared")
            for try await event in events {
                #expect(event.topic == "plugin.worker.progress")
                let report = try event.payload.decode(Value.self)
                #expect(report["fraction"] == 0.5)
                #expect(report["message"] == "half way")
                break
            }
            #expect(await running.end() == 0)
        }
    }
}

extension Journal {
    /// Waits for one of several entries.
    func first(of entries: [String]) async -> String? {
        await withTaskGroup(of: String.self) { group in
            for entry in entries {
                group.addTask {
                    await self.wait(for: entry)
                    return entry
                }
            }
            let first = await group.next()
            // The other waits would go on for ever: their entries are noted for them.
            for entry in entries where entry != first { note(entry) }
            return first
        }
    }
}
