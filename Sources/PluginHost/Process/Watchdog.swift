// Looks at what processes use, four times a second, and ends those that use more than they may where no control group holds
// them: memory, processor time, and starting processes without end. The meter is pure; samples come from /proc.

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
    private var overCPUSince: Duration?
    private var starting = 0
    private var last: (at: Duration, sample: UsageSample)?

    init(_ limits: ProcessLimits, held: Set<Controller>, cpuWindow: Duration = .seconds(10)) {
        self.limits = limits
        self.held = held
        self.cpuWindow = cpuWindow
    }

    /// Takes a sample; a verdict is given once.
    mutating func take(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        defer { last = (now, sample) }
        return memory(sample) ?? cpu(sample, at: now) ?? starts(sample, at: now)
    }

    private mutating func memory(_ sample: UsageSample) -> ExitCause? {
        guard let limit = limits.memoryBytes, !held.contains(.memory) else { return nil }
        overMemory = sample.memoryBytes > limit ? overMemory + 1 : 0
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
    // where there is none, all places are taken and a processor is busy. A look without it takes back half of what one with
    // it adds, since on a busy machine such a process does not run between all looks.
    private mutating func starts(_ sample: UsageSample, at now: Duration) -> ExitCause? {
        guard let limit = limits.processCount, let last, now > last.at else { return nil }
        let isBusy = (sample.cpu - last.sample.cpu) / (now - last.at) > 0.5
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
    private let state = Mutex<(watched: [Watched], isRunning: Bool)>(([], false))

    init(interval: Duration, cpuWindow: Duration) {
        self.interval = interval
        self.cpuWindow = cpuWindow
    }

    /// Watches a process to its end, if it has limits that need it.
    func watch(_ process: SystemProcess) {
        let limits = process.limits
        guard limits.memoryBytes != nil || limits.cpuPercent != nil || limits.processCount != nil else { return }
        let meter = UsageMeter(limits, held: process.group?.controllers ?? [], cpuWindow: cpuWindow)
        let starts = state.withLock { state in
            state.watched.append(Watched(process: process, meter: meter))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { Task.detached { await self.run() } }
    }

    private func run() async {
        let start = ContinuousClock.now
        while true {
            try? await Task.sleep(for: interval)
            let goesOn = state.withLock { state in
                state.watched.removeAll { $0.process.isEnded }
                for index in state.watched.indices { look(&state.watched[index], at: start.duration(to: .now)) }
                state.isRunning = !state.watched.isEmpty
                return state.isRunning
            }
            if !goesOn { return }
        }
    }

    private func look(_ watched: inout Watched, at now: Duration) {
        guard let root = watched.process.root else { return }
        var sample = ProcessTree.usage(of: root)
        sample.refusedStarts = watched.process.group?.refusedStarts ?? 0
        if let cause = watched.meter.take(sample, at: now) { watched.process.kill(because: cause) }
    }
}
