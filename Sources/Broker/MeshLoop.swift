// The mesh thread's loop: commands, then messages, of each socket a bounded number, then what is due, then waiting. Owns the core, the
// sockets and the payloads; nobody else touches them. Parts: what comes in and goes out in MeshLoop+Turn.swift.

import BrokerCore
import CLinuxShims
import MeshProtocol
import ZeroMQ

/// The broker's one thread of decisions.
struct MeshLoop: ~Copyable {
    /// Messages taken from one socket before the other one's turn comes.
    static let drainCount = 256
    /// Messages taken in before what follows from them is sent.
    static let burstCount = 64
    /// How long the last answers may take to leave, in milliseconds.
    static let stopMilliseconds: UInt64 = 1_000
    /// How often the monitors are read while the thread has no time to wait, in milliseconds.
    static let monitorMilliseconds: UInt64 = 5
    /// How often the core is told the time of day, in milliseconds.
    static let wallClockMilliseconds: UInt64 = 60_000

    var core: BrokerCore
    var outbox = Outbox()
    var wire: Wire
    var watchers = WatchDesk()
    /// Takes what the core hands to its shell: calls to the service `mesh` and notices.
    let office: Office
    let mailbox: Mailbox
    /// Messages taken in since what followed from them was sent.
    var burst = 0
    /// The time as last read; messages of a few microseconds share one reading.
    var now: MeshInstant

    private var poller = DescriptorPoller(capacity: 5)
    private let hasRemote: Bool
    /// The places of the monitors in the poller, as a mask.
    private var monitorMask: UInt64 = 0
    /// When the monitors are read although the thread has not waited for them.
    private var nextMonitorReading: MeshInstant
    private var nextWallClock: MeshInstant
    private var stopDeadline: MeshInstant?
    private var isFinished = false

    init(
        core: consuming BrokerCore,
        wire: consuming Wire,
        hasRemote: Bool,
        office: Office,
        mailbox: Mailbox
    ) throws(ZeroMQError) {
        self.core = core
        self.wire = wire
        self.hasRemote = hasRemote
        self.office = office
        self.mailbox = mailbox
        now = MeshLoop.clock()
        nextWallClock = now
        nextMonitorReading = now
        poller.add(mailbox.wakeUp.fileDescriptor)
        poller.add(try self.wire.local.socket.signalDescriptor())
        monitorMask |= 1 << UInt64(poller.add(try self.wire.local.monitor.signalDescriptor()))
        guard hasRemote else { return }
        poller.add(try self.wire.remote.socket.signalDescriptor())
        monitorMask |= 1 << UInt64(poller.add(try self.wire.remote.monitor.signalDescriptor()))
    }

    /// Monotonic time.
    @inline(__always)
    static func clock() -> MeshInstant { MeshInstant(nanoseconds: UInt64(bitPattern: wiz_monotonic_ns())) }

    /// Runs until the broker stops.
    mutating func run() {
        while !isFinished {
            now = MeshLoop.clock()
            let sentBefore = wire.sendCount
            if mailbox.hasCommands { obey() }
            var isBusy = false
            if stopDeadline == nil {
                isBusy = drain(listener: 0)
                if hasRemote, drain(listener: 1) { isBusy = true }
            }
            passTime()
            finishIfDone()
            // A send may have taken in the signal of a message that has come: then the sockets are looked at again.
            if !isBusy, !isFinished, wire.sendCount == sentBefore, !mailbox.hasCommands { wait() }
        }
        wire.dropOverflows()
    }

    private mutating func obey() {
        for command in mailbox.take() {
            command.run(&self)
            settle()
        }
    }

    /// Runs whatever is due.
    private mutating func passTime() {
        now = MeshLoop.clock()
        if nextMonitorReading <= now { readMonitors() }
        wire.runErrands(now: now)
        if let deadline = core.nextDeadline, deadline <= now { core.timePassed(now: now, into: &outbox) }
        wire.flushOverflows(now: now)
        if nextWallClock <= now {
            nextWallClock = now.advanced(milliseconds: MeshLoop.wallClockMilliseconds)
            core.setWallClock(nanosecondsSince1970: UInt64(max(0, wiz_realtime_ns())), at: now)
        }
        watch()
        settle()
    }

    private mutating func readMonitors() {
        nextMonitorReading = now.advanced(milliseconds: MeshLoop.monitorMilliseconds)
        wire.readMonitors(now: now)
    }

    /// Waits for a message, a command, or the next thing that is due.
    private mutating func wait() {
        var deadline = nextWallClock
        if let next = core.nextDeadline { deadline = min(deadline, next) }
        if let next = wire.errands.nextDeadline { deadline = min(deadline, next) }
        if !wire.overflows.isEmpty { deadline = min(deadline, wire.nextFlush) }
        if let next = watchers.nextDeadline { deadline = min(deadline, next) }
        if let next = stopDeadline { deadline = min(deadline, next) }
        let timeout = deadline.nanoseconds(since: MeshLoop.clock())
        let ready = poller.wait(timeoutNanoseconds: Int64(clamping: timeout))
        if ready.mask & monitorMask != 0 { nextMonitorReading = now }
    }

    /// Begins the end: everybody is told, and what was sent gets a bounded time to leave.
    mutating func stop(reason: String, immediately: Bool) {
        guard stopDeadline == nil else {
            if immediately { isFinished = true }
            return
        }
        core.shutDown(reason: reason, now: now, into: &outbox)
        settle()
        stopDeadline = now.advanced(milliseconds: immediately ? 0 : MeshLoop.stopMilliseconds)
    }

    private mutating func finishIfDone() {
        guard let stopDeadline else { return }
        if wire.overflows.isEmpty || stopDeadline <= now { isFinished = true }
    }
}
