// The host as a pure machine: what happened goes in, what to do comes out. It owns every decision about plugins and their
// processes and touches nothing: time and entropy are arguments. Subjects are in HostCore+Start, +Supervise, +Reload,
// +Scale, +Stop and +Status.

import Manifest
internal import SemanticVersion

/// Decides what becomes of the plugins of a host.
public struct HostCore {
    /// The times that no manifest sets.
    public let timing: HostTiming
    var records: [String: PluginRecord] = [:]
    var order: [String] = []
    var elsewhere: [ServiceOffer] = []
    var now = Duration.zero
    var actions: [HostAction] = []
    var isStopping = false
    var stopDeadline: Duration?
    /// While everything stops: the waves that still run, users first.
    var stopWaves: [[String]] = []
    var isFinished = false
    private var lastExpectation = 0
    private var entropy: UInt64 = 0
    private var resolved: Resolution?

    /// A host without plugins.
    public init(timing: HostTiming = HostTiming()) { self.timing = timing }

    /// Takes something that happened.
    ///
    /// - Parameters:
    ///   - input: What happened.
    ///   - now: The time, from any beginning; it must not go back.
    ///   - entropy: Random bits.
    /// - Returns: what to do, in this order.
    public mutating func handle(_ input: HostInput, now: Duration, entropy: UInt64) -> [HostAction] {
        self.now = max(now, self.now)
        self.entropy = entropy
        actions = []
        resolved = nil
        take(input)
        resolved = nil
        expire()
        for name in order { reconcile(name) }
        forgetUnlisted()
        advanceStop()
        for name in order { syncExpectation(name) }
        for name in order { show(name) }
        defer { actions = [] }
        return actions
    }

    private mutating func take(_ input: HostInput) {
        switch input {
        case .plugins(let plans): list(plans)
        case .elsewhere(let offers): elsewhere = offers
        case .launched(let label, let process): launched(label, process)
        case .launchFailed(let label, let problem): launchFailed(label, problem)
        case .ready(let label): becameReady(label)
        case .silent(let label): isSilent(label)
        case .notReady(let label, let reason, let delay):
            isNotReady(label, Supervision.NotReady(reason: reason, retryAfter: delay))
        case .suspect(let label, let reason): suspect(label, reason)
        case .sessionGone(let label, let reason): change(label) { $0.sessionEnd = reason }
        case .exited(let label, let cause, let lines): exited(label, cause, lines)
        case .promoted(let plugin, let generation, let problem): promoted(plugin, generation, problem)
        case .demand(let service, let version): demand(service, version)
        case .load(let plugin, let load): loaded(plugin, load)
        case .reload(let plugin, let request): wantReload(plugin, .files, [request], plan: nil)
        case .restart(let plugin, let request): wantReload(plugin, .restart, [request], plan: nil)
        case .prepared(let plugin, let outcome): prepared(plugin, outcome)
        case .regranted(let plans): for plan in plans { regranted(plan) }
        case .reset(let plugin): reset(plugin)
        case .stop(let plugin): stop(plugin)
        case .start(let plugin): start(plugin)
        case .stopAll: stopAll()
        case .tick: break
        }
    }

    /// When something is due if nothing else happens; nil: never.
    public var nextDeadline: Duration? {
        var next = isFinished ? nil : stopDeadline
        func consider(_ time: Duration?) {
            if let time { next = next.map { min($0, time) } ?? time }
        }
        for record in records.values {
            for process in record.processes { consider(process.deadline) }
            consider(record.reload?.deadline)
            consider(record.scale.nextAsk)
            if wantsMore(record) {
                // What is past and has not led to a start waits for something else.
                if record.supervision.notBefore > now { consider(record.supervision.notBefore) }
                if let quarantine = record.supervision.quarantine, !quarantine.isProbing, quarantine.probeAt > now {
                    consider(quarantine.probeAt)
                }
            }
        }
        return next.map { max($0, now) }
    }

    /// The revisions that a process or a plan still needs.
    public var liveRevisions: Set<Int> {
        var revisions = Set<Int>()
        for record in records.values {
            revisions.insert(record.plan.revision)
            for process in record.processes { revisions.insert(process.revision) }
            for plan in [record.reload?.plan, record.reload?.old, record.held, record.wish?.plan] {
                if let plan { revisions.insert(plan.revision) }
            }
        }
        return revisions
    }

    // MARK: - Helpers

    /// A factor between 0.8 and 1.2, another one at each call.
    mutating func jitter() -> Double {
        entropy &+= 0x9E37_79B9_7F4A_7C15
        return Self.jitter(entropy &- 0x9E37_79B9_7F4A_7C15)
    }

    /// The factor that belongs to some bits (the finish of SplitMix64).
    static func jitter(_ bits: UInt64) -> Double {
        var mixed = bits &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return 0.8 + 0.4 * Double(mixed >> 11) / Double(UInt64(1) << 53)
    }

    mutating func nextExpectation() -> ExpectationNumber {
        lastExpectation += 1
        return ExpectationNumber(value: lastExpectation)
    }

    mutating func change(_ label: InstanceLabel, _ body: (inout ProcessRecord) -> Void) {
        update(label.plugin) { record in
            if let index = record.index(label) { body(&record.processes[index]) }
        }
    }

    mutating func update(_ name: String, _ body: (inout PluginRecord) -> Void) {
        guard var record = records[name] else { return }
        // The record leaves the table meanwhile, so that the change is made in place.
        records[name] = nil
        body(&record)
        records[name] = record
    }

    func process(_ label: InstanceLabel) -> ProcessRecord? {
        records[label.plugin]?.processes.first { $0.label == label }
    }

    /// What may start, by the plans as they are.
    mutating func resolution() -> Resolution {
        if let resolved { return resolved }
        let fresh = makeResolution()
        resolved = fresh
        return fresh
    }

    /// What may start, by the plans as they are, one of which may be another.
    func makeResolution(replacing other: PluginPlan? = nil) -> Resolution {
        let plugins = order.compactMap { records[$0] }.filter(\.isListed).map { record in
            let plan = other?.name == record.plan.name ? (other ?? record.plan) : record.plan
            let from = plan.resolvable
            return ResolvablePlugin(
                name: plan.name,
                version: from.version,
                engine: from.engine,
                requires: from.requires,
                wants: from.wants,
                provides: from.provides,
                hold: other?.name == plan.name ? nil : hold(record)
            )
        }
        let names = Set(order)
        return Resolution(plugins, elsewhere: elsewhere.filter { !names.contains($0.provider) }, mesh: timing.mesh)
    }

    private func hold(_ record: PluginRecord) -> ResolvablePlugin.Hold? {
        if !record.plan.missingGrants.isEmpty { return .grant(record.plan.missingGrants) }
        if record.hasReady { return nil }
        if !record.isWanted { return .stopped }
        if let quarantine = record.supervision.quarantine { return .quarantined(quarantine.cause) }
        return nil
    }
}
