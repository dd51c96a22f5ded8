// A thread that watches what asks the process to end: signals, the host's end of standard input. It works when every
// other thread is stuck, and then ends the process by itself.

internal import CLinuxShims
internal import Glibc
import Synchronization

/// Watches for the end.
final class Sentry: Sendable {
    private let signals: Int32
    private let watchesInput: Bool
    private let stop: StopSwitch
    private let allowance: Duration

    /// Catches the signals that ask for the end; to be called first of all: process 1 of a sandbox does not even get one that
    /// it does not catch.
    ///
    /// - Returns: a descriptor on which each that comes arrives as a byte.
    static func catchSignals() -> Int32 { wiz_catch_signals(wiz_signal_bit(SIGTERM) | wiz_signal_bit(SIGINT)) }

    /// - Parameters:
    ///   - signals: What ``catchSignals()`` returned.
    ///   - watchesInput: Whether the end of standard input is the host's end.
    ///   - allowance: How long an ordered stop may take before the process is ended.
    ///   - stop: Is told the first cause.
    init(signals: Int32, watchesInput: Bool, allowance: Duration, stop: StopSwitch) {
        self.signals = signals
        self.watchesInput = watchesInput
        self.allowance = allowance
        self.stop = stop
    }

    /// Starts the thread, which lives as long as the process.
    func start() {
        var handle: UInt64 = 0
        let context = Unmanaged.passRetained(self)
        let result = wiz_thread_start(
            &handle,
            256 << 10,
            { context in
                if let context { Unmanaged<Sentry>.fromOpaque(context).takeUnretainedValue().watch() }
                return nil
            },
            context.toOpaque()
        )
        if result == 0 { wiz_thread_detach(handle) } else { context.release() }
    }

    private func watch() {
        wiz_set_thread_name("sentry")
        var input = watchesInput ? STDIN_FILENO : -1
        var signalCount = 0
        var end: ContinuousClock.Instant?
        var reaper = Reaper.isNeeded ? Reaper() : nil
        let idle = reaper == nil ? -1 : Int32(Reaper.interval.components.seconds * 1000)
        while true {
            var descriptors = [
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&descriptors, 2, end == nil ? idle : 200)
            if ready == 0 { reaper?.run() }
            if ready > 0, descriptors[0].revents != 0 {
                var number: UInt8 = 0
                if read(signals, &number, 1) == 1 {
                    signalCount += 1
                    if signalCount > 1 { finish(128 + Int32(number), "a second signal: ended at once") }
                    stop.request(.signal(Int32(number)))
                }
            }
            if ready > 0, descriptors[1].revents != 0, Self.hasEnded(input) {
                input = -1
                stop.request(.hostGone)
            }
            if end == nil, stop.cause != nil { end = .now + allowance }
            if let end, ContinuousClock.now > end {
                finish(PluginExit.failure, "the stop took longer than \(allowance): ended at once")
            }
        }
    }

    private func finish(_ code: Int32, _ reason: String) {
        LineLog.write(reason)
        _exit(code)
    }

    /// Reads what is there; true at the end.
    private static func hasEnded(_ descriptor: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &buffer, buffer.count)
        return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
    }
}
