// Durations and byte counts as people write them: "250ms", "1.5s", "64KiB". Pure, exact: no floating point.

/// A unit of time that a plain number may stand for.
public enum DurationUnit: String, CaseIterable, Sendable {
    /// Microseconds.
    case microseconds = "us"
    /// Milliseconds.
    case milliseconds = "ms"
    /// Seconds.
    case seconds = "s"
    /// Minutes.
    case minutes = "m"
    /// Hours.
    case hours = "h"
    /// Days.
    case days = "d"

    /// How long one of it is.
    public var duration: Duration {
        switch self {
        case .microseconds: .microseconds(1)
        case .milliseconds: .milliseconds(1)
        case .seconds: .seconds(1)
        case .minutes: .seconds(60)
        case .hours: .seconds(3600)
        case .days: .seconds(86400)
        }
    }

    var nanoseconds: Int64 {
        let parts = duration.components
        return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
    }
}

/// A duration from text such as "5s", "250ms" or "1.5h"; nil if it is not one.
public func parseDuration(_ text: String) -> Duration? {
    guard let (whole, fraction, unitText) = splitQuantity(text), let unit = DurationUnit(rawValue: unitText) else {
        return nil
    }
    return scaled(whole, fraction, by: unit.nanoseconds).map { Duration.nanoseconds($0) }
}

/// A number of bytes from text such as "512B", "64KiB", "1.5GiB" or "10MB"; nil if it is not one.
public func parseByteCount(_ text: String) -> Int? {
    guard let (whole, fraction, unitText) = splitQuantity(text) else { return nil }
    let units: [String: Int64] = [
        "B": 1, "kB": 1_000, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000,
        "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    ]
    guard let unit = units[unitText], let bytes = scaled(whole, fraction, by: unit) else { return nil }
    return Int(exactly: bytes)
}

/// A duration in the shortest exact form that `parseDuration` reads.
public func formatDuration(_ duration: Duration) -> String {
    let parts = duration.components
    guard parts.attoseconds == 0 else {
        let (milliseconds, rest) = parts.attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        if rest == 0 { return "\(parts.seconds * 1000 + milliseconds)ms" }
        return "\(parts.seconds * 1_000_000 + parts.attoseconds / 1_000_000_000_000)us"
    }
    for unit in [DurationUnit.days, .hours, .minutes] where parts.seconds > 0 {
        let (count, rest) = parts.seconds.quotientAndRemainder(dividingBy: unit.duration.components.seconds)
        if rest == 0 { return "\(count)\(unit.rawValue)" }
    }
    return "\(parts.seconds)s"
}

/// A byte count in the largest binary unit that divides it.
public func formatByteCount(_ bytes: Int) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes > 0 {
        if bytes % (1 << shift) == 0 { return "\(bytes >> shift)\(unit)" }
    }
    return "\(bytes)B"
}

/// The digits before and after the point, and the letters that follow them.
private func splitQuantity(_ text: String) -> (whole: Substring, fraction: Substring, unit: String)? {
    guard text.utf8.count <= 40 else { return nil }
    let whole = text.prefix { $0.isASCII && $0.isNumber }
    var rest = text[whole.endIndex...]
    var fraction = Substring()
    if rest.first == "." {
        fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
        guard !fraction.isEmpty else { return nil }
        rest = rest[fraction.endIndex...]
    }
    guard !whole.isEmpty else { return nil }
    if rest.first == " " { rest = rest.dropFirst() }
    return (whole, fraction, String(rest))
}

/// A decimal number times a unit, or nil if it is too large or not a whole number of the smallest unit.
private func scaled(_ whole: Substring, _ fraction: Substring, by unit: Int64) -> Int64? {
    guard let units = Int64(whole), fraction.count <= 9 else { return nil }
    let (total, totalOverflow) = units.multipliedReportingOverflow(by: unit)
    if totalOverflow { return nil }
    if fraction.isEmpty { return total }
    let divisor = fraction.reduce(Int64(1)) { power, _ in power * 10 }
    guard let numerator = Int64(fraction) else { return nil }
    let (product, productOverflow) = numerator.multipliedReportingOverflow(by: unit)
    if productOverflow || product % divisor != 0 { return nil }
    let (sum, sumOverflow) = total.addingReportingOverflow(product / divisor)
    return sumOverflow ? nil : sum
}
