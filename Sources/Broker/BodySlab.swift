// The payloads that the core holds, named by handles: received messages in a plain table with a free list. One owner, the
// mesh thread; nothing is allocated per message in steady state. A slot has one reference, the core's. A frame that
// shares a small payload takes the message itself and leaves a copy in the slot's own memory: cheaper than counting
// references between threads, and the 8 KiB into which libzmq read the message go free as soon as it has left.

import BrokerCore
import ZeroMQ

/// Payloads by handle.
struct BodySlab: ~Copyable {
    /// A payload: a message, or a copy of one that was given away.
    private struct Slot {
        var message: RawMessage?
        /// Memory of the slot's own, made when first needed.
        var copy: UnsafeMutableRawPointer?
        /// The bytes of the copy; negative when the slot holds none.
        var copyCount = -1
        /// The next free slot, of a free one.
        var nextFree = BodyHandle.none

        @inline(__always) var isTaken: Bool { message != nil || copyCount >= 0 }
    }

    /// Larger payloads are shared by reference: copying them would cost more.
    private static let copyByteCount = 1024

    /// Slots that keep the memory of their copies: 4 MiB at most stay after a flood.
    private static let keptCopyCount: UInt32 = 4096

    private var slots: UnsafeMutablePointer<Slot>
    private var slotCount = 0
    private var capacity = 4096
    private var firstFree = BodyHandle.none
    /// Payloads held.
    private(set) var count = 0
    /// Handles that named nothing: a fault of the core, counted instead of trapping.
    private(set) var strayHandleCount: UInt64 = 0

    init() { slots = .allocate(capacity: capacity) }

    deinit {
        for index in 0..<slotCount {
            slots[index].message?.close()
            slots[index].copy?.deallocate()
        }
        slots.deallocate()
    }

    /// Keeps a payload.
    mutating func insert(_ message: consuming Message) -> BodyHandle {
        count += 1
        let handle = firstFree
        guard !handle.isNone else { return append(message.take()) }
        let slot = slots + Int(handle.rawValue)
        firstFree = slot.pointee.nextFree
        slot.pointee.message = message.take()
        return handle
    }

    private mutating func append(_ raw: RawMessage) -> BodyHandle {
        if slotCount == capacity {
            let larger = UnsafeMutablePointer<Slot>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: slots, count: slotCount)
            slots.deallocate()
            slots = larger
            capacity *= 2
        }
        (slots + slotCount).initialize(to: Slot(message: raw))
        slotCount += 1
        return BodyHandle(rawValue: UInt32(slotCount - 1))
    }

    @inline(__always)
    private func find(_ handle: BodyHandle) -> UnsafeMutablePointer<Slot>? {
        let index = Int(handle.rawValue)
        guard index < slotCount, slots[index].isTaken else { return nil }
        return slots + index
    }

    @inline(__always)
    private mutating func vacate(_ handle: BodyHandle, _ slot: UnsafeMutablePointer<Slot>) {
        slot.pointee.message = nil
        slot.pointee.copyCount = -1
        if handle.rawValue >= Self.keptCopyCount {
            slot.pointee.copy?.deallocate()
            slot.pointee.copy = nil
        }
        slot.pointee.nextFree = firstFree
        firstFree = handle
        count -= 1
    }

    /// Gives a payload away and frees its slot.
    mutating func take(_ handle: BodyHandle) -> Message? {
        guard let slot = find(handle) else {
            strayHandleCount += 1
            return nil
        }
        let message = slot.pointee.message.map { Message(owning: $0) } ?? Message(copying: BodySlab.copy(slot))
        vacate(handle, slot)
        return message
    }

    /// A message with the same bytes; the slot stays.
    mutating func share(_ handle: BodyHandle) -> Message? {
        guard let slot = find(handle) else {
            strayHandleCount += 1
            return nil
        }
        guard let raw = slot.pointee.message else {
            // Shared again: from here on by reference.
            let message = Message(copying: BodySlab.copy(slot))
            let second = message.share()
            slot.pointee.message = message.take()
            return second
        }
        // One with a copy has been shared before.
        guard slot.pointee.copyCount < 0, raw.size <= Self.copyByteCount else { return raw.share() }
        let memory = slot.pointee.copy ?? .allocate(byteCount: Self.copyByteCount, alignment: 16)
        slot.pointee.copy = memory
        slot.pointee.copyCount = raw.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { memory.copyMemory(from: start, byteCount: bytes.count) }
            return bytes.count
        }
        slot.pointee.message = nil
        return Message(owning: raw)
    }

    private static func copy(_ slot: UnsafeMutablePointer<Slot>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: slot.pointee.copy, count: max(0, slot.pointee.copyCount))
    }

    /// Frees a payload.
    mutating func release(_ handle: BodyHandle) {
        if handle.isNone { return }
        guard let slot = find(handle) else {
            strayHandleCount += 1
            return
        }
        slot.pointee.message?.close()
        vacate(handle, slot)
    }

    /// A copy of a payload's bytes; empty when there is none.
    func bytes(of handle: BodyHandle) -> [UInt8] {
        guard let slot = find(handle) else { return [] }
        guard let raw = slot.pointee.message else { return Array(BodySlab.copy(slot)) }
        return raw.withUnsafeBytes { Array($0) }
    }
}
