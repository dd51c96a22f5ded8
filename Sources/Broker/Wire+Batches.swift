// Joining: the frames of one turn that are for the same peer leave as one BATCH, if the peer takes them; a message costs
// libzmq much more than its bytes do. Nothing waits for it: what is joined would have left in the same turn. Order is kept
// per peer. Owned by the mesh thread; in steady state nothing is allocated but libzmq's message for each batch.

import BrokerCore
import MeshProtocol
import ZeroMQ

/// What is joined in a turn, by peer.
struct Batches: ~Copyable {
    /// Peers of one turn whose frames can be joined; a power of two.
    ///
    /// Those of others are sent by themselves.
    private static let peerCount = 512
    /// Batches that are open at a time: with their memory they are 2 MiB.
    private static let openCount = 128

    /// A peer of this turn.
    private struct Place {
        var peer = PeerHandle(listener: 0, routingID: 0)
        /// The turn that it belongs to.
        var turn: UInt64 = 0
        /// Frames for it that are still to come in this turn.
        var remaining: UInt32 = 0
        /// The buffer in which those are that are joined; negative: none.
        var buffer: Int32 = -1
    }

    /// By hash, with linear probing; twice as many as peers.
    private var places = [Place](repeating: Place(), count: 2 * Batches.peerCount)
    private var turn: UInt64 = 0
    private var buffers: [[UInt8]] = []
    private var freeBuffers: [Int32] = []
    /// The header of every batch.
    let header = Batch().encoded()
    /// Carries a batch to libzmq.
    let carrier = MessageCell()

    init() {}

    deinit { carrier.free() }

    /// Counts what each peer will be sent in this turn.
    mutating func begin(_ outbox: borrowing Outbox) {
        turn &+= 1
        var peerCount = 0
        for action in outbox.actions {
            guard case .send(let send) = action, send.batchByteCount > 0 else { continue }
            let place = slot(of: send.peer)
            if places[place].turn == turn {
                places[place].remaining &+= 1
            } else if peerCount < Batches.peerCount {
                peerCount &+= 1
                places[place] = Place(peer: send.peer, turn: turn, remaining: 1)
            }
        }
    }

    /// The place of a peer, or where it would be.
    @inline(__always)
    private func slot(of peer: PeerHandle) -> Int {
        let mask = places.count &- 1
        var slot = Int(truncatingIfNeeded: (peer.rawValue &* 0x9E37_79B9_7F4A_7C15) >> 40) & mask
        while places[slot].turn == turn, places[slot].peer != peer { slot = (slot &+ 1) & mask }
        return slot
    }

    /// Counts one frame of a peer as come; nil: the peer is none whose frames are joined.
    @inline(__always)
    mutating func next(for peer: PeerHandle) -> Int? {
        let place = slot(of: peer)
        guard places[place].turn == turn else { return nil }
        places[place].remaining &-= 1
        return place
    }

    /// Whether frames of the peer are still to come.
    func expectsMore(at place: Int) -> Bool { places[place].remaining > 0 }

    /// The bytes that are joined; zero: none.
    func byteCount(at place: Int) -> Int {
        let buffer = places[place].buffer
        return buffer < 0 ? 0 : buffers[Int(buffer)].count
    }

    /// Begins to join, if there is a free buffer.
    mutating func open(at place: Int) -> Bool {
        if let free = freeBuffers.popLast() {
            places[place].buffer = free
        } else {
            guard buffers.count < Batches.openCount else { return false }
            places[place].buffer = Int32(buffers.count)
            var buffer: [UInt8] = []
            buffer.reserveCapacity(Limits.batchByteCount)
            buffers.append(buffer)
        }
        return true
    }

    /// Joins a frame.
    @inline(__always)
    mutating func append(header: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer?, at place: Int) {
        Batch.append(header: header, payload: payload, to: &buffers[Int(places[place].buffer)])
    }

    /// Ends what is joined: the carrier then holds it.
    mutating func close(at place: Int) {
        let buffer = places[place].buffer
        places[place].buffer = -1
        buffers[Int(buffer)].withUnsafeBytes { carrier.fill(copying: $0) }
        buffers[Int(buffer)].removeAll(keepingCapacity: true)
        freeBuffers.append(buffer)
    }
}

extension Wire {
    /// Joins a frame with others for its peer; false: it is to be sent by itself, and those before it are sent.
    @inline(__always)
    mutating func join(_ send: Outbox.Send, header: UnsafeRawBufferPointer, now: MeshInstant) -> Bool {
        guard let place = batches.next(for: send.peer) else { return false }
        let payloadCount = slab.byteCount(of: send.body)
        let byteCount = Batch.byteCount(header: header.count, payload: payloadCount)
        var joined = batches.byteCount(at: place)
        let limit = Int(send.batchByteCount)
        let isLarge = payloadCount > Batch.joinedPayloadByteCount || byteCount > limit
        if joined > 0, isLarge || joined + byteCount > limit {
            flushBatch(at: place, to: send.peer, now: now)
            joined = 0
        }
        guard !isLarge else { return false }
        if joined == 0 {
            guard batches.expectsMore(at: place), batches.open(at: place) else { return false }
        }
        slab.withBytes(of: send.body) { batches.append(header: header, payload: $0, at: place) }
        if send.use == .move { slab.release(send.body) }
        if !batches.expectsMore(at: place) { flushBatch(at: place, to: send.peer, now: now) }
        return true
    }

    private mutating func flushBatch(at place: Int, to peer: PeerHandle, now: MeshInstant) {
        batches.close(at: place)
        let carrier = batches.carrier
        batches.header.withUnsafeBytes { pass(to: peer, header: $0, cell: carrier, now: now) }
    }
}
