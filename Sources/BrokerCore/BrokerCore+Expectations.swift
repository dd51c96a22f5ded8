// Calls for providers that are not there: expectations of hosts, the demand that they are told of, and the time after a
// broker's start in which returning callers wait for returning providers.

import MeshProtocol
import SemanticVersion

extension Failure: Error {}

extension BrokerCore {
    /// How often hosts are told that calls wait for a provider.
    static var demandMilliseconds: UInt64 { 1_000 }

    // MARK: Expectations

    /// Takes note of what a host can start; what is called of it waits for that rather than fail.
    ///
    /// - Returns: the expectation's number, or why nothing was changed.
    public mutating func expect(
        _ expectation: Expectation,
        by session: SessionID,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Result<UInt64, Failure> {
        guard let session = sessions[session] else {
            return .failure(Failure(.failedPrecondition, message: "the session has ended"))
        }
        let caller = principals.records[sessions.slots[session.at].principal.at].subject.principal
        if let failure = startProblem(expectation.owner, for: caller) { return .failure(failure) }
        var versions: [SemanticVersion] = []
        for service in expectation.services {
            switch check(service, expectation.owner, session) {
            case .failure(let failure): return .failure(failure)
            case .success(let version): versions.append(version)
            }
        }
        let count = registry.registrationCount + expectations.serviceCount + expectation.services.count
        guard count <= limits.registrationCount else {
            let message = "the mesh has \(limits.registrationCount) registrations, and may have no more"
            return .failure(Failure(.resourceExhausted, message: message, retryAfterMilliseconds: 1_000))
        }
        let id = expectations.newID()
        var pools: [PoolIndex] = []
        for (service, version) in zip(expectation.services, versions) {
            let latent = LatentService(
                expectation: id,
                methods: service.methods,
                attributes: service.attributes,
                capabilities: service.capabilities,
                queueCount: service.queueCount ?? .max
            )
            let pool = registry.expect(latent, service: service.service, version: version)
            pools.append(pool)
            logLatent(pool, session)
        }
        let standing = StandingExpectation(
            owner: expectation.owner,
            session: session,
            pools: pools
        )
        expectations.insert(standing, as: id)
        settleRegistry(now: now, into: &outbox)
        return .success(id)
    }

    private func check(
        _ service: Expectation.Service,
        _ owner: String,
        _ session: SessionIndex
    ) -> Result<SemanticVersion, Failure> {
        let described = version(service.version, of: service.service, service.methods, service.capabilities)
        guard case .success(let version) = described else { return described }
        let failure =
            ownProvisionProblem(service.service, service.capabilities, owner, session)
            ?? methodProblem(service.service, version, service.methods)
        return failure.map { .failure($0) } ?? .success(version)
    }

    /// A host may hold calls back only for what its plugin may provide.
    private func ownProvisionProblem(
        _ service: String,
        _ tags: [String],
        _ owner: String,
        _ session: SessionIndex
    ) -> Failure? {
        isBoundToOwn(session) ? provisionProblem(service, tags, policy.subject(owner)) : nil
    }

    /// Ends the expectations that the policy no longer allows.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func recheckExpectations() {
        for id in expectations.standing.keys.sorted() {
            guard let standing = expectations.standing[id], !isStillAllowed(standing, id) else { continue }
            end(id)
        }
    }

    private func isStillAllowed(_ standing: StandingExpectation, _ id: UInt64) -> Bool {
        let subject = principals.records[sessions.slots[standing.session.at].principal.at].subject
        guard policy.decide(subject, .call, "mesh.expect").isAllowed,
            startProblem(standing.owner, for: subject.principal) == nil
        else { return false }
        return standing.pools.allSatisfy { pool in
            let slot = registry.pools[pool.at]
            let tags = slot.latents.filter { $0.expectation == id }.flatMap(\.capabilities)
            return ownProvisionProblem(slot.service, tags, standing.owner, standing.session) == nil
        }
    }

    /// Takes an expectation back: its calls are routed anew, and fail when nobody else provides what they ask for.
    ///
    /// False when there is none of that number that the session may take back.
    public mutating func unexpect(
        _ id: UInt64,
        by session: SessionID,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Bool {
        guard let session = sessions[session], let known = expectations.standing[id] else { return false }
        guard known.session == session || !isBoundToOwn(session) else { return false }
        end(id)
        settleRegistry(now: now, into: &outbox)
        return true
    }

    private mutating func end(_ id: UInt64) {
        guard let ended = expectations.remove(id) else { return }
        for pool in ended.pools {
            logLatent(pool, ended.session)
            registry.unexpect(id, in: pool)
        }
    }

    /// A session ends, and its expectations with it.
    ///
    /// Whoever calls settles the registry afterwards.
    mutating func endExpectations(of session: SessionIndex, now: MeshInstant, into outbox: inout Outbox) {
        for id in expectations.made(by: session) { end(id) }
    }

    private mutating func logLatent(_ pool: PoolIndex, _ session: SessionIndex) {
        let slot = registry.pools[pool.at]
        logChange(
            .updated,
            session: sessions.slots[session.at].id.rawValue,
            service: slot.service,
            version: slot.version
        )
    }

    // MARK: Demand

    /// A call has begun to wait for a provider that must be started.
    mutating func parked(_ call: CallIndex, _ pool: PoolIndex, now: MeshInstant, into outbox: inout Outbox) {
        calls.slots[call.at].hasParked = true
        registry.pools[pool.at].isParked = true
        guard !registry.pools[pool.at].isDemanded else { return }
        registry.pools[pool.at].isDemanded = true
        tellDemand(pool, now: now, into: &outbox)
        guard !wheel.isPending(expectations.timer) else { return }
        armDemand(now: now)
    }

    private mutating func armDemand(now: MeshInstant) {
        let payload = TimerPayload(kind: .registry, index: RegistryTimer.demand.rawValue, generation: 0)
        expectations.timer = wheel.schedule(payload, at: now.advanced(milliseconds: Self.demandMilliseconds))
    }

    mutating func registryTimerFired(_ index: UInt32, now: MeshInstant, into outbox: inout Outbox) {
        switch RegistryTimer(rawValue: index) {
        case .demand: demandTimerFired(now: now, into: &outbox)
        case .returning:
            if !returnPool.isNone { registry.changedPools.append(returnPool) }
            settleRegistry(now: now, into: &outbox)
        case nil: preconditionFailure("registryTimerFired(_:) for the unknown timer \(index)")
        }
    }

    private mutating func demandTimerFired(now: MeshInstant, into outbox: inout Outbox) {
        expectations.timer = .none
        var isAnyoneWaiting = false
        for pool in registry.latentPools {
            let isWaiting = registry.pools[pool.at].needsProvider && !registry.pools[pool.at].queue.isEmpty
            registry.pools[pool.at].isDemanded = isWaiting
            guard isWaiting else { continue }
            isAnyoneWaiting = true
            tellDemand(pool, now: now, into: &outbox)
        }
        if isAnyoneWaiting { armDemand(now: now) }
    }

    private mutating func tellDemand(_ pool: PoolIndex, now: MeshInstant, into outbox: inout Outbox) {
        let slot = registry.pools[pool.at]
        for latent in slot.latents {
            guard let expectation = expectations.standing[latent.expectation] else { continue }
            notice(
                .info,
                "mesh.service.demand",
                "\(slot.queue.count) calls wait for \(slot.title), which \(expectation.owner) provides when it is started",
                [
                    Attribute(name: "owner", value: expectation.owner),
                    Attribute(name: "service", value: slot.service),
                    Attribute(name: "version", value: slot.versionText),
                    Attribute(name: "waiting", value: String(slot.queue.count)),
                    Attribute(name: "expectation", value: String(latent.expectation)),
                ],
                isCounted: false,
                now: now,
                into: &outbox
            )
        }
    }

    // MARK: After a broker's start

    /// The broker begins to serve: peers of an earlier one come back from now on.
    public mutating func started(at now: MeshInstant) {
        returnEnds = now.advanced(milliseconds: limits.returnMilliseconds)
    }

    /// True when a call that found nobody may wait for a provider that is not back yet.
    func awaitsReturn(_ caller: SessionIndex, _ failure: Failure, now: MeshInstant) -> Bool {
        failure.status == .notFound && now < returnEnds && sessions.slots[caller.at].isReturning
    }

    /// Where a call waits for providers to come back.
    mutating func returnRoute(now: MeshInstant) -> RouteCache.Route {
        if returnPool.isNone {
            returnPool = registry.waitingRoom()
            let payload = TimerPayload(kind: .registry, index: RegistryTimer.returning.rawValue, generation: 0)
            _ = wheel.schedule(payload, at: returnEnds)
        }
        return RouteCache.Route(pool: returnPool)
    }

    /// Looks again for those who wait for providers to come back.
    mutating func lookAgain(now: MeshInstant, into outbox: inout Outbox) {
        requeueAll(of: returnPool, now: now, into: &outbox)
        // Routing may have settled the registry, and looked again, on the way.
        guard !returnPool.isNone, registry.pools[returnPool.at].queue.isEmpty, now >= returnEnds else { return }
        registry.releasePool(returnPool)
        returnPool = .none
    }
}
