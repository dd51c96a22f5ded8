// Holds back the sender of a stream until the receiver has granted credit.

import DequeModule
import MeshProtocol
import Synchronization

/// The gate that the chunks of one direction pass.
final class SendChannel: Sendable {
    typealias Waiter = UnsafeContinuation<Result<Void, any Error>, Never>

    private struct State {
        var window: SendWindow
        var waiters = Deque<(key: UInt64, byteCount: Int, continuation: Waiter)>()
        var nextKey: UInt64 = 0
        var ending: MeshError?
    }

    private let state: Mutex<State>

    init(_ credit: Credit) { state = Mutex(State(window: SendWindow(credit))) }

    /// Adds what the receiver granted and lets waiting chunks pass, in their order.
    func grant(_ credit: Credit) {
        let passed = state.withLock { state -> [Waiter] in
            state.window.grant(credit)
            var passed: [Waiter] = []
            while let first = state.waiters.first, state.window.take(byteCount: first.byteCount) {
                passed.append(first.continuation)
                state.waiters.removeFirst()
            }
            return passed
        }
        for waiter in passed { waiter.resume(returning: .success(())) }
    }

    /// Ends the direction: those who wait and those who come fail with the error.
    func end(_ error: MeshError) {
        let waiters = state.withLock { state -> Deque<(key: UInt64, byteCount: Int, continuation: Waiter)> in
            guard state.ending == nil else { return [] }
            state.ending = error
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: .failure(error)) }
    }

    private enum Step {
        case done(Result<Void, any Error>)
        case wait
    }

    /// Takes a chunk's credit, waiting for it.
    ///
    /// - Throws: the error that ended the direction, or `CancellationError` when the task is cancelled.
    func acquire(byteCount: Int) async throws {
        let (step, key) = state.withLock { state -> (Step, UInt64) in
            state.nextKey += 1
            return (Self.step(&state, byteCount), state.nextKey)
        }
        if case .done(let result) = step { return try result.get() }
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: Waiter) in
                let step = state.withLock { state -> Step in
                    let step = Self.step(&state, byteCount)
                    guard case .wait = step else { return step }
                    guard !Task.isCancelled else { return .done(.failure(CancellationError())) }
                    state.waiters.append((key, byteCount, continuation))
                    return .wait
                }
                if case .done(let result) = step { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.key == key }) else { return nil }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: .failure(CancellationError()))
        }
        try result.get()
    }

    private static func step(_ state: inout State, _ byteCount: Int) -> Step {
        if let error = state.ending { return .done(.failure(error)) }
        guard state.waiters.isEmpty, state.window.take(byteCount: byteCount) else { return .wait }
        return .done(.success(()))
    }
}
