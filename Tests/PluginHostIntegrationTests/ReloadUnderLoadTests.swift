// Reloads under constant load: no call is lost, none is done twice, none is answered by a version that must not. Small in
// `make test`; `make soak` sets WIZ_RELOADS and WIZ_RATE to 100 and 2000.

import Glibc
import MeshClient
import PluginHost
import Synchronization
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct ReloadUnderLoadTests {
    private static func number(_ name: String, _ standard: Int) -> Int {
        getenv(name).flatMap { Int(String(cString: $0)) } ?? standard
    }

    /// What happens in a round.
    private enum Round: CaseIterable {
        /// The new version is good.
        case good
        /// It traps in `initialize`.
        case crashInInit
        /// It is killed before the flip is known.
        case killedBeforeFlip
        /// Two reloads at once.
        case racing
        /// It ends at once.
        case endsAtOnce
        /// It is killed when the flip is done.
        case killedAfterFlip
        /// It is never ready.
        case neverReady
    }

    @Test func `calls at a constant rate through reloads, crashes in init and kills at the flip`() async throws {
        let reloads = Self.number("WIZ_RELOADS", 14)
        let rate = Self.number("WIZ_RATE", 300)
        let ledger = try StageFolder()
        let stage = try await Stage(["rogue": .init(version: "1.0.0")]) { source in
            source.environment = ["ROGUE_LEDGER": ledger.path + "/ledger"]
        }
        try await stage.host.start()
        await stage.host.settle()
        let load = Load(stage: stage)
        let begin = ContinuousClock.now
        let callers = load.start(rate: rate, callers: 20)
        var flips: [Duration] = []
        for round in 0..<reloads {
            let kind = Round.allCases[round % Round.allCases.count]
            load.willStart(version: round + 1, mayKill: kind == .killedBeforeFlip || kind == .killedAfterFlip)
            flips += try await run(kind, version: round + 1, stage, load)
            if getenv("WIZ_PROGRESS") != nil {
                let line = Array("round \(round + 1) \(kind): \(load.summary)\n".utf8)
                _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            }
        }
        let reached = Int((Double(load.answered) / (begin.duration(to: .now) / .seconds(1))).rounded())
        load.stop()
        for caller in callers { await caller.value }
        await stage.end()
        try load.check(ledger: ledger.path + "/ledger")
        let sorted = flips.sorted()
        // One that met a machine with other work says nothing; half of them do.
        #expect(sorted[sorted.count / 2] < .milliseconds(300))
        #expect(reached > rate * 9 / 10, "\(reached) calls/s of \(rate)")
        print(
            "reload under load: \(reloads) reloads at \(reached) calls/s, \(load.summary); from trigger to flip median "
                + "\(sorted[sorted.count / 2]), worst \(sorted[sorted.count - 1])"
        )
    }

    private func run(_ kind: Round, version: Int, _ stage: Stage, _ load: Load) async throws -> [Duration] {
        let behaviour: String =
            switch kind {
            case .crashInInit: "crash-init"
            case .endsAtOnce: "exit:3"
            case .neverReady: "hang-init"
            case .good, .killedBeforeFlip, .racing, .killedAfterFlip: "serve"
            }
        try stage["rogue"].write(
            .init(version: "1.\(version).0", behaviour: behaviour, initTimeout: kind == .neverReady ? 400 : 5000)
        )
        let killer = Killer(kind == .killedBeforeFlip, kind == .killedAfterFlip)
        stage.log.react { killer.hear($0) }
        defer { stage.log.react(nil) }
        async let other = kind == .racing ? stage.host.reload("rogue") : nil
        let outcome = try await stage.host.reload("rogue")
        let second = try await other
        for outcome in [outcome, second].compactMap(\.self) {
            switch (kind, outcome) {
            case (.good, .promoted), (.racing, .promoted), (.killedAfterFlip, .promoted),
                (.killedBeforeFlip, .promoted):
                load.hasFlipped(to: version)
            case (.killedBeforeFlip, .failed), (.crashInInit, .failed), (.endsAtOnce, .failed), (.neverReady, .failed):
                break
            default: Issue.record("round \(version), \(kind): \(outcome)")
            }
        }
        // The next round begins with a plugin that serves.
        try await stage.until("rogue", .ready)
        guard case .promoted(_, _, let time) = outcome, kind == .good else { return [] }
        return [time]
    }
}

/// Kills the newest process at a moment of its reload.
private final class Killer: Sendable {
    private let state = Mutex((process: Int32(0), generation: 0))
    private let before: Bool
    private let after: Bool

    init(_ before: Bool, _ after: Bool) {
        self.before = before
        self.after = after
    }

    func hear(_ event: HostEvent) {
        switch event {
        case .started(let label, let process): state.withLock { $0 = (process, label.generation) }
        case .reload(_, _, "ready: takes over") where before: strike()
        case .draining where after: strike()
        default: break
        }
    }

    private func strike() {
        let process = state.withLock { state in
            defer { state.process = 0 }
            return state.process
        }
        if process > 0 { kill(process, SIGKILL) }
    }
}

/// Callers at a constant rate, and the books of what became of each call.
final class Load: Sendable {
    private struct Call {
        let key: String
        let isRepeatable: Bool
        /// The version that was known to serve when the call was made.
        let from: Int
        /// The newest version that had been started when it was answered, and what answered.
        var to = 0
        var version: String?
        var error: String?
        var isOutcomeUnknown = false
        var mayBeKilled: Bool
    }

    private struct State {
        var calls: [Call] = []
        var newest = 0
        var serving = 0
        var kills = 0
        var isOver = false
        var slowest = Duration.zero
    }

    private let state = Mutex(State())
    private let stage: Stage

    init(stage: Stage) { self.stage = stage }

    func willStart(version: Int, mayKill: Bool) {
        state.withLock { state in
            state.newest = version
            if mayKill { state.kills += 1 }
        }
    }

    func hasFlipped(to version: Int) { state.withLock { $0.serving = max($0.serving, version) } }

    func stop() { state.withLock { $0.isOver = true } }

    /// How many calls a caller has under way at most.
    private static let most = 16

    /// Starts callers that make so many calls a second together; each has several calls under way if it must.
    func start(rate: Int, callers: Int) -> [Task<Void, Never>] {
        let pause = Duration.seconds(1) * callers / rate
        return (0..<callers).map { caller in
            Task {
                var next = ContinuousClock.now + pause * caller / callers
                var number = 0
                await withTaskGroup(of: Void.self) { group in
                    while !self.state.withLock({ $0.isOver }) {
                        try? await Task.sleep(until: next, clock: .continuous)  // allowed: the rate of calls
                        next += pause
                        number += 1
                        let key = "c\(caller)-\(number)"
                        let isRepeatable = number % 2 == 0
                        // A machine that cannot keep the rate makes fewer calls, not ever more at a time.
                        if number > Self.most { await group.next() }
                        group.addTask { await self.call(key, isRepeatable) }
                    }
                }
            }
        }
    }

    private func call(_ key: String, _ isRepeatable: Bool) async {
        let (from, kills) = state.withLock { ($0.serving, $0.kills) }
        var call = Call(key: key, isRepeatable: isRepeatable, from: from, mayBeKilled: false)
        let begin = ContinuousClock.now
        do {
            let answer = try await stage.call("rogue", isRepeatable ? "count" : "countOnce", key: key, range: "^1.0.0")
            call.version = answer.version
        } catch let error as MeshError {
            call.error = "\(error)"
            call.isOutcomeUnknown = error.isOutcomeUnknown
        } catch {
            call.error = "\(error)"
        }
        let time = begin.duration(to: .now)
        state.withLock { state in
            call.to = state.newest
            call.mayBeKilled = state.kills > kills || state.kills > 0
            state.slowest = max(state.slowest, time)
            state.calls.append(call)
        }
    }

    var answered: Int { state.withLock { $0.calls.count { $0.error == nil } } }

    var summary: String {
        state.withLock { state in
            let unknown = state.calls.filter { $0.isOutcomeUnknown }.count
            return
                "\(state.calls.count) calls, \(state.calls.filter { $0.error != nil && !$0.isOutcomeUnknown }.count) lost, "
                + "\(unknown) ended with their killed worker and told so, slowest \(state.slowest)"
        }
    }

    /// Every call was answered once, by a version that served when it was made or later; none was done twice.
    func check(ledger path: String) throws {
        let counts = try Self.counts(path)
        let calls = state.withLock { $0.calls }
        #expect(calls.count > 50)
        var problems: [String] = []
        for call in calls {
            let done = counts[call.key] ?? 0
            if let error = call.error {
                // A call that must not be repeated ends with the worker that had it; whoever made it is told.
                if call.isRepeatable || !call.isOutcomeUnknown || !call.mayBeKilled {
                    problems.append("\(call.key) is lost: \(error)")
                }
                if done > 1 { problems.append("\(call.key) was done \(done) times") }
                continue
            }
            let minor = call.version.flatMap { $0.split(separator: ".").dropFirst().first }.flatMap { Int($0) } ?? -1
            if minor < call.from || minor > call.to {
                problems.append(
                    "\(call.key) was answered by \(call.version ?? "") and not by 1.\(call.from) to 1.\(call.to)"
                )
            }
            // Only what may be repeated, and whose worker was killed, is done again.
            if done < 1 || done > (call.isRepeatable && call.mayBeKilled ? 2 : 1) {
                problems.append("\(call.key) was done \(done) times")
            }
        }
        #expect(
            problems.isEmpty,
            "\(problems.count) of \(calls.count) calls: \(problems.prefix(10).joined(separator: "; "))"
        )
    }

    private static func counts(_ path: String) throws -> [String: Int] {
        guard let file = fopen(path, "r") else { throw StageFailure("\(path) cannot be read") }
        defer { fclose(file) }
        var counts: [String: Int] = [:]
        var buffer = [CChar](repeating: 0, count: 512)
        while fgets(&buffer, 512, file) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if let key = line.split(separator: " ").first { counts[String(key), default: 0] += 1 }
        }
        return counts
    }
}
