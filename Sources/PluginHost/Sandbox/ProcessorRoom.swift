// Which processors a process with a limited share of them may run on, so that it never holds all of them at once: whoever
// wakes on a processor that works on something else may wait for a tick of the kernel, some milliseconds, and on a free one
// never does. And the share itself, as groups are told it. The choice is pure arithmetic; the launcher sets it.

import CLinuxShims
import Glibc
import Synchronization

/// Hands out the processors of this host to the processes of its plugins.
final class ProcessorRooms: Sendable {
    /// The processors that the host itself may run on.
    let processors: [Int32]
    /// How many percent of each are promised.
    private let promised: Mutex<[Int]>

    /// - Parameter processors: Those that the host may run on; nil: as the kernel says.
    init(processors: [Int32]? = nil) {
        self.processors = processors ?? Self.allowed()
        promised = Mutex(Array(repeating: 0, count: self.processors.count))
    }

    /// Takes room for a share: as many processors as it can keep busy, and no fewer than half of them all, so that the kernel
    /// still finds a free one; those that the least is promised of, and of equals the last: most interrupts go to the first.
    ///
    /// - Returns: the room, which is given back when it is let go; nil where a share is as large as the machine.
    func take(percent: Int) -> ProcessorRoom? {
        let width = Self.width(percent: percent, of: processors.count)
        guard width < processors.count else { return nil }
        let each = max(1, percent / width)
        let chosen = promised.withLock { promised in
            let chosen = promised.indices.sorted { (promised[$0], -$0) < (promised[$1], -$1) }.prefix(width).sorted()
            for index in chosen { promised[index] += each }
            return chosen
        }
        return ProcessorRoom(processors: chosen.map { processors[$0] }) { [weak self] in
            self?.promised.withLock { promised in
                for index in chosen { promised[index] -= each }
            }
        }
    }

    /// How many processors a share gets.
    static func width(percent: Int, of count: Int) -> Int { min(count, max(1, (percent + 99) / 100, count / 2)) }

    private static func allowed() -> [Int32] {
        var found = [Int32](repeating: 0, count: Int(wiz_max_processors()))
        let count = wiz_allowed_processors(&found, Int32(found.count))
        return Array(found.prefix(Int(max(0, count))))
    }
}

/// The processors of one process, its own until this is let go.
final class ProcessorRoom: Sendable {
    let processors: [Int32]
    private let giveBack: @Sendable () -> Void

    fileprivate init(processors: [Int32], giveBack: @escaping @Sendable () -> Void) {
        self.processors = processors
        self.giveBack = giveBack
    }

    deinit { giveBack() }

    /// Processors as people write them: `processor 1`, `processors 0-3,6`.
    static func text(_ processors: [Int32]) -> String {
        var ranges: [ClosedRange<Int32>] = []
        for number in processors.sorted() {
            if let last = ranges.last, last.upperBound + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        let words = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return (processors.count == 1 ? "processor " : "processors ") + words.joined(separator: ",")
    }
}

/// Processor time as groups are told it, in microseconds: so much of each period.
///
/// What has used up its share stands still until the next period, for a tenth of a second at most. The fewer and longer the
/// periods are, the better for its neighbours: whenever it may run again, it runs for a tick before the kernel lets another
/// take its processor.
struct ProcessorShare: Hashable, Sendable {
    let quota: Int
    let period: Int

    /// - Parameters:
    ///   - percent: The share; 100 is one processor.
    ///   - processors: On how many it may run at once.
    init(percent: Int, processors: Int) {
        let (percent, all) = (max(1, percent), max(1, processors) * 100)
        // The kernel takes no period above a second, and no quota below a millisecond.
        period = percent >= all ? 100_000 : min(1_000_000, 100_000 * all / (all - percent))
        quota = max(1000, period / 100 * percent)
    }

    /// As `cpu.max` says it.
    var unified: String { "\(quota) \(period)" }
}
