// Things to do with connections a little later. Each kind has its own constant delay, so that its queue is in order by
// itself and nothing is ever searched, however many connections end at once.

import BrokerCore

/// Probes and ends of connections that are due later.
struct Errands {
    enum Kind: Int, CaseIterable {
        /// See whether the peer can be reached, in the next turn.
        case probe
        /// The same a little later: on tcp the first sends to a dead peer still succeed.
        case probeSoon, probeAgain, probeLast
        /// End the connection of a closed peer.
        case kick
        /// Forget a peer that was closed.
        case forget

        var milliseconds: UInt64 {
            switch self {
            case .probe: 0
            case .probeSoon: 3
            case .probeAgain: 10
            case .probeLast: 40
            case .kick: Wire.closingMilliseconds
            case .forget: Wire.forgettingMilliseconds
            }
        }
    }

    private struct Queue {
        var entries: [(due: MeshInstant, peer: PeerHandle)] = []
        var head = 0

        var first: MeshInstant? { head < entries.count ? entries[head].due : nil }

        mutating func pop() -> PeerHandle {
            let peer = entries[head].peer
            head += 1
            if head == entries.count {
                entries.removeAll(keepingCapacity: head < 1024)
                head = 0
            } else if head == 1024 {
                entries.removeFirst(head)
                head = 0
            }
            return peer
        }
    }

    private var queues = Array(repeating: Queue(), count: Kind.allCases.count)
    /// When the next one is due.
    private(set) var nextDeadline: MeshInstant?

    mutating func add(_ kind: Kind, _ peer: PeerHandle, now: MeshInstant) {
        let due = now.advanced(milliseconds: kind.milliseconds)
        queues[kind.rawValue].entries.append((due, peer))
        nextDeadline = min(nextDeadline ?? due, due)
    }

    /// Takes the next one that is due.
    mutating func next(due now: MeshInstant) -> (kind: Kind, peer: PeerHandle)? {
        guard let nextDeadline, nextDeadline <= now else { return nil }
        for kind in Kind.allCases {
            guard let due = queues[kind.rawValue].first, due <= now else { continue }
            return (kind, queues[kind.rawValue].pop())
        }
        self.nextDeadline = queues.compactMap(\.first).min()
        return nil
    }
}
