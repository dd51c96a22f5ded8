// Starting: which plugins there are, who may start now, and the processes that are missing or too many.

import Manifest

extension HostCore {
    /// Takes the list of plugins: new ones appear, others go, changed ones get a new generation.
    mutating func list(_ plans: [PluginPlan]) {
        let names = Set(plans.map(\.name))
        for name in order where !names.contains(name) {
            abandonReload(name, "it is not among the host's plugins any more")
            update(name) { $0.isListed = false }
        }
        for plan in plans {
            guard let record = records[plan.name] else {
                records[plan.name] = PluginRecord(plan, timing: timing)
                order.append(plan.name)
                continue
            }
            update(plan.name) { $0.isListed = true }
            if record.plan.revision != plan.revision { wantReload(plan.name, .grants, [], plan: plan) }
        }
    }

    /// Lets go of plugins that are not listed any more, once nothing of them runs.
    mutating func forgetUnlisted() {
        for name in order {
            guard let record = records[name], !record.isListed, record.processes.isEmpty else { continue }
            if let expectation = record.expectation {
                actions.append(.unexpect(plugin: name, expectation.number))
            }
            records[name] = nil
            order.removeAll { $0 == name }
        }
    }

    /// How many processes a plugin should have now.
    func wanted(_ record: PluginRecord) -> Int {
        guard record.isListed, record.isWanted, record.isAwake, record.left == nil, record.refusal == nil,
            record.plan.missingGrants.isEmpty
        else { return 0 }
        switch record.reload?.phase {
        case .emptying, .clearing: return 0
        case .preparing, .starting, .promoting, .replacing, .rollingBack, nil: return record.target
        }
    }

    /// Whether a plugin has fewer processes than it should.
    func wantsMore(_ record: PluginRecord) -> Bool {
        !isStopping && record.reload?.phase != .promoting && record.members.count < wanted(record)
    }

    /// Brings the processes of a plugin to what they should be.
    mutating func reconcile(_ name: String) {
        guard !isStopping else { return }
        beginWish(name)
        advanceReload(name)
        guard let record = records[name] else { return }
        let count = wanted(record)
        let members = record.members
        if members.count > count {
            let surplus = members.filter { !$0.isFault }.suffix(members.count - count)
            retire(name, surplus.map(\.label), reason: retirementReason(record))
        } else if wantsMore(record) {
            launchMissing(name, record, count)
        }
        if needsLoad(name), records[name]?.scale.nextAsk == nil {
            let next = now + loadInterval(name)
            update(name) { $0.scale.nextAsk = next }
        }
    }

    private func retirementReason(_ record: PluginRecord) -> String {
        if !record.isListed { return "it is not among the host's plugins any more" }
        if !record.isWanted { return "an operator stopped it" }
        if !record.plan.missingGrants.isEmpty {
            return "the grant of \(record.plan.missingGrants.joined(separator: ", ")) was taken back"
        }
        if !record.isAwake { return "nobody has called it for \(record.plan.idleTimeout)" }
        return "fewer processes do"
    }

    private mutating func launchMissing(_ name: String, _ record: PluginRecord, _ count: Int) {
        var missing = count - record.members.count
        guard now >= record.supervision.notBefore else { return }
        if let quarantine = record.supervision.quarantine {
            // A probe that never came to run, or was ended for another reason, is followed by another one.
            guard now >= quarantine.probeAt, record.members.isEmpty else { return }
            update(name) { $0.supervision.probe() }
            missing = 1
        }
        if record.members.isEmpty, obstacle(name) != nil { return }
        for _ in 0..<missing { launch(name, .member, record.plan, generation: record.generation, stage: .live) }
    }

    /// Starts a process.
    mutating func launch(
        _ name: String,
        _ role: ProcessRecord.Role,
        _ plan: PluginPlan,
        generation: Int,
        stage: LaunchStage
    ) {
        guard let number = records[name]?.freeNumber(generation) else { return }
        let label = InstanceLabel(plugin: name, number: number, generation: generation)
        let process = ProcessRecord(
            label: label,
            revision: plan.revision,
            role: role,
            launchedAt: now,
            deadline: now + plan.initTimeout,
            drainTimeout: plan.drainTimeout
        )
        update(name) { $0.processes.append(process) }
        actions.append(.launch(label, stage: stage, revision: plan.revision))
    }

    /// What keeps a plugin from starting its first process now; nil: nothing.
    mutating func obstacle(_ name: String) -> String? {
        guard let resolution = resolution().plugins[name] else { return nil }
        if resolution.isBlocked, !isHeldByQuarantine(name, resolution) { return resolution.summary }
        for binding in resolution.bindings where binding.isAwaited {
            guard let provider = binding.provider, let other = records[provider.name] else { continue }
            if other.hasReady || (other.plan.isLazy && !other.isAwake && other.isWanted) { continue }
            if !binding.isRequired, hasHadItsTurn(provider.name) { continue }
            return "waits for \(binding.dependency.phrase) of \(provider.name)"
        }
        return nil
    }

    /// A probe may start although resolution holds the plugin for its quarantine.
    private func isHeldByQuarantine(_ name: String, _ resolution: PluginResolution) -> Bool {
        guard records[name]?.supervision.quarantine != nil else { return false }
        return resolution.reasons.allSatisfy { reason in
            if case .held(.quarantined) = reason { true } else { false }
        }
    }

    /// Whether waiting for a plugin's first start is over, well or not.
    private mutating func hasHadItsTurn(_ name: String) -> Bool {
        guard let record = records[name] else { return true }
        if record.hasBeenReady || record.left != nil || record.refusal != nil || !record.isWanted { return true }
        if record.supervision.restarts > 0 || record.supervision.quarantine != nil { return true }
        return resolution().plugins[name]?.isBlocked ?? true
    }

    /// A process runs.
    mutating func launched(_ label: InstanceLabel, _ process: Int32) {
        guard self.process(label) != nil else { return }
        change(label) { record in
            record.process = process
            if record.stage == .launching { record.stage = .starting }
        }
        actions.append(.tell(.started(label, process: process)))
    }

    /// A process serves without having said so.
    ///
    /// One that is to take over must say it: until then it takes no calls, and the broker lets nobody take over who may not be
    /// able to.
    mutating func isSilent(_ label: InstanceLabel) {
        guard process(label)?.role == .candidate else { return becameReady(label) }
        change(label) { record in
            record.isSilent = true
            record.sessionEnd = nil
        }
    }

    /// A process serves.
    mutating func becameReady(_ label: InstanceLabel) {
        guard let process = process(label), process.role != .leaving, process.stage <= .starting else { return }
        change(label) { record in
            record.stage = .ready
            record.deadline = nil
        }
        actions.append(.tell(.ready(label, process: process.process, after: now - process.launchedAt)))
        switch process.role {
        case .member:
            update(label.plugin) { record in
                record.supervision.becameReady()
                record.hasBeenReady = true
                record.planHasServed = true
            }
            memberReady(label.plugin)
        case .candidate: candidateReady(label.plugin)
        case .leaving: break
        }
    }
}
