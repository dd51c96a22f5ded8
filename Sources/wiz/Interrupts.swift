// Ctrl-C and SIGTERM: caught on whichever thread they come (the runtime's own threads cannot be kept from having them
// unblocked) and read by one thread, which cancels what runs, so that calls are cancelled at their workers and meshes stop
// in order. A second signal ends the process at once.

import CLinuxShims
import Glibc
import Synchronization

/// The signals of this process.
enum Interrupts {
    private static let handler = Mutex<(@Sendable (Int32) -> Void)?>(nil)
    private static let signals = wiz_signal_bit(SIGINT) | wiz_signal_bit(SIGTERM) | wiz_signal_bit(SIGHUP)

    /// Takes the signals over.
    static func begin() {
        let descriptor = wiz_catch_signals(signals)
        guard descriptor >= 0 else { return }
        let argument = UnsafeMutableRawPointer(bitPattern: Int(descriptor) + 1)
        var thread: UInt64 = 0
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            Interrupts.listen(Int32(Int(bitPattern: argument) - 1))
            return nil
        }
        if wiz_thread_start(&thread, 256 << 10, body, argument) == 0 { _ = wiz_thread_detach(thread) }
    }

    /// Hears signals from now on; without a handler a signal ends the process.
    static func handle(_ body: (@Sendable (Int32) -> Void)?) { handler.withLock { $0 = body } }

    private static func listen(_ descriptor: Int32) {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            guard poll(&wait, 1, -1) >= 0 || errno == EINTR else { return }
            var byte: UInt8 = 0
            guard read(descriptor, &byte, 1) == 1 else { continue }
            let number = Int32(byte)
            if let body = handler.withLock({ $0 }) { body(number) } else { _exit(128 + number) }
        }
    }

    /// Runs something that Ctrl-C cancels; a second Ctrl-C ends the process.
    static func cancelling<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value
    {
        let task = Task { try await body() }
        let flag = Latch()
        handle { number in
            if flag.raise() { _exit(128 + number) }
            task.cancel()
        }
        defer { handle(nil) }
        do {
            return try await task.value
        } catch {
            if flag.isRaised { throw CommandFailure.interrupted }
            throw error
        }
    }
}

/// A latch that one thread raises and another reads.
final class Latch: Sendable {
    private let value = Atomic<Bool>(false)

    /// Raises it; whether it was raised before.
    func raise() -> Bool { value.exchange(true, ordering: .sequentiallyConsistent) }

    var isRaised: Bool { value.load(ordering: .sequentiallyConsistent) }
}
