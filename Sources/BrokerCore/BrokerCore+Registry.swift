// PROVIDE, WITHDRAW, CAPACITY, DRAIN, and what a change of the registry means for the calls that wait.

import MeshProtocol
import SemanticVersion

extension BrokerCore {
    // MARK: PROVIDE

    mutating func provideReceived(
        _ header: UnsafeRawBufferPointer,
        _ payload: Payload,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) throws(DecodeError) {
        let provide = try Provide.decode(header)
        var replaced: RegistrationIndex?
        switch requests[UInt64(session.raw), provide.id.rawValue].map(LiveRequest.init(packed:)) {
        case .registration(let registration): replaced = registration
        case .call, .subscription, .drain:
            outbox.release(payload.body)
            return duplicate(session, provide.id, now: now, into: &outbox)
        case nil: break
        }
        let version: SemanticVersion
        switch check(provide, session, replacing: replaced) {
        case .failure(let failure):
            outbox.release(payload.body)
            if failure.status == .permissionDenied {
                denied(session, failure, target: provide.service, now: now, into: &outbox)
            }
            // The registration that was to be replaced stays: nothing was changed.
            return decline(session, provide.id.wire, failure, into: &outbox)
        case .success(let checked): version = checked
        }
        let principal = sessions.slots[session.at].principal
        guard mayHold(payload.byteCount, principal) else {
            outbox.release(payload.body)
            counters.overBudget &+= 1
            return decline(session, provide.id.wire, heldBytesFailure(principal), into: &outbox)
        }
        if let replaced {
            replace(replaced, provide, payload, into: &outbox)
        } else {
            register(provide, version, payload, session)
        }
        end(session, provide.id, into: &outbox)
        settleRegistry(now: now, into: &outbox)
        guard
            case .registration(let registration) = requests[UInt64(session.raw), provide.id.rawValue]
                .map(LiveRequest.init(packed:))
        else { return }
        guard registry.registrations[registration.at].state == .live else { return }
        if replaced == nil { serviceNotice(true, registration, now: now, into: &outbox) }
        serve(registration, now: now, into: &outbox)
    }

    private func check(
        _ provide: Provide,
        _ session: SessionIndex,
        replacing: RegistrationIndex?
    ) -> Result<SemanticVersion, Failure> {
        guard provide.capacity <= limits.capacity else {
            let message = "a capacity of \(provide.capacity): at most \(limits.capacity) may be claimed"
            return .failure(Failure(.invalidArgument, message: message))
        }
        let described = version(provide.version, of: provide.service, provide.methods, provide.capabilities)
        guard case .success(let version) = described else { return described }
        let subject = principals.records[sessions.slots[session.at].principal.at].subject
        if let failure = provisionProblem(provide.service, provide.capabilities, subject) { return .failure(failure) }
        if isOfAnotherHost(provide.service, session) {
            let message = "the service \"\(provide.service)\" is another host's"
            return .failure(Failure(.alreadyExists, message: message, hint: "give this host another name"))
        }
        if let failure = methodProblem(provide.service, version, provide.methods) { return .failure(failure) }
        if let replacing {
            let old = registry.registrations[replacing.at]
            guard old.service == provide.service, old.version == version else {
                let message = "the id \(provide.id) is the registration of \(old.service)@\(old.version)"
                return .failure(Failure(.alreadyExists, message: message, hint: "WITHDRAW it first, or use another id"))
            }
            return .success(version)
        }
        for other in sessions.slots[session.at].registrations {
            let other = registry.registrations[other.at]
            guard other.service == provide.service, other.version == version else { continue }
            let message = "the session provides \(provide.service)@\(version) already, as \(other.request)"
            return .failure(Failure(.alreadyExists, message: message, hint: "use that id to replace it"))
        }
        return quotaProblem(session).map { .failure($0) } ?? .success(version)
    }

    /// A service's version, when what is said of the service follows the rules: by PROVIDE, or by a host that can start it.
    func version(
        _ text: String,
        of service: String,
        _ methods: [MethodDescription],
        _ tags: [String]
    ) -> Result<SemanticVersion, Failure> {
        if let failure = grammarProblem(service, methods, tags) { return .failure(failure) }
        guard let version = try? SemanticVersion(text) else {
            let message = "the version \"\(text)\" of \(service) is no semantic version, as 1.0.0 is"
            return .failure(Failure(.invalidArgument, message: message))
        }
        // The broker's own, and those by which rules speak of capabilities.
        if ["mesh", "capability"].contains(where: { service == $0 || service.hasPrefix($0 + ".") }) {
            let message = "the service \"\(service)\" is the broker's own"
            return .failure(Failure(.permissionDenied, message: message, hint: "choose another name"))
        }
        return .success(version)
    }

    /// Waiting calls name a pool's methods by place, so a pool forgets none while it lives, and what providers say of a method
    /// is put together whenever one comes or goes: both must have a bound.
    func methodProblem(_ service: String, _ version: SemanticVersion, _ methods: [MethodDescription]) -> Failure? {
        guard let known = registry.knownPool(service: service, version: version) else { return nil }
        let pool = registry.pools[known.at]
        let hint = "WITHDRAW it everywhere, or give the service another version"
        guard pool.methods.isEmpty || pool.methods.count + methods.count <= Registry.methodCount else {
            let message = "\(pool.methods.count) different methods of \(service)@\(version) have been provided already"
            return Failure(.resourceExhausted, message: message, hint: hint)
        }
        for method in methods {
            guard let place = pool.methodsByName[method.name] else { continue }
            let variants = pool.methods[place.at].variants
            guard variants.count >= Registry.variantCount, !variants.contains(where: { $0.description == method })
            else { continue }
            let message =
                "providers of \(service)@\(version) describe \"\(method.name)\" in \(variants.count) different ways already"
            return Failure(.resourceExhausted, message: message, hint: hint)
        }
        return nil
    }

    /// A host's own service is provided by one principal at a time, though the mesh file may give several that name.
    private func isOfAnotherHost(_ service: String, _ session: SessionIndex) -> Bool {
        guard service.hasPrefix("host."), isBoundToOwn(session) else { return false }
        let own = sessions.slots[session.at].principal
        return (registry.services[service] ?? []).contains { version in
            registry.pools[version.pool.at].members.contains { member in
                let owner = registry.registrations[member.registration.at].session
                return sessions.slots[owner.at].principal != own
            }
        }
    }

    /// What of a service and its tags somebody may not provide, as a failure; nil when it is nothing.
    ///
    /// A tag leads callers to whoever has it, so it takes the permission to provide `capability.TAG`.
    func provisionProblem(_ service: String, _ tags: [String], _ subject: Subject) -> Failure? {
        for target in [service] + tags.map({ Policy.capabilityTarget($0) })
        where !policy.permits(subject, .provide, target) {
            return policy.refusal(subject, .provide, target)
        }
        return nil
    }

    private func grammarProblem(_ service: String, _ methods: [MethodDescription], _ tags: [String]) -> Failure? {
        guard Names.isName(service) else {
            let message = "the service \"\(service)\": a name is lower-case words of letters and digits joined by - _ ."
            return Failure(.invalidArgument, message: message)
        }
        var seen: Set<String> = []
        for method in methods {
            guard Names.isMethod(method.name), seen.insert(method.name).inserted else {
                let message = "the method \"\(method.name)\" of \(service) is no name, or comes twice"
                return Failure(.invalidArgument, message: message)
            }
        }
        var seenTags: Set<String> = []
        for tag in tags {
            guard Names.isName(tag), seenTags.insert(tag).inserted else {
                let message = "the capability \"\(tag)\" of \(service) is no name, or comes twice"
                return Failure(.invalidArgument, message: message)
            }
        }
        return nil
    }

    private func quotaProblem(_ session: SessionIndex) -> Failure? {
        if sessions.slots[session.at].registrations.count >= limits.serviceCountPerSession {
            let message = "the session provides \(limits.serviceCountPerSession) services, and may provide no more"
            return Failure(.resourceExhausted, message: message, hint: "WITHDRAW one, or spread them over sessions")
        }
        if registry.registrationCount >= limits.registrationCount {
            let message = "the mesh has \(limits.registrationCount) registrations, and may have no more"
            return Failure(.resourceExhausted, message: message, retryAfterMilliseconds: 1_000)
        }
        return nil
    }

    private mutating func register(
        _ provide: Provide,
        _ version: SemanticVersion,
        _ payload: Payload,
        _ session: SessionIndex
    ) {
        var slot = RegistrationSlot()
        slot.session = session
        slot.sessionNumber = sessions.slots[session.at].id.rawValue
        slot.request = provide.id.rawValue
        slot.service = provide.service
        slot.version = version
        slot.sessionTakesWork = sessions.slots[session.at].takesWork
        describe(&slot, provide, payload)
        let isShadow = sessions.slots[session.at].isShadow
        let registration = registry.add(slot, isShadow: isShadow)
        sessions.slots[session.at].registrations.append(registration)
        requests.insert(UInt64(session.raw), provide.id.rawValue, LiveRequest.registration(registration).packed)
        if !isShadow { logChange(.added, registration) }
    }

    private mutating func describe(_ slot: inout RegistrationSlot, _ provide: Provide, _ payload: Payload) {
        slot.methods = provide.methods
        slot.attributes = provide.attributes
        slot.capabilities = provide.capabilities
        slot.capacity = provide.capacity
        slot.weight = provide.weight
        slot.body = payload.body
        slot.bodyByteCount = payload.byteCount
        guard !payload.body.isNone else { return }
        ownBodyCount += 1
        accounts.add(payload.byteCount, to: sessions.slots[slot.session.at].principal)
    }

    private mutating func replace(
        _ registration: RegistrationIndex,
        _ provide: Provide,
        _ payload: Payload,
        into outbox: inout Outbox
    ) {
        releaseBody(of: registration, into: &outbox)
        let isShadow = registry.registrations[registration.at].state == .shadow
        if !isShadow { registry.leave(registration) }
        var slot = registry.registrations[registration.at]
        describe(&slot, provide, payload)
        registry.registrations[registration.at] = slot
        guard !isShadow else { return }
        registry.join(registration)
        logChange(.updated, registration)
    }

    // MARK: WITHDRAW, CAPACITY, DRAIN

    mutating func withdrawReceived(
        _ withdraw: Withdraw,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let registration = registration(session, withdraw.id, into: &outbox) else { return }
        self.withdraw(registration, now: now, into: &outbox)
        end(session, withdraw.id, into: &outbox)
        settleRegistry(now: now, into: &outbox)
    }

    mutating func capacityReceived(
        _ capacity: Capacity,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let registration = registration(session, capacity.id, into: &outbox) else { return }
        let old = registry.registrations[registration.at]
        // More than may be claimed is cut: CAPACITY is not answered, and a FAIL would end the registration.
        let claimed = min(capacity.capacity, limits.capacity)
        guard old.capacity != claimed || old.weight != capacity.weight || old.ceiling != .max else { return }
        registry.registrations[registration.at].ceiling = .max
        registry.registrations[registration.at].capacity = claimed
        registry.registrations[registration.at].weight = capacity.weight
        guard registry.registrations[registration.at].state == .live else { return }
        registry.refresh(registration)
        logChange((old.capacity == 0) != (claimed == 0) ? .state : .updated, registration)
        settleRegistry(now: now, into: &outbox)
        serve(registration, now: now, into: &outbox)
    }

    private mutating func registration(
        _ session: SessionIndex,
        _ id: RequestID,
        into outbox: inout Outbox
    ) -> RegistrationIndex? {
        if case .registration(let found) = requests[UInt64(session.raw), id.rawValue].map(LiveRequest.init(packed:)) {
            return found
        }
        let failure = Failure(.notFound, message: "the session has no registration \(id)")
        if requests[UInt64(session.raw), id.rawValue] == nil { decline(session, id.wire, failure, into: &outbox) }
        return nil
    }

    mutating func drainReceived(
        _ drain: Drain,
        from session: SessionIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let request = RequestID(drain.id) else {
            counters.offended(.malformed)
            let failure = Failure(.protocolError, message: "DRAIN from a peer needs a request id")
            return dismiss(session, failure, now: now, into: &outbox)
        }
        guard requests[UInt64(session.raw), request.rawValue] == nil, sessions.slots[session.at].drainRequest == nil
        else { return duplicate(session, request, now: now, into: &outbox) }
        sessions.slots[session.at].drainRequest = request
        requests.insert(UInt64(session.raw), request.rawValue, LiveRequest.drain.packed)
        startDraining(session, drain.reason, now: now, into: &outbox)
        settleRegistry(now: now, into: &outbox)
        answerDrain(session, into: &outbox)
    }

    /// No new calls for a session's registrations.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func startDraining(
        _ session: SessionIndex,
        _ reason: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard !sessions.slots[session.at].isDraining else { return }
        sessions.slots[session.at].isDraining = true
        let sentence = "\(sessionTitle(session)) drains" + (reason.isEmpty ? "" : ": \(reason)")
        notice(.info, "mesh.session.draining", sentence, sessionFields(session), now: now, into: &outbox)
        applyStanding(session)
    }

    /// END for a worker's DRAIN when none of its calls is in flight.
    mutating func answerDrain(_ session: SessionIndex, into outbox: inout Outbox) {
        guard let request = sessions.slots[session.at].drainRequest, sessions.slots[session.at].leaseCount == 0,
            sessions.slots[session.at].state == .active
        else { return }
        sessions.slots[session.at].drainRequest = nil
        requests.remove(UInt64(session.raw), request.rawValue)
        end(session, request, into: &outbox)
    }

    /// Takes a registration back.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func withdraw(_ registration: RegistrationIndex, now: MeshInstant, into outbox: inout Outbox) {
        let slot = registry.registrations[registration.at]
        let isShadow = slot.state == .shadow
        if !isShadow { serviceNotice(false, registration, now: now, into: &outbox) }
        requests.remove(UInt64(slot.session.raw), slot.request)
        sessions.slots[slot.session.at].registrations.removeAll { $0 == registration }
        releaseBody(of: registration, into: &outbox)
        if !isShadow { logChange(.removed, registration) }
        registry.withdraw(registration)
    }

    mutating func serviceNotice(
        _ isAdded: Bool,
        _ registration: RegistrationIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let slot = registry.registrations[registration.at]
        let name = "\(slot.service)@\(slot.version)"
        let title = sessionTitle(slot.session)
        notice(
            .info,
            isAdded ? "mesh.service.added" : "mesh.service.removed",
            isAdded ? "\(title) provides \(name)" : "\(title) no longer provides \(name)",
            sessionFields(slot.session) + [
                Attribute(name: "service", value: slot.service),
                Attribute(name: "serviceVersion", value: slot.version.description),
            ],
            now: now,
            into: &outbox
        )
    }

    /// Gives the payload of a registration back.
    private mutating func releaseBody(of registration: RegistrationIndex, into outbox: inout Outbox) {
        let slot = registry.registrations[registration.at]
        guard !slot.body.isNone else { return }
        ownBodyCount &-= 1
        accounts.subtract(slot.bodyByteCount, from: sessions.slots[slot.session.at].principal)
        registry.registrations[registration.at].body = .none
        outbox.release(slot.body)
    }

    /// Reuse of a live id: the live one goes on.
    mutating func duplicate(
        _ session: SessionIndex,
        _ id: RequestID,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        let message = "the id \(id) is that of a live request"
        guard !offended(session, .duplicateID, message, now: now, into: &outbox) else { return }
        fail(session, id.wire, Failure(.alreadyExists, message: message, hint: "count ids up"), into: &outbox)
    }

    // MARK: After a change

    /// Remembers a change for watchers.
    mutating func logChange(_ kind: RegistryChange.Kind, _ registration: RegistrationIndex) {
        let slot = registry.registrations[registration.at]
        logChange(kind, session: slot.sessionNumber, service: slot.service, version: slot.version)
    }

    /// Remembers a change for watchers.
    mutating func logChange(
        _ kind: RegistryChange.Kind,
        session: UInt64,
        service: String,
        version: SemanticVersion
    ) {
        registryRevision &+= 1
        registryLog.append(
            RegistryLogEntry(
                revision: registryRevision,
                kind: kind,
                session: session,
                service: service,
                version: version,
                versionText: version.description
            )
        )
        if registryLog.count >= limits.registryChangeCount * 2 {
            registryLog.removeFirst(registryLog.count - limits.registryChangeCount)
        }
    }

    /// Drops routes that may lead elsewhere now, and moves the calls that wait where nobody can take them.
    mutating func settleRegistry(now: MeshInstant, into outbox: inout Outbox) {
        while true {
            if registry.routesChanged {
                registry.routesChanged = false
                routes.removeAll()
                if !returnPool.isNone { registry.changedPools.append(returnPool) }
            }
            guard let pool = registry.changedPools.popLast() else { return }
            poolChanged(pool, now: now, into: &outbox)
        }
    }

    private mutating func poolChanged(_ pool: PoolIndex, now: MeshInstant, into outbox: inout Outbox) {
        guard registry.pools[pool.at].kind != .free else { return }
        if pool == returnPool { return lookAgain(now: now, into: &outbox) }
        if registry.pools[pool.at].usableCount == 0 {
            requeueAll(of: pool, now: now, into: &outbox)
            let isDismantled = registry.pools[pool.at].kind == .derived && registry.pools[pool.at].key == nil
            let isExact = registry.pools[pool.at].kind == .exact && !registry.pools[pool.at].isLatent
            let isGone = isExact || isDismantled
            if isGone, registry.pools[pool.at].members.isEmpty, registry.pools[pool.at].queue.isEmpty {
                registry.releasePool(pool)
            }
            return
        }
        if registry.pools[pool.at].isParked {
            registry.pools[pool.at].isParked = false
            registry.pools[pool.at].isDemanded = false
            requeueAll(of: pool, now: now, into: &outbox)
        }
        // It can take work now: so it may take what waits for versions that cannot.
        for other in registry.siblings(of: pool) where registry.pools[other.at].usableCount == 0 {
            requeueAll(of: other, now: now, into: &outbox)
        }
        for member in registry.pools[pool.at].members where registry.registrations[member.registration.at].hasRoom {
            serve(member.registration, now: now, into: &outbox)
        }
    }

    /// Routes every call that waits in a pool anew.
    mutating func requeueAll(of pool: PoolIndex, now: MeshInstant, into outbox: inout Outbox) {
        guard !registry.pools[pool.at].queue.isEmpty else { return }
        var waiting: [CallIndex] = []
        while let raw = registry.pools[pool.at].queue.pop() {
            let call = CallIndex(raw: raw)
            leftQueue(call)
            waiting.append(call)
        }
        for call in waiting { routeAgain(call, atHead: false, now: now, into: &outbox) }
    }
}
