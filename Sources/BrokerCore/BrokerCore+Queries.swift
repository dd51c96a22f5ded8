// Pages of what there is, for the service `mesh`. Nothing here changes anything.

public import MeshProtocol
import SemanticVersion

extension BrokerCore {
    /// Sessions in the order of their numbers.
    public func sessions(after: SessionID?, limit: Int, now: MeshInstant) -> [SessionSnapshot] {
        sessions.numbers(after: after).prefix(max(0, limit)).compactMap { number in
            sessions[SessionID(rawValue: number)].map { snapshot($0, now: now) }
        }
    }

    private func snapshot(_ session: SessionIndex, now: MeshInstant) -> SessionSnapshot {
        let slot = sessions.slots[session.at]
        let subject = principals.records[slot.principal.at].subject
        let local = slot.credentials.local
        return SessionSnapshot(
            session: slot.id.rawValue,
            name: slot.name,
            version: slot.version,
            instance: slot.instance,
            stage: slot.isShadow ? .shadow : .live,
            ready: slot.isReady,
            sdk: slot.sdk,
            principal: subject.principal,
            roles: subject.roles.sorted(),
            state: slot.isDraining ? .draining : slot.isSuspect ? .suspect : .alive,
            process: local?.process,
            user: local?.user,
            connectedMilliseconds: now.nanoseconds(since: slot.welcomedAt) / 1_000_000,
            silentMilliseconds: now.nanoseconds(since: slot.lastHeard) / 1_000_000,
            callsMade: slot.callsMade,
            callsInFlight: slot.callCount,
            leasesHeld: slot.leaseCount,
            callsQueued: slot.queuedCount,
            services: slot.registrations.count,
            subscriptions: slot.subscriptionCount,
            offences: slot.offences.total
        )
    }

    /// Services in the order of their names, the highest version first; `after` is a snapshot's cursor.
    ///
    /// With shadows, providers that are not in service yet are shown too.
    public func services(after: String?, limit: Int, withShadows: Bool = false) -> [ServiceSnapshot] {
        let shadows = withShadows ? shadowsByName() : [:]
        var page: [ServiceSnapshot] = []
        let parts = after?.split(separator: "@", maxSplits: 1).map(String.init) ?? []
        let afterName = parts.first ?? ""
        let afterVersion = parts.count > 1 ? try? SemanticVersion(parts[1]) : nil
        // Each of them fills a line at least, but for the one at which the last page ended.
        let live = registry.names.names(from: afterName, limit: min(limit, .max - 1) + 1)
        for name in Set(live).union(shadows.keys).union(["mesh"]).filter({ $0 >= afterName }).sorted() {
            if name == "mesh" {
                if afterName < name, page.count < limit { page.append(Administration.snapshot) }
                continue
            }
            let live = registry.services[name] ?? []
            let shadow = shadows[name] ?? []
            for version in Set(live.map(\.version) + shadow.map(\.version)).sorted(by: >) {
                if name == afterName, let afterVersion, version >= afterVersion { continue }
                guard page.count < limit else { return page }
                let hidden = shadow.filter { $0.version == version }
                var item =
                    live.first { $0.version == version }.map { snapshot($0.pool) }
                    ?? snapshot(ofNobody: name, version: version.description)
                add(hidden, to: &item)
                page.append(item)
            }
        }
        return page
    }

    private func shadowsByName() -> [String: [RegistrationSlot]] {
        guard registry.shadowCount > 0 else { return [:] }
        return Dictionary(grouping: registry.registrations.filter { $0.state == .shadow }, by: \.service)
    }

    private func add(_ shadows: [RegistrationSlot], to item: inout ServiceSnapshot) {
        for shadow in shadows.sorted(by: { $0.sessionNumber < $1.sessionNumber }) {
            item.providers.append(provider(shadow))
            for method in shadow.methods where !item.methods.contains(where: { $0.name == method.name }) {
                item.methods.append(
                    MethodSnapshot(method.name, method.flags, method.deadlineMilliseconds, method.permissions)
                )
            }
        }
    }

    /// A service and version as it stands.
    func snapshot(_ pool: PoolIndex) -> ServiceSnapshot {
        let slot = registry.pools[pool.at]
        let providers = slot.members.map { registry.registrations[$0.registration.at] }
            .sorted { $0.sessionNumber < $1.sessionNumber }
        let newest = providers.max { $0.age < $1.age }
        var attributes: [String: String] = [:]
        for attribute in newest?.attributes ?? slot.latents.first?.attributes ?? [] {
            attributes[attribute.name] = attribute.value
        }
        return ServiceSnapshot(
            service: slot.service,
            version: slot.versionText,
            providers: providers.map { provider($0) },
            methods: slot.methods.filter { $0.isThere(needsProvider: slot.needsProvider) }.map { method in
                MethodSnapshot(method.name, method.flags, method.deadlineMilliseconds, method.permissions)
            },
            attributes: attributes,
            capabilities: Set(providers.flatMap(\.capabilities) + slot.latents.flatMap(\.capabilities)).sorted(),
            latent: slot.isLatent,
            queued: slot.queue.count,
            queuedBytes: slot.queuedByteCount,
            balance: slot.balance.rawValue
        )
    }

    private func provider(_ registration: RegistrationSlot) -> ProviderSnapshot {
        let session = sessions.slots[registration.session.at]
        let state: ProviderSnapshot.State =
            session.isDraining
            ? .draining : session.isSuspect ? .suspect : registration.capacity == 0 ? .paused : .alive
        return ProviderSnapshot(
            session: registration.sessionNumber,
            name: session.name,
            capacity: registration.capacity,
            inFlight: registration.inFlight,
            weight: registration.weight,
            state: state,
            stage: registration.state == .shadow ? .shadow : .live
        )
    }

    /// Calls in the order of their slots.
    public func calls(after: LeaseID?, limit: Int, now: MeshInstant) -> [CallSnapshot] {
        var page: [CallSnapshot] = []
        var place = after.map { Int($0.index) + 1 } ?? 0
        while place < calls.slots.count, page.count < limit {
            if calls.slots[place].phase != .free { page.append(snapshot(CallIndex(place), now: now)) }
            place += 1
        }
        return page
    }

    private func snapshot(_ call: CallIndex, now: MeshInstant) -> CallSnapshot {
        let slot = calls.slots[call.at]
        let words = words(of: call)
        var version = ""
        if !slot.registration.isNone {
            version = registry.registrations[slot.registration.at].version.description
        } else if !slot.pool.isNone {
            version = registry.pools[slot.pool.at].versionText
        } else if slot.isAdministrative {
            version = Administration.version.description
        }
        let caller = slot.caller.isNone ? nil : sessions.slots[slot.caller.at]
        let worker = slot.worker.isNone ? nil : sessions.slots[slot.worker.at]
        return CallSnapshot(
            lease: calls.lease(call).description,
            caller: caller.map { principals.records[$0.principal.at].subject.principal } ?? "",
            callerSession: caller?.id.rawValue ?? 0,
            callerRequest: slot.request,
            service: words.service,
            version: version,
            method: words.method,
            phase: slot.phase == .cancelling ? "cancelling" : "\(phase(of: call))",
            ageMilliseconds: now.nanoseconds(since: slot.createdAt) / 1_000_000,
            remainingMilliseconds: slot.deadline == CallSlot.never
                ? nil : slot.deadline.nanoseconds(since: now) / 1_000_000,
            worker: worker?.id.rawValue,
            workerName: worker?.name,
            band: "\(slot.band)",
            requestChunks: slot.requestSequence,
            replyChunks: slot.replySequence,
            parent: slot.parent.isNone ? nil : calls.lease(slot.parent).description
        )
    }

    /// Subscriptions in the order of sessions, then ids.
    public func subscriptions(after: SubscriptionCursor?, limit: Int) -> [SubscriptionSnapshot] {
        var page: [SubscriptionSnapshot] = []
        let before = after.map { SessionID(rawValue: $0.session.rawValue &- 1) }
        for number in sessions.numbers(after: before) {
            guard page.count < limit, let session = sessions[SessionID(rawValue: number)] else { break }
            let own = subscriptionsOf(session).map(\.subscription).sorted { $0.id.rawValue < $1.id.rawValue }
            for subscription in own where page.count < limit {
                if let after, after.session.rawValue == number, subscription.id.rawValue <= after.id { continue }
                page.append(
                    SubscriptionSnapshot(
                        session: number,
                        name: sessions.slots[session.at].name,
                        id: subscription.id.rawValue,
                        pattern: subscription.pattern,
                        creditMessages: subscription.creditMessages,
                        creditBytes: subscription.creditBytes,
                        delivered: subscription.delivered,
                        dropped: subscription.dropped
                    )
                )
            }
        }
        return page
    }

    /// Counts and latencies by method, in the order of their cursors.
    public func methodMetrics(after: String?, limit: Int) -> [MethodMetricsSnapshot] {
        metrics.snapshots(after: after, limit: limit)
    }

    /// What has changed in the registry since a revision, the first so many; each shows the service as it stands now.
    public func registryChanges(since revision: UInt64, limit: Int = .max) -> RegistryChanges {
        guard revision <= registryRevision else { return .resync }
        let oldest = registryLog.first?.revision ?? registryRevision &+ 1
        guard revision &+ 1 >= oldest else { return .resync }
        return .changes(
            registryLog.lazy.filter { $0.revision > revision }.prefix(max(0, limit)).map { entry in
                RegistryChange(
                    revision: entry.revision,
                    kind: entry.kind,
                    session: entry.session,
                    service: service(entry)
                )
            }
        )
    }

    private func service(_ entry: RegistryLogEntry) -> ServiceSnapshot {
        if let known = registry.services[entry.service]?.first(where: { $0.version == entry.version }) {
            return snapshot(known.pool)
        }
        return snapshot(ofNobody: entry.service, version: entry.versionText)
    }

    private func snapshot(ofNobody service: String, version: String) -> ServiceSnapshot {
        ServiceSnapshot(
            service: service,
            version: version,
            providers: [],
            methods: [],
            attributes: [:],
            capabilities: [],
            latent: false,
            queued: 0,
            queuedBytes: 0,
            balance: Balance.leastLoaded.rawValue
        )
    }

    /// The payload of the PROVIDE of a service's newest provider, of the highest version unless one is named.
    ///
    /// The core keeps the reference.
    public func description(of service: String, version: String?) -> BodyHandle? {
        let wanted = version.flatMap { try? SemanticVersion($0) }
        if version != nil, wanted == nil { return nil }
        let found = registry.services[service]?.first { wanted == nil || $0.version == wanted }
        guard let pool = found?.pool else { return nil }
        let newest = registry.pools[pool.at].members.map { registry.registrations[$0.registration.at] }
            .filter { !$0.body.isNone }
            .max { $0.age < $1.age }
        return newest?.body
    }
}

extension MethodSnapshot {
    fileprivate init(_ name: String, _ flags: MethodFlags, _ deadlineMilliseconds: UInt32, _ permissions: [String]) {
        self.init(
            name: name,
            idempotent: flags.contains(.idempotent),
            requestStream: flags.contains(.requestStream),
            replyStream: flags.contains(.replyStream),
            deadlineMilliseconds: deadlineMilliseconds,
            permissions: permissions
        )
    }
}
