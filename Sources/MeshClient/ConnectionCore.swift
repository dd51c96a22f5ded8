// What tasks and the connection thread of one connection share: the inbox, the ids, the state that watchers see.

import Logging
import MeshProtocol
import Synchronization
import ZeroMQ

/// The shared part of a connection.
final class ConnectionCore: Sendable {
    private static let connections = Atomic<Int>(0)
    /// Ids of unacknowledged events have this bit, so that their refusals can be told from late answers.
    static let publishBit: UInt64 = 1 << 62

    private struct Watched {
        var state = ConnectionState.connecting(attempt: 1)
        var info: SessionInfo?
        var session: SessionKey
        var nextWatcher = 0
        var watchers: [Int: AsyncStream<ConnectionState>.Continuation] = [:]
        var thread: OSThread?
    }

    let configuration: MeshConfiguration
    /// The connection's number in this process.
    let number: Int
    let inbox: Inbox
    private let nextID = Atomic<UInt64>(1)
    private let watched: Mutex<Watched>

    init(_ configuration: MeshConfiguration) throws(MeshError) {
        try configuration.check()
        self.configuration = configuration
        number = Self.connections.add(1, ordering: .relaxed).newValue
        do {
            inbox = try Inbox()
        } catch {
            throw MeshError(.resourceExhausted, "\(error)", subject: configuration.endpoint)
        }
        watched = Mutex(Watched(session: SessionKey(connection: number, generation: 0)))
    }

    /// A new request id.
    func makeID() -> RequestID {
        let raw = nextID.add(1, ordering: .relaxed).oldValue
        guard let id = RequestID(rawValue: raw) else { preconditionFailure("request ids have run out") }
        return id
    }

    /// A new id for an event that is not acknowledged.
    func makePublishID() -> RequestID {
        let raw = nextID.add(1, ordering: .relaxed).oldValue | Self.publishBit
        guard let id = RequestID(rawValue: raw) else { preconditionFailure("request ids have run out") }
        return id
    }

    /// Asks the connection thread for something and waits for its answer.
    func ask<Value: Sendable>(_ command: (Waiter<Value>) -> Command) async -> Result<Value, MeshError> {
        await withUnsafeContinuation { (waiter: Waiter<Value>) in
            if !inbox.push(command(waiter)) { waiter.resume(returning: .failure(.closed)) }
        }
    }

    /// Like ``ask(_:)`` for a request that a cancelled task takes back.
    func ask<Value: Sendable>(
        orCancel cancel: @escaping @Sendable () -> Command,
        _ command: (Waiter<Value>) -> Command
    ) async throws -> Value {
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { (waiter: Waiter<Value>) in
                guard inbox.push(command(waiter)) else { return waiter.resume(returning: .failure(.closed)) }
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { inbox.push(cancel()) }
            }
        } onCancel: {
            inbox.push(cancel())
        }
        if case .failure(let error) = result, error.status == .cancelled, !error.isFromWorker, Task.isCancelled {
            throw CancellationError()
        }
        return try result.get()
    }
}

extension ConnectionCore {
    var state: ConnectionState { watched.withLock { $0.state } }
    var info: SessionInfo? { watched.withLock { $0.info } }
    var session: SessionKey { watched.withLock { $0.session } }

    /// Tells a change of state; called by the connection thread.
    func changed(to state: ConnectionState, session: SessionKey) {
        var isOver = false
        if case .closed = state { isOver = true }
        let watchers = watched.withLock { watched in
            watched.state = state
            watched.session = session
            watched.info = if case .connected(let info) = state { info } else { nil }
            defer { if isOver { watched.watchers = [:] } }
            return Array(watched.watchers.values)
        }
        // Outside of the lock: the end of a stream comes back to take its watcher away.
        for watcher in watchers {
            watcher.yield(state)
            if isOver { watcher.finish() }
        }
    }

    /// The state now and every change from here on.
    func states() -> AsyncStream<ConnectionState> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: ConnectionState.self,
            bufferingPolicy: .bufferingNewest(64)
        )
        let key = watched.withLock { watched -> Int? in
            continuation.yield(watched.state)
            if case .closed = watched.state {
                continuation.finish()
                return nil
            }
            watched.nextWatcher += 1
            watched.watchers[watched.nextWatcher] = continuation
            return watched.nextWatcher
        }
        if let key {
            continuation.onTermination = { [weak self] _ in
                // The stream is let go of outside of the lock, which its end would take again.
                _ = self?.watched.withLock { $0.watchers.removeValue(forKey: key) }
            }
        }
        return stream
    }

    /// Starts the connection thread.
    func start() throws(MeshError) {
        do {
            let thread = try OSThread.start(name: "mesh-client") { Driver(self).run() }
            watched.withLock { $0.thread = thread }
        } catch {
            throw MeshError(.resourceExhausted, "\(error)", subject: configuration.endpoint)
        }
    }

    /// Waits for the thread, which is at its end.
    func join() {
        let thread = watched.withLock { watched in
            defer { watched.thread = nil }
            return watched.thread
        }
        thread?.join()
    }
}

/// The process's one libzmq context; it lives as long as the process.
enum SharedContext {
    private static let result: Result<Context, ZeroMQError> = Result { () throws(ZeroMQError) in try Context() }

    static func get() throws(ZeroMQError) -> Context { try result.get() }

    /// Waits until what closed sockets have sent is out; there are no sockets after it.
    static func end(within bound: Duration) {
        guard case .success(let context) = result else { return }
        // A bound that runs out leaves nothing to be done: the broker does not read.
        try? context.terminate(within: bound)
    }
}
