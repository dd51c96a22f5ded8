// Counts and latencies by method, in HDR histograms that are made at a method's first call. Pure.

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
    public var cursor: String { service + "@" + version + "/" + method }
}

/// The numbers of all methods.
struct MethodMetrics: Sendable {
    /// Makes an empty table for at most `capacity` methods; further ones share one entry named `other`.
    init(capacity: Int = 2048) {}
    /// Finds or makes a method's entry: an index for ``record(_:status:totalMicroseconds:queueMicroseconds:)`` that stays good.
    mutating func entry(service: String, version: String, method: String) -> Int32 { 0 }
    /// Counts one ended call; an unknown entry is ignored.
    mutating func record(_ entry: Int32, status: Status, totalMicroseconds: UInt64, queueMicroseconds: UInt64) {}
    /// Entries in order of their cursors, after `cursor`.
    func snapshots(after cursor: String?, limit: Int) -> [MethodMetricsSnapshot] { [] }
}
