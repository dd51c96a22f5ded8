// One generation takes over from another under load, seen from the plugins' side: no call lost, none done twice, and the old
// process leaves within its bound.

import Foundation
import Glibc
import Synchronization
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)), .serialized)
struct HandoverTests {
    private func start(_ mesh: TestMesh, _ generation: Int, stage: String, ledger: String) async throws -> PluginProgram
    {
        let grant = try await mesh.call(
            "mesh",
            "ticket",
            [
                "name": "rogue-plugin", "principal": "operator", "instance": .string(label(generation)),
                "stage": .string(stage),
            ]
        )
        let ticket = try #require(grant["ticket"]?.string)
        let line = try Payload.json(
            ["config": ["ledger": .string(ledger)], "variables": ["WIZ_TICKET": .string(ticket)]] as Value
        )
        return try PluginProgram(
            mesh.endpoint,
            "rogue-plugin",
            folder: SettingsTests.rogue,
            variables: ["WIZ_HOST=1", "WIZ_SETTINGS=stdin", "WIZ_GENERATION=\(generation)"],
            line: line.text
        )
    }

    private func label(_ generation: Int) -> String { "rogue-plugin#1@\(generation)" }

    private func awaitReady(_ mesh: TestMesh, _ generation: Int) async throws {
        while true {
            let sessions = try await mesh.call("mesh", "sessions")["items"]?.array ?? []
            if sessions.contains(where: { $0["instance"]?.string == label(generation) && $0["ready"] == true }) {
                return
            }
            await Task.yield()
        }
    }

    /// Calls without a pause until it is told to stop.
    private final class Load: Sendable {
        private let isOver = Mutex(false)
        let answers = Mutex<[(key: String, generation: Int)]>([])

        func stop() { isOver.withLock { $0 = true } }

        func run(_ mesh: TestMesh, _ name: String) async throws {
            var number = 0
            while !isOver.withLock({ $0 }) {
                number += 1
                let key = "\(name)-\(number)"
                let answer = try await mesh.call("rogue", "countOnce", ["key": .string(key)])
                let generation = answer["generation"]?.int ?? 0
                answers.withLock { $0.append((key, generation)) }
            }
        }

        /// Returns once so many more answers have come.
        func more(_ count: Int) async {
            let end = answers.withLock { $0.count } + count
            while answers.withLock({ $0.count }) < end { await Task.yield() }
        }
    }

    @Test func `each call of a steady load is done once, by the old generation or by the new one`() async throws {
        try await withMesh { mesh in
            let ledger = mesh.folder.path + "/ledger"
            let old = try await start(mesh, 1, stage: "live", ledger: ledger)
            try await awaitReady(mesh, 1)
            let load = Load()
            let callers = (0..<8).map { number in Task { try await load.run(mesh, "c\(number)") } }
            await load.more(200)
            let new = try await start(mesh, 2, stage: "shadow", ledger: ledger)
            try await awaitReady(mesh, 2)
            await load.more(200)
            #expect(load.answers.withLock { answers in answers.allSatisfy { $0.generation == 1 } })
            // Begun before the change, answered after it.
            let inFlight = Task { try await mesh.call("rogue", "sleep", ["milliseconds": 300]) }
            await load.more(200)
            let begin = ContinuousClock.now
            let order: Value = [
                "instances": [.string(label(2))], "retire": [.string(label(1))], "graceMilliseconds": 2000,
            ]
            _ = try await mesh.call("mesh", "promote", order)
            let after = try await mesh.call("rogue", "about")
            #expect(after["generation"] == 2)
            #expect(await old.end() == 0)
            #expect(begin.duration(to: .now) < .seconds(3))
            #expect(try await inFlight.value == ["milliseconds": 300])
            await load.more(200)
            load.stop()
            for caller in callers { try await caller.value }
            let answers = load.answers.withLock { $0 }
            let lines = try String(contentsOfFile: ledger, encoding: .utf8).split(separator: "\n")
            let done = lines.map { String($0.split(separator: " ")[0]) }
            #expect(done.count == Set(done).count)
            #expect(Set(done).symmetricDifference(answers.map(\.key)).isEmpty)
            new.closeInput()
            #expect(await new.end() == 0)
        }
    }

    @Test func `a call that outlasts the grace does not keep the old process`() async throws {
        try await withMesh { mesh in
            let old = try await start(mesh, 1, stage: "live", ledger: mesh.folder.path + "/ledger")
            try await awaitReady(mesh, 1)
            let options = CallOptions(deadline: .seconds(30))
            let stuck = Task { try await mesh.call("rogue", "hold", ["milliseconds": 60_000], options: options) }
            var isRunning = false
            while !isRunning {
                let calls = try await mesh.call("mesh", "calls")
                isRunning = calls["items"]?.array?.contains { $0["method"] == "hold" } ?? false
            }
            let new = try await start(mesh, 2, stage: "shadow", ledger: mesh.folder.path + "/ledger")
            try await awaitReady(mesh, 2)
            let begin = ContinuousClock.now
            let order: Value = [
                "instances": [.string(label(2))], "retire": [.string(label(1))], "graceMilliseconds": 300,
            ]
            _ = try await mesh.call("mesh", "promote", order)
            #expect(await old.end() == 0)
            #expect(begin.duration(to: .now) < .seconds(3))
            let error = await #expect(throws: MeshError.self) { try await stuck.value }
            #expect(error?.status == .unavailable && error?.isOutcomeUnknown == true)
            new.closeInput()
            #expect(await new.end() == 0)
        }
    }
}
