// A counter by which one thread wakes another (eventfd). It lives as long as anybody may signal it: a descriptor that was closed
// may be another's already.

import CLinuxShims
import Glibc

/// Wakes a thread that waits.
final class EventCounter: Sendable {
    /// For `poll`: readable once it was signalled.
    let descriptor: Int32

    /// A new one; nil when this process has too many descriptors.
    init?() {
        descriptor = wiz_eventfd_create()
        if descriptor < 0 { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Wakes who waits, now or later.
    func signal() { _ = wiz_eventfd_signal(descriptor) }

    /// Waits until it was signalled, nil without end, and takes the signal.
    func wait(atMost bound: Duration? = nil) {
        let milliseconds = bound.map { Int32(clamping: max(0, Units.milliseconds($0))) } ?? -1
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if poll(&wait, 1, milliseconds) > 0 { _ = wiz_eventfd_drain(descriptor) }
    }
}

/// Runs something on a thread of its own, for what blocks.
///
/// - Returns: whether there is one.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    let argument = Unmanaged.passRetained(ThreadBody(name, body)).toOpaque()
    let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument else { return nil }
        let body = Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
        _ = wiz_set_thread_name(body.name)
        body.run()
        return nil
    }
    var thread: UInt64 = 0
    guard wiz_thread_start(&thread, 256 << 10, start, argument) == 0 else {
        Unmanaged<ThreadBody>.fromOpaque(argument).release()
        return false
    }
    _ = wiz_thread_detach(thread)
    return true
}

private final class ThreadBody: Sendable {
    let name: String
    let run: @Sendable () -> Void

    init(_ name: String, _ run: @escaping @Sendable () -> Void) {
        self.name = name
        self.run = run
    }
}
