// How much the services of one plugin have to do: what its host starts and stops workers by.

import MeshProtocol
import SemanticVersion

/// How much there is to do for one service of a plugin.
public struct ServiceLoad: Encodable, Sendable, Hashable {
    /// The service.
    public var service: String
    /// Its version.
    public var version: String
    /// Calls that have ended so far, whoever worked on them.
    public var calls: UInt64
    /// Calls that wait for it, whoever provides it.
    public var waiting: Int
    /// Calls that the plugin's workers have.
    public var running: Int
    /// Calls that its workers take at a time, those that take none now left out.
    public var capacity: Int
    /// Its workers that take calls.
    public var providers: Int
    /// How long ago the oldest waiting call was made.
    public var oldestWaitMilliseconds: UInt64
}

extension BrokerCore {
    /// What the services of a principal have to do, those that it could provide if it were started included.
    public func load(of principal: String, now: MeshInstant) -> [ServiceLoad] {
        var pools: Set<PoolIndex> = []
        if let index = principals.byName[principal] {
            for place in sessions.slots.indices where sessions.slots[place].state == .active {
                let slot = sessions.slots[place]
                guard slot.principal == index else { continue }
                for registration in slot.registrations {
                    if let home = registry.registrations[registration.at].memberships.first?.pool { pools.insert(home) }
                }
            }
        }
        for expectation in expectations.standing.values where expectation.owner == principal {
            pools.formUnion(expectation.pools)
        }
        return pools.map { load(of: principal, in: $0, now: now) }
            .sorted { ($0.service, $0.version) < ($1.service, $1.version) }
    }

    private func load(of principal: String, in home: PoolIndex, now: MeshInstant) -> ServiceLoad {
        let slot = registry.pools[home.at]
        var load = ServiceLoad(
            service: slot.service,
            version: slot.versionText,
            calls: slot.methods.reduce(0) { $0 + metrics.calls(of: $1.metrics) },
            waiting: 0,
            running: 0,
            capacity: 0,
            providers: 0,
            oldestWaitMilliseconds: 0
        )
        var queues: Set<PoolIndex> = [home]
        for member in slot.members {
            let registration = registry.registrations[member.registration.at]
            queues.formUnion(registration.memberships.map(\.pool))
            let owner = sessions.slots[registration.session.at].principal
            guard principals.records[owner.at].subject.principal == principal else { continue }
            load.running += Int(registration.inFlight)
            guard registration.isUsable else { continue }
            load.capacity += Int(registration.capacity)
            load.providers += 1
        }
        var oldest = now
        for pool in queues {
            load.waiting += registry.pools[pool.at].queue.count
            registry.pools[pool.at].queue.forEach { oldest = min(oldest, calls.slots[Int($0)].createdAt) }
        }
        load.oldestWaitMilliseconds = now.nanoseconds(since: oldest) / 1_000_000
        return load
    }
}
