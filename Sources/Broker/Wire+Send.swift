// Sending: the core's outbox in order, straight to libzmq when it has room, else into the peer's overflow. The hot path
// allocates nothing: headers lie in the outbox's bytes, payloads come out of the slab. Frames that leave together are joined
// in Wire+Batches.swift.

import BrokerCore
import ZeroMQ

extension Wire {
    /// How often overflows are tried again.
    static let flushMilliseconds: UInt64 = 5

    /// Does what the outbox says with connections and payloads; calls and notices in it are left to the caller.
    mutating func perform(_ outbox: borrowing Outbox, now: MeshInstant) {
        let mayJoin = outbox.joinableCount > 1
        if mayJoin { batches.begin(outbox) }
        outbox.headers.withUnsafeBytes { headers in
            for action in outbox.actions {
                switch action {
                case .send(let send):
                    let header = UnsafeRawBufferPointer(
                        rebasing: headers[send.headerOffset..<send.headerOffset &+ send.headerCount]
                    )
                    if mayJoin, send.batchByteCount > 0, join(send, header: header, now: now) { continue }
                    deliver(send, header: header, now: now)
                case .release(let body): slab.release(body)
                case .detach(let body): slab.detach(body)
                case .close(let peer): close(peer, now: now)
                case .probe(let peer): probe(peer)
                case .administer, .notice: break
                }
            }
        }
    }

    @inline(__always)
    private mutating func deliver(_ send: Outbox.Send, header: UnsafeRawBufferPointer, now: MeshInstant) {
        var cell: MessageCell?
        if !send.body.isNone {
            cell = send.use == .move ? slab.cellToMove(send.body) : slab.cellToShare(send.body)
        }
        pass(to: send.peer, header: header, cell: cell, now: now)
        if send.use == .move { slab.release(send.body) }
    }

    /// Sends a frame, or keeps it for a peer that is behind.
    @inline(__always)
    mutating func pass(to peer: PeerHandle, header: UnsafeRawBufferPointer, cell: MessageCell?, now: MeshInstant) {
        guard overflows.isEmpty || overflows[peer] == nil else {
            return keep(header: header, body: cell?.take(), for: peer, now: now)
        }
        switch attempt(peer, header: header, cell: cell) {
        case nil: break
        case .wouldBlock: keep(header: header, body: cell?.take(), for: peer, now: now)
        case .unreachable:
            cell?.clear()
            lose(peer)
        }
    }

    /// Sends one frame, if libzmq has room; a context that ends makes every peer unreachable.
    @inline(__always)
    private mutating func attempt(
        _ peer: PeerHandle,
        header: UnsafeRawBufferPointer,
        cell: MessageCell?
    ) -> SendFailure? {
        let id = RoutingID(number: peer.routingID)
        sendCount &+= 1
        do throws(ZeroMQError) {
            return peer.listener == 0
                ? try local.socket.trySend(to: id, header: header, cell: cell)
                : try remote.socket.trySend(to: id, header: header, cell: cell)
        } catch {
            return .unreachable
        }
    }

    private mutating func keep(
        header: UnsafeRawBufferPointer,
        body: consuming Message?,
        for peer: PeerHandle,
        now: MeshInstant
    ) {
        if overflows.isEmpty { nextFlush = now.advanced(milliseconds: Wire.flushMilliseconds) }
        if !overflows[peer, default: Overflow()].append(header: header, body: body), !flooded.contains(peer) {
            flooded.append(peer)
        }
        noteOverflow(of: peer)
    }

    private mutating func noteOverflow(of peer: PeerHandle) {
        let byteCount = overflows[peer]?.bytes ?? 0
        // A burst for one peer is one change.
        if overflowChanges.last?.peer == peer { overflowChanges.removeLast() }
        overflowChanges.append((peer, byteCount))
    }

    private mutating func lose(_ peer: PeerHandle) {
        guard peers[peer] != nil, !lost.contains(peer) else { return }
        lost.append(peer)
    }

    /// Sees whether a peer can be reached, by a PING.
    mutating func probe(_ peer: PeerHandle) {
        guard let known = peers[peer], !known.isClosing else { return }
        let isReachable = probeHeader.withUnsafeBytes { header in
            attempt(peer, header: header, cell: nil) != .unreachable
        }
        if !isReachable { lose(peer) }
    }

    /// Tries again what waits, when it is time.
    mutating func flushOverflows(now: MeshInstant) {
        guard !overflows.isEmpty, nextFlush <= now else { return }
        nextFlush = now.advanced(milliseconds: Wire.flushMilliseconds)
        for peer in Array(overflows.keys) {
            guard var overflow = overflows.removeValue(forKey: peer) else { continue }
            switch flush(&overflow, to: peer) {
            case .emptied: noteOverflow(of: peer)
            case .blocked:
                overflows[peer] = overflow
                noteOverflow(of: peer)
            case .unreachable:
                overflow.removeAll()
                lose(peer)
            }
        }
    }

    private mutating func flush(_ overflow: inout Overflow, to peer: PeerHandle) -> Overflow.Flush {
        let id = RoutingID(number: peer.routingID)
        sendCount &+= 1
        do throws(ZeroMQError) {
            return peer.listener == 0
                ? try overflow.flush(to: id, over: local.socket)
                : try overflow.flush(to: id, over: remote.socket)
        } catch {
            return .unreachable
        }
    }
}
