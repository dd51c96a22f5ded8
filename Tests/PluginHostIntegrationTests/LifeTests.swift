// A host with real processes and a real broker: starting, crashing, hostile plugins, stopping.

import Glibc
import MeshClient
import PluginHost
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct LifeTests {
    @Test func `a plugin starts, answers, is reloaded without a gap, and stops`() async throws {
        let stage = try await Stage(["rogue": .init()])
        try await stage.host.start()
        await stage.host.settle()
        let first = try await stage.call()
        #expect(first.version == "1.0.0")
        #expect(first.generation == 1)
        #expect(first.instance == "rogue#1@1" || first.instance == "1")
        try stage["rogue"].write(.init(version: "1.1.0"))
        let begin = ContinuousClock.now
        let outcome = try await stage.host.reload("rogue")
        print("reload: from trigger to flip \(begin.duration(to: .now))")
        guard case .promoted(generation: 2, version: "1.1.0", _) = outcome else {
            throw StageFailure("\(outcome)")
        }
        let second = try await stage.call()
        #expect(second.version == "1.1.0")
        #expect(second.generation == 2)
        #expect(second.process != first.process)
        try await stage.log.wait("the old one leaves") { events in
            events.contains {
                if case .exited(let label, _, .exited(0), _, _, true) = $0 { label.generation == 1 } else { false }
            }
        }
        await stage.end()
        #expect(!isAlive(first.process))
        #expect(!isAlive(second.process))
    }
}
