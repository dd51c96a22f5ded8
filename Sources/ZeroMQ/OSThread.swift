// A thread of its own, for loops that own sockets: never a thread of Swift's cooperative pool. Signals are blocked in it,
// so that the process's signal handling stays where it was put.

import CLinuxShims
import Synchronization

/// A named operating-system thread that can be waited for.
public final class OSThread: Sendable {
    private final class Start {
        let name: String
        let body: () -> Void

        init(name: String, body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let handle: UInt64
    private let isJoined = Mutex(false)

    private init(handle: UInt64) { self.handle = handle }

    /// Starts a thread with all asynchronous signals blocked.
    /// - Parameters:
    ///   - name: shown by ps and debuggers, cut to 15 bytes.
    ///   - stackByteCount: the size of the stack.
    ///   - body: runs on the thread; the thread ends when it returns.
    /// - Returns: the thread, which goes on by itself if nobody keeps it.
    /// - Throws: when the system has no room for another thread.
    public static func start(
        name: String,
        stackByteCount: Int = 1 << 20,
        body: sending @escaping () -> Void
    ) throws(ZeroMQError) -> OSThread {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle: UInt64 = 0
        let result = wiz_thread_start(
            &handle,
            stackByteCount,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                _ = wiz_set_thread_name(start.name)
                start.body()
                return nil
            },
            start.toOpaque()
        )
        guard result == 0 else {
            start.release()
            throw ZeroMQError(code: .init(rawValue: -result), operation: .startThread, subject: name)
        }
        return OSThread(handle: handle)
    }

    /// Waits until the thread has ended; may be called by several threads, but not by the thread itself.
    public func join() {
        precondition(wiz_thread_self() != handle, "a thread cannot wait for itself")
        isJoined.withLock { isJoined in
            guard !isJoined else { return }
            _ = wiz_thread_join(handle)
            isJoined = true
        }
    }

    deinit {
        let wasJoined = isJoined.withLock { $0 }
        if !wasJoined { _ = wiz_thread_detach(handle) }
    }
}
