// Exclusive reload: the old processes finish before the new ones start, since they own what only one can have. When the new
// ones cannot start, the old revision starts again. Calls wait meanwhile, within their deadlines.

extension HostCore {
    /// Goes on with a reload that waits for processes to be gone.
    mutating func advanceReload(_ name: String) {
        guard let record = records[name], let reload = record.reload, record.processes.isEmpty else { return }
        switch reload.phase {
        case .emptying: if let plan = reload.plan { begin(name, plan, reload.generation, .replacing) }
        case .clearing:
            if let old = reload.old { begin(name, old, record.lastGeneration + 1, .rollingBack) }
        case .preparing, .starting, .promoting, .replacing, .rollingBack: break
        }
    }

    private mutating func begin(_ name: String, _ plan: PluginPlan, _ generation: Int, _ phase: Reload.Phase) {
        let (now, timing) = (now, timing)
        update(name) { record in
            record.plan = plan
            record.planHasServed = phase == .rollingBack
            record.generation = generation
            record.lastGeneration = max(record.lastGeneration, generation)
            record.supervision.reset()
            record.target = min(max(record.target, plan.initialTarget), max(1, plan.instances.upperBound))
            record.reload?.phase = phase
            record.reload?.deadline = now + plan.initTimeout + timing.teardown
        }
        step(name, generation, "version \(plan.version) starts" + (phase == .rollingBack ? " again" : ""))
    }

    /// A member is ready: if it is the last that a reload waits for, the reload is over.
    mutating func memberReady(_ name: String) {
        guard let record = records[name], let reload = record.reload else { return }
        switch reload.phase {
        case .replacing:
            guard record.readyMembers.count >= record.target else { return }
            finishReload(
                name,
                .promoted(
                    generation: record.generation,
                    version: "\(record.plan.version)",
                    after: now - reload.startedAt
                )
            )
        case .rollingBack:
            let again = "version \(record.plan.version) serves again as generation \(record.generation)"
            finishReload(
                name,
                .failed(reason: (reload.failure ?? "it failed") + "; " + again, lastLines: reload.lastLines)
            )
        case .preparing, .starting, .promoting, .emptying, .clearing: break
        }
    }

    /// Something that was to take over could not start.
    ///
    /// - Returns: whether that was dealt with here; else the end is supervised as any other.
    mutating func replacementFailed(_ name: String, _ reason: String, _ lines: [String]) -> Bool {
        guard let record = records[name], let reload = record.reload else { return false }
        switch reload.phase {
        case .replacing where reload.isExclusive:
            update(name) { record in
                record.reload?.phase = .clearing
                record.reload?.failure = "the new version could not start: \(reason)"
                record.reload?.lastLines = lines
                record.reload?.deadline = nil
            }
            retire(name, record.members.map(\.label), reason: "the new version could not start")
            return true
        case .replacing:
            finishReload(name, .failed(reason: "the new version could not start: \(reason)", lastLines: lines))
            return false
        case .rollingBack:
            let text = (reload.failure ?? "it failed") + "; the old version could not start again: \(reason)"
            finishReload(name, .failed(reason: text, lastLines: reload.lastLines + lines))
            return false
        case .preparing, .starting, .promoting, .emptying, .clearing: return false
        }
    }

    /// A step of a reload has taken too long.
    mutating func overdue(_ name: String, _ reload: Reload) {
        switch reload.phase {
        case .preparing: finishReload(name, .failed(reason: "its folder could not be read in time", lastLines: []))
        case .replacing, .rollingBack:
            let members = records[name]?.members.map(\.label) ?? []
            _ = replacementFailed(name, "it was not ready in time", [])
            if records[name]?.reload == nil { return }
            for label in members { terminate(label, within: timing.teardown) }
        case .starting, .promoting, .emptying, .clearing: update(name) { $0.reload?.deadline = nil }
        }
    }
}
