// The wish that this plugin stops, from whichever side it comes first, and whoever waits for it.

import Synchronization

/// Why a plugin stops.
enum StopCause: Sendable, Hashable, CustomStringConvertible {
    case signal(Int32)
    case hostGone
    case drainRequested(reason: String, grace: Duration?)
    case connectionEnded(MeshError?)

    var description: String {
        switch self {
        case .signal(let number): "signal \(number)"
        case .hostGone: "the host has gone"
        case .drainRequested(let reason, _): reason.isEmpty ? "the broker asked it to drain" : reason
        case .connectionEnded(let error): error.map { "the connection has ended: \($0)" } ?? "the connection was closed"
        }
    }
}

/// Is thrown once.
final class StopSwitch: Sendable {
    private struct State {
        var cause: StopCause?
        var actions: [@Sendable (StopCause) -> Void] = []
    }

    private let state = Mutex(State())

    /// The first cause; nil while nobody has asked.
    var cause: StopCause? { state.withLock { $0.cause } }

    /// Asks for the stop; only the first cause counts.
    func request(_ cause: StopCause) {
        let actions = state.withLock { state -> [@Sendable (StopCause) -> Void] in
            guard state.cause == nil else { return [] }
            state.cause = cause
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action(cause) }
    }

    /// Does something when the stop is asked for, at once if it was.
    func whenRequested(_ action: @escaping @Sendable (StopCause) -> Void) {
        let cause = state.withLock { state in
            if state.cause == nil { state.actions.append(action) }
            return state.cause
        }
        if let cause { action(cause) }
    }

    /// Waits for the stop.
    func wait() async -> StopCause {
        await withCheckedContinuation { continuation in whenRequested { continuation.resume(returning: $0) } }
    }
}
