// The caller of unary calls: keeps a window of them in flight and times each. Closed loop: a new call leaves when an
// answer has come, so what is measured is what the middle and the two ends can do together.

import CLinuxShims
import Histogram
import MeshProtocol
import ZeroMQ

/// What a driver found.
struct Finding {
    var count = 0
    var seconds = 0.0
    var latencies = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .two)

    /// One line of `name value` pairs, for the process that started the driver.
    var line: String {
        var parts = ["count \(count)", "seconds \(seconds)"]
        for (name, percentile) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9)] {
            parts.append("\(name) \(latencies.valueAtPercentile(percentile))")
        }
        return parts.joined(separator: " ")
    }
}

/// A raw caller.
struct UnaryDriver: ~Copyable {
    private var link: Link
    private let window: Int
    private let payload: [UInt8]
    private let call: Stencil
    private var sentAt: [Int64]
    private var free: [Int]
    private var serial: UInt64 = 0
    private var finding = Finding()
    private var isMeasuring = false

    /// The low bits of a call's id say which place of the window it has.
    private static let placeBits: UInt64 = 16

    init(_ context: Context, _ target: Target, service: String, window: Int, byteCount: Int) throws {
        link = try Link.open(context, target, part: .caller)
        call = Stencil(
            CallHeader(contentType: .bytes, id: WireID(rawValue: 1), service: service, method: Bench.echo)
        )
        self.window = window
        payload = Array(repeating: 0x61, count: byteCount)
        sentAt = Array(repeating: 0, count: window)
        free = Array(0..<window)
    }

    /// Calls for a while without measuring, then for `seconds`.
    mutating func run(warmUp: Double, seconds: Double) throws -> Finding {
        try turn(for: warmUp)
        isMeasuring = true
        finding.seconds = try turn(for: seconds)
        isMeasuring = false
        let result = finding
        while free.count < window { try takeAnswers() }
        try link.leave()
        return result
    }

    @discardableResult
    private mutating func turn(for seconds: Double) throws -> Double {
        let start = wiz_monotonic_ns()
        let end = start + Int64(seconds * 1e9)
        var now = start
        while now < end {
            while let place = free.popLast() { try send(place) }
            try link.flush()
            try takeAnswers()
            now = wiz_monotonic_ns()
        }
        return Double(now - start) / 1e9
    }

    private mutating func send(_ place: Int) throws {
        serial += 1
        sentAt[place] = wiz_monotonic_ns()
        let header = call.with(id: serial << Self.placeBits | UInt64(place))
        try payload.withUnsafeBytes { try link.send(header, $0) }
    }

    /// Takes in what has come, at least one answer.
    private mutating func takeAnswers() throws {
        var taken = 0
        while taken < 256, try link.receive() {
            try takeAnswer()
            taken += 1
        }
        guard taken == 0 else { return }
        try link.awaitMessage()
        try takeAnswer()
    }

    private mutating func takeAnswer() throws {
        let place = Int(link.id & (1 << Self.placeBits - 1))
        // The relay passes the worker's END on as it is.
        guard link.verb == Verb.end.rawValue, place < window else {
            throw BenchError("an answer that is none: \(link.describe())")
        }
        free.append(place)
        guard isMeasuring else { return }
        finding.count += 1
        finding.latencies.record(UInt64(wiz_monotonic_ns() - sentAt[place]))
    }
}
