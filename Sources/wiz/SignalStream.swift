// Signals as a sequence that can be listened to again: what came in between is kept.

import Synchronization

/// The signals of a process that serves.
final class SignalStream: Sendable {
    private struct State {
        var pending: [Int32] = []
        var listener: AsyncStream<Int32>.Continuation?
    }

    private let state = Mutex(State())

    /// The signals from now on, and those that nobody heard yet.
    var stream: AsyncStream<Int32> { again() }

    /// The signals from now on, and those that nobody heard yet; ends the earlier listener.
    func again() -> AsyncStream<Int32> {
        AsyncStream { continuation in
            let (old, pending) = state.withLock { state in
                defer {
                    state.listener = continuation
                    state.pending = []
                }
                return (state.listener, state.pending)
            }
            old?.finish()
            for number in pending { continuation.yield(number) }
        }
    }

    /// Takes a signal.
    func take(_ number: Int32) {
        let listener = state.withLock { state in
            if state.listener == nil { state.pending.append(number) }
            return state.listener
        }
        listener?.yield(number)
    }
}
