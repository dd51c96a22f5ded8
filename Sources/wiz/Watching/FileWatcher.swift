// Tells of changed files in batches: what changes within a moment comes together, once it is quiet. A thread of its own waits
// for inotify; what is watched is a plan (WatchPlan.swift), which may be changed meanwhile without losing what happens.

import Glibc
import Synchronization

/// Files that changed together.
struct WatchBatch: Hashable, Sendable {
    /// Their paths.
    var paths: Set<String> = []
    /// False when too much happened at once: anything may have changed.
    var isComplete = true
}

/// How a batch is gathered.
struct WatchTiming: Sendable {
    /// A batch ends when nothing changed for so long.
    var quiet = Duration.milliseconds(120)
    /// A batch ends after so long in any case.
    var longest = Duration.seconds(2)
}

/// What is watched: it keeps the watches, and says which files an event is about.
///
/// Used by one thread at a time.
protocol WatchPlan: Sendable {
    /// Sets up watches; called at the start, after each batch, and when the plan was changed.
    mutating func arm(_ inotify: borrowing Inotify) throws(WatchFailure)
    /// Takes an event; adds the files that it is about.
    mutating func take(_ event: Inotify.Event, _ inotify: borrowing Inotify, _ batch: inout WatchBatch)
    /// Looks at what was gathered, before it is told.
    mutating func settle(_ batch: inout WatchBatch)
    /// How long to wait before arming again without an event; nil if that is not needed.
    var patience: Duration? { get }
}

/// Watches files and tells of changes.
final class FileWatcher<Plan: WatchPlan>: Sendable {
    /// The batches; one reader at a time.
    let batches: AsyncStream<WatchBatch>
    private let loop: WatchLoop<Plan>

    /// Watches from now on: what is changed after this returns is told.
    ///
    /// - Parameters:
    ///   - plan: What is watched.
    ///   - timing: How batches are gathered.
    /// - Throws: why files cannot be watched.
    init(_ plan: Plan, timing: WatchTiming = WatchTiming()) throws(WatchFailure) {
        let (stream, continuation) = AsyncStream<WatchBatch>.makeStream()
        batches = stream
        loop = try WatchLoop(plan, timing, continuation)
        try loop.start()
    }

    deinit { stop() }

    /// Changes what is watched: what is changed after this returns is told by the new plan, and nothing that the old plan
    /// would have told of the same files is lost.
    func change(_ body: (inout Plan) -> Void) throws(WatchFailure) { try loop.change(body) }

    /// Ends watching and the batches.
    func stop() { loop.wake.signal() }
}

/// The thread's loop.
private final class WatchLoop<Plan: WatchPlan>: Sendable {
    let wake: EventCounter
    private let plan: Mutex<Plan>
    private let timing: WatchTiming
    private let batches: AsyncStream<WatchBatch>.Continuation
    private let inotify: Inotify

    init(_ plan: Plan, _ timing: WatchTiming, _ batches: AsyncStream<WatchBatch>.Continuation) throws(WatchFailure) {
        guard let wake = EventCounter() else { throw WatchFailure(errno: ENFILE) }
        self.wake = wake
        inotify = try Inotify(wakeDescriptor: wake.descriptor)
        self.timing = timing
        self.batches = batches
        var plan = plan
        try plan.arm(inotify)
        self.plan = Mutex(plan)
    }

    /// Starts the thread, which keeps the loop.
    func start() throws(WatchFailure) {
        guard startThread("wiz-watch", { self.run() }) else { throw WatchFailure(errno: EAGAIN) }
    }

    func change(_ body: (inout Plan) -> Void) throws(WatchFailure) {
        let result: Result<Void, WatchFailure> = plan.withLock { plan in
            body(&plan)
            do throws(WatchFailure) { return .success(try plan.arm(inotify)) } catch { return .failure(error) }
        }
        try result.get()
    }

    private func run() {
        while let batch = gather() {
            if !batch.paths.isEmpty || !batch.isComplete { batches.yield(batch) }
        }
        batches.finish()
    }

    /// The next batch, perhaps empty; nil at the end.
    private func gather() -> WatchBatch? {
        var batch = WatchBatch()
        var begin: ContinuousClock.Instant?
        while true {
            let left = begin.map { min(timing.quiet, timing.longest - $0.duration(to: .now)) }
            switch inotify.wait(left ?? plan.withLock { $0.patience }) {
            case .woken: return nil
            case .quiet: return settled(batch)
            case .events(let events):
                plan.withLock { plan in
                    for event in events { plan.take(event, inotify, &batch) }
                }
                if begin == nil, !batch.paths.isEmpty || !batch.isComplete { begin = .now }
            }
            if let begin, begin.duration(to: .now) >= timing.longest { return settled(batch) }
        }
    }

    private func settled(_ batch: WatchBatch) -> WatchBatch {
        plan.withLock { plan in
            var batch = batch
            // Where no watch can be had any more, what is watched still is.
            try? plan.arm(inotify)
            plan.settle(&batch)
            return batch
        }
    }
}
