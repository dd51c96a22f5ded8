// Reload: a new generation takes over from the present one, beside it (overlap) or after it (exclusive). Until the flip
// every failure leaves the old generation serving; after it the new one is supervised like any other.

import Manifest

extension HostCore {
    /// Somebody wants a new generation: now, or after the reload that runs.
    mutating func wantReload(_ name: String, _ kind: Reload.Kind, _ requests: [RequestNumber], plan: PluginPlan?) {
        guard let record = records[name], record.isListed else {
            return answer(name, requests, .failed(reason: "this host has no plugin \(name)", lastLines: []))
        }
        guard !isStopping else {
            return answer(name, requests, .failed(reason: "the host is stopping", lastLines: []))
        }
        let wish = ReloadWish(kind: kind, requests: requests, plan: plan)
        update(name) { record in
            guard let earlier = record.wish else { return record.wish = wish }
            record.wish = ReloadWish(
                kind: max(earlier.kind, kind),
                requests: earlier.requests + requests,
                plan: plan ?? earlier.plan
            )
        }
        if record.reload != nil { step(name, record.reload?.generation ?? 0, "waits for the reload that runs") }
        beginWish(name)
    }

    /// Begins the reload that waits, if none runs and the generations before the last have left.
    mutating func beginWish(_ name: String) {
        guard let record = records[name], record.reload == nil, let wish = record.wish else { return }
        let leaving = record.processes.filter { $0.role == .leaving }.count
        guard leaving <= 2 * max(1, record.target) else { return }
        var reload = Reload(kind: wish.kind, requests: wish.requests, phase: .preparing, startedAt: now)
        reload.deadline = now + timing.prepareBound
        update(name) { record in
            record.wish = nil
            record.reload = reload
        }
        switch wish.kind {
        case .files: actions.append(.prepare(plugin: name))
        case .grants, .restart: proceed(name, wish.plan ?? record.plan)
        }
    }

    /// The plugin's folder was read.
    mutating func prepared(_ name: String, _ outcome: PreparedPlan) {
        guard records[name]?.reload?.phase == .preparing else { return }
        switch outcome {
        case .problem(let reason): finishReload(name, .failed(reason: reason, lastLines: []))
        case .plan(let plan): proceed(name, plan)
        }
    }

    /// Decides how the new plan takes over.
    private mutating func proceed(_ name: String, _ plan: PluginPlan) {
        guard let record = records[name], !plan.missingGrants.isEmpty else { return replace(name, by: plan) }
        update(name) { record in
            if record.processes.isEmpty { record.plan = plan } else { record.held = plan }
        }
        if !record.processes.isEmpty {
            step(name, record.lastGeneration, "waits for the grant of \(plan.missingGrants.joined(separator: ", "))")
        }
        finishReload(name, .held(permissions: plan.missingGrants))
    }

    private mutating func replace(_ name: String, by plan: PluginPlan) {
        guard let record = records[name] else { return }
        update(name) { $0.held = nil }
        if let outcome = makeResolution(replacing: plan).plugins[name], outcome.isBlocked, record.isSound {
            let reason = "version \(plan.version) could not start: it \(outcome.summary)"
            return finishReload(name, .failed(reason: reason, lastLines: []))
        }
        guard record.isWanted else {
            adopt(name, plan)
            return finishReload(name, .deferred("it is stopped; its next start uses version \(plan.version)"))
        }
        if record.members.isEmpty, !record.isAwake, plan.isLazy {
            adopt(name, plan)
            return finishReload(name, .deferred("nobody needs it now; the next call starts version \(plan.version)"))
        }
        let generation = record.lastGeneration + 1
        update(name) { record in
            record.lastGeneration = generation
            record.reload?.plan = plan
            record.reload?.generation = generation
            record.reload?.old = record.plan
            record.reload?.deadline = nil
        }
        guard record.isSound else { return replaceCold(name, plan, generation) }
        if plan.reload == .exclusive || record.plan.reload == .exclusive {
            update(name) { record in
                record.reload?.phase = .emptying
                record.reload?.isExclusive = true
            }
            step(name, generation, "calls wait while version \(record.plan.version) finishes")
            retire(name, record.members.map(\.label), reason: "a new version takes over")
        } else {
            update(name) { $0.reload?.phase = .starting }
            step(name, generation, "version \(plan.version) starts beside version \(record.plan.version)")
            for _ in 0..<Self.clamped(record.target, plan) {
                launch(name, .candidate, plan, generation: generation, stage: .shadow)
            }
        }
    }

    /// Nothing serves, and the old plan does not work: the new plan starts in place of whatever tries.
    private mutating func replaceCold(_ name: String, _ plan: PluginPlan, _ generation: Int) {
        let (now, timing) = (now, timing)
        guard let record = records[name] else { return }
        retire(name, record.members.map(\.label), reason: "a new version takes over")
        adopt(name, plan)
        update(name) { record in
            record.generation = generation
            record.reload?.phase = .replacing
            record.reload?.deadline = now + plan.initTimeout + timing.teardown
        }
        guard let cause = obstacle(name) else { return step(name, generation, "version \(plan.version) starts") }
        finishReload(name, .deferred("version \(plan.version) \(cause)"))
    }

    /// Makes a plan the plugin's own; what its predecessor did wrong is forgotten.
    private mutating func adopt(_ name: String, _ plan: PluginPlan) {
        update(name) { record in
            record.plan = plan
            record.planHasServed = false
            record.supervision.reset()
            record.left = nil
            record.refusal = nil
            record.target = Self.clamped(record.target, plan)
        }
    }

    static func clamped(_ count: Int, _ plan: PluginPlan) -> Int {
        min(max(count, plan.initialTarget), max(1, plan.instances.upperBound))
    }

    /// A candidate is ready: the flip, once all are.
    mutating func candidateReady(_ name: String) {
        guard let record = records[name], let reload = record.reload, reload.phase == .starting, let plan = reload.plan
        else { return }
        let candidates = record.candidates
        guard candidates.allSatisfy(\.isReady) else { return }
        let retired = record.readyMembers.map(\.label)
        if plan.provides != record.expectation?.services, record.expectation != nil, !plan.provides.isEmpty {
            let next = Expectation(number: nextExpectation(), services: plan.provides)
            actions.append(.expect(plugin: name, next.number, next.services))
            update(name) { $0.reload?.expectation = next }
        }
        update(name) { record in
            record.reload?.phase = .promoting
            record.reload?.retired = retired
        }
        step(name, reload.generation, "ready: takes over")
        actions.append(
            .promote(
                plugin: name,
                generation: reload.generation,
                instances: candidates.map(\.label),
                retire: retired,
                grace: record.plan.drainTimeout,
                reason: "version \(plan.version) takes over"
            )
        )
    }

    /// A candidate ended before it took over.
    mutating func candidateEnded(_ process: ProcessRecord, _ cause: ExitCause, _ lines: [String]) {
        let name = process.label.plugin
        guard let reload = records[name]?.reload else { return }
        if reload.phase == .promoting {
            let end = Supervision.End(cause: cause, ranFor: now - process.launchedAt, notReady: process.notReady)
            update(name) { $0.reload?.lost.append(end) }
        } else {
            failReload(name, "the new version ended before it was ready: \(reason(process, cause))", lines)
        }
    }

    /// The broker has flipped the route, or not.
    mutating func promoted(_ name: String, _ generation: Int, _ problem: String?) {
        guard let record = records[name], let reload = record.reload, reload.phase == .promoting,
            reload.generation == generation, let plan = reload.plan
        else { return }
        if let problem { return failReload(name, "the broker did not let it take over: \(problem)", []) }
        let old = record.members
        for process in old where reload.retired.contains(process.label) && process.isReady {
            beginDraining(process.label, "version \(plan.version) has taken over")
        }
        let others = old.filter { !reload.retired.contains($0.label) || !$0.isReady }
        adopt(name, plan)
        update(name) { record in
            for index in record.processes.indices where record.processes[index].role == .candidate {
                record.processes[index].role = .member
            }
            record.generation = generation
            record.hasBeenReady = true
            record.planHasServed = true
        }
        retire(name, others.map(\.label), reason: "version \(plan.version) has taken over")
        if let next = reload.expectation {
            if let previous = record.expectation { actions.append(.unexpect(plugin: name, previous.number)) }
            update(name) { $0.expectation = next }
        }
        for end in reload.lost { supervise(name, end) }
        finishReload(
            name,
            .promoted(generation: generation, version: "\(plan.version)", after: now - reload.startedAt)
        )
    }

    /// Gives a reload up; before the flip the old generation goes on as if nothing had been.
    mutating func failReload(_ name: String, _ reason: String, _ lines: [String]) {
        guard records[name]?.reload != nil, !replacementFailed(name, reason, lines) else { return }
        giveUpReload(name, reason, lines)
    }

    /// Ends the candidates of a reload, and the reload.
    mutating func giveUpReload(_ name: String, _ reason: String, _ lines: [String]) {
        guard let record = records[name], let reload = record.reload else { return }
        for process in record.candidates {
            change(process.label) { record in
                record.role = .leaving
                record.endReason = reason
            }
            terminate(process.label, within: timing.teardown)
        }
        if let expectation = reload.expectation { actions.append(.unexpect(plugin: name, expectation.number)) }
        finishReload(name, .failed(reason: reason, lastLines: lines))
    }

    /// Answers everybody who waits for a reload, and lets the next begin.
    mutating func finishReload(_ name: String, _ outcome: ReloadOutcome) {
        guard let reload = records[name]?.reload else { return }
        update(name) { $0.reload = nil }
        if reload.generation > 0 { step(name, reload.generation, outcome.sentence) }
        answer(name, reload.requests, outcome)
    }

    mutating func answer(_ name: String, _ requests: [RequestNumber], _ outcome: ReloadOutcome) {
        actions.append(.reloaded(plugin: name, requests, outcome))
    }

    mutating func step(_ name: String, _ generation: Int, _ text: String) {
        actions.append(.tell(.reload(plugin: name, generation: generation, text)))
    }
}
