// The payloads that the core holds: received messages in a plain table with a free list, named by handles. One owner,
// the mesh thread; nothing is allocated per message in steady state. A slot has one reference, the core's: a frame that
// shares a payload takes a second zmq_msg_t on the same bytes.

import BrokerCore
import ZeroMQ

/// Payloads by handle.
struct BodySlab: ~Copyable {
    private var slots: [RawMessage?] = []
    private var free: [UInt32] = []
    /// Payloads held.
    private(set) var count = 0
    /// Handles that named nothing: a fault of the core, counted instead of trapping.
    private(set) var strayHandleCount: UInt64 = 0

    init() {
        slots.reserveCapacity(4096)
        free.reserveCapacity(4096)
    }

    deinit {
        for slot in slots { slot?.close() }
    }

    /// Keeps a payload.
    mutating func insert(_ message: consuming Message) -> BodyHandle {
        count += 1
        let raw = message.take()
        if let index = free.popLast() {
            slots[Int(index)] = raw
            return BodyHandle(rawValue: index)
        }
        slots.append(raw)
        return BodyHandle(rawValue: UInt32(slots.count - 1))
    }

    /// Gives a payload away and frees its slot.
    mutating func take(_ handle: BodyHandle) -> Message? {
        let index = Int(handle.rawValue)
        guard index < slots.count, let raw = slots[index] else {
            strayHandleCount += 1
            return nil
        }
        slots[index] = nil
        free.append(handle.rawValue)
        count -= 1
        return Message(owning: raw)
    }

    /// A second message with the same bytes; the slot stays.
    mutating func share(_ handle: BodyHandle) -> Message? {
        let index = Int(handle.rawValue)
        guard index < slots.count, let raw = slots[index] else {
            strayHandleCount += 1
            return nil
        }
        return raw.share()
    }

    /// Frees a payload.
    mutating func release(_ handle: BodyHandle) {
        if !handle.isNone { _ = take(handle) }
    }

    /// A copy of a payload's bytes; empty when there is none.
    func bytes(of handle: BodyHandle) -> [UInt8] {
        let index = Int(handle.rawValue)
        guard index < slots.count, let raw = slots[index] else { return [] }
        return raw.withUnsafeBytes { Array($0) }
    }
}
