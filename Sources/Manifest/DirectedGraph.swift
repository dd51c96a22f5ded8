// A small directed graph of numbered nodes, for resolution: its strongly connected parts, the shortest cycle through a
// node, and the waves of an acyclic one. Linear in its edges, without recursion, the same answer each time. Pure.

struct DirectedGraph {
    private(set) var successors: [[Int]]

    init(count: Int) {
        successors = Array(repeating: [], count: count)
    }

    mutating func connect(_ from: Int, to: Int) { successors[from].append(to) }

    mutating func keep(_ isKept: (_ from: Int, _ to: Int) -> Bool) {
        for from in successors.indices {
            successors[from].removeAll { !isKept(from, $0) }
        }
    }

    /// For each node the number of its strongly connected part (Tarjan's algorithm with a stack of its own).
    func parts() -> [Int] {
        var search = PartSearch(count: successors.count)
        for node in successors.indices where search.index[node] < 0 {
            search.run(from: node, successors)
        }
        return search.part
    }

    /// Whether a part is a cycle: several nodes, or one that leads to itself.
    func cyclicNodes(parts: [Int]) -> [Bool] {
        var sizes = Array(repeating: 0, count: successors.count)
        for part in parts { sizes[part] += 1 }
        return successors.indices.map { sizes[parts[$0]] > 1 || successors[$0].contains($0) }
    }

    /// The shortest way of at least one step from a node to another, or back to itself, through allowed nodes only.
    func way(from start: Int, to end: Int, within allowed: (Int) -> Bool) -> [Int] {
        var cameFrom = Array(repeating: -1, count: successors.count)
        var queue = [start]
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for next in successors[node] where allowed(next) {
                if next == end { return path(from: start, to: node, cameFrom) + [end] }
                if cameFrom[next] < 0, next != start {
                    cameFrom[next] = node
                    queue.append(next)
                }
            }
        }
        return []
    }

    private func path(from start: Int, to end: Int, _ cameFrom: [Int]) -> [Int] {
        var path = [end]
        while let last = path.last, last != start { path.append(cameFrom[last]) }
        return path.reversed()
    }

    /// For each node of an acyclic graph the length of the longest way onward from it; nodes on cycles get nil.
    func heights() -> [Int?] {
        var waiting = successors.map(\.count)
        var predecessors: [[Int]] = Array(repeating: [], count: successors.count)
        for (from, list) in successors.enumerated() {
            for to in list { predecessors[to].append(from) }
        }
        var heights = Array(repeating: 0, count: successors.count)
        var done = waiting.indices.filter { waiting[$0] == 0 }
        var head = 0
        while head < done.count {
            let node = done[head]
            head += 1
            for previous in predecessors[node] {
                heights[previous] = max(heights[previous], heights[node] + 1)
                waiting[previous] -= 1
                if waiting[previous] == 0 { done.append(previous) }
            }
        }
        return heights.indices.map { waiting[$0] == 0 ? heights[$0] : nil }
    }
}

/// The state of the search for strongly connected parts.
private struct PartSearch {
    var index: [Int]
    var part: [Int]
    private var low: [Int]
    private var isOnStack: [Bool]
    private var stack: [Int] = []
    private var visit: [(node: Int, next: Int)] = []
    private var nextIndex = 0
    private var nextPart = 0

    init(count: Int) {
        index = Array(repeating: -1, count: count)
        part = Array(repeating: -1, count: count)
        low = Array(repeating: 0, count: count)
        isOnStack = Array(repeating: false, count: count)
    }

    mutating func run(from start: Int, _ successors: [[Int]]) {
        enter(start)
        while let (node, next) = visit.last {
            guard next < successors[node].count else {
                leave(node)
                continue
            }
            visit[visit.count - 1].next += 1
            let other = successors[node][next]
            if index[other] < 0 {
                enter(other)
            } else if isOnStack[other] {
                low[node] = min(low[node], index[other])
            }
        }
    }

    private mutating func enter(_ node: Int) {
        index[node] = nextIndex
        low[node] = nextIndex
        nextIndex += 1
        stack.append(node)
        isOnStack[node] = true
        visit.append((node, 0))
    }

    private mutating func leave(_ node: Int) {
        visit.removeLast()
        if let parent = visit.last?.node { low[parent] = min(low[parent], low[node]) }
        guard low[node] == index[node] else { return }
        while let member = stack.popLast() {
            isOnStack[member] = false
            part[member] = nextPart
            if member == node { break }
        }
        nextPart += 1
    }
}
