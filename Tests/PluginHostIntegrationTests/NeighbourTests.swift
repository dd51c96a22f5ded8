// Bad neighbours: a plugin over its memory limit, in an endless loop, forking without end, flooding its output or deaf to
// SIGTERM slows nobody's calls and is gone within its bound. Each is measured against the same victim, calm first. Short in
// `make test`; `make soak` sets WIZ_NEIGHBOUR_SECONDS.

import Glibc
import MeshClient
import PluginHost
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct NeighbourTests {
    /// A plugin that misbehaves beside the victim.
    enum Culprit: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case memoryHog = "a memory hog"
        case loop = "an endless loop"
        case endlessCall = "a call that never ends"
        case forkBomb = "a fork bomb"
        case flood = "a flood of output"
        case deaf = "one deaf to SIGTERM"

        var testDescription: String { rawValue }

        var behaviour: String {
            switch self {
            case .memoryHog: "memory:16"
            case .loop: "loop"
            case .endlessCall: "serve"
            case .forkBomb: "bomb:1000"
            case .flood: "flood:1000000"
            case .deaf: "deaf"
            }
        }

        /// From its start (of a deaf one or an endless call: from being told to end) until it must be gone, on a busy machine.
        var bound: Duration {
            switch self {
            case .memoryHog: .seconds(6)
            case .loop, .flood: .seconds(6)
            // Its deadline, two seconds to heed the cancel, and its end.
            case .endlessCall: .seconds(8)
            // Two seconds of refused starts.
            case .forkBomb: .seconds(12)
            // A second to drain, two to leave, and two after SIGTERM.
            case .deaf: .seconds(10)
            }
        }
    }

    /// How long each measure takes; nil: as short as may be, on a machine that does other things besides.
    private static let soak = getenv("WIZ_NEIGHBOUR_SECONDS").flatMap { Int(String(cString: $0)) }
    private static let seconds = soak ?? 2
    private static let rate = 500

    @Test(arguments: Culprit.allCases)
    func `a bad neighbour slows nobody and is gone within its bound`(_ culprit: Culprit) async throws {
        let stage = try await Stage([
            "victim": .init(version: "1.0.0"),
            // It sleeps until the measure begins.
            "culprit": .init(
                version: "2.0.0",
                behaviour: culprit.behaviour,
                more: #","activation":"lazy""#,
                initTimeout: 1000 * (Self.seconds + 30)
            ),
        ]) { source in
            source.enforcement = .prefer
            guard source.name == "culprit" else { return }
            source.limits = ProcessLimits(
                memoryBytes: 128 << 20,
                cpuPercent: 50,
                processCount: 32,
                openFileCount: 256
            )
        }
        try await stage.host.start()
        await stage.host.settle()
        // What is new in a process is slow: sockets, code, pages.
        _ = await Self.measure(stage, for: .milliseconds(500))
        let calm = await Self.measure(stage, for: .seconds(Self.seconds))
        async let gone = Self.drive(culprit, stage, for: .seconds(Self.seconds))
        let beside = await Self.measure(stage, for: .seconds(Self.seconds))
        let (times, cause) = try await gone
        await stage.end()
        print(
            "neighbour: \(culprit.rawValue): calm \(calm), beside it \(beside); gone \(times.count) times, after at most "
                + "\(text(times.max() ?? .zero)): \(cause)"
        )
        #expect(calm.lost == 0 && beside.lost == 0, "\(calm.lost) and \(beside.lost) calls failed")
        #expect(!times.isEmpty && times.allSatisfy { $0 < culprit.bound }, "it was gone after \(times)")
        // In `make test` other suites run beside it, all in one debug process.
        let allowance = Duration.milliseconds(Self.soak == nil ? 200 : 10)
        #expect(beside.percentile(99) < calm.percentile(99) + allowance)
    }

    /// Lets the culprit do its worst for a time.
    ///
    /// - Returns: how long each of its processes took to be gone, and why the last one ended.
    private static func drive(
        _ culprit: Culprit,
        _ stage: Stage,
        for time: Duration
    ) async throws -> (times: [Duration], cause: String) {
        let end = ContinuousClock.now + time
        var times: [Duration] = []
        repeat {
            let count = stage.log.ends("culprit").count
            let isEnded = { @Sendable (_: [HostEvent]) in stage.log.ends("culprit").count > count }
            // What it has done before is forgotten, so that the next one comes at once.
            let start = Task { try await stage.host.start("culprit") }
            switch culprit {
            case .memoryHog, .forkBomb:
                try await stage.log.wait("\(culprit.rawValue) is ended", within: culprit.bound, isEnded)
            case .endlessCall:
                try await start.value
                let begin = ContinuousClock.now
                _ = try? await stage.client.call(
                    .service("rogue", range: "^2.0.0", method: "spin"),
                    payload: .json(text: "{}"),
                    options: CallOptions(deadline: .milliseconds(200))
                )
                try await stage.log.wait("\(culprit.rawValue) is ended", within: culprit.bound, isEnded)
                times.append(begin.duration(to: .now))
            case .loop, .flood:
                try await Task.sleep(until: end)  // allowed: it does its harm to the end
                times.append(try await stop(stage))
            case .deaf:
                try await start.value
                times.append(try await stop(stage))
            }
        } while ContinuousClock.now < end
        let ends = stage.log.ends("culprit")
        if culprit == .memoryHog || culprit == .forkBomb { times = ends.filter { !$0.isWanted }.map(\.ranFor) }
        return (times, ends.last.map { "\($0.cause)" } ?? "it has not ended")
    }

    private static func stop(_ stage: Stage) async throws -> Duration {
        let begin = ContinuousClock.now
        try await stage.host.stop("culprit")
        return begin.duration(to: .now)
    }

    /// Calls the victim at a constant rate, however slow the answers are.
    private static func measure(_ stage: Stage, for time: Duration) async -> Latencies {
        let interval = Duration.seconds(1) / rate
        let begin = ContinuousClock.now
        return await withTaskGroup(of: Duration?.self) { group in
            for number in 0..<Int(time / interval) {
                let due = begin + interval * number
                try? await Task.sleep(until: due, tolerance: .zero)  // allowed: the rate itself
                group.addTask {
                    // From when it was due: a caller that was kept from calling has waited, too.
                    let answer = try? await stage.call("rogue", "about", range: "^1.0.0")
                    return answer == nil ? nil : due.duration(to: .now)
                }
            }
            var latencies = Latencies()
            for await latency in group { latencies.take(latency) }
            return latencies
        }
    }
}

/// How long calls took.
struct Latencies: CustomStringConvertible {
    private var answered: [Duration] = []
    private(set) var lost = 0

    mutating func take(_ latency: Duration?) {
        if let latency { answered.append(latency) } else { lost += 1 }
    }

    func percentile(_ percent: Int) -> Duration {
        let sorted = answered.sorted()
        return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    var description: String { "p50 \(text(percentile(50))) p99 \(text(percentile(99)))" }
}

/// In milliseconds with one decimal.
private func text(_ duration: Duration) -> String {
    let tenths = Int((duration / .microseconds(100)).rounded())
    return "\(tenths / 10).\(tenths % 10) ms"
}
