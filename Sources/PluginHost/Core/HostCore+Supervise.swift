// Supervision: what a process's end means, what is overdue, and processes that do not do what they were asked.

import Manifest

extension HostCore {
    /// A process could not be started.
    mutating func launchFailed(_ label: InstanceLabel, _ problem: LaunchProblem) {
        let (now, timing) = (now, timing)
        guard let process = process(label) else { return }
        update(label.plugin) { $0.processes.removeAll { $0.label == label } }
        let cause = ExitCause.launch(problem.reason)
        tellEnd(process, cause, [])
        switch process.role {
        case .leaving: break
        case .candidate: candidateEnded(process, cause, [])
        case .member:
            switch problem {
            case .failed: memberEnded(process, cause, [])
            case .noBroker: update(label.plugin) { $0.supervision.wait(until: now + timing.notReadyDelay) }
            case .refused(let reason):
                if replacementFailed(label.plugin, reason, []) { return }
                update(label.plugin) { $0.refusal = reason }
            }
        }
    }

    /// A process has ended.
    mutating func exited(_ label: InstanceLabel, _ cause: ExitCause, _ lines: [String]) {
        guard let process = process(label) else { return }
        update(label.plugin) { $0.processes.removeAll { $0.label == label } }
        let cause = process.isFault ? .watchdog("\(process.endReason ?? "the host ended it")") : cause
        actions.append(.tellExited(label, process: process.process, cause: "\(cause)"))
        tellEnd(process, cause, lines)
        switch process.role {
        case .leaving: break
        case .candidate: candidateEnded(process, cause, lines)
        case .member: memberEnded(process, cause, lines)
        }
    }

    private mutating func tellEnd(_ process: ProcessRecord, _ cause: ExitCause, _ lines: [String]) {
        let isWanted = process.role == .leaving
        if !isWanted {
            let last = LastEnd(label: process.label, cause: reason(process, cause), lastLines: lines)
            update(process.label.plugin) { $0.lastEnd = last }
        }
        actions.append(
            .tell(
                .exited(
                    process.label,
                    process: process.process,
                    cause,
                    ranFor: now - process.launchedAt,
                    lastLines: lines,
                    isWanted: isWanted
                )
            )
        )
    }

    /// A cause in words, with what the process said about not being ready.
    func reason(_ process: ProcessRecord, _ cause: ExitCause) -> String {
        if let notReady = process.notReady { return "it is not ready: \(notReady.reason)" }
        if cause == .exited(Supervision.notReadyExitCode) { return "it is not ready (exit 75)" }
        return "\(cause)"
    }

    /// A process says that it cannot serve yet, perhaps after its end is known.
    mutating func isNotReady(_ label: InstanceLabel, _ word: Supervision.NotReady) {
        let (now, timing) = (now, timing)
        if process(label) != nil { return change(label) { $0.notReady = word } }
        update(label.plugin) { record in
            guard record.lastEnd?.label == label else { return }
            record.lastEnd?.cause = "it is not ready: \(word.reason)"
            if let delay = word.retryAfter { record.supervision.wait(until: now + min(delay, timing.probeAfter)) }
        }
    }

    private mutating func memberEnded(_ process: ProcessRecord, _ cause: ExitCause, _ lines: [String]) {
        let name = process.label.plugin
        guard !isStopping else { return }
        if replacementFailed(name, "it ended before it was ready: \(reason(process, cause))", lines) { return }
        supervise(
            name,
            Supervision.End(cause: cause, ranFor: now - process.launchedAt, notReady: process.notReady)
        )
    }

    /// Decides what follows the end of a member.
    mutating func supervise(_ name: String, _ end: Supervision.End) {
        let now = now
        let factor = jitter()
        update(name) { record in
            let verdict = record.supervision.ended(end, policy: record.plan.restart, now: now, jitter: factor)
            guard case .leave(let reason) = verdict else { return }
            if record.members.isEmpty {
                record.left = reason
            } else {
                record.target = max(1, record.members.count)
            }
        }
    }

    /// A process does not do what the broker asked of it: it is ended at once, and started again.
    mutating func suspect(_ label: InstanceLabel, _ reason: String) {
        let (now, timing) = (now, timing)
        guard let process = process(label), process.stage <= .ready else { return }
        change(label) { record in
            record.suspicion = reason
            record.endReason = "it was ended by the host: \(reason)"
            record.isFault = true
            record.stage = .killing
            record.deadline = now + timing.killAgain
        }
        actions.append(.kill(label))
    }

    /// Does what is due.
    mutating func expire() {
        for name in order {
            guard let record = records[name] else { continue }
            for process in record.processes {
                if let deadline = process.deadline, deadline <= now { overdue(process) }
            }
            if let reload = record.reload, let deadline = reload.deadline, deadline <= now { overdue(name, reload) }
            if let time = record.scale.nextAsk, time <= now { askLoad(name) }
        }
    }

    private mutating func overdue(_ process: ProcessRecord) {
        let (now, timing) = (now, timing)
        let label = process.label
        switch process.stage {
        case .launching, .starting:
            let bound = (process.deadline ?? now) - process.launchedAt
            let reason = "it was not ready within \(bound)" + (unreadiness(process).map { ": " + $0 } ?? "")
            if process.role == .candidate {
                failReload(label.plugin, reason, [])
            } else {
                change(label) { record in
                    record.isFault = true
                    record.endReason = reason
                }
            }
            terminate(label, within: timing.teardown)
        case .draining: terminate(label, within: timing.teardown)
        case .terminating, .killing:
            change(label) { record in
                record.stage = .killing
                record.deadline = now + timing.killAgain
            }
            actions.append(.kill(label))
        case .ready: change(label) { $0.deadline = nil }
        }
    }

    /// What is known about a process that never became ready.
    private func unreadiness(_ process: ProcessRecord) -> String? {
        if let reason = process.sessionEnd { return "its session has ended: \(reason)" }
        guard process.isSilent else { return nil }
        return "it registered its services and never called mesh.ready, without which it cannot take over"
    }

    /// Asks a process to end, and says when it will be killed.
    mutating func terminate(_ label: InstanceLabel, within bound: Duration) {
        let now = now
        guard let process = process(label), process.stage < .terminating else { return }
        change(label) { record in
            record.stage = .terminating
            record.deadline = now + bound
        }
        actions.append(.terminate(label))
    }

    /// Gives processes no further work and lets them leave: those that serve by a drain, others by SIGTERM.
    mutating func retire(_ name: String, _ labels: [InstanceLabel], reason: String) {
        var drained: [InstanceLabel] = []
        var grace = Duration.zero
        for label in labels {
            guard let process = process(label) else { continue }
            change(label) { $0.role = .leaving }
            guard process.stage <= .ready else { continue }
            if process.isReady {
                beginDraining(label, reason)
                drained.append(label)
                grace = max(grace, process.drainTimeout)
            } else {
                change(label) { $0.endReason = reason }
                terminate(label, within: timing.teardown)
            }
        }
        if !drained.isEmpty { actions.append(.drain(plugin: name, drained, grace: grace, reason: reason)) }
    }

    /// Marks a process as finishing; the broker has been told, or is being told.
    mutating func beginDraining(_ label: InstanceLabel, _ reason: String) {
        let (now, timing) = (now, timing)
        guard let process = process(label) else { return }
        change(label) { record in
            record.role = .leaving
            record.stage = .draining
            record.endReason = reason
            record.deadline = now + record.drainTimeout + timing.teardown
        }
        actions.append(.tell(.draining(label, process: process.process, reason: reason)))
    }
}
