// Hands the elements of a stream from the connection thread to the task that reads them, and grants credit as they are
// taken. Bounded by that credit: the other side cannot send more than the window.

import DequeModule
import MeshProtocol
import Synchronization

/// A queue between the connection thread and one reader.
final class ReceiveChannel<Element: Sendable>: Sendable {
    typealias Waiter = UnsafeContinuation<Result<Element?, any Error>, Never>

    private struct State {
        var buffer = Deque<(element: Element, byteCount: Int)>()
        var waiters = Deque<(key: UInt64, continuation: Waiter)>()
        var nextKey: UInt64 = 0
        var ending: Result<Void, MeshError>?
        var window: ReceiveWindow
    }

    private let state: Mutex<State>
    private let grant: @Sendable (Credit) -> Void

    /// Makes an empty channel.
    /// - Parameters:
    ///   - window: what the reader takes without being asked.
    ///   - grant: gives credit for what was read.
    init(window: Credit, grant: @escaping @Sendable (Credit) -> Void) {
        state = Mutex(State(window: ReceiveWindow(window)))
        self.grant = grant
    }

    /// Adds an element; called by the connection thread.
    func push(_ element: Element, byteCount: Int) {
        let (waiter, credit) = state.withLock { state -> (Waiter?, Credit?) in
            guard state.ending == nil else { return (nil, nil) }
            guard let waiter = state.waiters.popFirst() else {
                state.buffer.append((element, byteCount))
                return (nil, nil)
            }
            return (waiter.continuation, state.window.consumed(byteCount: byteCount))
        }
        waiter?.resume(returning: .success(element))
        if let credit { grant(credit) }
    }

    /// Ends the stream: what is buffered can still be read, then comes the end or the error.
    func finish(_ error: MeshError?) {
        let waiters = state.withLock { state -> Deque<(key: UInt64, continuation: Waiter)> in
            guard state.ending == nil else { return [] }
            state.ending = error.map { .failure($0) } ?? .success(())
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: error.map { .failure($0) } ?? .success(nil)) }
    }

    /// Begins a new window, for a new session; returns the credit that the reader has room for.
    func renew(_ window: Credit) -> Credit {
        state.withLock { state in
            state.window.reset()
            let bytes = state.buffer.reduce(0) { $0 + $1.byteCount }
            return Credit(
                messages: window.messages - UInt32(clamping: min(state.buffer.count, Int(window.messages))),
                bytes: window.bytes - UInt32(clamping: min(bytes, Int(window.bytes)))
            )
        }
    }

    private enum Step {
        case done(Result<Element?, any Error>, Credit?)
        case wait
    }

    /// The next element; nil at the end.
    ///
    /// - Throws: the stream's error, or `CancellationError` when the reading task is cancelled.
    func next() async throws -> Element? {
        if case .done(let result, let credit) = state.withLock({ Self.step(&$0) }) {
            if let credit { grant(credit) }
            return try result.get()
        }
        let key = state.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: Waiter) in wait(continuation, key: key) }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.key == key }) else { return nil }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: .failure(CancellationError()))
        }
        return try result.get()
    }

    private func wait(_ continuation: Waiter, key: UInt64) {
        let step = state.withLock { state -> Step in
            let step = Self.step(&state)
            guard case .wait = step else { return step }
            guard !Task.isCancelled else { return .done(.failure(CancellationError()), nil) }
            state.waiters.append((key, continuation))
            return .wait
        }
        guard case .done(let result, let credit) = step else { return }
        continuation.resume(returning: result)
        if let credit { grant(credit) }
    }

    private static func step(_ state: inout State) -> Step {
        if let (element, byteCount) = state.buffer.popFirst() {
            return .done(.success(element), state.window.consumed(byteCount: byteCount))
        }
        switch state.ending {
        case .success: return .done(.success(nil), nil)
        case .failure(let error): return .done(.failure(error), nil)
        case nil: return .wait
        }
    }
}
