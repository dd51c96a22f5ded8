// Counts and latencies by method, in HDR histograms that are made at a method's first call. Pure.

import Histogram
import MeshProtocol

/// Percentiles of a latency, in microseconds.
public struct LatencySnapshot: Encodable, Sendable, Hashable {
    /// How many were recorded.
    public var count: UInt64 = 0
    /// Half were not slower.
    public var p50: UInt64 = 0
    /// Nine in ten were not slower.
    public var p90: UInt64 = 0
    /// 99 in a hundred were not slower.
    public var p99: UInt64 = 0
    /// 999 in a thousand were not slower.
    public var p999: UInt64 = 0
    /// The slowest.
    public var max: UInt64 = 0
}

/// A method's numbers, as `mesh.metrics` shows them.
public struct MethodMetricsSnapshot: Encodable, Sendable, Hashable {
    /// The service.
    public var service: String
    /// Its version.
    public var version: String
    /// The method.
    public var method: String
    /// Calls that ended, well or not.
    public var calls: UInt64
    /// Calls that failed, by the name of the status; only those that occurred.
    public var errors: [String: UInt64]
    /// From CALL to END or FAIL.
    public var total: LatencySnapshot
    /// Waiting in the broker.
    public var queue: LatencySnapshot
    /// Where the next page begins: `service@version/method`.
    public var cursor: String { MethodMetrics.cursor(service: service, version: version, method: method) }
}

/// The numbers of all methods, each with an index that stays good as long as the table.
struct MethodMetrics: Sendable {
    /// How many methods have an entry.
    var count: Int { entries.count }

    private var entries: [Entry] = []
    private var entryOfCursor: [String: Int32] = [:]
    private let capacity: Int

    private struct Entry: Sendable {
        var service: String
        var version: String
        var method: String
        var calls: UInt64 = 0
        /// By status; made at the first call.
        var byStatus: [UInt64] = []
        var total: LatencyHistogram?
        var queue: LatencyHistogram?
    }

    /// Makes an empty table for at most `capacity` methods, each of which takes 27 KiB once it has been called; further
    /// ones share one entry whose names are `(other)`.
    init(capacity: Int = 2048) { self.capacity = max(0, capacity) }

    /// Finds or makes a method's entry: an index for ``record(_:status:totalMicroseconds:queueMicroseconds:)``.
    mutating func entry(service: String, version: String, method: String) -> Int32 {
        let cursor = Self.cursor(service: service, version: version, method: method)
        if let entry = entryOfCursor[cursor] { return entry }
        let other = "(other)"
        guard entries.count < capacity || service == other else {
            return entry(service: other, version: "", method: other)
        }
        let entry = Int32(truncatingIfNeeded: entries.count)
        entries.append(Entry(service: service, version: version, method: method))
        entryOfCursor[cursor] = entry
        return entry
    }

    /// Counts one ended call; an unknown entry is ignored.
    mutating func record(_ entry: Int32, status: Status, totalMicroseconds: UInt64, queueMicroseconds: UInt64) {
        let index = Int(entry)
        guard entries.indices.contains(index) else { return }
        if entries[index].total == nil {
            entries[index].byStatus = Array(repeating: 0, count: Status.registry.count)
            entries[index].total = LatencyHistogram()
            entries[index].queue = LatencyHistogram()
        }
        let number = Int(status.rawValue)
        let known = number < entries[index].byStatus.count ? number : Int(Status.unknown.rawValue)
        entries[index].calls &+= 1
        entries[index].byStatus[known] &+= 1
        entries[index].total?.record(totalMicroseconds)
        entries[index].queue?.record(queueMicroseconds)
    }

    /// Calls that have ended; none for a method that was never called.
    func calls(of entry: Int32) -> UInt64 { entry < 0 ? 0 : entries[Int(entry)].calls }

    /// Entries of methods that have been called, in order of their cursors, after `cursor`.
    func snapshots(after cursor: String?, limit: Int) -> [MethodMetricsSnapshot] {
        let chosen = entryOfCursor.filter { key, index in
            entries[Int(index)].calls > 0 && cursor.map { key > $0 } ?? true
        }
        return chosen.sorted { $0.key < $1.key }.prefix(max(0, limit)).map { snapshot(entries[Int($0.value)]) }
    }

    static func cursor(service: String, version: String, method: String) -> String {
        service + "@" + version + "/" + method
    }

    private func snapshot(_ entry: Entry) -> MethodMetricsSnapshot {
        var errors: [String: UInt64] = [:]
        for (number, count) in entry.byStatus.enumerated() where number != 0 && count > 0 {
            errors[Status.registry[number].name] = count
        }
        return MethodMetricsSnapshot(
            service: entry.service,
            version: entry.version,
            method: entry.method,
            calls: entry.calls,
            errors: errors,
            total: entry.total?.snapshot ?? LatencySnapshot(),
            queue: entry.queue?.snapshot ?? LatencySnapshot()
        )
    }
}

/// A histogram of microseconds up to an hour, with two significant digits; what is longer counts as an hour.
private struct LatencyHistogram: Sendable {
    private var histogram: Histogram<UInt32>

    private static var longest: UInt64 { 3_600_000_000 }

    init() {
        histogram = Histogram(highestTrackableValue: Self.longest, numberOfSignificantValueDigits: .two)
    }

    mutating func record(_ microseconds: UInt64) {
        // The counts have 32 bits. After 4 billion calls the distribution begins anew rather than overflow.
        if histogram.totalCount >= UInt64(UInt32.max) { histogram.reset() }
        histogram.record(min(microseconds, Self.longest))
    }

    var snapshot: LatencySnapshot {
        LatencySnapshot(
            count: histogram.totalCount,
            p50: histogram.valueAtPercentile(50),
            p90: histogram.valueAtPercentile(90),
            p99: histogram.valueAtPercentile(99),
            p999: histogram.valueAtPercentile(99.9),
            max: histogram.totalCount == 0 ? 0 : histogram.maxRecorded
        )
    }
}
