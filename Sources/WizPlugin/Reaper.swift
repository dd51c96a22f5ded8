// Process 1 of a sandbox inherits every orphan and must bury it. A child that the plugin started itself is left to whoever
// waits for it: only what nobody has waited for in a while is buried here.

internal import FoundationEssentials
internal import Glibc

/// Buries orphans.
struct Reaper {
    /// How long a dead child is left to whoever may wait for it.
    static let patience = Duration.seconds(10)
    /// The time between two looks.
    static let interval = Duration.seconds(5)

    private var seen: [Int32: ContinuousClock.Instant] = [:]

    /// Whether this process is the one that inherits orphans.
    static var isNeeded: Bool { getpid() == 1 }

    /// Which of the dead have been dead for long enough.
    mutating func due(_ dead: [Int32], now: ContinuousClock.Instant) -> [Int32] {
        seen = Dictionary(uniqueKeysWithValues: dead.map { ($0, seen[$0] ?? now) })
        return dead.filter { id in seen[id].map { now >= $0 + Self.patience } ?? false }
    }

    /// Looks around once.
    mutating func run() {
        for id in due(Self.deadChildren(), now: .now) {
            var status: Int32 = 0
            waitpid(id, &status, WNOHANG)
        }
    }

    /// The children of this process that have ended and that nobody has waited for.
    static func deadChildren() -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let own = getpid()
        return names.compactMap { Int32($0) }.sorted().filter { id in
            guard let stat = FileManager.default.contents(atPath: "/proc/\(id)/stat") else { return false }
            // The name, in parentheses, may hold anything; the state and the parent follow it.
            let text = String(decoding: stat, as: UTF8.self)
            guard let end = text.lastIndex(of: ")") else { return false }
            let fields = text[text.index(after: end)...].split(separator: " ", maxSplits: 2)
            return fields.count > 1 && fields[0] == "Z" && fields[1] == "\(own)"
        }
    }
}
