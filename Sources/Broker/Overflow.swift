// Frames for one peer that libzmq had no room for, in order. Bounded by messages and bytes: when it is full, the peer is
// one that never reads. Owned by the mesh thread; allocates, since a peer that is behind is no hot path.

import ZeroMQ

/// What waits for one peer.
struct Overflow {
    /// What a flush came to.
    enum Flush {
        /// Everything is sent.
        case emptied
        /// The peer has no room yet.
        case blocked
        /// The peer is gone.
        case unreachable
    }

    /// Messages that may wait.
    static let messageCount = 8192
    /// Bytes that may wait.
    static let byteCount = 16 << 20

    private struct Item {
        var header: [UInt8]
        var body: RawMessage?
        var byteCount: Int
    }

    private var items: [Item] = []
    private var head = 0
    /// Bytes that wait.
    private(set) var bytes = 0

    /// Keeps a frame; false, and the body is freed, when the peer's room is used up.
    mutating func append(header: UnsafeRawBufferPointer, body: consuming Message?) -> Bool {
        var size = header.count
        var raw: RawMessage?
        if let body = body.take() {
            size += body.size
            raw = body.take()
        }
        guard items.count - head < Overflow.messageCount, bytes + size <= Overflow.byteCount else {
            raw?.close()
            return false
        }
        bytes += size
        items.append(Item(header: Array(header), body: raw, byteCount: size))
        return true
    }

    /// Sends what it can, in order.
    mutating func flush(to peer: RoutingID, over socket: borrowing Socket) throws(ZeroMQError) -> Flush {
        while head < items.count {
            let item = items[head]
            items[head].body = nil
            var body: Message?
            if let raw = item.body { body = Message(owning: raw) }
            switch try socket.trySend(to: peer, header: item.header.span.bytes, body: body.take()) {
            case .sent:
                head += 1
                bytes -= item.byteCount
            case .wouldBlock(let returned):
                items[head].body = returned?.take()
                compact()
                return .blocked
            case .unreachable:
                return .unreachable
            }
        }
        return .emptied
    }

    private mutating func compact() {
        guard head >= 1024 else { return }
        items.removeFirst(head)
        head = 0
    }

    /// Frees everything.
    mutating func removeAll() {
        for item in items[head...] { item.body?.close() }
        items = []
        head = 0
        bytes = 0
    }
}
