// Output that keeps nobody waiting: a mesh goes on where its terminal stands still (Ctrl-S) or the program behind a pipe reads
// no further. A thread of its own writes; beyond a bound lines are left out and counted.

import Synchronization

/// Writes to standard output, in order, for those who must not wait.
final class OutputQueue: Sendable {
    /// How much may wait to be written.
    private static let byteLimit = 1 << 20

    private struct State {
        var waiting: [(text: String, progress: Progress?)] = []
        var byteCount = 0
        var leftOut = 0
        /// Whether the thread has taken something that is not written yet.
        var isWriting = false
        var hasThread: Bool?
    }

    private let state = Mutex(State())
    private let more = EventCounter()
    private let done = EventCounter()

    /// Adds a text.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - progress: The moving line that steps aside for it.
    /// - Returns: how many before it were left out, once one is taken again.
    func add(_ text: String, _ progress: Progress?) -> Int {
        let (hasThread, leftOut) = state.withLock { state in
            let hasThread = state.hasThread ?? (more != nil && startThread("wiz-output") { [self] in run() })
            state.hasThread = hasThread
            guard hasThread else { return (false, 0) }
            guard state.byteCount + text.utf8.count <= Self.byteLimit || state.waiting.isEmpty else {
                state.leftOut += 1
                return (true, 0)
            }
            state.waiting.append((text, progress))
            state.byteCount += text.utf8.count
            defer { state.leftOut = 0 }
            return (true, state.leftOut)
        }
        if hasThread { more?.signal() } else { Self.write(text, progress) }
        return leftOut
    }

    /// Waits until all is written, at most so long.
    func flush(within bound: Duration) {
        let end = ContinuousClock.now + bound
        while ContinuousClock.now < end, state.withLock({ $0.isWriting || !$0.waiting.isEmpty }) {
            done?.wait(atMost: ContinuousClock.now.duration(to: end))
        }
    }

    private func run() {
        while true {
            more?.wait()
            while let next = take() {
                for item in next { Self.write(item.text, item.progress) }
                state.withLock { $0.isWriting = false }
            }
            done?.signal()
        }
    }

    /// What waits.
    private func take() -> [(text: String, progress: Progress?)]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else { return nil }
            defer { (state.waiting, state.byteCount, state.isWriting) = ([], 0, true) }
            return state.waiting
        }
    }

    private static func write(_ text: String, _ progress: Progress?) {
        if let progress { progress.write(text, to: .output) } else { Terminal.output.write(text) }
    }
}
