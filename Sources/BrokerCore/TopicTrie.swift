// Finds the subscriptions whose patterns match a topic: a trie of words (Fredkin, "Trie Memory", CACM 1960) whose edges
// stand in one hash table with linear probing (Knuth, TAOCP 3, 6.4, algorithms L and R). Works on bytes; matching
// allocates nothing.

import MeshProtocol

/// Subscriptions by pattern.
///
/// A subscription is a slot number of the owner's choice, as small as possible.
struct TopicTrie: Sendable {
    private var nodes: [Node]
    private var firstFree: UInt32 = .max
    /// By slot.
    private var links: [Link] = []
    /// The edges: numbers of child nodes, found by parent and word; a power of two of places, at most half of them
    /// taken.
    private var edges: [UInt32]
    private var edgeCount = 0
    private let seed: UInt64

    private struct Node: Sendable {
        var parent: UInt32
        /// The hash and the bytes of the word that leads here; of no meaning in the root and under `*`.
        var wordHash: UInt64 = 0
        var word: [UInt8] = []
        var isStar = false
        /// The child for `*`.
        var star = UInt32.max
        /// Children, that for `*` included.
        var childCount: UInt32 = 0
        /// Subscriptions whose pattern ends here.
        var exact = List()
        /// Subscriptions whose pattern goes on with `>`.
        var rest = List()
    }

    private struct List: Sendable {
        var first = UInt32.max
        var last = UInt32.max
        var isEmpty: Bool { first == .max }
    }

    /// A subscription's place in the list of a node.
    private struct Link: Sendable {
        /// `.max` when the slot is in no list.
        var node = UInt32.max
        var isRest = false
        var next = UInt32.max
        var previous = UInt32.max
    }

    private struct Word {
        var start: Int
        var end: Int
        var hash: UInt64
    }

    private static var root: UInt32 { 0 }
    private static var dot: UInt8 { UInt8(ascii: ".") }
    /// A topic of 200 bytes has at most 100 words.
    private static var wordCount: Int { (WireLimits.topicByteCount + 1) / 2 }

    /// Makes an empty trie; `seed` spreads the hashes.
    init(seed: UInt64) {
        self.seed = seed
        nodes = [Node(parent: .max)]
        edges = Array(repeating: .max, count: 64)
    }

    /// How many nodes are in use, the root included.
    var nodeCount: Int {
        var free = 0
        var node = firstFree
        while node != .max {
            free += 1
            node = nodes[Int(node)].parent
        }
        return nodes.count - free
    }

    /// Adds a subscription under a pattern, which must be well formed; a slot that is in the trie moves.
    mutating func insert(_ slot: Int32, pattern: UnsafeRawBufferPointer) {
        guard slot >= 0 else { return }
        remove(slot)
        while links.count <= Int(slot) { links.append(Link()) }
        var node = Self.root
        var start = 0
        while start <= pattern.count {
            let end = Self.wordEnd(in: pattern, from: start)
            let word = UnsafeRawBufferPointer(rebasing: pattern[start..<end])
            if word.count == 1, word[0] == UInt8(ascii: ">") {
                append(UInt32(slot), to: node, isRest: true)
                return
            }
            node = word.count == 1 && word[0] == UInt8(ascii: "*") ? starChild(of: node) : child(of: node, word)
            start = end + 1
        }
        append(UInt32(slot), to: node, isRest: false)
    }

    /// Takes a subscription out, and the nodes that nothing else needs; a slot that is not in the trie is ignored.
    mutating func remove(_ slot: Int32) {
        guard links.indices.contains(Int(slot)), links[Int(slot)].node != .max else { return }
        let link = links[Int(slot)]
        var list = link.isRest ? nodes[Int(link.node)].rest : nodes[Int(link.node)].exact
        if link.next != .max { links[Int(link.next)].previous = link.previous } else { list.last = link.previous }
        if link.previous != .max { links[Int(link.previous)].next = link.next } else { list.first = link.next }
        if link.isRest { nodes[Int(link.node)].rest = list } else { nodes[Int(link.node)].exact = list }
        links[Int(slot)] = Link()
        prune(link.node)
    }

    /// Appends the slots of all matching subscriptions; nothing for what is longer than a topic may be.
    func match(_ topic: UnsafeRawBufferPointer, into slots: inout [Int32]) {
        guard !topic.isEmpty, topic.count <= WireLimits.topicByteCount else { return }
        // No more room than the topic's words need: what is over a kilobyte would come from the heap, for each event.
        let wordCount = topic.reduce(1) { count, byte in byte == Self.dot ? count + 1 : count }
        withUnsafeTemporaryAllocation(of: Word.self, capacity: min(wordCount, Self.wordCount + 1)) { words in
            var count = 0
            var start = 0
            while start <= topic.count, count < words.count {
                let end = Self.wordEnd(in: topic, from: start)
                let word = UnsafeRawBufferPointer(rebasing: topic[start..<end])
                words.initializeElement(at: count, to: Word(start: start, end: end, hash: hash(word)))
                count += 1
                start = end + 1
            }
            // Longer only when words are empty, and then it is no topic.
            guard start == topic.count + 1 else { return }
            walk(topic, UnsafeBufferPointer(rebasing: words[..<count]), into: &slots)
        }
    }

    /// Visits every node that a prefix of the topic leads to, depth first, the literal word before `*`.
    private func walk(_ topic: UnsafeRawBufferPointer, _ words: UnsafeBufferPointer<Word>, into slots: inout [Int32]) {
        // Each step takes one node off and puts two of the next depth on at most, so the stack is one higher than the
        // depth.
        withUnsafeTemporaryAllocation(of: (node: UInt32, depth: Int).self, capacity: words.count + 2) { stack in
            stack.initializeElement(at: 0, to: (Self.root, 0))
            var height = 1
            while height > 0 {
                height -= 1
                let (node, depth) = stack[height]
                guard depth < words.count else {
                    append(nodes[Int(node)].exact, to: &slots)
                    continue
                }
                append(nodes[Int(node)].rest, to: &slots)
                guard nodes[Int(node)].childCount > 0 else { continue }
                let star = nodes[Int(node)].star
                if star != .max {
                    stack.initializeElement(at: height, to: (star, depth + 1))
                    height += 1
                }
                let word = words[depth]
                let bytes = UnsafeRawBufferPointer(rebasing: topic[word.start..<word.end])
                let child = find(parent: node, hash: word.hash, word: bytes)
                if child != .max {
                    stack.initializeElement(at: height, to: (child, depth + 1))
                    height += 1
                }
            }
        }
    }

    private func append(_ list: List, to slots: inout [Int32]) {
        var slot = list.first
        while slot != .max {
            slots.append(Int32(bitPattern: slot))
            slot = links[Int(slot)].next
        }
    }

    // MARK: Nodes

    private mutating func append(_ slot: UInt32, to node: UInt32, isRest: Bool) {
        var list = isRest ? nodes[Int(node)].rest : nodes[Int(node)].exact
        links[Int(slot)] = Link(node: node, isRest: isRest, next: .max, previous: list.last)
        if list.last != .max { links[Int(list.last)].next = slot } else { list.first = slot }
        list.last = slot
        if isRest { nodes[Int(node)].rest = list } else { nodes[Int(node)].exact = list }
    }

    private mutating func starChild(of parent: UInt32) -> UInt32 {
        if nodes[Int(parent)].star != .max { return nodes[Int(parent)].star }
        var node = Node(parent: parent)
        node.isStar = true
        let child = make(node)
        nodes[Int(parent)].star = child
        nodes[Int(parent)].childCount += 1
        return child
    }

    private mutating func child(of parent: UInt32, _ word: UnsafeRawBufferPointer) -> UInt32 {
        let hash = hash(word)
        let known = find(parent: parent, hash: hash, word: word)
        if known != .max { return known }
        let child = make(Node(parent: parent, wordHash: hash, word: Array(word)))
        nodes[Int(parent)].childCount += 1
        addEdge(child)
        return child
    }

    private mutating func make(_ node: Node) -> UInt32 {
        guard firstFree != .max else {
            nodes.append(node)
            return UInt32(truncatingIfNeeded: nodes.count - 1)
        }
        let index = firstFree
        firstFree = nodes[Int(index)].parent
        nodes[Int(index)] = node
        return index
    }

    /// Frees a node that holds nothing, then its parent if that holds nothing either, and so on.
    private mutating func prune(_ start: UInt32) {
        var node = start
        while node != Self.root {
            let index = Int(node)
            guard nodes[index].childCount == 0, nodes[index].exact.isEmpty, nodes[index].rest.isEmpty else { return }
            let parent = nodes[index].parent
            if nodes[index].isStar { nodes[Int(parent)].star = .max } else { removeEdge(node) }
            nodes[Int(parent)].childCount -= 1
            nodes[index] = Node(parent: firstFree)
            firstFree = node
            node = parent
        }
    }

    // MARK: Edges

    private func place(parent: UInt32, hash: UInt64) -> Int {
        let mixed = (hash ^ UInt64(parent) &* 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return Int(truncatingIfNeeded: mixed.high ^ mixed.low) & (edges.count - 1)
    }

    private func find(parent: UInt32, hash: UInt64, word: UnsafeRawBufferPointer) -> UInt32 {
        var place = place(parent: parent, hash: hash)
        while edges[place] != .max {
            let child = Int(edges[place])
            if nodes[child].wordHash == hash, nodes[child].parent == parent, isSame(nodes[child].word, word) {
                return edges[place]
            }
            place = (place + 1) & (edges.count - 1)
        }
        return .max
    }

    private mutating func addEdge(_ child: UInt32) {
        if (edgeCount + 1) * 2 > edges.count {
            let old = edges
            edges = Array(repeating: .max, count: old.count * 2)
            for child in old where child != .max { fill(child) }
        }
        fill(child)
        edgeCount += 1
    }

    private mutating func fill(_ child: UInt32) {
        var place = place(parent: nodes[Int(child)].parent, hash: nodes[Int(child)].wordHash)
        while edges[place] != .max { place = (place + 1) & (edges.count - 1) }
        edges[place] = child
    }

    /// Empties the edge's place and moves later ones up, so that no search ends too early.
    private mutating func removeEdge(_ child: UInt32) {
        let mask = edges.count - 1
        var hole = place(parent: nodes[Int(child)].parent, hash: nodes[Int(child)].wordHash)
        while edges[hole] != child {
            guard edges[hole] != .max else { return }
            hole = (hole + 1) & mask
        }
        edges[hole] = .max
        edgeCount -= 1
        var next = (hole + 1) & mask
        while edges[next] != .max {
            let other = Int(edges[next])
            let home = place(parent: nodes[other].parent, hash: nodes[other].wordHash)
            // It may move when its home is not between the hole and where it stands, seen in the direction of the
            // search.
            if (next - home) & mask >= (next - hole) & mask {
                edges[hole] = edges[next]
                edges[next] = .max
                hole = next
            }
            next = (next + 1) & mask
        }
    }

    // MARK: Bytes

    private static func wordEnd(in text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var end = start
        while end < text.count, text[end] != dot { end += 1 }
        return end
    }

    private func isSame(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<right.count where left[index] != right[index] { return false }
        return true
    }

    /// A seeded hash: eight bytes at a time through a 128-bit product whose halves are folded.
    private func hash(_ word: UnsafeRawBufferPointer) -> UInt64 {
        var state = seed ^ UInt64(truncatingIfNeeded: word.count) &* 0xa076_1d64_78bd_642f
        var offset = 0
        while offset < word.count {
            var chunk: UInt64 = 0
            if word.count - offset >= 8 {
                chunk = word.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            } else {
                for index in offset..<word.count { chunk = chunk << 8 | UInt64(word[index]) }
            }
            let product = (state ^ chunk ^ 0xe703_7ed1_a0b4_28db).multipliedFullWidth(by: 0x8ebc_6af0_9c88_c6e3)
            state = product.high ^ product.low
            offset += 8
        }
        return state
    }
}
