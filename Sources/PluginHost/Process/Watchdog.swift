// Looks at what processes use, four times a second, and ends those that use more than they may where no control group holds
// them: memory, processor time, and starting processes without end. One that takes nearly all of its share of processor time
// makes way for others while it does. The meter is pure; samples come from /proc. The watchdog has a thread of its own, so
// that it looks in time whatever the host's tasks are doing.

import CLinuxShims
import Glibc
import Synchronization

/// What a process and all below it used, at a moment.
struct UsageSample: Hashable, Sendable {
    /// Memory that is theirs alone, in bytes.
    var memoryBytes: Int64 = 0
    /// Processor time since they began, those that ended included.
    var cpu: Duration = .zero
    /// Processes and threads.
    var taskCount = 0
    /// Processes that work or wait for a processor.
    var runnableCount = 0
    /// How often a process could not be started, where somebody counts.
    var refusedStarts = 0
}

/// Judges samples of one process against its limits.
struct UsageMeter: Sendable {
    let limits: ProcessLimits
    /// What control groups hold already: it is measured, and not judged.
    let held: Set<Controller>
    let cpuWindow: Duration
    private var overMemory = 0
    private var lastMemory: (at: Duration, bytes: Int64)?
    /// Whether memory must be looked at again soon: it is over its limit, or at its pace will be before the next usual look; of
    /// a process that has just begun nobody knows yet.
    private(set) var isPressing = false
    private static let usualInterval = Duration.milliseconds(250)
    private var overCPUSince: Duration?
    /// Whether it takes nearly all of its share of processor time: then it waits for those who take little of theirs.
    private(set) var isGreedy = false
    private var firstLook: Duration?
    private var lastCPU: (at: Duration, used: Duration)?
    private var lastGreed = Duration.zero
    private var starting = 0
    private var last: (at: Duration, sample: UsageSample)?

    init(_ limits: ProcessLimits, held: Set<Controller>, cpuWindow: Duration = .seconds(10)) {
        self.limits = limits
        self.held = held
        self.cpuWindow = cpuWindow
        isPressing = limits.memoryBytes != nil && !held.contains(.memory)
    }

    /// Takes a sample of any look: what took three quarters of its share is greedy, until it took less than half for a second.
    ///
    /// Of a process that begins nothing is said, since its start is no greed, nor of less than three ticks of its clock: a
    /// small share is held by its quota alone, which lets it run for moments.
    mutating func weigh(_ sample: UsageSample, at now: Duration) {
        guard let percent = limits.cpuPercent, held.contains(.cpu) else { return }
        let begin = firstLook ?? now
        firstLook = begin
        guard now - begin >= .milliseconds(50) else { return }
        guard let last = lastCPU else {
            lastCPU = (now, sample.cpu)
            return
        }
        guard now - last.at >= .milliseconds(80) else { return }
        lastCPU = (now, sample.cpu)
        let used = sample.cpu - last.used
        let share = used / (now - last.at) * 100 / Double(percent)
        if used >= .milliseconds(30), share >= (isGreedy ? 0.5 : 0.75) { (isGreedy, lastGreed) = (true, now) }
        if now - lastGreed >= .seconds(1) { isGreedy = false }
    }

    /// Takes a sample of a usual look; a verdict is given once.
    mutating func take(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        defer { last = (now, sample) }
        return takeMemory(sample, at: now) ?? cpu(sample, at: now) ?? starts(sample, at: now)
    }

    /// Takes a sample of a look between two usual ones, which judges memory alone.
    mutating func takeMemory(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        if let last = lastMemory, now > last.at {
            let growth = Double(max(0, sample.memoryBytes - last.bytes)) * (Self.usualInterval / (now - last.at))
            isPressing = isOver(sample.memoryBytes + Int64(min(growth, 1e15)))
        }
        lastMemory = (now, sample.memoryBytes)
        return memory(sample)
    }

    private func isOver(_ memoryBytes: Int64) -> Bool {
        guard let limit = limits.memoryBytes, !held.contains(.memory) else { return false }
        return memoryBytes > limit
    }

    private mutating func memory(_ sample: UsageSample) -> ExitCause? {
        guard let limit = limits.memoryBytes else { return nil }
        overMemory = isOver(sample.memoryBytes) ? overMemory + 1 : 0
        guard overMemory >= 2 else { return nil }
        return .watchdog(
            "memory limit (RSS \(ByteCount.text(sample.memoryBytes)) > \(ByteCount.text(limit)), watchdog)"
        )
    }

    private mutating func cpu(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        guard let limit = limits.cpuPercent, !held.contains(.cpu), let last, now > last.at else { return nil }
        let used = max(.zero, sample.cpu - last.sample.cpu)
        let percent = Int((used / (now - last.at) * 100).rounded())
        // A process clock ticks ten milliseconds at a time, which is some percent of an interval.
        guard percent > limit + 5 else {
            overCPUSince = nil
            return nil
        }
        let since = overCPUSince ?? last.at
        overCPUSince = since
        guard now - since >= cpuWindow else { return nil }
        return .watchdog(
            "processor limit (\(percent) % > \(limit) % for \((now - since).components.seconds) s, watchdog)"
        )
    }

    // Eight looks in a row are two seconds of a process that does nothing but start others: a group counts what it refused;
    // where there is none, all places are taken and a processor is busy, or on a busy machine half of them wait for one. A
    // look without it takes back half of what one with it adds, since such a process does not run between all looks.
    private mutating func starts(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        guard let limit = limits.processCount, let last, now > last.at else { return nil }
        let isBusy =
            (sample.cpu - last.sample.cpu) / (now - last.at) > 0.5 || 2 * sample.runnableCount >= sample.taskCount
        let isFull =
            held.contains(.pids)
            ? sample.refusedStarts > last.sample.refusedStarts : sample.taskCount >= limit && isBusy
        starting = isFull ? starting + 2 : max(0, starting - 1)
        guard starting >= 16 else { return nil }
        return .watchdog("process limit (\(sample.taskCount) of \(limit), and it goes on starting, watchdog)")
    }
}

/// Watches all processes of a launcher.
final class Watchdog: Sendable {
    private struct Watched {
        let process: SystemProcess
        var meter: UsageMeter
    }

    private let interval: Duration
    private let cpuWindow: Duration
    /// Processes that the thread has not taken over yet, and whether there is a thread.
    private let state = Mutex<(added: [Watched], isRunning: Bool)>(([], false))

    /// Wakes the thread for a process that it does not know yet.
    private let wake = wiz_eventfd_create()

    init(interval: Duration, cpuWindow: Duration) {
        self.interval = interval
        self.cpuWindow = cpuWindow
    }

    deinit { if wake >= 0 { close(wake) } }

    /// Watches a process to its end, if it has limits that need it.
    func watch(_ process: SystemProcess) {
        let limits = process.limits
        guard limits.memoryBytes != nil || limits.cpuPercent != nil || limits.processCount != nil else { return }
        let meter = UsageMeter(limits, held: process.group?.controllers ?? [], cpuWindow: cpuWindow)
        let starts = state.withLock { state in
            state.added.append(Watched(process: process, meter: meter))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        _ = wiz_eventfd_signal(wake)
        // Where there can be no more threads, it must not be the caller's.
        if starts { Task.detached { Worker.start(name: "wiz-watchdog") { self.run() } } }
    }

    /// Looks until nobody is left.
    private func run() {
        let start = ContinuousClock.now
        var watched: [Watched] = []
        var usual = start + interval
        while true {
            let isPressing = watched.contains { $0.meter.isPressing }
            wait(until: isPressing ? min(usual, .now + interval / 5) : usual)
            let isUsual = ContinuousClock.now >= usual
            let goesOn = state.withLock { state in
                watched += state.added
                state.added = []
                watched.removeAll { $0.process.isEnded }
                state.isRunning = !watched.isEmpty
                return state.isRunning
            }
            guard goesOn else { return }
            for index in watched.indices where isUsual || watched[index].meter.isPressing {
                Self.look(&watched[index], at: start.duration(to: .now), isUsual)
            }
            if isUsual { usual = .now + interval }
        }
    }

    private func wait(until instant: ContinuousClock.Instant) {
        let left = ContinuousClock.now.duration(to: instant)
        guard left > .zero else { return }
        var polls = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        if poll(&polls, 1, Int32(clamping: left.milliseconds + 1)) > 0 { _ = wiz_eventfd_drain(wake) }
    }

    private static func look(_ watched: inout Watched, at now: Duration, _ isUsual: Bool) {
        guard let root = watched.process.root else { return }
        var sample = ProcessTree.usage(of: root)
        sample.refusedStarts = watched.process.group?.refusedStarts ?? 0
        let wasGreedy = watched.meter.isGreedy
        watched.meter.weigh(sample, at: now)
        if watched.meter.isGreedy != wasGreedy { watched.process.yieldsToPeers(!wasGreedy) }
        let cause = isUsual ? watched.meter.take(sample, at: now) : watched.meter.takeMemory(sample, at: now)
        if let cause { watched.process.kill(because: cause) }
    }
}
