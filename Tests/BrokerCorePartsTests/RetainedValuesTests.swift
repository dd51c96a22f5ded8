// What is kept, in what order it goes, and what a new subscription gets; against a model that keeps everything in one
// list.

import MeshProtocol
import Testing

@testable import BrokerCore

private func event(_ topic: String, _ sequence: UInt64, bytes: Int = 10) -> KeptEvent {
    KeptEvent(
        topic: topic,
        publisher: "p",
        contentType: .json,
        sequence: sequence,
        timestamp: sequence * 7,
        body: BodyHandle(rawValue: UInt32(sequence)),
        byteCount: bytes
    )
}

extension Replay {
    fileprivate var sequences: [UInt64] { items.map(\.event.sequence) }
}

@Suite struct RetainedValuesTests {
    private var limits = Limits()
    private var table = RetainedValues()
    private var released: [BodyHandle] = []

    private mutating func keep(_ event: KeptEvent, retain: Bool = true, history: Bool = false) -> Bool {
        table.keep(event, retain: retain, history: history, limits: limits, released: &released)
    }

    private func last(_ pattern: String) -> [UInt64] {
        table.replay(pattern: pattern, lastValue: true, history: 0, since: nil).sequences
    }

    @Test mutating func `a topic's last value takes the place of the one before`() {
        check(keep(event("a", 1)), true)
        check(keep(event("a", 2)), true)
        #expect(released.map(\.rawValue) == [1])
        #expect(last("a") == [2])
        #expect(last("b") == [])
        #expect(table.bodyCount == 1)
        #expect(table.replay(pattern: "a", lastValue: false, history: 9, since: 0).items.isEmpty)
    }

    @Test mutating func `the topic published to longest ago goes first`() {
        limits.retainedTopicCount = 2
        for (sequence, topic) in ["a", "b", "a", "c"].enumerated() { _ = keep(event(topic, UInt64(sequence + 1))) }
        #expect(last(">") == [3, 4])
        #expect(released.map(\.rawValue) == [1, 2])
    }

    @Test mutating func `bytes are bounded, and one event cannot take more than all`() {
        limits.retainedByteCount = 3 * 228
        for sequence in 1...5 as ClosedRange<UInt64> { _ = keep(event("t\(sequence)", sequence, bytes: 100)) }
        #expect(last("*") == [3, 4, 5])
        check(keep(event("huge", 6, bytes: 3 * 228)), false)
        check(keep(event("huge", 7, bytes: .max)), false)
        check(keep(event("large", 8, bytes: 3 * 228 - 128)), true)
        #expect(last(">") == [8])
    }

    @Test mutating func `a history is a ring, and an event in both places is held once`() {
        limits.historyCount = 3
        for sequence in 1...5 as ClosedRange<UInt64> { _ = keep(event("a", sequence), retain: true, history: true) }
        #expect(released.map(\.rawValue) == [1, 2])
        #expect(table.bodyCount == 3)
        let replay = table.replay(pattern: "a", lastValue: true, history: 2, since: nil)
        #expect(replay.sequences == [4, 5])
        #expect(replay.items.map(\.flags) == [.replay, [.replay, .lastValue]])
        _ = keep(event("a", 6), retain: true, history: false)
        #expect(released.map(\.rawValue) == [1, 2], "5 is still in the history")
        for sequence in 7...9 as ClosedRange<UInt64> { _ = keep(event("a", sequence), retain: false, history: true) }
        #expect(released.map(\.rawValue) == [1, 2, 3, 4, 5])
        #expect(table.replay(pattern: "a", lastValue: true, history: 9, since: nil).sequences == [6, 7, 8, 9])
        table.removeAll(released: &released)
        #expect(released.count == 9 && table.bodyCount == 0 && table.byteCount == 0 && table.topicCount == 0)
    }

    @Test mutating func `a topic whose history is too large forgets its own oldest events`() {
        limits.retainedByteCount = 3 * 228
        for sequence in 1...5 as ClosedRange<UInt64> {
            check(keep(event("a", sequence, bytes: 100), retain: false, history: true), true)
        }
        #expect(table.replay(pattern: "a", lastValue: false, history: 9, since: nil).sequences == [3, 4, 5])
    }

    @Test mutating func `resume gives what came after, of all topics in order, and counts what is gone`() {
        limits.historyCount = 3
        for sequence in 1...10 as ClosedRange<UInt64> {
            _ = keep(event(sequence % 2 == 0 ? "a.x" : "b.x", sequence), retain: false, history: true)
        }
        let replay = table.replay(pattern: "*.x", lastValue: false, history: 0, since: 6)
        #expect(replay.sequences == [7, 8, 9, 10])
        #expect(replay.missed == 0)
        let longer = table.replay(pattern: "a.>", lastValue: false, history: 0, since: 1)
        #expect(longer.sequences == [6, 8, 10])
        #expect(longer.missed == 2)
        #expect(table.replay(pattern: ">", lastValue: false, history: 1, since: .max).sequences == [9, 10])
    }

    @Test mutating func `payloads that are none are not released`() {
        var bare = event("a", 1, bytes: 0)
        bare.body = .none
        check(keep(bare), true)
        check(keep(event("a", 2)), true)
        #expect(released.isEmpty && table.bodyCount == 1)
    }

    @Test mutating func `nothing is kept when the limits say so, and lowered limits are applied`() {
        for sequence in 1...6 as ClosedRange<UInt64> { _ = keep(event("t\(sequence % 3)", sequence), history: true) }
        limits.historyCount = 1
        limits.retainedTopicCount = 2
        table.trim(to: limits, released: &released)
        #expect(last(">") == [5, 6])
        #expect(table.bodyCount == 2)
        limits.retainedTopicCount = 0
        check(keep(event("x", 9)), false)
        limits.retainedTopicCount = 1
        limits.historyCount = 0
        check(keep(event("x", 9), retain: false, history: true), false)
        limits.retainedTopicCount = -1
        table.trim(to: limits, released: &released)
        #expect(table.topicCount == 0)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    mutating func `the table keeps what the model keeps, and every payload is released once`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        limits.retainedTopicCount = 5
        limits.historyCount = 3
        limits.retainedByteCount = 12 * 138
        // Topics in order of their latest event, each with its history and last value.
        var model: [(topic: String, history: [UInt64], last: UInt64?)] = []
        var given: Set<UInt32> = []
        func held(_ model: [(topic: String, history: [UInt64], last: UInt64?)]) -> Set<UInt64> {
            Set(model.flatMap { $0.history + ($0.last.map { [$0] } ?? []) })
        }
        for sequence in 1...1_000 as ClosedRange<UInt64> {
            let topic = "t.\(Int.random(in: 0..<9, using: &random))"
            let retain = Bool.random(using: &random)
            let history = !retain || Bool.random(using: &random)
            check(keep(event(topic, sequence), retain: retain, history: history), true)
            given.insert(UInt32(sequence))
            let index = model.firstIndex { $0.topic == topic }
            var entry = index.map { model.remove(at: $0) } ?? (topic: topic, history: [], last: nil)
            if retain { entry.last = sequence }
            if history { entry.history = (entry.history + [sequence]).suffix(3) }
            model.append(entry)
            while model.count > 5 || held(model).count > 12 { model.removeFirst() }
            let replay = table.replay(pattern: "t.*", lastValue: true, history: 9, since: nil)
            #expect(replay.sequences == held(model).sorted())
            #expect(table.topicCount == model.count)
            #expect(table.bodyCount == held(model).count)
            #expect(released.count + table.bodyCount == given.count)
        }
        #expect(Set(released.map(\.rawValue)).union(held(model).map(UInt32.init)) == given, "none twice, none lost")
    }
}
