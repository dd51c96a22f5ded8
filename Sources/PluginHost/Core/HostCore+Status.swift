// What can be seen of the core: the state of each plugin with its cause, its processes, and whether anything is under way.

import Manifest

/// A process, as a host shows it.
public struct ProcessStatus: Hashable, Sendable {
    /// Which one.
    public var label: InstanceLabel
    /// Its process id; nil while it is being started.
    public var process: Int32?
    /// How it is doing.
    public var state: PluginState
    /// The revision that it runs.
    public var revision: Int
    /// Whether it is of the next generation and takes no calls yet.
    public var isShadow: Bool
    /// For how long it has run.
    public var age: Duration
}

/// A plugin, as a host shows it.
public struct PluginStatus: Hashable, Sendable {
    /// Its name in the mesh.
    public var plugin: String
    /// Its version.
    public var version: String
    /// How it is doing.
    public var state: PluginState
    /// Why; may be empty.
    public var cause: String
    /// Its generation.
    public var generation: Int
    /// How many processes it should have.
    public var target: Int
    /// Its processes, old and new.
    public var processes: [ProcessStatus]
    /// How often a process was started in place of one that had ended.
    public var restarts: Int
    /// The last process that ended without being told to.
    public var lastEnd: LastEnd?
    /// What a reload is doing, or waits for.
    public var reload: String?
    /// The revision of its plan.
    public var revision: Int
}

extension HostCore {
    /// How each plugin is doing, in the order in which they were listed.
    public mutating func statuses() -> [PluginStatus] { order.compactMap { status($0) } }

    /// How a plugin is doing; nil: there is none of that name.
    public mutating func status(_ name: String) -> PluginStatus? {
        guard let record = records[name] else { return nil }
        let (state, cause) = state(name)
        return PluginStatus(
            plugin: name,
            version: "\(record.plan.version)",
            state: state,
            cause: cause,
            generation: record.generation,
            target: record.target,
            processes: record.processes.map(status),
            restarts: record.supervision.restarts,
            lastEnd: record.lastEnd,
            reload: reloadText(record),
            revision: record.plan.revision
        )
    }

    private func status(_ process: ProcessRecord) -> ProcessStatus {
        let state: PluginState =
            switch process.stage {
            case .launching, .starting: .starting
            case .ready: .ready
            case .draining, .terminating, .killing: process.isFault ? .suspect : .draining
            }
        return ProcessStatus(
            label: process.label,
            process: process.process,
            state: state,
            revision: process.revision,
            isShadow: process.role == .candidate,
            age: now - process.launchedAt
        )
    }

    private func reloadText(_ record: PluginRecord) -> String? {
        if let held = record.held {
            return "version \(held.version) waits for the grant of \(held.missingGrants.joined(separator: ", "))"
        }
        switch record.reload?.phase {
        case nil: return nil
        case .preparing: return "the folder is being read"
        case .starting: return "the next generation starts"
        case .promoting: return "the next generation takes over"
        case .emptying: return "the old processes finish; calls wait"
        case .replacing: return "the new processes start; calls wait"
        case .clearing, .rollingBack: return "the new version failed; the old one starts again"
        }
    }

    /// Why plugins may start or not, for `why`.
    func currentResolution() -> Resolution { makeResolution() }

    /// Whether nothing is on its way to being ready.
    public mutating func isSettled() -> Bool {
        for name in order {
            guard let record = records[name] else { continue }
            if record.reload != nil { return false }
            if record.members.contains(where: { $0.stage <= .starting }) { return false }
        }
        return true
    }

    /// A plugin's state and its cause.
    mutating func state(_ name: String) -> (PluginState, String) {
        guard let record = records[name] else { return (.stopped, "") }
        let members = record.members
        let last = record.lastEnd.map { $0.cause } ?? ""
        if !record.readyMembers.isEmpty {
            return (.ready, record.supervision.quarantine.map { "one ended: \($0.cause)" } ?? "")
        }
        if members.contains(where: { $0.suspicion != nil }) {
            return (.suspect, members.compactMap(\.suspicion).first ?? "")
        }
        if !record.plan.missingGrants.isEmpty {
            return (.blocked, "waits for the grant of \(record.plan.missingGrants.joined(separator: ", "))")
        }
        if let refusal = record.refusal { return (.blocked, refusal) }
        if let left = record.left { return (.stopped, leftText(left, last)) }
        if members.contains(where: { $0.stage <= .starting }) { return (.starting, "") }
        if let quarantine = record.supervision.quarantine {
            return (
                .quarantined, "it ended \(timing.crashLimit) times within \(timing.crashWindow): \(quarantine.cause)"
            )
        }
        if record.processes.contains(where: { $0.role == .leaving }), !record.isWanted || !record.isAwake || isStopping
        {
            return (.draining, "")
        }
        if isStopping || !record.isWanted || !record.isListed {
            return (.stopped, isStopping ? "the host is stopping" : "an operator stopped it")
        }
        if !record.isAwake {
            if let obstacle = resolution().plugins[name], obstacle.isBlocked { return (.blocked, obstacle.summary) }
            return (.discovered, "starts with the first call")
        }
        if record.supervision.notBefore > now { return (.backoff, last) }
        if let obstacle = obstacle(name) { return (.blocked, obstacle) }
        return members.isEmpty ? (.starting, "") : (.draining, "")
    }

    private func leftText(_ reason: Supervision.Reason, _ last: String) -> String {
        switch reason {
        case .finished: "it has finished (\(last))"
        case .temporary: "its policy is not to start it again (\(last))"
        case .configuration: last
        }
    }

    /// Tells when a plugin's state has changed.
    mutating func show(_ name: String) {
        guard let record = records[name] else { return }
        let (state, cause) = state(name)
        let change = PluginChange(plugin: name, state: state, cause: cause, generation: record.generation)
        guard change != record.shown else { return }
        update(name) { $0.shown = change }
        actions.append(.tell(.changed(change)))
    }
}

extension HostCore {
    /// Processes that run and have not said that they are ready.
    var startingLabels: Set<InstanceLabel> {
        Set(records.values.flatMap(\.processes).filter { $0.stage == .starting && $0.role != .leaving }.map(\.label))
    }

    /// How many services a process is to register.
    func serviceCount(of label: InstanceLabel) -> Int {
        guard let record = records[label.plugin] else { return 0 }
        let isNext = record.reload?.generation == label.generation
        return max(1, ((isNext ? record.reload?.plan : nil) ?? record.plan).provides.count)
    }
}
