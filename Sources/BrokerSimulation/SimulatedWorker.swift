// A worker in the simulation: provides services, answers well, late, twice or never, refuses, and keeps books on the
// leases it was given. Pure.

import MeshProtocol

/// What a worker knows of one lease.
struct HeldLease {
    var tag: UInt64
    var flags: CallFlags
    var replyMessages: Int
    var replyBytes: Int
    var nextReply: UInt32 = 0
    var nextRequest: UInt32 = 0
    var requestMessages = 0
    var chunksLeft: Int
    var isCancelled = false
    /// Never answered on its own.
    var isForgotten = false
}

/// A worker.
struct SimulatedWorker {
    var leases: [UInt64: HeldLease] = [:]
    /// The largest capacity it has told in this session, over all registrations.
    var capacities: [UInt64: UInt32] = [:]
    var nextID: UInt64 = 1 << 40
    var isDraining = false

    var outstandingBound: Int { capacities.values.reduce(0) { $0 + Int($1) } }

    /// A PROVIDE of a service that it does not provide yet.
    mutating func newProvide(using random: inout SeededGenerator) -> Provide {
        let provide = provision(using: &random)
        capacities[provide.id.rawValue] = provide.capacity
        return provide
    }

    /// Any service that a worker may provide.
    mutating func provision(using random: inout SeededGenerator) -> Provide {
        let versions = ["1.0.0", "1.2.0", "2.0.0", "2.1.0", "1.0.0-beta.1"]
        let id = nextID
        nextID += 1
        let capacity = UInt32(random.pick(0...4))
        return Provide(
            id: Self.request(id),
            capacity: max(capacity, 1),
            weight: UInt32(random.pick(0...200)),
            service: SimulatedClient.services[random.pick(0...3)],
            version: versions[random.pick(0...versions.count - 1)],
            methods: [
                MethodDescription(name: "once"),
                MethodDescription(name: "twice", flags: .idempotent),
                MethodDescription(name: "stream", flags: [.replyStream, .requestStream, .idempotent]),
            ],
            attributes: [Attribute(name: "zone", value: String(random.pick(0...1)))],
            capabilities: random.once(in: 2) ? ["fast"] : ["odd"]
        )
    }

    private static func request(_ id: UInt64) -> RequestID {
        guard let request = RequestID(rawValue: id) else { preconditionFailure("worker ids begin at 2^40") }
        return request
    }

    /// A CALL came; what is wrong with it, if anything.
    mutating func received(_ call: CallHeader, tag: UInt64, using random: inout SeededGenerator) -> String? {
        guard call.id.isLease else { return "a CALL without a lease" }
        guard leases[call.id.rawValue] == nil else { return "lease \(call.id.rawValue) was given out twice" }
        leases[call.id.rawValue] = HeldLease(
            tag: tag,
            flags: call.flags,
            replyMessages: Int(call.credit.messages),
            replyBytes: Int(call.credit.bytes),
            chunksLeft: call.flags.contains(.replyStream) ? random.pick(0...6) : 0,
            isForgotten: random.once(in: 12)
        )
        guard leases.count <= outstandingBound else {
            return "\(leases.count) leases are out, capacity never was more than \(outstandingBound)"
        }
        return nil
    }

    /// A frame about a lease came.
    mutating func received(_ header: Header) -> String? {
        switch header {
        case .cancel(let cancel):
            leases[cancel.id.rawValue]?.isCancelled = true
        case .credit(let grant):
            leases[grant.id.rawValue]?.replyMessages += Int(grant.credit.messages)
            leases[grant.id.rawValue]?.replyBytes += Int(grant.credit.bytes)
        case .chunk(let chunk):
            guard var lease = leases[chunk.id.rawValue] else { return nil }
            guard chunk.sequence == lease.nextRequest else { return "request CHUNK out of order" }
            lease.nextRequest += 1
            if !chunk.flags.contains(.last) {
                guard lease.requestMessages > 0 else { return "request CHUNK without credit" }
                lease.requestMessages -= 1
            }
            leases[chunk.id.rawValue] = lease
        default:
            break
        }
        return nil
    }
}
