// Latencies and outcomes of many calls, recorded by many tasks at once: in shards, so that tasks do not wait for each other,
// which are added up at the end.

import Histogram
import MeshClient
import MeshProtocol
import Synchronization

/// Counts calls and their latencies.
final class Recorder: Sendable {
    /// What came back for one call.
    struct Answer: Sendable {
        var byteCount = 0
        var chunkCount = 0
        var first: Duration?
    }

    struct Shard {
        var histogram: Histogram<UInt32>
        var calls = 0
        var bytes = 0
        var chunks = 0
        var first: Histogram<UInt32>
        var failures: [String: Int] = [:]
        var firstFailure: MeshError?

        init() {
            histogram = Histogram<UInt32>(
                lowestDiscernibleValue: 1,
                highestTrackableValue: 3_600_000_000,
                numberOfSignificantValueDigits: .three
            )
            first = histogram
        }

        mutating func add(_ other: Shard) {
            histogram.add(other.histogram)
            first.add(other.first)
            chunks += other.chunks
            calls += other.calls
            bytes += other.bytes
            failures.merge(other.failures, uniquingKeysWith: +)
            firstFailure = firstFailure ?? other.firstFailure
        }
    }

    private final class Box: Sendable {
        let shard = Mutex(Shard())
    }

    private let boxes = (0..<8).map { _ in Box() }
    private let isOn = Atomic<Bool>(false)

    /// Whether calls count: not while the first ones warm everything up.
    func start() { isOn.store(true, ordering: .relaxed) }

    /// Records a call.
    func record(_ worker: Int, _ latency: Duration, _ result: Result<Answer, MeshError>) {
        guard isOn.load(ordering: .relaxed) else { return }
        boxes[worker & 7].shard.withLock { shard in
            shard.calls += 1
            switch result {
            case .success(let answer):
                shard.bytes += answer.byteCount
                shard.chunks += answer.chunkCount
                if let first = answer.first { _ = shard.first.record(UInt64(max(0, Units.microseconds(first)))) }
                _ = shard.histogram.record(UInt64(max(0, Units.microseconds(latency))))
            case .failure(let error):
                shard.failures["\(error.status)", default: 0] += 1
                shard.firstFailure = shard.firstFailure ?? error
            }
        }
    }

    /// Everything recorded so far.
    var total: Shard {
        boxes.reduce(into: Shard()) { total, box in box.shard.withLock { total.add($0) } }
    }

    /// The calls recorded so far.
    var callCount: Int { boxes.reduce(0) { $0 + $1.shard.withLock { $0.calls } } }
}
