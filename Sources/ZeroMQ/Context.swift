// The libzmq context: I/O threads and the limit on sockets. One per process: a second context that uses CURVE can be
// broken by the first one's end. Owns the handle; may be shared by all threads.

import CLinuxShims
import CZeroMQ
import Synchronization

/// The home of all sockets of a process: create exactly one per process.
///
/// The end has an order: `shutdown()` makes every socket operation throw `.contextTerminated`, each owner then closes
/// its sockets on its own thread, and `terminate(within:)` returns when the last one is closed.
public final class Context: Sendable {
    private struct State: @unchecked Sendable {
        /// Nil once termination began.
        var handle: UnsafeMutableRawPointer?
        var isShutDown = false
    }

    /// Whether libc's rand(), from which libzmq draws routing ids, has been seeded in this process.
    private static let seedResult: Int32 = wiz_seed_libc_random()

    private let state: Mutex<State>
    private let openSockets = Atomic<Int>(0)

    /// The sockets that are open at this moment.
    public var openSocketCount: Int { openSockets.load(ordering: .acquiring) }

    /// Creates a context and, once in a process, seeds libc's random generator, so routing ids cannot be predicted.
    /// - Parameters:
    ///   - ioThreadCount: libzmq's threads for input and output; one per gigabyte a second.
    ///   - maximumSocketCount: the most sockets that may be open at a time.
    /// - Throws: when the process has no memory, files or entropy, or a count is out of range.
    public init(ioThreadCount: Int = 1, maximumSocketCount: Int = 1023) throws(ZeroMQError) {
        guard Context.seedResult == 0 else {
            throw ZeroMQError(code: .init(rawValue: -Context.seedResult), operation: .seedRandom)
        }
        guard let handle = zmq_ctx_new() else { throw ZeroMQError(lastErrorOf: .createContext) }
        self.state = Mutex(State(handle: handle))
        // BLOCKY=0: a socket whose linger nobody set does not hold up the end of the process.
        try set(ZMQ_BLOCKY, to: 0, subject: "BLOCKY")
        try set(ZMQ_IO_THREADS, to: ioThreadCount, subject: "ioThreadCount")
        try set(ZMQ_MAX_SOCKETS, to: maximumSocketCount, subject: "maximumSocketCount")
    }

    private func set(_ option: Int32, to value: Int, subject: String) throws(ZeroMQError) {
        guard let narrow = Int32(exactly: value) else {
            throw ZeroMQError(code: .invalidArgument, operation: .createContext, subject: subject)
        }
        let failure: ZeroMQError? = state.withLock { state in
            guard zmq_ctx_set(state.handle, option, narrow) != 0 else { return nil }
            return ZeroMQError(lastErrorOf: .createContext, subject: subject)
        }
        if let failure { throw failure }
    }

    /// Makes every operation on the context's sockets throw `.contextTerminated`; any thread may call it, repeatedly.
    public func shutdown() {
        state.withLock { state in
            guard let handle = state.handle, !state.isShutDown else { return }
            state.isShutDown = true
            _ = zmq_ctx_shutdown(handle)
        }
    }

    /// Shuts down, waits until every socket has been closed by its owner, and frees the context.
    ///
    /// Without a bound: a socket that nobody closes makes it wait forever. Never call it on a thread that owns one.
    public func terminate() {
        shutdown()
        let handle = state.withLock { state in
            let handle = state.handle
            state.handle = nil
            return handle
        }
        guard let handle else { return }
        while zmq_ctx_term(handle) != 0, zmq_errno() == ZMQErrno.interrupted {}
    }

    /// Like `terminate()`, but gives up waiting after a time.
    /// - Parameter bound: how long to wait for the owners of open sockets.
    /// - Throws: `.timedOut`; the termination then goes on in the background and ends with the last socket.
    public func terminate(within bound: Duration) throws(ZeroMQError) {
        let done = try WakeUp()
        let thread = try OSThread.start(name: "zmq-terminate") {
            self.terminate()
            done.signal()
        }
        var poller = Poller(capacity: 1)
        poller.add(done, events: .readable)
        guard try poller.wait(timeout: bound).contains(0) else {
            throw ZeroMQError(
                code: .timedOut,
                operation: .terminateContext,
                subject: "\(openSocketCount) sockets still open"
            )
        }
        thread.join()
    }

    /// Creates a raw socket; the caller owes `socketClosed()` after closing it.
    func openSocket(_ type: Int32) throws(ZeroMQError) -> UnsafeMutableRawPointer {
        let result: Result<UnsafeMutableRawPointer, ZeroMQError> = state.withLock { state in
            guard let handle = state.handle else {
                return .failure(ZeroMQError(code: .contextTerminated, operation: .createSocket))
            }
            guard let socket = zmq_socket(handle, type) else {
                return .failure(ZeroMQError(lastErrorOf: .createSocket))
            }
            return .success(socket)
        }
        let socket = try result.get()
        openSockets.add(1, ordering: .acquiringAndReleasing)
        return socket
    }

    /// Notes that a socket of this context was closed.
    func socketClosed() { openSockets.subtract(1, ordering: .acquiringAndReleasing) }

    deinit { terminate() }
}
