// A way to wake a thread that polls: an eventfd that any thread may signal. Owns the descriptor.

import CLinuxShims

/// An event that any thread may signal and one polling thread waits for.
public final class WakeUp: Sendable {
    /// The descriptor to poll for reading; stays owned by the wake-up.
    public let fileDescriptor: Int32

    /// Creates an event that is not signalled.
    public init() throws(ZeroMQError) {
        let descriptor = wiz_eventfd_create()
        guard descriptor >= 0 else {
            throw ZeroMQError(code: .init(rawValue: -descriptor), operation: .createWakeUp)
        }
        fileDescriptor = descriptor
    }

    /// Wakes the waiting thread, now or when it next polls; safe on any thread.
    public func signal() { _ = wiz_eventfd_signal(fileDescriptor) }

    /// Takes the signals that came since the last time.
    /// - Returns: whether there was one.
    @discardableResult
    public func drain() -> Bool { wiz_eventfd_drain(fileDescriptor) > 0 }

    deinit { _ = wiz_close(fileDescriptor) }
}
