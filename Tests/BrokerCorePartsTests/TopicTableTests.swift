// The trie against the plain definition of matching, and the account of every subscription.

import MeshProtocol
import Testing

@testable import BrokerCore

extension TopicTable {
    fileprivate func matching(_ topic: String) -> [Int32] {
        var slots: [Int32] = [99]
        var topic = topic
        topic.withUTF8 { matches(UnsafeRawBufferPointer($0), into: &slots) }
        return slots
    }

    fileprivate mutating func add(_ pattern: String, owner: UInt32 = 1, number: UInt64 = 1) throws -> Int32 {
        subscribe(
            owner: owner,
            id: try #require(RequestID(rawValue: number)),
            pattern: pattern,
            credit: Credit(messages: 2, bytes: 100),
            limits: Limits()
        )
    }
}

@Suite struct TopicTableTests {
    @Test func `patterns match as they are defined to`() throws {
        var table = TopicTable()
        let patterns = ["a.b", "a.*", "a.>", ">", "*", "*.b", "a.b.c", "*.*.*"]
        let slots = try patterns.map { try table.add($0) }
        for topic in ["a", "b", "a.b", "a.c", "a.b.c", "x.y.z", "a.b.c.d", "", ".", "a..b", "*", ">"] {
            let expected = zip(patterns, slots).filter { Topics.matches(pattern: $0.0, topic: topic) }.map(\.1)
            if Topics.isTopic(topic) {
                #expect(Set(table.matching(topic)) == Set(expected), "\(topic)")
            } else {
                _ = table.matching(topic)
            }
        }
        #expect(table.matching("") == [])
        #expect(table.matching(String(repeating: "a.", count: 200)) == [])
        #expect(table.matching(String(repeating: ".", count: 200)).count <= patterns.count)
    }

    @Test func `one pattern's subscriptions match in order of age`() throws {
        var table = TopicTable()
        let slots = try (1...5).map { try table.add("a.b", number: $0) }
        table.unsubscribe(slots[2])
        #expect(table.matching("a.b") == [0, 1, 3, 4])
    }

    @Test func `a free slot does nothing and is given again`() throws {
        var table = TopicTable()
        let slot = try table.add("a")
        #expect(table.target(of: slot)?.owner == 1)
        check(table.unsubscribe(slot)?.pattern, "a")
        check(table.unsubscribe(slot), nil)
        check(table.takeCredit(slot, byteCount: 1, sequence: 1, timestamp: 0), nil)
        check(table.grant(Credit(messages: 1, bytes: 1), to: slot, limits: Limits()), false)
        check(table.grant(Credit(messages: 1, bytes: 1), to: -1, limits: Limits()), false)
        check(table.takeCredit(77, byteCount: 1, sequence: 1, timestamp: 0), nil)
        #expect(table[-1] == nil && table[slot] == nil && table.target(of: slot) == nil)
        check(try table.add("b"), slot)
        #expect(table.matching("a").isEmpty)
    }

    @Test func `deliveries have no gaps, drops are counted and told`() throws {
        var table = TopicTable()
        let slot = try table.add("a")
        let sequences = (0..<4).map { _ in table.nextSequence() }
        #expect(sequences == [1, 2, 3, 4])
        check(
            table.takeCredit(slot, byteCount: 10, sequence: 1, timestamp: 5),
            EventNumbers(sequence: 1, delivery: 1, dropped: 0, timestamp: 5)
        )
        check(
            table.takeCredit(slot, byteCount: 500, sequence: 2, timestamp: 5),
            EventNumbers(sequence: 2, delivery: 2, dropped: 0, timestamp: 5),
            "bytes may be overdrawn once"
        )
        check(table.takeCredit(slot, byteCount: 0, sequence: 3, timestamp: 5), nil)
        table.grant(Credit(messages: 5, bytes: 410), to: slot, limits: Limits())
        check(table.takeCredit(slot, byteCount: 0, sequence: 3, timestamp: 5), nil, "still overdrawn")
        table.grant(Credit(messages: 0, bytes: 1), to: slot, limits: Limits())
        check(
            table.takeCredit(slot, byteCount: 0, sequence: 4, timestamp: 6),
            EventNumbers(sequence: 4, delivery: 3, dropped: 2, timestamp: 6)
        )
        #expect(table[slot]?.dropped == 2 && table[slot]?.delivered == 3)
    }

    @Test func `credit is cut to the limits`() throws {
        var table = TopicTable()
        var limits = Limits()
        limits.creditMessageCount = 10
        limits.creditByteCount = 1_000
        let id = try #require(RequestID(rawValue: 1))
        let everything = Credit(messages: .max, bytes: .max)
        let slot = table.subscribe(owner: 1, id: id, pattern: "a", credit: everything, limits: limits)
        #expect(table[slot]?.creditMessages == 10 && table[slot]?.creditBytes == 1_000)
        check(table.takeCredit(slot, byteCount: .max, sequence: 1, timestamp: 0)?.delivery, 1)
        check(table.takeCredit(slot, byteCount: -5, sequence: 1, timestamp: 0), nil)
        for _ in 0..<3 { table.grant(everything, to: slot, limits: limits) }
        #expect(table[slot]?.creditMessages == 10 && table[slot]?.creditBytes == 1_000)
    }

    @Test func `a session's end takes its subscriptions and no others`() throws {
        var table = TopicTable()
        for number in 1...6 as ClosedRange<UInt64> {
            _ = try table.add("a.b", owner: UInt32(number % 2), number: number)
        }
        var ids: [UInt64] = []
        table.forEach(of: 0) { ids.append($1.id.rawValue) }
        #expect(ids == [2, 4, 6])
        check(table.sessionEnded(0), 3)
        check(table.sessionEnded(0), 0)
        #expect(table.count == 3)
        ids = []
        table.forEach { ids.append($1.id.rawValue) }
        #expect(ids == [1, 3, 5])
        #expect(table.matching("a.b").count == 3)
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `the trie finds what the definition finds, through all changes`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var trie = TopicTrie(seed: random.next())
        var model: [Int32: String] = [:]
        func words(_ alphabet: [String], last: [String]) -> String {
            var words: [String] = []
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                words.append(alphabet.randomElement(using: &random) ?? "a")
            }
            words.append(last.randomElement(using: &random) ?? "a")
            return words.joined(separator: ".")
        }
        let literals = ["a", "b", "c", "longer-word", "another_long_word", "d1", "d2", "d3"]
        for _ in 0..<1_000 {
            let slot = Int32.random(in: 0..<200, using: &random)
            if UInt8.random(in: 0..<3, using: &random) > 0 {
                var pattern = words(literals + ["*", "*"], last: literals + ["*", ">", ">"])
                model[slot] = pattern
                pattern.withUTF8 { trie.insert(slot, pattern: UnsafeRawBufferPointer($0)) }
            } else {
                model[slot] = nil
                trie.remove(slot)
            }
            var topic = words(literals, last: literals)
            var found: [Int32] = []
            topic.withUTF8 { trie.match(UnsafeRawBufferPointer($0), into: &found) }
            let expected = model.filter { Topics.matches(pattern: $0.value, topic: topic) }.keys
            #expect(found.sorted() == expected.sorted(), "\(topic)")
        }
        for slot in model.keys { trie.remove(slot) }
        trie.remove(-1)
        #expect(trie.nodeCount == 1)
    }
}
