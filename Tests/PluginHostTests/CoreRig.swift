// A host core with a clock that tests turn by hand, and short ways to write down what goes in and what comes out.

import Manifest
import SemanticVersion

@testable import PluginHost

/// A host core under test.
struct CoreRig {
    var core: HostCore
    var now = Duration.zero
    /// Everything that came out since it was last asked for.
    private(set) var log: [HostAction] = []

    init(timing: HostTiming = HostTiming()) { core = HostCore(timing: timing) }

    /// Sends something in; returns what is to be done, without what is only told.
    @discardableResult
    mutating func send(_ input: HostInput) -> [HostAction] {
        // 1.0 as a factor on delays.
        let actions = core.handle(input, now: now, entropy: CoreRig.evenEntropy)
        log += actions
        return actions.filter { if case .tell = $0 { false } else { true } }
    }

    /// Lets time pass, and everything that is due happen at its time.
    @discardableResult
    mutating func pass(_ time: Duration) -> [HostAction] {
        let end = now + time
        var all: [HostAction] = []
        var count = 0
        while let next = core.nextDeadline, next <= end {
            now = max(now, next)
            all += send(.tick)
            count += 1
            precondition(count < 100_000, "the core asks to be called all the time")
        }
        now = end
        return all + send(.tick)
    }

    /// A process starts and becomes ready.
    mutating func bringUp(_ label: String, process: Int32 = 100) {
        send(.launched(named(label), process: process))
        send(.ready(named(label)))
    }

    /// The states that were told, as "echo ready" or "echo backoff: exit 1".
    mutating func states() -> [String] {
        defer { log = [] }
        return log.compactMap { action in
            guard case .tell(.changed(let change)) = action else { return nil }
            return "\(change.plugin) \(change.state.rawValue)" + (change.cause.isEmpty ? "" : ": \(change.cause)")
        }
    }

    func status(_ plugin: String) -> PluginStatus? {
        var copy = core
        return copy.status(plugin)
    }

    func state(_ plugin: String) -> String {
        guard let status = status(plugin) else { return "unknown" }
        return status.state.rawValue + (status.cause.isEmpty ? "" : ": \(status.cause)")
    }

    /// Bits from which the core's first jitter is 1.
    static let evenEntropy: UInt64 = {
        var bits: UInt64 = 0
        var best = 1.0
        // Any bits would do; these make delays easy to read.
        for candidate in UInt64(0)..<20_000 {
            let distance = abs(HostCore.jitter(candidate) - 1)
            if distance < best {
                best = distance
                bits = candidate
            }
        }
        return bits
    }()
}

func named(_ text: String) -> InstanceLabel {
    InstanceLabel(text) ?? InstanceLabel(plugin: text, number: 0, generation: 0)
}

func version(_ text: String) throws -> SemanticVersion { try SemanticVersion(text) }

/// A plugin's plan from as little as a test wants to say, through its manifest.
func plan(_ name: String, version: String = "1.0.0", revision: Int = 1, _ more: String = "") throws -> PluginPlan {
    let text = #"{"name":"\#(name)","version":"\#(version)","main":"main.sh"\#(more.isEmpty ? "" : "," + more)}"#
    let manifest = try PluginManifest.load(text: text)
    let count = manifest.instances
    return PluginPlan(
        name: name,
        version: manifest.version,
        revision: revision,
        resolvable: ResolvablePlugin(name: name, manifest: manifest),
        provides: manifest.provides,
        restart: manifest.restart,
        activation: manifest.activation,
        instances: count.minimum...max(count.minimum, count.maximum),
        reload: manifest.lifecycle.reload
    )
}

extension HostAction {
    /// In a line, for comparisons.
    var text: String {
        switch self {
        case .launch(let label, let stage, let revision): "launch \(label) \(stage.rawValue) r\(revision)"
        case .terminate(let label): "terminate \(label)"
        case .kill(let label): "kill \(label)"
        case .drain(_, let labels, _, _): "drain \(labels.map(\.description).joined(separator: " "))"
        case .promote(_, _, let labels, let retired, _, _):
            "promote \(labels.map(\.description).joined(separator: " "))"
                + (retired.isEmpty ? "" : " for \(retired.map(\.description).joined(separator: " "))")
        case .expect(_, let number, let services):
            "expect \(number.value) "
                + services.map { "\($0.service)@\($0.version)" }.joined(separator: " ")
        case .unexpect(_, let number): "unexpect \(number.value)"
        case .tellExited(let label, _, let cause): "exited \(label): \(cause)"
        case .askLoad(let plugin): "load? \(plugin)"
        case .prepare(let plugin): "prepare \(plugin)"
        case .reloaded(let plugin, let requests, let outcome):
            "\(plugin) \(requests.map { "\($0.value)" }.joined(separator: ",")): \(outcome.sentence)"
        case .tell(let event): "tell \(event)"
        case .finished: "finished"
        }
    }
}

extension [HostAction] {
    var texts: [String] { map(\.text) }
}
