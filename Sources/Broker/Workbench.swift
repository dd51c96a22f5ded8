// The administration thread: runs jobs one after the other, so that JSON, logging and files never cost the mesh thread
// anything. Jobs may ask the mesh thread; the mesh thread never waits for a job.

import Synchronization
import ZeroMQ

/// A thread that works through a bounded queue.
final class Workbench: Sendable {
    /// Something to do.
    typealias Job = @Sendable () -> Void

    private struct State {
        var jobs: [Job] = []
        var isEnding = false
    }

    /// Jobs that may wait; more are refused, which their makers tell or count.
    static let capacity = 4096

    private let state = Mutex(State())
    private let wakeUp: WakeUp

    init() throws(ZeroMQError) { wakeUp = try WakeUp() }

    /// Posts a job; false when the queue is full or has ended.
    @discardableResult
    func post(_ job: @escaping Job) -> Bool {
        let isTaken = state.withLock { state in
            guard !state.isEnding, state.jobs.count < Workbench.capacity else { return false }
            state.jobs.append(job)
            return true
        }
        if isTaken { wakeUp.signal() }
        return isTaken
    }

    /// Posts the last job: it runs after what waits, whatever the bound, and the thread ends with it.
    func end(with job: @escaping Job) {
        let isFirst = state.withLock { state in
            guard !state.isEnding else { return false }
            state.isEnding = true
            state.jobs.append(job)
            return true
        }
        if isFirst { wakeUp.signal() }
    }

    /// Works until the last job is done; the body of the thread.
    func run() {
        var poller = Poller(capacity: 1)
        poller.add(wakeUp)
        while true {
            let (jobs, isEnding) = state.withLock { state in
                var taken: [Job] = []
                swap(&taken, &state.jobs)
                return (taken, state.isEnding)
            }
            for job in jobs { job() }
            if isEnding { return }
            _ = try? poller.wait(timeout: nil)
            wakeUp.drain()
        }
    }
}
