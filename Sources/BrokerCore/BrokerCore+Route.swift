// Where a call goes: through the cache by its bytes, else by look-up and permissions, with sentences for every way in
// which there is no answer.

import MeshProtocol
import SemanticVersion

extension BrokerCore {
    enum Routing {
        case route(RouteCache.Route)
        case failure(Failure)
    }

    /// The route of a CALL.
    @inline(__always)
    mutating func route(
        _ call: CallView,
        in header: UnsafeRawBufferPointer,
        principal: PrincipalIndex,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Routing {
        let start = Int(call.service.offset) - 2
        let end = Int(call.method.offset &+ call.method.count)
        let key = routes.key(
            call.flags.contains(.byCapability) ? .capability : .service,
            principal: principal,
            main: UnsafeRawBufferPointer(rebasing: header[start..<end]),
            extra: call.conditions.bytes(in: header)
        )
        if let route = routes.find(key) { return .route(route) }
        return resolve(call, in: header, key, now: now, into: &outbox)
    }

    @inline(never)
    private mutating func resolve(
        _ call: CallView,
        in header: UnsafeRawBufferPointer,
        _ key: RouteKey,
        now: MeshInstant,
        into outbox: inout Outbox
    ) -> Routing {
        let words = Words(
            service: call.service.string(in: header),
            range: call.range.string(in: header),
            method: call.method.string(in: header),
            conditions: call.conditions.string(in: header)
        )
        let found =
            call.flags.contains(.byCapability)
            ? resolveCapability(words, key.principal) : resolveService(words, key.principal)
        guard case .route(let route) = found else {
            if registry.routesChanged { settleRegistry(now: now, into: &outbox) }
            return found
        }
        if registry.routesChanged {
            let pool = registry.identity(of: route.pool)
            settleRegistry(now: now, into: &outbox)
            // Calls that were routed anew meanwhile may have needed the room of the pool that was found.
            guard registry.identity(of: route.pool) == pool else { return .failure(tooManyPools) }
        }
        routes.insert(key, route)
        return found
    }

    /// What a CALL asks for.
    struct Words {
        var service: String
        var range: String
        var method: String
        var conditions: String
    }

    // MARK: By service

    private mutating func resolveService(_ words: Words, _ principal: PrincipalIndex) -> Routing {
        let subject = principals.records[principal.at].subject
        let target = words.service + "." + words.method
        guard policy.decide(subject, .call, target).isAllowed else {
            return .failure(policy.refusal(subject, .call, target))
        }
        let range: VersionRange
        let conditions: Conditions
        switch read(words) {
        case .failure(let failure): return .failure(failure)
        case .success(let read): (range, conditions) = read
        }
        if words.service == "mesh" { return resolveAdministration(words, range) }
        guard let versions = registry.services[words.service] else {
            return .failure(
                Failure(
                    .notFound,
                    message: "there is no service \"\(words.service)\"",
                    hint: "start a plugin that provides it; `wiz services` lists what there is"
                )
            )
        }
        let inRange = versions.filter { range.contains($0.version) }
        guard let highest = inRange.first else {
            let list = versions.map(\.version.description).joined(separator: ", ")
            return .failure(
                Failure(
                    .notFound,
                    message: "no version of \"\(words.service)\" is in the range \"\(words.range)\"; there is: \(list)",
                    hint: "ask for another range, or start a plugin that provides one in it"
                )
            )
        }
        let chosen = inRange.first { takes($0.pool, words, conditions) } ?? highest
        return resolveMethod(words, conditions, chosen.pool, subject, target)
    }

    /// True when a pool has a provider that may be given such a call.
    private func takes(_ pool: PoolIndex, _ words: Words, _ conditions: Conditions) -> Bool {
        let slot = registry.pools[pool.at]
        guard slot.usableCount > 0 else {
            return slot.isLatent && registry.isLatent(pool, method: words.method, conditions)
        }
        if conditions.isEmpty, !slot.isMixed { return true }
        return slot.members.contains { member in
            let registration = registry.registrations[member.registration.at]
            return member.isUsable && registration.method(words.method) != nil
                && conditions.matches(registration.attributes)
        }
    }

    private mutating func resolveMethod(
        _ words: Words,
        _ conditions: Conditions,
        _ pool: PoolIndex,
        _ subject: Subject,
        _ target: String
    ) -> Routing {
        let title = registry.pools[pool.at].title
        let needsProvider = registry.pools[pool.at].needsProvider
        guard let method = registry.pools[pool.at].methodsByName[words.method],
            registry.pools[pool.at].methods[method.at].isThere(needsProvider: needsProvider)
        else {
            let list = registry.pools[pool.at].methods.filter { $0.isThere(needsProvider: needsProvider) }.map(\.name)
            return .failure(
                Failure(
                    .unimplemented,
                    message: "\(title) has no method \"\(words.method)\"; it has: \(list.joined(separator: ", "))",
                    hint: "`wiz describe \(words.service)` shows the methods"
                )
            )
        }
        let required = registry.pools[pool.at].methods[method.at].permissions
        guard policy.missingPermissions(subject, required: required).isEmpty else {
            return .failure(policy.refusal(subject, .call, target, required: required))
        }
        noteMetrics(pool, method)
        if needsProvider { return waitForProvider(words, conditions, pool, method) }
        let isPartial =
            registry.pools[pool.at].methods[method.at].providerCount < registry.pools[pool.at].members.count
        if conditions.isEmpty, !isPartial { return .route(RouteCache.Route(pool: pool, method: method)) }
        let key = PoolKey.part(
            service: words.service,
            version: registry.pools[pool.at].version,
            conditions: words.conditions,
            method: words.method
        )
        if let known = registry.derived[key] { return .route(RouteCache.Route(pool: known)) }
        guard registry.makeRoomForDerivedPool() else { return .failure(tooManyPools) }
        let part = registry.derivePart(key, of: pool, conditions: conditions, method: method)
        guard !registry.pools[part.at].members.isEmpty else {
            registry.dismantle(part)
            return .failure(unmet(words, title))
        }
        return .route(RouteCache.Route(pool: part))
    }

    private func unmet(_ words: Words, _ title: String) -> Failure {
        let message = "no provider of \(title) meets the conditions \"\(words.conditions)\""
        return Failure(.notFound, message: message, hint: "`wiz services` shows the attributes")
    }

    /// Calls wait in the exact pool while nobody takes them, and are routed anew when somebody does.
    private func waitForProvider(
        _ words: Words,
        _ conditions: Conditions,
        _ pool: PoolIndex,
        _ method: MethodIndex
    ) -> Routing {
        let isMet =
            conditions.isEmpty || registry.isLatent(pool, method: words.method, conditions)
            || registry.pools[pool.at].members.contains { member in
                let registration = registry.registrations[member.registration.at]
                return registration.method(words.method) != nil && conditions.matches(registration.attributes)
            }
        guard isMet else { return .failure(unmet(words, registry.pools[pool.at].title)) }
        return .route(RouteCache.Route(pool: pool, method: method))
    }

    private var tooManyPools: Failure {
        Failure(
            .resourceExhausted,
            message: "calls wait under \(Registry.derivedPoolCount) different conditions, and there may be no more",
            retryAfterMilliseconds: 1_000,
            flags: .retryable
        )
    }

    private mutating func noteMetrics(_ pool: PoolIndex, _ method: MethodIndex) {
        guard registry.pools[pool.at].methods[method.at].metrics < 0 else { return }
        registry.pools[pool.at].methods[method.at].metrics = metrics.entry(
            service: registry.pools[pool.at].service,
            version: registry.pools[pool.at].versionText,
            method: registry.pools[pool.at].methods[method.at].name
        )
    }

    private enum Reading {
        case success((VersionRange, Conditions))
        case failure(Failure)
    }

    private func read(_ words: Words) -> Reading {
        let range: VersionRange
        do {
            range = try VersionRange(words.range)
        } catch {
            return .failure(Failure(.invalidArgument, message: "the range \"\(words.range)\": \(error)"))
        }
        do {
            return .success((range, try Conditions(words.conditions)))
        } catch {
            let message = "the conditions \"\(words.conditions)\", at byte \(error.offset): \(error.message)"
            return .failure(Failure(.invalidArgument, message: message))
        }
    }

    private func resolveAdministration(_ words: Words, _ range: VersionRange) -> Routing {
        guard range.contains(Administration.version) else {
            let message =
                "no version of \"mesh\" is in the range \"\(words.range)\"; there is: \(Administration.version)"
            return .failure(Failure(.notFound, message: message))
        }
        guard let method = Administration.methods.firstIndex(where: { $0.name == words.method }) else {
            let list = Administration.methods.map(\.name).joined(separator: ", ")
            let message = "mesh@\(Administration.version) has no method \"\(words.method)\"; it has: \(list)"
            return .failure(Failure(.unimplemented, message: message))
        }
        return .route(RouteCache.Route(pool: .none, method: MethodIndex(method)))
    }

    // MARK: By capability

    private mutating func resolveCapability(_ words: Words, _ principal: PrincipalIndex) -> Routing {
        let key = PoolKey.capability(
            principal: principal,
            tag: words.service,
            range: words.range,
            conditions: words.conditions,
            method: words.method
        )
        if let known = registry.derived[key] { return .route(RouteCache.Route(pool: known)) }
        let range: VersionRange
        let conditions: Conditions
        switch read(words) {
        case .failure(let failure): return .failure(failure)
        case .success(let read): (range, conditions) = read
        }
        let subject = principals.records[principal.at].subject
        guard let tagged = registry.tags[words.service] else {
            if let latent = latentCapability(words, range, conditions, subject) { return latent }
            let message = "no provider has the capability \"\(words.service)\""
            let hint = "start a plugin that has it; `wiz services` shows the capabilities"
            return .failure(Failure(.notFound, message: message, hint: hint))
        }
        var members: [(registration: RegistrationIndex, method: MethodIndex)] = []
        var denial: Failure?
        var isInRange = false
        for registration in tagged {
            let slot = registry.registrations[registration.at]
            guard range.contains(slot.version), conditions.matches(slot.attributes) else { continue }
            isInRange = true
            guard slot.method(words.method) != nil, let home = slot.memberships.first?.pool,
                let method = registry.pools[home.at].methodsByName[words.method]
            else { continue }
            let target = slot.service + "." + words.method
            let required = registry.pools[home.at].methods[method.at].permissions
            guard policy.decide(subject, .call, target).isAllowed,
                policy.missingPermissions(subject, required: required).isEmpty
            else {
                denial = denial ?? policy.refusal(subject, .call, target, required: required)
                continue
            }
            noteMetrics(home, method)
            members.append((registration, method))
        }
        guard !members.isEmpty else {
            if let latent = latentCapability(words, range, conditions, subject) { return latent }
            return .failure(denial ?? nothingCapable(words, isInRange: isInRange))
        }
        guard registry.makeRoomForDerivedPool() else { return .failure(tooManyPools) }
        let pool = registry.deriveCapability(key, tag: words.service, members: members)
        return .route(RouteCache.Route(pool: pool))
    }

    /// The highest version with the capability among those that can be started; nil when there is none for this caller.
    private mutating func latentCapability(
        _ words: Words,
        _ range: VersionRange,
        _ conditions: Conditions,
        _ subject: Subject
    ) -> Routing? {
        let pools = (registry.latentTags[words.service] ?? [])
            .sorted { registry.pools[$0.at].version > registry.pools[$1.at].version }
        for pool in pools where registry.pools[pool.at].needsProvider {
            let slot = registry.pools[pool.at]
            let isOffered = slot.latents.contains { latent in
                latent.capabilities.contains(words.service) && latent.method(words.method) != nil
                    && conditions.matches(latent.attributes)
            }
            guard isOffered, range.contains(slot.version), let method = slot.methodsByName[words.method],
                policy.decide(subject, .call, slot.service + "." + words.method).isAllowed,
                policy.missingPermissions(subject, required: slot.methods[method.at].permissions).isEmpty
            else { continue }
            noteMetrics(pool, method)
            return .route(RouteCache.Route(pool: pool, method: method))
        }
        return nil
    }

    private func nothingCapable(_ words: Words, isInRange: Bool) -> Failure {
        if isInRange {
            let message = "no provider of the capability \"\(words.service)\" has the method \"\(words.method)\""
            return Failure(.unimplemented, message: message, hint: "`wiz services` shows the methods")
        }
        let message =
            "no provider of the capability \"\(words.service)\" is in the range \"\(words.range)\" and meets the"
            + " conditions \"\(words.conditions)\""
        return Failure(.notFound, message: message, hint: "`wiz services` shows versions and attributes")
    }

    // MARK: Denials

    /// Counts a denial and tells operators.
    mutating func denied(
        _ session: SessionIndex,
        _ failure: Failure,
        target: String,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        counters.denied &+= 1
        notice(
            .warning,
            "mesh.denied",
            failure.message,
            sessionFields(session) + [
                Attribute(name: "target", value: target), Attribute(name: "hint", value: failure.hint),
            ],
            now: now,
            into: &outbox
        )
    }
}
