// The rogue plugin does what its README says; other suites rely on it.

import Foundation
import Glibc
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct RogueTests {
    private func start(_ mesh: TestMesh, _ behaviour: String, line: String? = nil) throws -> PluginProgram {
        try PluginProgram(
            mesh.endpoint,
            "rogue-plugin",
            folder: SettingsTests.rogue,
            words: [behaviour],
            variables: line == nil ? [] : ["WIZ_SETTINGS=stdin"],
            line: line
        )
    }

    @Test(
        arguments: [
            ("exit:3", 3), ("exit", 0), ("signal:9", 128 + SIGKILL), ("exit-init:9", 9), ("fail-init", 70),
            ("fail-register", 70), ("bad-config", 78), ("not-ready:500", 75), ("nonsense", 64), ("fork-and-leave", 0),
        ] as [(String, Int32)]
    )
    func `it ends as it is told`(_ behaviour: String, _ code: Int32) async throws {
        try await withMesh { mesh in
            let process = try start(mesh, behaviour)
            #expect(await process.end() == code)
        }
    }

    @Test func `it crashes in initialize`() async throws {
        try await withMesh { mesh in
            let process = try start(mesh, "crash-init")
            #expect(await process.end() > 128)
        }
    }

    @Test func `deaf, it serves on after SIGTERM and a drain`() async throws {
        try await withMesh { mesh in
            let process = try start(mesh, "deaf")
            try await mesh.awaitService("rogue")
            kill(process.id, SIGTERM)
            process.closeInput()
            #expect(try await mesh.call("rogue", "count", ["key": "a"]) == ["key": "a"])
            kill(process.id, SIGKILL)
            #expect(await process.end() == 128 + SIGKILL)
        }
    }

    @Test func `it counts calls by key, in its answers and in the ledger`() async throws {
        try await withMesh { mesh in
            let ledger = mesh.folder.path + "/ledger"
            let line = #"{"config": {"ledger": "\#(ledger)", "version": "2.1.0"}}"#
            let process = try start(mesh, "serve", line: line)
            try await mesh.awaitService("rogue")
            for count in 1...2 {
                let answer = try await mesh.call("rogue", "count", ["key": "k"])
                #expect(answer["count"]?.int == count && answer["version"] == "2.1.0")
            }
            #expect(try await mesh.call("rogue", "countOnce", ["key": "other"])["count"] == 1)
            let lines = try String(contentsOfFile: ledger, encoding: .utf8).split(separator: "\n")
            #expect(lines.map { $0.split(separator: " ")[0] } == ["k", "k", "other"])
            kill(process.id, SIGTERM)
            #expect(await process.end() == 0)
        }
    }

    @Test func `a second HELLO ends its session`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.gone")
            let process = try start(mesh, "hello-twice")
            for try await event in events {
                #expect(event.payload.text.contains("rogue-plugin"))
                break
            }
            kill(process.id, SIGKILL)
            _ = await process.end()
        }
    }

    @Test func `a call that it holds past its deadline is not acknowledged until its handler has ended`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.>")
            let process = try start(mesh, "ignore-cancel")
            try await mesh.awaitService("rogue")
            await #expect(throws: MeshError.self) {
                try await mesh.call(
                    "rogue",
                    "sleep",
                    ["milliseconds": 3500],
                    options: CallOptions(deadline: .milliseconds(100))
                )
            }
            // The broker's grace for a cancel is two seconds: the worker is suspect, and well again when the handler ends.
            var seen: [String] = []
            for try await event in events {
                if event.topic == "mesh.session.suspect" { seen.append("suspect") }
                if event.topic == "mesh.session.alive" { seen.append("alive") }
                if seen.count == 2 { break }
            }
            #expect(seen == ["suspect", "alive"])
            kill(process.id, SIGTERM)
            #expect(await process.end() == 0)
        }
    }
}
