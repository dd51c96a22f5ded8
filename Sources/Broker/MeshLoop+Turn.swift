// What a turn does with messages: some into the core, and what follows from them out again by its outbox: sent together,
// they leave in fewer system calls. The hot path: no allocation, no String, no reference counting per message.

import BrokerCore
import MeshProtocol
import ZeroMQ

extension MeshLoop {
    /// Takes a bounded number of messages in; true when there were any.
    mutating func drain(listener: UInt32) -> Bool {
        var count = 0
        while count < MeshLoop.drainCount {
            guard let outcome = try? wire.receive(from: listener) else { return false }
            switch outcome {
            case .nothing:
                settle()
                return count > 0
            case .received: count += take(from: listener)
            case .tooManyFrames(let total):
                takeExcess(total, from: listener)
                count += 1
            }
        }
        settle()
        return true
    }

    /// Sees to the time, and to what is to be sent, before the next message is taken in.
    @inline(__always)
    private mutating func pace() {
        burst &+= 1
        if burst & 7 == 0 { now = MeshLoop.clock() }
        if burst >= MeshLoop.burstCount { settle() }
    }

    /// Takes in the message in the frame buffer; returns how many came in it.
    @inline(__always)
    private mutating func take(from listener: UInt32) -> Int {
        guard let id = wire.frames.routingID else {
            wire.refuseForeign()
            return 1
        }
        let peer = PeerHandle(listener: listener, routingID: id.number)
        guard wire.recent.contains(peer) || greet(peer) else { return 1 }
        let frameCount = wire.frames.count
        guard frameCount >= 2, wire.frames.size(at: 1) > 0 else {
            core.violated(by: peer, .emptyMessage, now: now, into: &outbox)
            return 1
        }
        var body = BodyHandle.none
        var byteCount = 0
        if frameCount == 3 {
            if wire.frames.withUnsafeBytes(at: 1, { Batch.begins($0) }) { return takeBatch(from: peer) }
            byteCount = wire.frames.size(at: 2)
            // One over the limit goes no further; the core, told its true size, answers whoever sent it.
            if byteCount <= core.limits.payloadByteCount {
                body = wire.keepPayload()
            }
        }
        MeshLoop.hand(
            wire.frames,
            from: peer,
            body: body,
            byteCount: byteCount,
            now: now,
            to: &core,
            into: &outbox
        )
        pace()
        return 1
    }

    /// Takes in the messages of the batch in the frame buffer; returns their number.
    private mutating func takeBatch(from peer: PeerHandle) -> Int {
        guard wire.frames.withUnsafeBytes(at: 1, { (try? Batch.decode($0)) != nil }) else {
            // The core says what is wrong with the header.
            MeshLoop.hand(wire.frames, from: peer, body: .none, byteCount: 0, now: now, to: &core, into: &outbox)
            return 1
        }
        let cell = wire.incoming
        cell.take(from: &wire.frames, at: 2)
        defer { cell.clear() }
        return cell.withUnsafeBytes { takeMessages($0, from: peer) }
    }

    private mutating func takeMessages(_ batch: UnsafeRawBufferPointer, from peer: PeerHandle) -> Int {
        var reader = BatchReader(batch, maximumByteCount: Limits.batchByteCount)
        var count = 0
        do throws(BatchError) {
            while let item = try reader.next() {
                var body = BodyHandle.none
                let byteCount = item.payload?.count ?? 0
                if let payload = item.payload, byteCount <= core.limits.payloadByteCount {
                    body = wire.slab.insert(copying: payload)
                }
                core.received(
                    from: peer,
                    header: item.header,
                    body: body,
                    bodyByteCount: byteCount,
                    now: now,
                    into: &outbox
                )
                count += 1
                pace()
            }
        } catch {
            core.violated(by: peer, .malformedBatch(error), now: now, into: &outbox)
        }
        return max(1, count)
    }

    /// Lends the header to the core; apart, since the frames and the core are both parts of the loop.
    @inline(__always)
    private static func hand(
        _ frames: borrowing FrameBuffer,
        from peer: PeerHandle,
        body: BodyHandle,
        byteCount: Int,
        now: MeshInstant,
        to core: inout BrokerCore,
        into outbox: inout Outbox
    ) {
        frames.withUnsafeBytes(at: 1) { header in
            core.received(
                from: peer,
                header: header,
                body: body,
                bodyByteCount: byteCount,
                now: now,
                into: &outbox
            )
        }
    }

    private mutating func takeExcess(_ total: Int, from listener: UInt32) {
        guard let id = wire.frames.routingID else {
            wire.refuseForeign()
            return
        }
        let peer = PeerHandle(listener: listener, routingID: id.number)
        guard wire.recent.contains(peer) || greet(peer) else { return }
        core.violated(by: peer, .tooManyFrames(total - 1), now: now, into: &outbox)
    }

    /// Finds a peer that was not heard lately, or takes in a new one; false when its message is to be dropped.
    private mutating func greet(_ peer: PeerHandle) -> Bool {
        if let known = wire.peers[peer] {
            if known.isClosing { return false }
        } else {
            guard let credentials = wire.meet(peer, now: now) else {
                wire.refuseForeign()
                return false
            }
            core.connected(peer, credentials: credentials, now: now, into: &outbox)
            settle()
            // The core may have closed it at once: too many strangers.
            guard wire.peers[peer]?.isClosing == false else { return false }
        }
        wire.recent.insert(peer)
        return true
    }

    /// Does what the outbox says, and what follows from it, until nothing is left.
    @inline(__always)
    mutating func settle() {
        burst = 0
        if !outbox.isEmpty || wire.hasNews { settleAll() }
    }

    private mutating func settleAll() {
        repeat {
            wire.perform(outbox, now: now)
            let refused = handOver()
            outbox.removeAll()
            for lease in refused { core.refuse(lease, with: MeshLoop.isOverloaded, now: now, into: &outbox) }
            if wire.hasNews { report() }
        } while !outbox.isEmpty
    }

    private static let isOverloaded = Failure(
        .resourceExhausted,
        message: "the service mesh has too many requests waiting",
        hint: "ask again later, and ask less often",
        retryAfterMilliseconds: 1_000
    )

    /// Gives calls to the service `mesh` and notices to the administration thread; the calls that it has no room for are
    /// returned.
    private mutating func handOver() -> [LeaseID] {
        if outbox.administration.isEmpty, outbox.notices.isEmpty { return [] }
        var refused: [LeaseID] = []
        for call in outbox.administration {
            let arguments = wire.slab.bytes(of: call.body)
            wire.slab.release(call.body)
            if !office.answer(call, arguments: arguments) { refused.append(call.lease) }
        }
        for notice in outbox.notices { office.tell(notice) }
        return refused
    }

    /// Tells the core of peers that could not be reached or never read, and what is kept for those that are behind.
    private mutating func report() {
        let (lost, flooded, changes) = (wire.lost, wire.flooded, wire.overflowChanges)
        wire.lost = []
        wire.flooded = []
        wire.overflowChanges = []
        for change in changes {
            core.holdsOverflow(of: change.peer, byteCount: change.byteCount, now: now, into: &outbox)
        }
        for peer in lost {
            wire.forget(peer)
            core.disconnected(peer, now: now, into: &outbox)
        }
        for peer in flooded where wire.peers[peer] != nil {
            // What waits for it will never be read.
            wire.dropOverflow(of: peer)
            core.overflowed(peer, now: now, into: &outbox)
        }
    }
}
