// Which processors a process with a limited share of them may run on, so that it does not hold all of them at once unless its
// share is that large: whoever wakes on a processor that works on something else may wait for a tick of the kernel, some
// milliseconds, and on a free one does not. And the share itself, as groups are told it. The choice is arithmetic; the
// launcher's program sets it.

import CLinuxShims
import Glibc
import Synchronization

/// Hands out the processors of this host to the processes of its plugins.
final class ProcessorRooms: Sendable {
    /// Those of this process, whichever launcher asks.
    static let shared = ProcessorRooms()
    private let allowed: @Sendable () -> [Int32]
    /// How many percent of each processor are promised.
    private let promised = Mutex<[Int32: Int]>([:])

    /// - Parameter allowed: Those that the host may run on at the moment.
    init(allowed: @escaping @Sendable () -> [Int32] = ProcessorRooms.ofHost) { self.allowed = allowed }

    /// How many processors the host may run on.
    var count: Int {
        let count = allowed().count
        return count > 0 ? count : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    /// Takes room for a share: as many processors as it can keep busy, and no fewer than half of them all, so that the kernel
    /// still finds a free one; those that the least is promised of, and of equals the last: most interrupts go to the first.
    ///
    /// - Returns: the room, which is given back when it is let go; nil where a share is as large as the machine, and where
    ///   the kernel does not tell its processors.
    func take(percent: Int) -> ProcessorRoom? {
        let processors = allowed()
        let width = Self.width(percent: percent, of: processors.count)
        guard width < processors.count else { return nil }
        let each = max(1, percent / width)
        let chosen = promised.withLock { promised in
            let byPromise = processors.sorted { (promised[$0, default: 0], -$0) < (promised[$1, default: 0], -$1) }
            let chosen = byPromise.prefix(width).sorted()
            for processor in chosen { promised[processor, default: 0] += each }
            return chosen
        }
        return ProcessorRoom(processors: chosen) { [weak self] in
            self?.promised.withLock { promised in
                for processor in chosen { promised[processor, default: 0] -= each }
            }
        }
    }

    /// How many processors a share gets.
    static func width(percent: Int, of count: Int) -> Int { min(count, max(1, (percent + 99) / 100, count / 2)) }

    /// As the kernel tells them; none where it has more than it tells of.
    static func ofHost() -> [Int32] {
        var found = [Int32](repeating: 0, count: Int(wiz_max_processors()))
        let count = wiz_allowed_processors(&found, Int32(found.count))
        return Array(found.prefix(Int(max(0, count))))
    }
}

/// The processors that one process may run on, promised to it until this is let go.
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
        // The kernel takes no period above a second, and no quota below a millisecond: a hundredth of the shortest period here.
        period = percent >= all ? 100_000 : min(1_000_000, 100_000 * all / (all - percent))
        quota = period / 100 * percent
    }

    /// As `cpu.max` says it.
    var unified: String { "\(quota) \(period)" }
}
