// Counts by status, percentiles to two digits, pages, and the bound on entries.

import MeshProtocol
import Testing

@testable import BrokerCore

@Suite struct MethodMetricsTests {
    @Test func `calls, errors and percentiles are counted`() throws {
        var metrics = MethodMetrics()
        let entry = metrics.entry(service: "echo", version: "1.0.0", method: "say")
        check(metrics.entry(service: "echo", version: "1.0.0", method: "say"), entry)
        for microseconds in 1...1_000 as ClosedRange<UInt64> {
            metrics.record(
                entry,
                status: microseconds <= 990 ? .ok : .unavailable,
                totalMicroseconds: microseconds,
                queueMicroseconds: 5
            )
        }
        metrics.record(entry, status: Status(rawValue: 999), totalMicroseconds: .max, queueMicroseconds: 0)
        let snapshot = try #require(metrics.snapshots(after: nil, limit: 10).first)
        #expect(snapshot.calls == 1_001)
        #expect(snapshot.errors == ["UNAVAILABLE": 10, "UNKNOWN": 1])
        #expect((495...510).contains(snapshot.total.p50))
        #expect((985...1_000).contains(snapshot.total.p99))
        #expect((3_590_000_000...3_640_000_000).contains(snapshot.total.max))
        #expect(snapshot.queue.p50 == 5)
        #expect(snapshot.queue.count == 1_001)
        #expect(snapshot.cursor == "echo@1.0.0/say")
    }

    @Test func `methods come in pages, those never called not at all`() {
        var metrics = MethodMetrics()
        for name in ["d", "b", "a", "c", "unused"] {
            let entry = metrics.entry(service: "s", version: "1.0.0", method: name)
            if name != "unused" { metrics.record(entry, status: .ok, totalMicroseconds: 1, queueMicroseconds: 0) }
        }
        var seen: [String] = []
        var cursor: String?
        while let last = metrics.snapshots(after: cursor, limit: 3).last {
            seen += metrics.snapshots(after: cursor, limit: 3).map(\.method)
            cursor = last.cursor
        }
        #expect(seen == ["a", "b", "c", "d"])
        #expect(metrics.snapshots(after: nil, limit: -1).isEmpty)
    }

    @Test func `methods beyond the capacity share an entry`() {
        var metrics = MethodMetrics(capacity: 2)
        for number in 0..<10 {
            let entry = metrics.entry(service: "s", version: "1.0.0", method: "m\(number)")
            metrics.record(entry, status: .ok, totalMicroseconds: 1, queueMicroseconds: 0)
        }
        #expect(metrics.count == 3)
        #expect(metrics.snapshots(after: nil, limit: 9).map(\.calls).sorted() == [1, 1, 8])
    }

    @Test func `an unknown entry is ignored`() {
        var metrics = MethodMetrics()
        metrics.record(-1, status: .ok, totalMicroseconds: 1, queueMicroseconds: 0)
        metrics.record(7, status: .ok, totalMicroseconds: 1, queueMicroseconds: 0)
        #expect(metrics.snapshots(after: nil, limit: 9).isEmpty)
    }
}
