// The services that this side provides, from PROVIDE to their end. A pure value: registrations are repeated in every
// session, and every request about them is answered once.

import MeshProtocol
import SemanticVersion

/// The registrations of a connection, by their request.
struct RegistrationTable<Registration: Sendable, Waiter: Sendable> {
    /// What shall be done, in this order.
    enum Action {
        /// Send a message.
        case send(Frame)
        /// Somebody's request has ended.
        case answer(Waiter, Result<Void, MeshError>)
        /// The registration has ended.
        case ended(Registration, Result<Void, MeshError>)
    }

    private enum State {
        case pending
        case live
        case retrying(at: Moment)
    }

    private struct Entry {
        var registration: Registration
        var description: ServiceDescription
        var version: SemanticVersion?
        var state = State.pending
        var provider: Waiter?
        var withdrawers: [Waiter] = []
        var isWithdrawn = false
        /// Slots that handlers of earlier sessions still take.
        var busy = 0

        /// The capacity that the broker may know.
        var freeCapacity: Int { max(0, description.capacity - busy) }
    }

    /// The delay before a registration that was refused for the moment is tried again.
    static var retryDelay: Duration { .milliseconds(500) }

    private var entries: [RequestID: Entry] = [:]
    private var byService: [String: [RequestID]] = [:]
    private var drains: [RequestID: Waiter] = [:]
    /// Who waits until everything is registered.
    private var settlers: [Waiter] = []
    private var isReady = false
    private var isDraining = false

    /// The registrations that have not ended.
    var count: Int { entries.count }

    /// When `timePassed` must be called at the latest.
    var nextDeadline: Moment? {
        var next: Moment?
        for entry in entries.values { if case .retrying(let at) = entry.state { next = earliest(next, at) } }
        return next
    }

    /// Registers a service.
    mutating func add(
        _ id: RequestID,
        _ description: ServiceDescription,
        registration: Registration,
        waiter: Waiter,
        into actions: inout [Action]
    ) {
        guard !isDraining else {
            let error = MeshError(.failedPrecondition, "this connection drains and takes no new services")
            actions.append(.answer(waiter, .failure(error)))
            return actions.append(.ended(registration, .failure(error)))
        }
        entries[id] = Entry(
            registration: registration,
            description: description,
            version: try? SemanticVersion(description.version),
            provider: waiter
        )
        byService[description.name, default: []].append(id)
        if isReady { provide(id, into: &actions) }
    }

    private mutating func provide(_ id: RequestID, into actions: inout [Action]) {
        guard let entry = entries[id] else { return }
        entries[id]?.state = .pending
        var description = entry.description
        description.capacity = entry.freeCapacity
        actions.append(.send(Frame(description.provide(id: id), body: description.schema?.bytes)))
    }

    /// Changes capacity and weight.
    mutating func setCapacity(_ id: RequestID, capacity: Int, weight: Int, into actions: inout [Action]) {
        guard entries[id]?.isWithdrawn == false else { return }
        entries[id]?.description.capacity = capacity
        entries[id]?.description.weight = weight
        tellCapacity(id, into: &actions)
    }

    /// Notes how many slots handlers of earlier sessions still take.
    mutating func setBusy(_ busy: Int, of id: RequestID, into actions: inout [Action]) {
        guard let entry = entries[id], !entry.isWithdrawn, entry.busy != busy else { return }
        entries[id]?.busy = busy
        tellCapacity(id, into: &actions)
    }

    private func tellCapacity(_ id: RequestID, into actions: inout [Action]) {
        guard isReady, let entry = entries[id] else { return }
        // The broker does not know it yet; the PROVIDE to come says it.
        if case .retrying = entry.state { return }
        let capacity = UInt32(clamping: entry.freeCapacity)
        let weight = UInt32(clamping: entry.description.weight)
        actions.append(.send(Frame(Capacity(id: id, capacity: capacity, weight: weight))))
    }

    /// Waits until the broker has every service.
    mutating func settle(_ waiter: Waiter, into actions: inout [Action]) {
        settlers.append(waiter)
        answerSettlers(into: &actions)
    }

    private mutating func answerSettlers(into actions: inout [Action]) {
        guard !settlers.isEmpty, isReady else { return }
        let isSettled = entries.values.allSatisfy { entry in
            if case .live = entry.state { true } else { entry.isWithdrawn }
        }
        guard isSettled || isDraining else { return }
        for waiter in settlers { actions.append(.answer(waiter, .success(()))) }
        settlers.removeAll()
    }

    /// Takes a registration back.
    mutating func withdraw(_ id: RequestID, waiter: Waiter?, into actions: inout [Action]) {
        guard let entry = entries[id] else {
            if let waiter { actions.append(.answer(waiter, .success(()))) }
            return
        }
        if let waiter { entries[id]?.withdrawers.append(waiter) }
        guard !entry.isWithdrawn else { return }
        if let provider = entry.provider {
            entries[id]?.provider = nil
            let error = MeshError(.cancelled, "the registration was taken back before the broker answered")
            actions.append(.answer(provider, .failure(error)))
        }
        entries[id]?.isWithdrawn = true
        if isReady { return actions.append(.send(Frame(Withdraw(id: id)))) }
        end(id, .success(()), into: &actions)
    }

    private mutating func end(_ id: RequestID, _ result: Result<Void, MeshError>, into actions: inout [Action]) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        byService[entry.description.name]?.removeAll { $0 == id }
        if byService[entry.description.name]?.isEmpty == true { byService[entry.description.name] = nil }
        if let provider = entry.provider { actions.append(.answer(provider, result)) }
        for waiter in entry.withdrawers { actions.append(.answer(waiter, .success(()))) }
        actions.append(.ended(entry.registration, result))
        answerSettlers(into: &actions)
    }

    /// Asks the broker for no new work.
    mutating func drain(_ id: RequestID, waiter: Waiter, into actions: inout [Action]) {
        isDraining = true
        guard isReady else { return actions.append(.answer(waiter, .success(()))) }
        drains[id] = waiter
        actions.append(.send(Frame(Drain(id: id.wire))))
    }

    /// Takes END; false when it is for nothing of this table.
    ///
    /// The END of a PROVIDE and that of a WITHDRAW have the same id; they come in the order of the requests, so the
    /// first one that a withdrawn registration gets may be the PROVIDE's.
    mutating func received(_ end: End, into actions: inout [Action]) -> Bool {
        guard let id = RequestID(end.id) else { return false }
        if let waiter = drains.removeValue(forKey: id) {
            actions.append(.answer(waiter, .success(())))
            return true
        }
        guard let entry = entries[id] else { return false }
        if case .pending = entry.state {
            entries[id]?.state = .live
            entries[id]?.provider = nil
            if let provider = entry.provider { actions.append(.answer(provider, .success(()))) }
            answerSettlers(into: &actions)
        } else if entry.isWithdrawn {
            self.end(id, .success(()), into: &actions)
        }
        return true
    }

    /// Takes FAIL; false when it is for nothing of this table.
    mutating func received(_ fail: Fail, now: Moment, into actions: inout [Action]) -> Bool {
        guard let id = RequestID(fail.id) else { return false }
        let error = MeshError(fail, body: nil)
        if let waiter = drains.removeValue(forKey: id) {
            actions.append(.answer(waiter, .failure(error)))
            return true
        }
        guard let entry = entries[id] else { return false }
        // Nothing is asked for meanwhile, so this answers a CAPACITY that followed the refused PROVIDE.
        if case .retrying = entry.state, !entry.isWithdrawn { return true }
        if case .pending = entry.state, entry.provider == nil, !entry.isWithdrawn, error.isRetryable {
            entries[id]?.state = .retrying(at: now + max(error.retryAfter ?? .zero, Self.retryDelay))
        } else {
            self.end(id, .failure(error.about(entry.description.title)), into: &actions)
        }
        return true
    }

    /// A session has begun: everything is registered again.
    /// - Parameters:
    ///   - busy: how many slots of a registration handlers of earlier sessions still take.
    ///   - actions: gets what is to be done.
    mutating func sessionBegan(busy: (RequestID) -> Int = { _ in 0 }, into actions: inout [Action]) {
        isReady = true
        guard !isDraining else { return }
        for id in entries.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            entries[id]?.busy = busy(id)
            provide(id, into: &actions)
        }
        answerSettlers(into: &actions)
    }

    /// The session is gone: what was asked of it is done, since nothing of it is left.
    mutating func sessionLost(into actions: inout [Action]) {
        isReady = false
        for waiter in drains.values { actions.append(.answer(waiter, .success(()))) }
        drains.removeAll()
        for (id, entry) in entries {
            if entry.isWithdrawn { end(id, .success(()), into: &actions) } else { entries[id]?.state = .pending }
        }
    }

    /// Ends everything.
    mutating func failAll(_ error: MeshError, into actions: inout [Action]) {
        for id in Array(entries.keys) { end(id, .failure(error), into: &actions) }
        for waiter in Array(drains.values) + settlers { actions.append(.answer(waiter, .failure(error))) }
        drains.removeAll()
        settlers.removeAll()
    }

    /// Tries again what was refused for the moment.
    mutating func timePassed(now: Moment, into actions: inout [Action]) {
        guard isReady else { return }
        for (id, entry) in entries {
            if case .retrying(let at) = entry.state, now >= at { provide(id, into: &actions) }
        }
    }

    /// The registration that a call is for: the one of its service, or, of several, the highest version in its range.
    func find(_ call: CallHeader) -> (id: RequestID, registration: Registration, description: ServiceDescription)? {
        let ids = call.flags.contains(.byCapability) ? holders(of: call.service) : byService[call.service] ?? []
        if ids.count == 1, let entry = entries[ids[0]] { return (ids[0], entry.registration, entry.description) }
        let range = call.range.isEmpty ? VersionRange.any : (try? VersionRange(call.range)) ?? .any
        var best: (id: RequestID, entry: Entry)?
        for id in ids {
            guard let entry = entries[id], entry.description.methods.contains(where: { $0.name == call.method }),
                let version = entry.version, range.contains(version)
            else { continue }
            if let found = best?.entry.version, version < found { continue }
            best = (id, entry)
        }
        return best.map { ($0.id, $0.entry.registration, $0.entry.description) }
    }

    private func holders(of capability: String) -> [RequestID] {
        entries.filter { $0.value.description.capabilities.contains(capability) }.map(\.key)
    }
}
