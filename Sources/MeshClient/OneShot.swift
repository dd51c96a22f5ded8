// A result that comes once and that many may wait for: the end of a call, the end of a registration.

import Synchronization

/// A result that is set once.
final class OneShot<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, any Error>

    private struct State {
        var result: Result<Value, MeshError>?
        var nextKey: UInt64 = 0
        var waiters: [UInt64: UnsafeContinuation<Outcome, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Whether the result is there.
    var isResolved: Bool { state.withLock { $0.result != nil } }

    /// Sets the result and wakes who waits; false when it was there already.
    @discardableResult
    func resolve(_ result: Result<Value, MeshError>) -> Bool {
        let waiters = state.withLock { state -> [UInt64: UnsafeContinuation<Outcome, Never>]? in
            guard state.result == nil else { return nil }
            state.result = result
            defer { state.waiters = [:] }
            return state.waiters
        }
        guard let waiters else { return false }
        for waiter in waiters.values { waiter.resume(returning: result.mapError { $0 }) }
        return true
    }

    /// Waits for the result.
    ///
    /// - Throws: the result's error, or `CancellationError` when the task is cancelled.
    func value() async throws -> Value {
        let key = state.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        return try await withTaskCancellationHandler {
            await withUnsafeContinuation { (waiter: UnsafeContinuation<Outcome, Never>) in
                let outcome = state.withLock { state -> Outcome? in
                    if let result = state.result { return result.mapError { $0 } }
                    guard !Task.isCancelled else { return .failure(CancellationError()) }
                    state.waiters[key] = waiter
                    return nil
                }
                if let outcome { waiter.resume(returning: outcome) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: key) }
            waiter?.resume(returning: .failure(CancellationError()))
        }.get()
    }
}
