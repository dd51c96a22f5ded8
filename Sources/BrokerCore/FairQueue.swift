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
/// Every caller has one line in each band. The quantum is one unit of cost, so that calls of equal cost alternate
/// strictly between callers. Rounds in which nobody can be served are not walked through: the lines of a band stand in
/// a heap by the round in which their deficit will cover their first call (the tag of Golestani, "A Self-Clocked Fair
/// Queueing Scheme", INFOCOM 1994), so that a push, a pop or a removal costs O(log callers) whatever the costs are.
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

    /// The calls of one caller in one band, in order, and its place in the band's heap.
    private struct Line: Sendable {
        var caller: UInt32
        var band: UInt8
        var first = UInt32.max
        var last = UInt32.max
        /// The round in which the deficit covers the first call.
        var round: UInt64 = 0
        /// Decides between lines of one round: the lower one comes first.
        var order: Int64 = 0
        /// The place in the heap; of a free line, the next free one.
        var place: UInt32 = .max
    }

    private struct BandState: Sendable {
        var count = 0
        /// Lines, as a binary heap: the one that comes next is the first.
        var heap: [UInt32] = []
        /// The round of the latest call served; begins anew when the band is empty.
        var round: UInt64 = 0
        var lastOrder: Int64 = 0
        var firstOrder: Int64 = 0
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
        if last != .max {
            nodes[Int(last)].next = slot
        } else {
            lines[Int(line)].first = slot
            lines[Int(line)].round = saturatingSum(bands[Int(band.rawValue)].round, UInt64(max(1, cost)))
            enterHeap(line)
        }
        return QueueToken(slot: slot, generation: nodes[Int(slot)].generation)
    }

    /// Puts a call that was popped back: it leaves first in its band, and its cost is not charged again.
    mutating func pushFront(_ call: UInt32, caller: UInt32, band: Band, cost: UInt32) -> QueueToken {
        let state = Int(band.rawValue)
        let line = line(of: caller, band: band.rawValue)
        let slot = makeNode(call: call, cost: max(1, cost), line: line)
        let first = lines[Int(line)].first
        nodes[Int(slot)].next = first
        lines[Int(line)].first = slot
        if first != .max { nodes[Int(first)].previous = slot } else { lines[Int(line)].last = slot }
        // The round before the first call of the line was charged; nobody's is earlier than the one now served.
        let charged = first != .max ? UInt64(nodes[Int(first)].cost) : 0
        let before = first != .max ? lines[Int(line)].round &- min(charged, lines[Int(line)].round) : .max
        lines[Int(line)].round = min(before, bands[state].round)
        bands[state].firstOrder &-= 1
        lines[Int(line)].order = bands[state].firstOrder
        if first != .max { sift(lines[Int(line)].place, in: state) } else { enterHeap(line, inOrder: false) }
        return QueueToken(slot: slot, generation: nodes[Int(slot)].generation)
    }

    /// Takes out the call whose turn it is.
    mutating func pop() -> UInt32? {
        guard let band = bandToServe(), let line = bands[band].heap.first else { return nil }
        let slot = lines[Int(line)].first
        let call = nodes[Int(slot)].call
        bands[band].round = max(bands[band].round, lines[Int(line)].round)
        take(slot, isServed: true)
        return call
    }

    /// Takes out a call; false when the token is stale.
    @discardableResult
    mutating func remove(_ token: QueueToken) -> Bool {
        let index = Int(token.slot)
        guard index < nodes.count, nodes[index].generation == token.generation, nodes[index].line != .max else {
            return false
        }
        take(token.slot, isServed: false)
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

    // MARK: The heaps

    private func isBefore(_ left: UInt32, _ right: UInt32) -> Bool {
        let (leftRound, rightRound) = (lines[Int(left)].round, lines[Int(right)].round)
        return leftRound == rightRound ? lines[Int(left)].order < lines[Int(right)].order : leftRound < rightRound
    }

    /// Puts a line into its band's heap; in order, after all others of its round.
    private mutating func enterHeap(_ line: UInt32, inOrder: Bool = true) {
        let band = Int(lines[Int(line)].band)
        if inOrder { giveOrder(line) }
        lines[Int(line)].place = UInt32(truncatingIfNeeded: bands[band].heap.count)
        bands[band].heap.append(line)
        sift(lines[Int(line)].place, in: band)
    }

    private mutating func leaveHeap(_ line: UInt32) {
        let band = Int(lines[Int(line)].band)
        let place = lines[Int(line)].place
        guard let moved = bands[band].heap.popLast(), moved != line else { return }
        bands[band].heap[Int(place)] = moved
        lines[Int(moved)].place = place
        sift(place, in: band)
    }

    private mutating func giveOrder(_ line: UInt32) {
        let band = Int(lines[Int(line)].band)
        bands[band].lastOrder &+= 1
        lines[Int(line)].order = bands[band].lastOrder
    }

    /// Moves the line at a place up or down to where it belongs.
    private mutating func sift(_ start: UInt32, in band: Int) {
        var place = Int(start)
        let line = bands[band].heap[place]
        while place > 0, isBefore(line, bands[band].heap[(place - 1) / 2]) {
            put(bands[band].heap[(place - 1) / 2], at: place, in: band)
            place = (place - 1) / 2
        }
        let count = bands[band].heap.count
        while place * 2 + 1 < count {
            var child = place * 2 + 1
            if child + 1 < count, isBefore(bands[band].heap[child + 1], bands[band].heap[child]) { child += 1 }
            guard isBefore(bands[band].heap[child], line) else { break }
            put(bands[band].heap[child], at: place, in: band)
            place = child
        }
        put(line, at: place, in: band)
    }

    private mutating func put(_ line: UInt32, at place: Int, in band: Int) {
        bands[band].heap[place] = line
        lines[Int(line)].place = UInt32(truncatingIfNeeded: place)
    }

    // MARK: Slabs

    /// The line of a caller, made when it has none; an empty line is in no heap.
    private mutating func line(of caller: UInt32, band: UInt8) -> UInt32 {
        let key = UInt64(band) << 32 | UInt64(caller)
        if let line = lineOfCaller[key] { return line }
        let line: UInt32
        if firstFreeLine != .max {
            line = firstFreeLine
            firstFreeLine = lines[Int(line)].place
            lines[Int(line)] = Line(caller: caller, band: band)
        } else {
            line = UInt32(truncatingIfNeeded: lines.count)
            lines.append(Line(caller: caller, band: band))
        }
        lineOfCaller[key] = line
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
    ///
    /// When it was first in its line, the next one is charged instead: from the round now, if the first was served.
    private mutating func take(_ slot: UInt32, isServed: Bool) {
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
        let band = Int(lines[line].band)
        bands[band].count -= 1
        count -= 1
        if lines[line].first == .max {
            free(node.line)
        } else if node.previous == .max {
            if !isServed { lines[line].round &-= min(lines[line].round, UInt64(node.cost)) }
            lines[line].round = saturatingSum(lines[line].round, UInt64(nodes[Int(node.next)].cost))
            giveOrder(node.line)
            sift(lines[line].place, in: band)
        }
        if bands[band].count == 0 { bands[band].round = 0 }
    }

    private mutating func free(_ line: UInt32) {
        leaveHeap(line)
        let key = UInt64(lines[Int(line)].band) << 32 | UInt64(lines[Int(line)].caller)
        lineOfCaller[key] = nil
        lines[Int(line)].place = firstFreeLine
        firstFreeLine = line
    }
}

/// A sum that stops at the largest number.
func saturatingSum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
}
