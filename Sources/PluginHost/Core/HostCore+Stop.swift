// Stopping: one plugin by an operator's word, or everything in reverse order within a bound; and what else operators say.

import Manifest

extension HostCore {
    /// Stops a plugin until somebody starts it.
    mutating func stop(_ name: String) {
        abandonReload(name, "an operator stopped it")
        update(name) { $0.isWanted = false }
    }

    /// Starts a plugin after a stop.
    mutating func start(_ name: String) {
        update(name) { record in
            record.isWanted = true
            record.isAwake = true
        }
        reset(name)
    }

    /// Forgets what a plugin has done wrong.
    mutating func reset(_ name: String) {
        update(name) { record in
            record.supervision.reset()
            record.left = nil
            record.refusal = nil
        }
    }

    /// The plan of a plugin by other grants.
    mutating func regranted(_ plan: PluginPlan) {
        guard let record = records[plan.name], !isStopping else { return }
        if !plan.missingGrants.isEmpty {
            abandonReload(plan.name, "it \(missing(plan))")
            return update(plan.name) { $0.plan = plan }
        }
        if record.held != nil { return wantReload(plan.name, .files, [], plan: nil) }
        if record.processes.isEmpty, record.reload == nil {
            // What kept it from running may be what has been changed.
            if !record.plan.missingGrants.isEmpty || plan.sandbox != record.plan.sandbox { reset(plan.name) }
            update(plan.name) { $0.plan = plan }
        } else if plan.sandbox != record.plan.sandbox {
            wantReload(plan.name, .grants, [], plan: plan)
        }
    }

    private func missing(_ plan: PluginPlan) -> String {
        "waits for the grant of \(plan.missingGrants.joined(separator: ", "))"
    }

    /// Gives a plugin's reload up, and the one that waits after it.
    mutating func abandonReload(_ name: String, _ reason: String) {
        guard let record = records[name] else { return }
        if let wish = record.wish {
            update(name) { $0.wish = nil }
            answer(name, wish.requests, .failed(reason: reason, lastLines: []))
        }
        giveUpReload(name, reason, [])
    }

    /// Stops everything.
    mutating func stopAll() {
        guard !isStopping else { return }
        for name in order { abandonReload(name, "the host is stopping") }
        let waves = makeResolution().stopWaves
        let known = Set(waves.joined())
        stopWaves = [order.filter { !known.contains($0) }] + waves
        isStopping = true
        stopDeadline = now + timing.stopBound
    }

    /// Goes on with stopping everything: the next wave once the one before has gone.
    mutating func advanceStop() {
        guard isStopping, !isFinished else { return }
        if let deadline = stopDeadline, deadline <= now { return killAll() }
        while let wave = stopWaves.first {
            for name in wave { terminateAll(name) }
            if wave.contains(where: { records[$0]?.processes.isEmpty == false }) { return }
            stopWaves.removeFirst()
        }
        guard records.values.allSatisfy({ $0.processes.isEmpty }) else { return }
        isFinished = true
        actions.append(.finished)
    }

    private mutating func terminateAll(_ name: String) {
        for process in records[name]?.processes ?? [] {
            let isServing = process.stage == .ready
            change(process.label) { record in
                record.role = .leaving
                if record.endReason == nil { record.endReason = "the host is stopping" }
            }
            guard process.stage <= .ready else { continue }
            terminate(process.label, within: (isServing ? process.drainTimeout : .zero) + timing.teardown)
        }
    }

    private mutating func killAll() {
        let (now, timing) = (now, timing)
        stopDeadline = now + timing.killAgain
        for process in records.values.flatMap(\.processes).sorted(by: { "\($0.label)" < "\($1.label)" }) {
            change(process.label) { record in
                record.role = .leaving
                record.stage = .killing
                record.deadline = now + timing.killAgain
            }
            actions.append(.kill(process.label))
        }
    }
}
