// Latent providers: services that nobody provides now and that a host can start. They hold a pool, so that versions are
// chosen as if they were there, and describe methods, so that permissions are checked; they take no calls.

import MeshProtocol
import SemanticVersion

/// A service that a host can start.
struct LatentService {
    /// What it belongs to, in ``ExpectationTable``.
    var expectation: UInt64
    var methods: [MethodDescription]
    var attributes: [Attribute]
    var capabilities: [String]
    /// Calls that may wait for it to be started.
    var queueCount: Int
    func method(_ name: String) -> MethodDescription? { methods.first { $0.name == name } }
}

extension Registry {
    /// Adds a latent provider; its pool is made when there is none.
    mutating func expect(_ latent: LatentService, service: String, version: SemanticVersion) -> PoolIndex {
        let pool = exactPool(service: service, version: version)
        if !pools[pool.at].isLatent {
            pools[pool.at].isLatent = true
            latentPools.append(pool)
        }
        pools[pool.at].latents.append(latent)
        for tag in latent.capabilities where latentTags[tag]?.contains(pool) != true {
            latentTags[tag, default: []].append(pool)
        }
        describeLatent(pool)
        routesChanged = true
        changedPools.append(pool)
        // Calls may wait for a lower version that cannot take them.
        for other in siblings(of: pool) where pools[other.at].usableCount == 0 { changedPools.append(other) }
        return pool
    }

    /// Takes the latent providers of an expectation back.
    mutating func unexpect(_ expectation: UInt64, in pool: PoolIndex) {
        let gone = pools[pool.at].latents.filter { $0.expectation == expectation }
        pools[pool.at].latents.removeAll { $0.expectation == expectation }
        for tag in gone.flatMap(\.capabilities)
        where !pools[pool.at].latents.contains(where: { $0.capabilities.contains(tag) }) {
            latentTags[tag]?.removeAll { $0 == pool }
            if latentTags[tag]?.isEmpty == true { latentTags[tag] = nil }
        }
        describeLatent(pool)
        routesChanged = true
        guard pools[pool.at].latents.isEmpty else { return changedPools.append(pool) }
        pools[pool.at].isLatent = false
        pools[pool.at].isDemanded = false
        latentPools.removeAll { $0 == pool }
        if pools[pool.at].members.isEmpty { emptied(pool) } else { changedPools.append(pool) }
    }

    /// Says again what latent providers say of the pool's methods; in force where no provider says anything.
    mutating func describeLatent(_ pool: PoolIndex) {
        for place in pools[pool.at].methods.indices { pools[pool.at].methods[place].latent = nil }
        for method in pools[pool.at].latents.flatMap(\.methods) {
            guard let known = pools[pool.at].methodsByName[method.name] else {
                pools[pool.at].methodsByName[method.name] = MethodIndex(pools[pool.at].methods.count)
                pools[pool.at].methods.append(MethodRecord(latent: method))
                continue
            }
            if var latent = pools[pool.at].methods[known.at].latent {
                for permission in method.permissions where !latent.permissions.contains(permission) {
                    latent.permissions.append(permission)
                }
                pools[pool.at].methods[known.at].latent = latent
            } else {
                pools[pool.at].methods[known.at].latent = method
            }
        }
        for place in pools[pool.at].methods.indices where pools[pool.at].methods[place].providerCount == 0 {
            guard let latent = pools[pool.at].methods[place].latent else { continue }
            pools[pool.at].methods[place].flags = latent.flags
            pools[pool.at].methods[place].deadlineMilliseconds = latent.deadlineMilliseconds
            pools[pool.at].methods[place].permissions = latent.permissions
        }
    }

    /// True when a latent provider of a pool would take such a call.
    func isLatent(_ pool: PoolIndex, method: String, _ conditions: Conditions) -> Bool {
        pools[pool.at].latents.contains { $0.method(method) != nil && conditions.matches($0.attributes) }
    }

    /// True when as many calls wait as its latent providers take.
    func isFullForLatent(_ pool: PoolIndex) -> Bool {
        pools[pool.at].queue.count >= (pools[pool.at].latents.map(\.queueCount).max() ?? .max)
    }

    /// A pool in which calls wait that nobody can take yet; it has no members and is in no index.
    mutating func waitingRoom() -> PoolIndex {
        let pool = newPool()
        pools[pool.at].kind = .derived
        return pool
    }
}
