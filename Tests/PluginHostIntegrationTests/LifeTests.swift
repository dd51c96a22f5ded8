// A host with real processes and a real broker: starting, crashing, hostile plugins, lazy ones, scaling, stopping.

import Glibc
import MeshClient
import PluginHost
import Testing

@Suite(.serialized, .timeLimit(.minutes(5)))
struct LifeTests {
    /// A stage whose plugins have been started, as far as they could be.
    private func started(
        _ contents: KeyValuePairs<String, StagePlugin.Content>,
        options: (inout HostOptions) -> Void = { _ in }
    ) async throws -> Stage {
        let stage = try await Stage(contents, options: options)
        try await stage.host.start()
        await stage.host.settle()
        return stage
    }

    @Test func `a plugin starts, answers, is reloaded without a gap, and stops`() async throws {
        let stage = try await started(["rogue": .init()])
        let first = try await stage.call()
        #expect(first.version == "1.0.0")
        #expect(first.generation == 1)
        try stage["rogue"].write(.init(version: "1.1.0"))
        let begin = ContinuousClock.now
        let outcome = try await stage.host.reload("rogue")
        let time = begin.duration(to: .now)
        print("reload: from trigger to flip \(time)")
        guard case .promoted(generation: 2, version: "1.1.0", _) = outcome else { throw StageFailure("\(outcome)") }
        let second = try await stage.call()
        #expect(second.version == "1.1.0")
        #expect(second.generation == 2)
        #expect(second.process != first.process)
        try await stage.log.wait("the old one leaves") { events in
            events.contains { event in
                if case .exited(let label, _, .exited(0), _, _, true) = event { label.generation == 1 } else { false }
            }
        }
        await stage.end()
        #expect(!isAlive(first.process))
        #expect(!isAlive(second.process))
        // Nothing is left to wait for.
        await stage.host.settle()
    }

    @Test func `ten plugins are ready within a second`() async throws {
        let stage = try await Stage([
            "p0": .init(), "p1": .init(), "p2": .init(), "p3": .init(), "p4": .init(),
            "p5": .init(), "p6": .init(), "p7": .init(), "p8": .init(), "p9": .init(),
        ])
        let begin = ContinuousClock.now
        try await stage.host.start()
        await stage.host.settle()
        let time = begin.duration(to: .now)
        print("ten plugins ready after \(time)")
        #expect(time < .seconds(1))
        #expect(await stage.host.statuses.allSatisfy { $0.state == .ready })
        await stage.end()
    }

    @Test func `a crash is told with its cause and last lines, and followed by another process`() async throws {
        let stage = try await started(["rogue": .init()])
        let first = try await stage.call()
        _ = try? await stage.client.call(
            .service("rogue", method: "end"),
            payload: .json(text: #"{"signal":11}"#)
        )
        try await stage.log.wait("the crash is told") { events in
            events.contains { if case .exited(_, _, .signalled(SIGSEGV), _, _, false) = $0 { true } else { false } }
        }
        // A call that is made meanwhile waits for the next process.
        let second = try await stage.call()
        #expect(second.process != first.process)
        let status = try #require(await stage.host.statuses.first)
        #expect(status.restarts == 1)
        #expect(status.lastEnd?.cause == "signal 11 (SIGSEGV)")
        await stage.end()
    }

    @Test(arguments: [Enforcement.off, .prefer])
    func `a plugin that is started again is what it was, whatever lies in its folder by now`(
        _ enforcement: Enforcement
    ) async throws {
        let stage = try await Stage(["rogue": .init()], change: { $0.enforcement = enforcement })
        try await stage.host.start()
        await stage.host.settle()
        try stage["rogue"].write(.init(version: "1.1.0", behaviour: "exit:3"))
        _ = try? await stage.client.call(.service("rogue", method: "end"), payload: .json(text: #"{"code":9}"#))
        #expect(try await stage.call().version == "1.0.0")
        #expect(await stage.host.statuses.first?.restarts == 1)
        guard case .failed = try await stage.host.reload("rogue") else { throw StageFailure("1.1.0 ends at once") }
        #expect(try await stage.call().version == "1.0.0")
        await stage.end()
    }

    @Test func `plugins that cannot live are told with their cause and cost others nothing`() async throws {
        let stage = try await started([
            "rogue": .init(),
            "ends": .init(behaviour: "exit:3", service: "ends"),
            "silent": .init(behaviour: "silent", service: "silent", initTimeout: 300),
            "wrong": .init(behaviour: "bad-config", service: "wrong"),
            "thief": .init(behaviour: "claim-name:rogue", service: "thief"),
            "greedy": .init(behaviour: "claim-service:mesh", service: "greedy"),
            "twice": .init(behaviour: "hello-twice", service: "twice"),
            "early": .init(behaviour: "not-ready:60000", service: "early"),
            "noisy": .init(behaviour: "flood-errors:8", service: "shared"),
        ])
        // First, since it is started again after a while.
        try await stage.until("early", .backoff)
        #expect(stage.log.ends("early").count == 1)
        #expect(try await stage.call().version == "1.0.0")
        try await stage.until("ends", .quarantined)
        try await stage.until("silent", .backoff, .quarantined)
        try await stage.until("wrong", .stopped)
        try await stage.until("thief", .backoff, .quarantined, .stopped)
        let statuses = await stage.host.statuses
        func cause(_ name: String) -> String { statuses.first { $0.plugin == name }?.lastEnd?.cause ?? "" }
        #expect(cause("ends") == "exit 3")
        #expect(cause("silent").contains("was not ready within"))
        #expect(cause("wrong").contains("configuration is wrong"))
        #expect(cause("early").contains("not ready"))
        #expect(try await stage.call().version == "1.0.0")
        await stage.end()
    }

    @Test func `plugins without manners are told apart and cost others nothing`() async throws {
        let stage = try await started([
            "rogue": .init(),
            "twice": .init(behaviour: "hello-twice", service: "twice", initTimeout: 600),
            "closed": .init(version: "3.0.0", behaviour: "close-stderr"),
            "leaver": .init(behaviour: "fork-and-leave", service: "leaver"),
            "greedy": .init(behaviour: "claim-service:mesh", service: "greedy"),
        ])
        // Without an output it serves all the same.
        #expect(try await stage.call(range: "^3.0.0").version == "3.0.0")
        try await stage.until("twice", .backoff, .quarantined)
        try await stage.until("leaver", .backoff, .quarantined)
        try await stage.until("greedy", .backoff, .quarantined, .stopped)
        let twice = try #require(stage.log.ends("twice").first)
        #expect("\(twice.cause)".contains("its session has ended: a second HELLO"))
        #expect(stage.log.ends("leaver").first?.cause == .exited(0))
        let greedy = try #require(stage.log.ends("greedy").first)
        #expect(greedy.lines.contains { $0.contains("the service \"mesh\" is the broker's own") })
        #expect(try await stage.call(range: "^1.0.0").version == "1.0.0")
        await stage.end()
    }

    @Test func `a lazy plugin starts with the first call and within its deadline, and sleeps again`() async throws {
        let stage = try await Stage(["rogue": .init(more: #","activation":"lazy""#)]) { $0.idle = .milliseconds(400) }
        try await stage.host.start()
        await stage.host.settle()
        #expect(await stage.host.statuses.first?.state == .discovered)
        #expect(stage.log.events.allSatisfy { if case .started = $0 { false } else { true } })
        let first = try await stage.call()
        try await stage.until("rogue", .discovered)
        let second = try await stage.call()
        #expect(second.process != first.process)
        await stage.end()
    }

    @Test func `calls that wait bring further processes up to the most`() async throws {
        let stage = try await started([
            "rogue": .init(more: #","instances":{"min":1,"max":3},"limits":{"concurrency":2}"#)
        ]) {
            $0.timing.growAfter = .milliseconds(100)
            $0.timing.loadInterval = .milliseconds(50)
        }
        let calls = (0..<24).map { _ in
            Task {
                _ = try await stage.client.call(
                    .service("rogue", method: "sleep"),
                    payload: .json(text: #"{"milliseconds":300}"#),
                    options: CallOptions(deadline: .seconds(20))
                )
            }
        }
        for call in calls { try await call.value }
        let readied = Set(
            stage.log.events.compactMap { event in
                if case .ready(let label, _, _) = event { label.number } else { nil }
            }
        )
        #expect(readied == [1, 2, 3])
        await stage.end()
    }

    @Test func `an exclusive reload lets calls wait, and brings the old one back when the new one cannot start`()
        async throws
    {
        let stage = try await started(["rogue": .init(more: "exclusive")])
        let callers = Task {
            var versions: [String] = []
            while !Task.isCancelled { versions.append(try await stage.call(range: "^1.0.0").version) }
            return versions
        }
        try stage["rogue"].write(.init(version: "1.1.0", more: "exclusive"))
        guard case .promoted = try await stage.host.reload("rogue") else { throw StageFailure("the reload failed") }
        #expect(try await stage.call().version == "1.1.0")
        try stage["rogue"].write(.init(version: "1.2.0", behaviour: "exit:4", more: "exclusive"))
        guard case .failed(let reason, _) = try await stage.host.reload("rogue") else {
            throw StageFailure("a version that cannot start took over")
        }
        #expect(reason.contains("serves again"))
        let again = try await stage.call()
        #expect(again.generation == 4)
        // What lies in the folder by now is 1.2.0.
        #expect(again.version == "1.1.0")
        callers.cancel()
        let result = await callers.result
        if case .failure(let error) = result, !(error is CancellationError) {
            Issue.record("a call was lost: \(error)")
        }
        await stage.end()
    }

    @Test func `a plugin that is deaf to SIGTERM is gone within its bound`() async throws {
        let stage = try await started(["rogue": .init(behaviour: "ignore-drain")])
        let process = try await stage.call().process
        let begin = ContinuousClock.now
        await stage.end()
        #expect(begin.duration(to: .now) < .seconds(6))
        #expect(!isAlive(process))
    }
}
