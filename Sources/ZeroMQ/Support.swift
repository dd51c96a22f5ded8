// Small conversions between Swift's values and what libzmq and Linux take. Pure.

import CZeroMQ
import Glibc

/// Errno values as this room compares them.
enum ZMQErrno {
    static let interrupted = EINTR
    static let wouldBlock = EAGAIN
    static let unreachable = EHOSTUNREACH
}

extension Duration {
    /// Milliseconds, rounded up and clamped to what an Int32 option takes; never negative.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 2_000_000 else { return 2_000_000_000 }
        return Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// Nanoseconds, rounded down and clamped to Int64.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (high, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? Int64.min : Int64.max }
        let (sum, sumOverflow) = high.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? Int64.max : sum
    }
}
