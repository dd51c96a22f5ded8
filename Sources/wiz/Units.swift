// Numbers and durations as people read and type them.

import ArgumentParser
import ConfigDocument

/// Numbers and durations as text.
enum Units {
    /// Whole milliseconds.
    static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    /// Whole microseconds.
    static func microseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    /// "1.25 ms", "340 µs", "2.0 s".
    static func text(_ duration: Duration) -> String { text(microseconds: microseconds(duration)) }

    /// "1.25 ms", "340 µs", "2.0 s".
    static func text(microseconds count: Int64) -> String {
        switch count {
        case ..<1000: "\(count) µs"
        case ..<100_000: fixed(Double(count) / 1000, 2) + " ms"
        case ..<1_000_000: "\(count / 1000) ms"
        case ..<60_000_000: fixed(Double(count) / 1_000_000, 2) + " s"
        case ..<3_600_000_000: "\(count / 60_000_000) min \(count % 60_000_000 / 1_000_000) s"
        default: "\(count / 3_600_000_000) h \(count % 3_600_000_000 / 60_000_000) min"
        }
    }

    /// A number with so many digits after the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let whole = Int64((value * scale).rounded())
        guard digits > 0 else { return "\(whole)" }
        let unit = Int64(scale)
        let fraction = String(abs(whole % unit))
        return (whole < 0 && whole / unit == 0 ? "-" : "") + "\(whole / unit)."
            + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// "12 345 678".
    static func grouped(_ number: some BinaryInteger) -> String {
        var text = ""
        for (index, digit) in String(number).reversed().enumerated() {
            if index > 0, index % 3 == 0, digit != "-" { text.append(" ") }
            text.append(digit)
        }
        return String(text.reversed())
    }
}

/// A number of things, for people: "1 plugin", "2 plugins", "2 processes".
func count(_ number: Int, _ thing: String) -> String {
    "\(number) \(thing)" + (number == 1 ? "" : thing.hasSuffix("s") ? "es" : "s")
}

/// A duration on the command line: `2s`, `250ms`, `1m`.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let duration = parseDuration(argument) else { return nil }
        self.duration = duration
    }

    var defaultValueDescription: String { formatDuration(duration) }
}

/// A size on the command line: `256`, `4KiB`.
struct ByteCountArgument: ExpressibleByArgument {
    let count: Int

    init(_ count: Int) { self.count = count }

    init?(argument: String) {
        guard let count = Int(argument) ?? parseByteCount(argument), count >= 0 else { return nil }
        self.count = count
    }

    var defaultValueDescription: String { "\(count)" }
}
