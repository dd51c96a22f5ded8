// The broker in a simulated world, seed after seed. WIZ_SEEDS and WIZ_FIRST_SEED widen the run (`make simulate`); a failure
// prints its seed, and `WIZ_FIRST_SEED=seed WIZ_SEEDS=1` replays it.

import BrokerSimulation
import Foundation
import Testing

@Suite struct SimulationTests {
    static let environment = ProcessInfo.processInfo.environment
    static let seedCount = environment["WIZ_SEEDS"].flatMap { UInt64($0) } ?? 1500
    static let firstSeed = environment["WIZ_FIRST_SEED"].flatMap { UInt64($0) } ?? 1

    @Test func `every promise is kept under every seed`() {
        var steps = 0
        var calls = 0
        for seed in Self.firstSeed..<Self.firstSeed + Self.seedCount {
            var simulation = MeshSimulation(seed: seed)
            let report = simulation.run()
            steps += report.steps
            calls += report.calls
            guard report.violations.isEmpty else {
                Issue.record("\(report)\nreplay with: make simulate FIRST=\(seed) SEEDS=1")
                return
            }
        }
        print("simulated \(Self.seedCount) seeds: \(steps) steps, \(calls) calls")
        #expect(calls > Int(Self.seedCount), "the worlds were too quiet to show anything")
    }

    @Test func `a seed replays the same world`() {
        var first = MeshSimulation(seed: 42)
        var second = MeshSimulation(seed: 42)
        let (one, other) = (first.run(), second.run())
        #expect(one.steps == other.steps && one.calls == other.calls && one.ends == other.ends)
    }
}
