// The queue of one service and version: bands by urgency, and within a band deficit round robin between callers after
// Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin" (SIGCOMM 1995). Pure.

import MeshProtocol

/// Names a waiting call in its queue.
///
/// Tokens of calls that have left are stale.
struct QueueToken: Hashable, Sendable {
    /// The node of the slab.
    var slot: UInt32
    /// Counts the uses of the node.
    var generation: UInt32
    /// No place in a queue.
    static let none = QueueToken(slot: .max, generation: 0)
}

/// Waiting calls; the bounds on their count and bytes are the owner's.
///
/// Every caller has one line in each band. The quantum is one unit of cost, so that calls of equal cost alternate strictly
/// between callers. When a whole round could serve nobody, the rounds until somebody can be served are taken at once: a pop
/// costs O(1) when costs are alike, and at most two looks at each waiting caller whatever they are.
struct FairQueue: Sendable {
    /// How many calls wait.
    private(set) var count = 0

    /// Calls of the band above after which a band that waits has its turn.
    static var floor: UInt8 { 8 }

    private var nodes: [Node] = []
    private var firstFreeNode = UInt32.max
    private var lines: [Line] = []
    private var firstFreeLine = UInt32.max
    /// The lines in use, by band and caller.
    private var lineOfCaller: [UInt64: UInt32] = [:]
    /// By ``Band/rawValue``.
    private var bands = [BandState](repeating: BandState(), count: Band.allCases.count)

    private struct Node: Sendable {
        var call: UInt32
        var cost: UInt32
        var next: UInt32
        var previous: UInt32
        /// The line; `.max` when the node is free.
        var line: UInt32
        var generation: UInt32
    }

    /// The calls of one caller in one band, in order, and its place in the band's round.
    private struct Line: Sendable {
        var caller: UInt32
        var band: UInt8
        /// True when its turn has begun: the quantum of this round is in the deficit.
        var hasQuantum = false
        var deficit: UInt64 = 0
        var first = UInt32.max
        var last = UInt32.max
        var next = UInt32.max
        var previous = UInt32.max
    }

    private struct BandState: Sendable {
        var count = 0
        /// The round: the line whose turn it is, and the one that comes last.
        var first = UInt32.max
        var last = UInt32.max
        var lineCount = 0
        /// Calls that the band above was given while this one waited.
        var passed: UInt8 = 0
    }

    /// Makes an empty queue; it allocates nothing until the first call waits.
    init() {}

    /// True when none waits.
    var isEmpty: Bool { count == 0 }

    /// How many calls of a band wait.
    func count(in band: Band) -> Int { bands[Int(band.rawValue)].count }

    /// Appends a call to its caller's line; a cost of zero counts as one.
    mutating func push(_ call: UInt32, caller: UInt32, band: Band, cost: UInt32) -> QueueToken {
        let line = line(of: caller, band: band.rawValue)
        let slot = makeNode(call: call, cost: max(1, cost), line: line)
        let last = lines[Int(line)].last
        nodes[Int(slot)].previous = last
        lines[Int(line)].last = slot
        if last != .max { nodes[Int(last)].next = slot } else { lines[Int(line)].first = slot }
        return QueueToken(slot: slot, generation: nodes[Int(slot)].generation)
    }

    /// Puts a call that was popped back: it leaves first in its band, and its cost is not charged again.
    mutating func pushFront(_ call: UInt32, caller: UInt32, band: Band, cost: UInt32) -> QueueToken {
        let cost = max(1, cost)
        let line = line(of: caller, band: band.rawValue)
        let slot = makeNode(call: call, cost: cost, line: line)
        let first = lines[Int(line)].first
        nodes[Int(slot)].next = first
        lines[Int(line)].first = slot
        if first != .max { nodes[Int(first)].previous = slot } else { lines[Int(line)].last = slot }
        lines[Int(line)].deficit = saturatingSum(lines[Int(line)].deficit, UInt64(cost))
        lines[Int(line)].hasQuantum = true
        leaveRound(line)
        enterRoundFirst(line)
        return QueueToken(slot: slot, generation: nodes[Int(slot)].generation)
    }

    /// Takes out the call whose turn it is.
    mutating func pop() -> UInt32? {
        guard let band = bandToServe() else { return nil }
        var failures = 0
        while true {
            let line = bands[band].first
            guard line != .max else { return nil }
            if !lines[Int(line)].hasQuantum {
                lines[Int(line)].deficit = saturatingSum(lines[Int(line)].deficit, 1)
                lines[Int(line)].hasQuantum = true
            }
            let slot = lines[Int(line)].first
            let cost = UInt64(nodes[Int(slot)].cost)
            if cost <= lines[Int(line)].deficit {
                lines[Int(line)].deficit -= cost
                let call = nodes[Int(slot)].call
                take(slot)
                endTurnIfSpent(line)
                return call
            }
            endTurn(line)
            failures += 1
            if failures == bands[band].lineCount { skipRounds(band) }
        }
    }

    /// Takes out a call; false when the token is stale.
    @discardableResult
    mutating func remove(_ token: QueueToken) -> Bool {
        let index = Int(token.slot)
        guard index < nodes.count, nodes[index].generation == token.generation, nodes[index].line != .max else {
            return false
        }
        take(token.slot)
        return true
    }

    /// Visits every waiting call, in no particular order.
    func forEach(_ body: (UInt32) -> Void) {
        for node in nodes where node.line != .max { body(node.call) }
    }

    // MARK: Bands

    /// The band whose turn it is: the highest, unless the next one below has waited for its share of calls.
    private mutating func bandToServe() -> Int? {
        guard var band = bands.indices.last(where: { bands[$0].count > 0 }) else { return nil }
        while let below = bands[..<band].lastIndex(where: { $0.count > 0 }) {
            guard bands[below].passed >= Self.floor else {
                bands[below].passed += 1
                break
            }
            band = below
        }
        bands[band].passed = 0
        return band
    }

    // MARK: Rounds

    /// Ends the turn of the line at the head of the round: it goes to the end.
    private mutating func endTurn(_ line: UInt32) {
        lines[Int(line)].hasQuantum = false
        leaveRound(line)
        enterRoundLast(line)
    }

    /// Ends the turn of a line when it is still there and cannot serve its next call in it.
    private mutating func endTurnIfSpent(_ line: UInt32) {
        let first = lines[Int(line)].first
        guard first != .max, UInt64(nodes[Int(first)].cost) > lines[Int(line)].deficit else { return }
        endTurn(line)
    }

    /// Gives every line of a band the quanta of the rounds in which nobody could be served, in one go.
    private mutating func skipRounds(_ band: Int) {
        var rounds = UInt64.max
        var line = bands[band].first
        while line != .max {
            let cost = UInt64(nodes[Int(lines[Int(line)].first)].cost)
            rounds = min(rounds, cost &- min(cost, lines[Int(line)].deficit))
            line = lines[Int(line)].next
        }
        guard rounds > 1 else { return }
        line = bands[band].first
        while line != .max {
            lines[Int(line)].deficit = saturatingSum(lines[Int(line)].deficit, rounds - 1)
            line = lines[Int(line)].next
        }
    }

    private mutating func enterRoundLast(_ line: UInt32) {
        let band = Int(lines[Int(line)].band)
        let last = bands[band].last
        lines[Int(line)].previous = last
        lines[Int(line)].next = .max
        bands[band].last = line
        if last != .max { lines[Int(last)].next = line } else { bands[band].first = line }
        bands[band].lineCount += 1
    }

    private mutating func enterRoundFirst(_ line: UInt32) {
        let band = Int(lines[Int(line)].band)
        let first = bands[band].first
        lines[Int(line)].next = first
        lines[Int(line)].previous = .max
        bands[band].first = line
        if first != .max { lines[Int(first)].previous = line } else { bands[band].last = line }
        bands[band].lineCount += 1
    }

    private mutating func leaveRound(_ line: UInt32) {
        let band = Int(lines[Int(line)].band)
        let next = lines[Int(line)].next
        let previous = lines[Int(line)].previous
        if next != .max { lines[Int(next)].previous = previous } else { bands[band].last = previous }
        if previous != .max { lines[Int(previous)].next = next } else { bands[band].first = next }
        bands[band].lineCount -= 1
    }

    // MARK: Slabs

    /// The line of a caller, made and put at the end of the round when it has none.
    private mutating func line(of caller: UInt32, band: UInt8) -> UInt32 {
        let key = UInt64(band) << 32 | UInt64(caller)
        if let line = lineOfCaller[key] { return line }
        let line: UInt32
        if firstFreeLine != .max {
            line = firstFreeLine
            firstFreeLine = lines[Int(line)].next
            lines[Int(line)] = Line(caller: caller, band: band)
        } else {
            line = UInt32(truncatingIfNeeded: lines.count)
            lines.append(Line(caller: caller, band: band))
        }
        lineOfCaller[key] = line
        enterRoundLast(line)
        return line
    }

    private mutating func makeNode(call: UInt32, cost: UInt32, line: UInt32) -> UInt32 {
        let band = Int(lines[Int(line)].band)
        if bands[band].count == 0 { bands[band].passed = 0 }
        bands[band].count += 1
        count += 1
        guard firstFreeNode != .max else {
            nodes.append(Node(call: call, cost: cost, next: .max, previous: .max, line: line, generation: 1))
            return UInt32(truncatingIfNeeded: nodes.count - 1)
        }
        let slot = firstFreeNode
        firstFreeNode = nodes[Int(slot)].next
        let generation = nodes[Int(slot)].generation
        nodes[Int(slot)] =
            Node(call: call, cost: cost, next: .max, previous: .max, line: line, generation: generation)
        return slot
    }

    /// Takes a node out of its line and frees it, and the line with its last node.
    private mutating func take(_ slot: UInt32) {
        let node = nodes[Int(slot)]
        let line = Int(node.line)
        if node.next != .max {
            nodes[Int(node.next)].previous = node.previous
        } else {
            lines[line].last = node.previous
        }
        if node.previous != .max { nodes[Int(node.previous)].next = node.next } else { lines[line].first = node.next }
        nodes[Int(slot)].line = .max
        nodes[Int(slot)].generation &+= 1
        nodes[Int(slot)].next = firstFreeNode
        firstFreeNode = slot
        bands[Int(lines[line].band)].count -= 1
        count -= 1
        guard lines[line].first == .max else { return }
        leaveRound(node.line)
        lineOfCaller[UInt64(lines[line].band) << 32 | UInt64(lines[line].caller)] = nil
        lines[line].next = firstFreeLine
        firstFreeLine = node.line
    }
}

/// A sum that stops at the largest number.
func saturatingSum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
}
