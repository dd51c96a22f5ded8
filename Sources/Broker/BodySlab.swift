// The payloads that the core holds, named by handles: received messages in a plain table with a free list. One owner, the
// mesh thread; nothing is allocated per message in steady state. A slot has one reference, the core's. A frame that
// shares a small payload takes the message itself and leaves a copy in the slot's own memory: cheaper than counting
// references between threads, and the 8 KiB into which libzmq read the message go free as soon as it has left.

import BrokerCore
import MeshProtocol
import ZeroMQ

/// Payloads by handle.
struct BodySlab: ~Copyable {
    /// A payload: a message, or a copy of one that was given away.
    private struct Slot {
        /// Where the message is; empty when it was given away, or came in a batch.
        var cell = MessageCell()
        var isTaken = false
        var isShared = false
        /// The bytes of the copy; negative when there is none.
        var copyCount = -1
        /// Memory of the slot's own, made when first needed.
        var copy: UnsafeMutableRawPointer?
        /// Its size.
        var copyCapacity = 0
        /// The next free slot, of a free one.
        var nextFree = BodyHandle.none
        /// The payload's length.
        var byteCount = 0

        var copied: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: copy, count: max(0, copyCount)) }

        /// Where a copy of so many bytes is to lie: in no more than twice as many, since a payload may be kept for long.
        @inline(__always)
        mutating func ownMemory(_ byteCount: Int) -> UnsafeMutableRawPointer {
            if let copy, byteCount <= copyCapacity { return copy }
            return enlarge(byteCount)
        }

        private mutating func enlarge(_ byteCount: Int) -> UnsafeMutableRawPointer {
            dropMemory()
            copyCapacity = BodySlab.leastCopyByteCount
            while copyCapacity < byteCount { copyCapacity *= 2 }
            let memory = UnsafeMutableRawPointer.allocate(byteCount: copyCapacity, alignment: 16)
            copy = memory
            return memory
        }

        mutating func dropMemory() {
            copy?.deallocate()
            copy = nil
            copyCapacity = 0
        }

        mutating func free() {
            cell.free()
            dropMemory()
        }
    }

    /// Larger payloads are shared by reference: copying them would cost more.
    private static let copyByteCount = Batch.joinedPayloadByteCount
    /// A slot's own memory is so large, or twice, and so on.
    private static let leastCopyByteCount = 64
    /// Slots that keep the memory of their copies: 4 MiB at most stay after a flood.
    private static let keptCopyCount: UInt32 = 4096

    private var slots: UnsafeMutablePointer<Slot>
    private var slotCount = 0
    private var capacity = 4096
    private var firstFree = BodyHandle.none
    /// Carries a second reference to a payload into a frame.
    private let carrier = MessageCell()
    /// Payloads held.
    private(set) var count = 0
    /// Handles that named nothing: a fault of the core, counted instead of trapping.
    private(set) var strayHandleCount: UInt64 = 0

    init() { slots = .allocate(capacity: capacity) }

    deinit {
        for index in 0..<slotCount { slots[index].free() }
        slots.deallocate()
        carrier.free()
    }

    // MARK: Taking in

    /// Keeps a received frame.
    mutating func insert(from frames: inout FrameBuffer, at index: Int) -> BodyHandle {
        let handle = claim()
        let slot = slots + Int(handle.rawValue)
        slot.pointee.byteCount = frames.size(at: index)
        slot.pointee.cell.take(from: &frames, at: index)
        return handle
    }

    /// Keeps a payload.
    mutating func insert(_ message: consuming Message) -> BodyHandle {
        let handle = claim()
        let slot = slots + Int(handle.rawValue)
        slot.pointee.byteCount = message.size
        slot.pointee.cell.put(message)
        return handle
    }

    /// Keeps a copy of a payload: in the slot's own memory if it is small.
    mutating func insert(copying bytes: UnsafeRawBufferPointer) -> BodyHandle {
        let handle = claim()
        let slot = slots + Int(handle.rawValue)
        slot.pointee.byteCount = bytes.count
        guard bytes.count <= Self.copyByteCount, let start = bytes.baseAddress else {
            slot.pointee.cell.fill(copying: bytes)
            return handle
        }
        slot.pointee.ownMemory(bytes.count).copyMemory(from: start, byteCount: bytes.count)
        slot.pointee.copyCount = bytes.count
        return handle
    }

    /// Lets go of the memory into which libzmq read a payload: it is many times a small payload's size.
    mutating func detach(_ handle: BodyHandle) {
        guard let slot = find(handle), slot.pointee.copyCount < 0 else { return }
        slot.pointee.cell.detach()
    }

    private mutating func claim() -> BodyHandle {
        count += 1
        var handle = firstFree
        if handle.isNone {
            handle = append()
        } else {
            firstFree = slots[Int(handle.rawValue)].nextFree
        }
        slots[Int(handle.rawValue)].isTaken = true
        return handle
    }

    private mutating func append() -> BodyHandle {
        if slotCount == capacity {
            let larger = UnsafeMutablePointer<Slot>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: slots, count: slotCount)
            slots.deallocate()
            slots = larger
            capacity *= 2
        }
        (slots + slotCount).initialize(to: Slot())
        slotCount += 1
        return BodyHandle(rawValue: UInt32(slotCount - 1))
    }

    // MARK: Sending

    /// What a frame that shares a payload sends, while the slot stays; what could not be sent is taken or cleared.
    mutating func cellToShare(_ handle: BodyHandle) -> MessageCell? {
        guard let slot = find(handle) else { return nil }
        if slot.pointee.copyCount >= 0 {
            // It has been given away before, and may be again: from here on it is shared by reference.
            slot.pointee.cell.fill(copying: slot.pointee.copied)
            slot.pointee.copyCount = -1
            slot.pointee.isShared = true
        }
        guard slot.pointee.byteCount <= Self.copyByteCount, !slot.pointee.isShared else {
            carrier.share(slot.pointee.cell)
            return carrier
        }
        let memory = slot.pointee.ownMemory(slot.pointee.byteCount)
        slot.pointee.cell.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { memory.copyMemory(from: start, byteCount: bytes.count) }
        }
        slot.pointee.copyCount = slot.pointee.byteCount
        return slot.pointee.cell
    }

    /// What a frame that moves a payload sends; its release follows.
    mutating func cellToMove(_ handle: BodyHandle) -> MessageCell? {
        guard let slot = find(handle) else { return nil }
        if slot.pointee.copyCount >= 0 { slot.pointee.cell.fill(copying: slot.pointee.copied) }
        return slot.pointee.cell
    }

    /// Frees a payload.
    mutating func release(_ handle: BodyHandle) {
        guard !handle.isNone, let slot = find(handle) else { return }
        slot.pointee.cell.clear()
        slot.pointee.isTaken = false
        slot.pointee.isShared = false
        slot.pointee.copyCount = -1
        if handle.rawValue >= Self.keptCopyCount { slot.pointee.dropMemory() }
        slot.pointee.nextFree = firstFree
        firstFree = handle
        count -= 1
    }

    /// The length of a payload; zero when there is none.
    mutating func byteCount(of handle: BodyHandle) -> Int {
        handle.isNone ? 0 : find(handle)?.pointee.byteCount ?? 0
    }

    /// Lends a payload's bytes; nil when there is none.
    @inline(__always)
    mutating func withBytes(of handle: BodyHandle, _ body: (UnsafeRawBufferPointer?) -> Void) {
        guard !handle.isNone, let slot = find(handle) else { return body(nil) }
        if slot.pointee.copyCount >= 0 { return body(slot.pointee.copied) }
        slot.pointee.cell.withUnsafeBytes { body($0) }
    }

    /// A copy of a payload's bytes; empty when there is none.
    mutating func bytes(of handle: BodyHandle) -> [UInt8] {
        var all: [UInt8] = []
        withBytes(of: handle) { bytes in if let bytes { all = Array(bytes) } }
        return all
    }

    @inline(__always)
    private mutating func find(_ handle: BodyHandle) -> UnsafeMutablePointer<Slot>? {
        let index = Int(handle.rawValue)
        guard index < slotCount, slots[index].isTaken else {
            strayHandleCount += 1
            return nil
        }
        return slots + index
    }
}
