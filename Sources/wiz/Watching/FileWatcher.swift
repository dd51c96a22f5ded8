// Tells of changed files in batches: what changes within a moment comes together, once it is quiet. A thread of its own waits
// for inotify; what is watched is a plan (WatchPlan.swift).

import CLinuxShims
import Glibc
import Synchronization

/// Watches files and tells of changes.
final class FileWatcher: Sendable {
    /// Files that changed together.
    struct Batch: Hashable, Sendable {
        /// Their paths.
        var paths: Set<String> = []
        /// Too much happened at once: anything may have changed.
        var isComplete = true
    }

    /// How a batch is gathered.
    struct Timing: Sendable {
        /// A batch ends when nothing changed for so long.
        var quiet = Duration.milliseconds(120)
        /// A batch ends after so long in any case.
        var longest = Duration.seconds(2)
    }

    /// The batches; to be iterated once.
    let batches: AsyncStream<Batch>
    private let wake: Int32

    /// Watches from now on.
    ///
    /// - Parameters:
    ///   - plan: What is watched.
    ///   - timing: How batches are gathered.
    /// - Throws: why files cannot be watched.
    init(_ plan: some WatchPlan, timing: Timing = Timing()) throws(WatchFailure) {
        let wake = wiz_eventfd_create()
        guard wake >= 0 else { throw WatchFailure(errno: errno) }
        self.wake = wake
        let (stream, continuation) = AsyncStream<Batch>.makeStream()
        batches = stream
        let start = Start(plan: plan, timing: timing, wake: wake, batches: continuation)
        // Watching has begun before this returns: what is changed after it is told.
        let loop: WatchLoop
        do throws(WatchFailure) {
            loop = try WatchLoop(start)
        } catch {
            close(wake)
            throw error
        }
        var thread: UInt64 = 0
        let argument = Unmanaged.passRetained(loop).toOpaque()
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            if let argument { Unmanaged<WatchLoop>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }
        guard wiz_thread_start(&thread, 256 << 10, body, argument) == 0 else {
            Unmanaged<WatchLoop>.fromOpaque(argument).release()
            throw WatchFailure(errno: EAGAIN)
        }
        _ = wiz_thread_detach(thread)
    }

    deinit { stop() }

    /// Ends watching and the batches.
    func stop() { _ = wiz_eventfd_signal(wake) }

    fileprivate struct Start {
        let plan: any WatchPlan
        let timing: Timing
        let wake: Int32
        let batches: AsyncStream<Batch>.Continuation
    }
}

/// What is watched: it keeps the watches, and says which files an event is about.
///
/// Used by one thread.
protocol WatchPlan: Sendable {
    /// Sets up watches; called at the start and after each batch.
    mutating func arm(_ inotify: borrowing Inotify) throws(WatchFailure)
    /// Takes an event; adds the files that it is about.
    mutating func take(_ event: Inotify.Event, _ inotify: borrowing Inotify, _ batch: inout FileWatcher.Batch)
    /// Looks at what was gathered, before it is told.
    mutating func settle(_ batch: inout FileWatcher.Batch)
    /// How long to wait before arming again without an event; nil if that is not needed.
    var patience: Duration? { get }
}

/// The thread's loop.
private final class WatchLoop {
    private var plan: any WatchPlan
    private let timing: FileWatcher.Timing
    private let wake: Int32
    private let batches: AsyncStream<FileWatcher.Batch>.Continuation
    private var inotify: Inotify

    init(_ start: FileWatcher.Start) throws(WatchFailure) {
        plan = start.plan
        timing = start.timing
        wake = start.wake
        batches = start.batches
        inotify = try Inotify(wakeDescriptor: start.wake)
        try plan.arm(inotify)
    }

    func run() {
        _ = wiz_set_thread_name("wiz-watch")
        while let batch = gather() {
            if !batch.paths.isEmpty || !batch.isComplete { batches.yield(batch) }
        }
        batches.finish()
        close(wake)
    }

    /// The next batch, perhaps empty; nil at the end.
    private func gather() -> FileWatcher.Batch? {
        var batch = FileWatcher.Batch()
        var begin: ContinuousClock.Instant?
        while true {
            let left = begin.map { min(timing.quiet, timing.longest - $0.duration(to: .now)) }
            switch inotify.wait(left ?? plan.patience) {
            case .woken: return nil
            case .quiet: return settled(batch)
            case .events(let events):
                for event in events { plan.take(event, inotify, &batch) }
                if begin == nil, !batch.paths.isEmpty || !batch.isComplete { begin = .now }
            }
            if let begin, begin.duration(to: .now) >= timing.longest { return settled(batch) }
        }
    }

    private func settled(_ batch: FileWatcher.Batch) -> FileWatcher.Batch {
        var batch = batch
        try? plan.arm(inotify)
        plan.settle(&batch)
        return batch
    }
}
