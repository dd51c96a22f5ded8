// Local scaling and lazy activation: calls that wait wake a plugin up or make it grow; a plugin that has nothing to do
// shrinks or goes to sleep. Also what the broker is told to let calls wait for.

import Manifest

extension HostCore {
    /// A call waits for a service: a lazy plugin that provides it wakes up.
    mutating func demand(_ service: String, _ version: String) {
        for name in order {
            guard let record = records[name], record.plan.isLazy, !record.isAwake, record.isWanted else { continue }
            let provides = record.plan.provides.contains { offer in
                offer.service == service && (version.isEmpty || "\(offer.version)" == version)
            }
            guard provides else { continue }
            update(name) { record in
                record.isAwake = true
                record.target = record.plan.initialTarget
                record.scale = ScaleRecord()
            }
        }
    }

    /// Whether somebody must know how busy a plugin is.
    func needsLoad(_ name: String) -> Bool {
        guard let record = records[name], record.hasReady, !isStopping else { return false }
        return record.plan.isLazy || canGrow(record)
    }

    private func canGrow(_ record: PluginRecord) -> Bool {
        record.plan.instances.upperBound > record.plan.initialTarget
    }

    func loadInterval(_ name: String) -> Duration {
        guard let record = records[name] else { return timing.idleInterval }
        return canGrow(record) ? timing.loadInterval : min(timing.idleInterval, record.plan.idleTimeout / 2)
    }

    mutating func askLoad(_ name: String) {
        let (now, bound, interval) = (now, timing.killAgain, loadInterval(name))
        guard needsLoad(name) else { return update(name) { $0.scale = ScaleRecord() } }
        update(name) { record in
            // An answer that never comes is asked for again.
            record.scale.nextAsk = now + (record.scale.isAsked ? interval : bound)
            record.scale.isAsked.toggle()
        }
        if records[name]?.scale.isAsked == true { actions.append(.askLoad(plugin: name)) }
    }

    /// The broker told how busy a plugin is.
    mutating func loaded(_ name: String, _ load: PluginLoad?) {
        let next = now + loadInterval(name)
        guard let record = records[name], record.scale.isAsked else { return }
        update(name) { record in
            record.scale.isAsked = false
            record.scale.nextAsk = next
        }
        guard let load, record.reload == nil, record.isAwake, needsLoad(name) else {
            return update(name) { record in
                record.scale.busySince = nil
                record.scale.calmSince = nil
                record.scale.idleSince = nil
            }
        }
        if record.plan.isLazy { rest(name, load) }
        if canGrow(record) { scale(name, load) }
        update(name) { record in
            record.scale.lastTotal = load.total
            record.scale.last = load
        }
    }

    private mutating func rest(_ name: String, _ load: PluginLoad) {
        let now = now
        update(name) { record in
            let isIdle = load.waiting == 0 && load.running == 0 && load.total == record.scale.lastTotal
            guard isIdle else { return record.scale.idleSince = nil }
            let since = record.scale.idleSince ?? now
            record.scale.idleSince = since
            guard now - since >= record.plan.idleTimeout else { return }
            record.isAwake = false
            record.target = record.plan.initialTarget
            record.scale = ScaleRecord()
        }
    }

    private mutating func scale(_ name: String, _ load: PluginLoad) {
        let (now, timing) = (now, timing)
        update(name) { record in
            let range = record.plan.instances
            let isBusy = load.waiting > 0 || (load.capacity > 0 && load.running >= load.capacity)
            if isBusy {
                record.scale.calmSince = nil
                let since = record.scale.busySince ?? now
                record.scale.busySince = since
                let isSteady = record.readyMembers.count >= record.target
                guard now - since >= timing.growAfter, isSteady, record.target < range.upperBound else { return }
                record.target += 1
                record.scale.busySince = now
                return
            }
            record.scale.busySince = nil
            let each = load.capacity / max(1, record.readyMembers.count)
            let fewer = record.target - 1
            let isCalm = fewer >= record.plan.initialTarget && load.running * 2 <= each * fewer
            guard isCalm else { return record.scale.calmSince = nil }
            let since = record.scale.calmSince ?? now
            record.scale.calmSince = since
            guard now - since >= timing.shrinkAfter else { return }
            record.target = fewer
            record.scale.calmSince = now
        }
    }

    /// Tells the broker for what calls may wait now.
    mutating func syncExpectation(_ name: String) {
        guard let record = records[name], record.reload?.phase != .promoting else { return }
        let mayWait = callsMayWait(for: name)
        if mayWait, record.plan.provides == record.expectation?.services { return }
        guard mayWait || record.expectation != nil else { return }
        // While an exclusive reload runs the calls wait for what they were made for.
        if record.reload?.isExclusive == true, record.expectation != nil, !isStopping { return }
        var next: Expectation?
        if mayWait {
            let expectation = Expectation(number: nextExpectation(), services: record.plan.provides)
            actions.append(.expect(plugin: name, expectation.number, expectation.services))
            next = expectation
        }
        if let previous = record.expectation { actions.append(.unexpect(plugin: name, previous.number)) }
        update(name) { $0.expectation = next }
    }

    /// True when calls may wait for a plugin: it starts with the first of them, or is away for a moment.
    private mutating func callsMayWait(for name: String) -> Bool {
        guard let record = records[name], !isStopping, record.isListed, record.isWanted, record.left == nil,
            record.refusal == nil, record.plan.missingGrants.isEmpty, !record.plan.provides.isEmpty
        else { return false }
        if record.hasReady { return true }
        guard record.plan.isLazy || record.hasBeenReady else { return false }
        guard record.supervision.quarantine == nil, record.supervision.notBefore - now <= timing.parkBound else {
            return false
        }
        return !record.members.isEmpty || !(resolution().plugins[name]?.isBlocked ?? false)
    }
}
