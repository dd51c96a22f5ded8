// The calls under way. A slot with its generation is the lease that workers see; slots keep their buffers when they are
// reused, so that in steady state a call allocates nothing.

import MeshProtocol

/// One call.
struct CallSlot {
    /// Where a call stands.
    ///
    /// `queued ⇄ dispatched → accepted → free`; `dispatched | accepted → cancelling → free`.
    enum Phase: UInt8 {
        case free
        /// Waits in a pool.
        case queued
        /// A worker has it and has not said so.
        case dispatched
        /// A worker is at it.
        case accepted
        /// The caller has been answered; the worker has not acknowledged. Its slot is still taken.
        case cancelling
    }

    var phase = Phase.free
    var generation: UInt32 = 0
    var flags: CallFlags = []
    var band = Band.normal
    var hops: UInt8 = 0
    /// Answered by the shell: the service `mesh`.
    var isAdministrative = false
    /// The worker was slow to accept or acknowledge, and is suspect for it.
    var isOverdue = false
    /// The worker has not acknowledged its CANCEL within the grace.
    var isDeaf = false
    /// It has waited for a provider to be started.
    var hasParked = false
    /// Chunks of the reply have been passed on.
    var hasStreamed: Bool { replySequence > 0 }
    /// Its worker cannot be exchanged: something was streamed, or the caller holds that worker's credit to stream.
    var hasMoved: Bool { replySequence > 0 || requestSequence > 0 || requestCredit != StreamCredit() }
    var requestEnded = false
    var isIdempotent = false
    var refusals: UInt8 = 0
    var reroutes: UInt8 = 0

    var caller = SessionIndex.none
    var request: UInt64 = 0
    /// The caller's, whose the payload is as long as it is held.
    var principal = PrincipalIndex.none
    var nextOfCaller = CallIndex.none
    var previousOfCaller = CallIndex.none

    var worker = SessionIndex.none
    var registration = RegistrationIndex.none
    var nextOfWorker = CallIndex.none
    var previousOfWorker = CallIndex.none

    var parent = CallIndex.none
    var firstChild = CallIndex.none
    var nextSibling = CallIndex.none
    var previousSibling = CallIndex.none

    /// Where it waits.
    var pool = PoolIndex.none
    var token = QueueToken.none
    /// The method in the exact pool, while queued there.
    var method = MethodIndex.none
    var metrics: Int32 = -1
    var cost: UInt32 = 1

    var body = BodyHandle.none
    var bodyByteCount = 0
    var header = KeptHeader()

    var createdAt = MeshInstant(nanoseconds: 0)
    var dispatchedAt = MeshInstant(nanoseconds: 0)
    /// When the worker must have accepted, or acknowledged.
    var graceEnds = CallSlot.never
    var deadline = CallSlot.never
    var queueDeadline = CallSlot.never
    /// The clock of one wait in a queue; ``CallClocks/none`` for no bound.
    var queueMilliseconds = CallClocks.none
    var firstChunkMilliseconds = CallClocks.none
    var idleMilliseconds = CallClocks.none
    /// Since when the stream's clock runs.
    var chunkClockStart = MeshInstant(nanoseconds: 0)
    var timer = TimerID.none
    var timerDue = CallSlot.never

    var replyCredit = StreamCredit()
    var requestCredit = StreamCredit()
    var replySequence: UInt32 = 0
    var requestSequence: UInt32 = 0

    static var never: MeshInstant { MeshInstant(nanoseconds: .max) }

    /// True while a worker's slot is taken.
    var holdsWorker: Bool {
        switch phase {
        case .dispatched, .accepted, .cancelling: !isAdministrative
        case .free, .queued: false
        }
    }

    /// Back to a call's beginning, as the slot's next use; the header's memory stays.
    @inline(__always)
    mutating func reset() {
        var fresh = CallSlot()
        fresh.generation = (generation &+ 1) & 0x7fff_ffff
        fresh.header = header
        fresh.header.clear()
        self = fresh
    }
}

/// How much a stream's sender may send.
struct StreamCredit: Hashable {
    var messages: UInt32 = 0
    /// Negative when overdrawn.
    var bytes: Int64 = 0

    @inline(__always) var isOpen: Bool { messages > 0 && bytes > 0 }

    /// Adds credit, cut to the limits.
    mutating func grant(_ credit: Credit, limits: borrowing Limits) {
        let sum = messages.addingReportingOverflow(credit.messages)
        // What was granted stays, should the limits have been lowered since.
        messages = max(messages, min(sum.overflow ? .max : sum.partialValue, limits.creditMessageCount))
        bytes = max(bytes, min(bytes &+ Int64(credit.bytes), Int64(limits.creditByteCount)))
    }

    /// Takes credit for a chunk; false when there is none.
    mutating func take(byteCount: Int) -> Bool {
        guard isOpen else { return false }
        messages -= 1
        bytes &-= Int64(byteCount)
        return true
    }
}

/// The caller's header, kept for the first dispatch of a queued call and for any further one.
///
/// Its memory stays with the slot, so that a slot is plain data and the next call needs none; the table frees it.
struct KeptHeader {
    /// What a slot's memory holds at first: most headers.
    private static let usualByteCount = 192
    /// Memory beyond this is given back when its call has ended.
    private static let largestKept = 1024

    private var base: UnsafeMutableRawPointer?
    private var count: UInt32 = 0
    private var capacity: UInt32 = 0

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: Int(count)) }

    /// Copies a header in.
    @inline(__always)
    mutating func keep(_ header: UnsafeRawBufferPointer) {
        if header.count > Int(capacity) { enlarge(header.count) }
        if let base, let start = header.baseAddress { base.copyMemory(from: start, byteCount: header.count) }
        count = UInt32(truncatingIfNeeded: header.count)
    }

    @inline(never)
    private mutating func enlarge(_ byteCount: Int) {
        base?.deallocate()
        capacity = UInt32(max(byteCount, Self.usualByteCount))
        base = .allocate(byteCount: Int(capacity), alignment: 8)
    }

    /// Forgets the header.
    @inline(__always)
    mutating func clear() {
        count = 0
        guard capacity > Self.largestKept else { return }
        free()
        self = KeptHeader()
    }

    /// Gives the memory back; the value is spent.
    func free() { base?.deallocate() }
}

/// All calls.
struct CallTable: ~Copyable {
    var slots = Slab<CallSlot>()
    private var firstFree = CallIndex.none
    private(set) var count = 0

    /// Takes a slot that has been reset.
    mutating func claim() -> CallIndex {
        count &+= 1
        let index = firstFree
        guard index.isNone else {
            firstFree = slots[index.at].nextOfCaller
            slots[index.at].nextOfCaller = .none
            return index
        }
        slots.append(CallSlot())
        return CallIndex(slots.count - 1)
    }

    /// Gives a slot back; its lease is stale from here on.
    mutating func release(_ index: CallIndex) {
        slots[index.at].reset()
        slots[index.at].nextOfCaller = firstFree
        firstFree = index
        count &-= 1
    }

    deinit {
        for place in slots.indices { slots[place].header.free() }
    }

    /// The live call that a lease names.
    @inline(__always)
    func find(_ lease: LeaseID) -> CallIndex? {
        let index = Int(lease.index)
        guard index < slots.count, slots[index].phase != .free, slots[index].generation == lease.generation else {
            return nil
        }
        return CallIndex(index)
    }

    @inline(__always)
    func lease(_ index: CallIndex) -> LeaseID {
        LeaseID(index: index.raw, generation: slots[index.at].generation)
    }

    /// Puts a call at the head of its caller's list.
    mutating func link(_ index: CallIndex, toCaller session: inout SessionSlot) {
        let next = session.firstCall
        slots[index.at].nextOfCaller = next
        slots[index.at].previousOfCaller = .none
        if !next.isNone { slots[next.at].previousOfCaller = index }
        session.firstCall = index
        session.callCount &+= 1
    }

    mutating func unlink(_ index: CallIndex, fromCaller session: inout SessionSlot) {
        let previous = slots[index.at].previousOfCaller
        let next = slots[index.at].nextOfCaller
        if previous.isNone { session.firstCall = next } else { slots[previous.at].nextOfCaller = next }
        if !next.isNone { slots[next.at].previousOfCaller = previous }
        slots[index.at].nextOfCaller = .none
        slots[index.at].previousOfCaller = .none
        session.callCount &-= 1
    }

    /// Puts a call at the head of its worker's list.
    mutating func link(_ index: CallIndex, toWorker session: inout SessionSlot) {
        let next = session.firstLease
        slots[index.at].nextOfWorker = next
        slots[index.at].previousOfWorker = .none
        if !next.isNone { slots[next.at].previousOfWorker = index }
        session.firstLease = index
        session.leaseCount &+= 1
    }

    mutating func unlink(_ index: CallIndex, fromWorker session: inout SessionSlot) {
        let previous = slots[index.at].previousOfWorker
        let next = slots[index.at].nextOfWorker
        if previous.isNone { session.firstLease = next } else { slots[previous.at].nextOfWorker = next }
        if !next.isNone { slots[next.at].previousOfWorker = previous }
        slots[index.at].nextOfWorker = .none
        slots[index.at].previousOfWorker = .none
        session.leaseCount &-= 1
    }

    mutating func link(_ child: CallIndex, toParent parent: CallIndex) {
        let next = slots[parent.at].firstChild
        slots[child.at].parent = parent
        slots[child.at].nextSibling = next
        slots[child.at].previousSibling = .none
        if !next.isNone { slots[next.at].previousSibling = child }
        slots[parent.at].firstChild = child
    }

    mutating func unlinkFromParent(_ child: CallIndex) {
        let parent = slots[child.at].parent
        guard !parent.isNone else { return }
        let previous = slots[child.at].previousSibling
        let next = slots[child.at].nextSibling
        if previous.isNone { slots[parent.at].firstChild = next } else { slots[previous.at].nextSibling = next }
        if !next.isNone { slots[next.at].previousSibling = previous }
        slots[child.at].parent = .none
        slots[child.at].nextSibling = .none
        slots[child.at].previousSibling = .none
    }
}
