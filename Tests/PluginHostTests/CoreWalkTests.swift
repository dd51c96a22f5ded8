// The host core against a small model of broker and processes, driven by seeds: whatever happens in whatever order, the
// number of processes is bounded, an overlap reload never takes the last generation away, and everything ends.

import Manifest
import Testing

@testable import PluginHost

/// Random numbers that a seed determines (SplitMix64).
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A broker and processes that do as they are told, or not.
private struct Walk {
    struct Running: Equatable {
        var isShadow: Bool
        var isRunning = false
        var isReady = false
        var isRetired = false
        var isKilled = false
    }

    var core = HostCore()
    var dice: Dice
    var now = Duration.zero
    var processes: [InstanceLabel: Running] = [:]
    var promotions: [(plugin: String, generation: Int, instances: [InstanceLabel], retire: [InstanceLabel])] = []
    var preparations: [String] = []
    var loads: [String] = []
    var revision = 100
    var request = 0
    var answered: Set<RequestNumber> = []
    var isFinished = false
    var problems: [String] = []
    let names = ["calm", "grows", "alone", "sleepy", "user"]

    init(seed: UInt64) { dice = Dice(state: seed) }

    func plan(_ name: String, revision: Int, version: String) throws -> PluginPlan {
        let more: String =
            switch name {
            case "grows": #""instances":{"min":2,"max":4},"provides":[{"service":"grows"}]"#
            case "alone": #""lifecycle":{"reload":"exclusive"},"provides":[{"service":"alone"}]"#
            case "sleepy": #""activation":"lazy","provides":[{"service":"sleepy"}]"#
            case "user": #""restart":"permanent","dependencies":{"required":["calm@*"]}"#
            default: #""provides":[{"service":"calm"}]"#
            }
        return try PluginHostTests.plan(name, version: version, revision: revision, more)
    }

    mutating func send(_ input: HostInput) {
        for action in core.handle(input, now: now, entropy: dice.next()) { take(action) }
        check()
    }

    private mutating func take(_ action: HostAction) {
        switch action {
        case .launch(let label, let stage, _):
            if processes[label] != nil { problems.append("\(label) is launched twice") }
            processes[label] = Running(isShadow: stage == .shadow)
        case .kill(let label): processes[label]?.isKilled = true
        case .drain(_, let labels, _, _): for label in labels { processes[label]?.isRetired = true }
        case .promote(let plugin, let generation, let instances, let retire, _, _):
            promotions.append((plugin, generation, instances, retire))
        case .prepare(let plugin): preparations.append(plugin)
        case .askLoad(let plugin): loads.append(plugin)
        case .reloaded(_, let numbers, _): answered.formUnion(numbers)
        case .finished: isFinished = true
        case .terminate, .expect, .unexpect, .tellExited, .tell: break
        }
    }

    private mutating func check() {
        for (name, record) in core.records {
            let most = max(1, record.plan.instances.upperBound)
            if record.members.count > most { problems.append("\(name) has \(record.members.count) members of \(most)") }
            if record.processes.count > 5 * most + 5 {
                problems.append("\(name) has \(record.processes.count) processes")
            }
            for process in record.processes where processes[process.label] == nil {
                problems.append("\(process.label) is known and not there")
            }
        }
        for (label, _) in processes where core.process(label) == nil {
            problems.append("\(label) is there and not known")
        }
        if let next = core.nextDeadline, next - now > .seconds(301) { problems.append("a timer of \(next - now)") }
    }

    /// One thing happens.
    mutating func step() throws {
        let labels = processes.keys.sorted { "\($0)" < "\($1)" }
        let name = names[Int.random(in: 0..<names.count, using: &dice)]
        switch Int.random(in: 0..<20, using: &dice) {
        case 0...6: if let label = labels.randomElement(using: &dice) { advance(label) }
        case 7:
            if let label = labels.randomElement(using: &dice) {
                end(label, [.exited(1), .signalled(9), .exited(0), .exited(75)])
            }
        case 8...9: if !promotions.isEmpty { promote(fails: Int.random(in: 0..<6, using: &dice) == 0) }
        case 10:
            request += 1
            send(.reload(plugin: name, RequestNumber(request)))
        case 11: try prepare()
        case 12: send(.demand(service: "sleepy", version: "1.0.0"))
        case 13:
            guard !loads.isEmpty else { return }
            let load = PluginLoad(waiting: Int.random(in: 0...3, using: &dice), running: 1, capacity: 4)
            send(.load(plugin: loads.removeFirst(), load))
        case 14:
            switch Int.random(in: 0..<8, using: &dice) {
            case 0: send(.stop(plugin: name))
            case 1: send(.reset(plugin: name))
            case 2:
                request += 1
                send(.restart(plugin: name, RequestNumber(request)))
            default: send(.start(plugin: name))
            }
        case 15:
            if let label = labels.randomElement(using: &dice) { send(.suspect(label, reason: "it ignored a cancel")) }
        default:
            now += .milliseconds(Int.random(in: 1...2_000, using: &dice))
            send(.tick)
        }
        if Int.random(in: 0..<3, using: &dice) == 0 { try prepare() }
        // What was killed or has been asked to leave goes, sooner or later.
        for label in processes.keys.sorted(by: { "\($0)" < "\($1)" }) {
            guard let process = processes[label], process.isKilled || process.isRetired else { continue }
            if Int.random(in: 0..<4, using: &dice) == 0 { end(label, [process.isKilled ? .signalled(9) : .exited(0)]) }
        }
    }

    private mutating func advance(_ label: InstanceLabel) {
        guard let process = processes[label] else { return }
        if !process.isRunning {
            processes[label]?.isRunning = true
            send(.launched(label, process: 1))
        } else if !process.isReady {
            processes[label]?.isReady = true
            send(.ready(label))
        }
    }

    private mutating func end(_ label: InstanceLabel, _ causes: [ExitCause]) {
        processes[label] = nil
        send(.exited(label, causes.randomElement(using: &dice) ?? .exited(1), lastLines: []))
    }

    mutating func promote(fails: Bool) {
        let order = promotions.removeFirst()
        let isPossible = order.instances.allSatisfy { processes[$0]?.isReady == true }
        guard isPossible, !fails else {
            return send(.promoted(plugin: order.plugin, generation: order.generation, problem: "it is not ready"))
        }
        // One step: whoever serves is replaced by somebody who is ready.
        for label in order.instances { processes[label]?.isShadow = false }
        for label in order.retire { processes[label]?.isRetired = true }
        let isServed = processes.contains { $0.key.plugin == order.plugin && $0.value.isReady && !$0.value.isShadow }
        if !isServed { problems.append("\(order.plugin): nobody serves after the flip") }
        send(.promoted(plugin: order.plugin, generation: order.generation, problem: nil))
    }

    mutating func prepare() throws {
        guard !preparations.isEmpty else { return }
        let name = preparations.removeFirst()
        revision += 1
        if Int.random(in: 0..<8, using: &dice) == 0 {
            send(.prepared(plugin: name, .problem("plugin.json is wrong")))
        } else {
            send(.prepared(plugin: name, .plan(try plan(name, revision: revision, version: "1.0.\(revision)"))))
        }
    }

    /// Everything stops: processes do as they are told, some only when they are killed.
    mutating func stop() {
        send(.stopAll)
        for _ in 0..<200 where !isFinished {
            for label in processes.keys.sorted(by: { "\($0)" < "\($1)" }) {
                let isStubborn = label.number == 1
                if !isStubborn || processes[label]?.isKilled == true { end(label, [.exited(0)]) }
            }
            now = max(now, core.nextDeadline ?? now)
            send(.tick)
        }
    }
}

struct CoreWalkTests {
    @Test(arguments: 0..<40)
    func `whatever happens, processes are bounded, somebody serves, and everything ends`(_ seed: Int) throws {
        var walk = Walk(seed: UInt64(seed))
        walk.send(.plugins(try walk.names.enumerated().map { try walk.plan($1, revision: $0, version: "1.0.0") }))
        for _ in 0..<1500 {
            try walk.step()
            if !walk.problems.isEmpty { break }
        }
        #expect(walk.problems.isEmpty, "seed \(seed): \(walk.problems.prefix(3))")
        let begin = walk.now
        walk.stop()
        #expect(walk.isFinished, "seed \(seed): left \(walk.processes.keys.map { "\($0)" })")
        #expect(walk.processes.isEmpty)
        #expect(walk.now - begin <= .seconds(16), "seed \(seed)")
        // Nobody who asked for a reload waits for ever.
        #expect(walk.answered.count == walk.request, "seed \(seed)")
    }
}
