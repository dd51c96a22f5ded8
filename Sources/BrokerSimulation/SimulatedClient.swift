// A caller in the simulation: makes calls of every kind, cancels some, grants credit late, and keeps books that show
// whether the broker kept its promises. Pure.

import MeshProtocol

/// What a caller knows of one of its calls.
struct PendingCall {
    var tag: UInt64
    var flags: CallFlags
    var replyMessages: Int
    var nextReply: UInt32 = 0
    var requestCredit = 0
    var nextRequest: UInt32 = 0
    var requestsLeft: Int
    var isCancelled = false
    /// Further CALLs with its id that were sent on purpose: each is answered, with ALREADY_EXISTS while the call lives.
    var duplicates = 0
}

/// A caller.
struct SimulatedClient {
    var pending: [UInt64: PendingCall] = [:]
    var nextID: UInt64 = 1
    var startedCount = 0
    var endedCount = 0

    /// A new CALL, and the body's tag and size.
    mutating func newCall(
        tag: UInt64,
        parent: WireID,
        using random: inout SeededGenerator
    ) -> (header: CallHeader, body: BodyLedger.Body?) {
        var flags: CallFlags = []
        if random.once(in: 3) { flags.insert(.replyStream) }
        if random.once(in: 5) { flags.insert(.requestStream) }
        let byCapability = random.once(in: 4)
        if byCapability { flags.insert(.byCapability) }
        let id = nextID
        nextID += 1
        let credit = Credit(messages: UInt32(random.pick(0...6)), bytes: UInt32(random.pick(1...5000)))
        let ranges = ["", "^1.0.0", "^2.0.0", ">=1.2.0", "3.x", "^1.0.0-beta"]
        let header = CallHeader(
            flags: flags,
            id: WireID(rawValue: id),
            clocks: clocks(using: &random),
            credit: flags.contains(.replyStream) ? credit : .none,
            cost: UInt32(random.pick(0...50)),
            band: Band(rawValue: UInt8(random.pick(0...2))) ?? .normal,
            parent: parent,
            service: byCapability ? (random.once(in: 2) ? "fast" : "odd") : Self.services[random.pick(0...4)],
            range: ranges[random.pick(0...ranges.count - 1)],
            method: Self.methods[random.pick(0...3)],
            affinity: random.once(in: 4) ? "key-\(random.pick(0...3))" : "",
            conditions: random.once(in: 6) ? "zone=\(random.pick(0...1))" : ""
        )
        pending[id] = PendingCall(
            tag: tag,
            flags: flags,
            replyMessages: Int(header.credit.messages),
            requestsLeft: flags.contains(.requestStream) ? random.pick(0...5) : 0
        )
        startedCount += 1
        return (header, random.once(in: 8) ? nil : BodyLedger.Body(tag: tag, byteCount: random.pick(0...3000)))
    }

    static let services = ["alpha", "beta", "gamma", "secret", "nowhere"]
    static let methods = ["once", "twice", "stream", "missing"]

    private func clocks(using random: inout SeededGenerator) -> CallClocks {
        CallClocks(
            total: random.once(in: 2) ? 0 : UInt32(random.pick(1...8000)),
            queue: random.once(in: 4) ? UInt32(random.pick(1...2000)) : 0,
            firstChunk: random.once(in: 4) ? UInt32(random.pick(1...2000)) : 0,
            idle: random.once(in: 4) ? UInt32(random.pick(1...2000)) : 0
        )
    }

    /// A frame of one of its calls came; what is wrong with it, if anything.
    mutating func received(_ header: Header) -> String? {
        switch header {
        case .chunk(let chunk):
            guard var call = pending[chunk.id.rawValue] else {
                return "CHUNK for call \(chunk.id.rawValue), which ended"
            }
            guard call.flags.contains(.replyStream) else { return "CHUNK for a call without a reply stream" }
            guard chunk.sequence == call.nextReply else {
                return "CHUNK \(chunk.sequence) of call \(chunk.id.rawValue), expected \(call.nextReply)"
            }
            guard call.replyMessages > 0 else { return "CHUNK without credit for call \(chunk.id.rawValue)" }
            call.nextReply += 1
            call.replyMessages -= 1
            pending[chunk.id.rawValue] = call
        case .credit(let grant):
            guard pending[grant.id.rawValue] != nil else { return "CREDIT for call \(grant.id.rawValue), which ended" }
            pending[grant.id.rawValue]?.requestCredit += Int(grant.credit.messages)
        case .end(let end):
            return ended(end.id.rawValue)
        case .fail(let fail):
            if fail.status == .alreadyExists, let duplicates = pending[fail.id.rawValue]?.duplicates, duplicates > 0 {
                pending[fail.id.rawValue]?.duplicates -= 1
                return nil
            }
            return ended(fail.id.rawValue)
        default:
            break
        }
        return nil
    }

    private mutating func ended(_ id: UInt64) -> String? {
        guard let call = pending[id] else { return "a second end of call \(id)" }
        if call.duplicates > 0 {
            pending[id]?.duplicates -= 1
            pending[id]?.flags = []
        } else {
            pending[id] = nil
        }
        endedCount += 1
        return nil
    }
}
