// Threads for what blocks. Tasks share as few threads as the machine has processors: one that waits in the kernel, for a control
// group or a report, holds up every task of the host.

import CLinuxShims

/// A thread that runs one function and ends.
enum Worker {
    /// Runs what blocks on a thread of its own, and waits for its result without taking one of the few that run tasks.
    static func run<Value: Sendable>(name: String, _ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in start(name: name) { continuation.resume(returning: body()) } }
    }

    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs a function on a thread of its own; where there can be no more threads, on this one.
    static func start(name: String, stack: Int = 256 * 1024, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(
            Box {
                _ = wiz_set_thread_name(name)
                body()
            }
        )
        var handle: UInt64 = 0
        let code = wiz_thread_start(
            &handle,
            stack,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            },
            box.toOpaque()
        )
        if code == 0 { _ = wiz_thread_detach(handle) } else { box.takeRetainedValue().body() }
    }
}
