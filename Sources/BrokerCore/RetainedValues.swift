// Events that are kept: the last value of topics and a bounded history of each; what was published longest ago goes
// first. Pure: payloads are handles, and those that are no longer kept are handed back to be released.

import DequeModule
import MeshProtocol

/// An event that is kept.
struct KeptEvent: Hashable, Sendable {
    /// The topic.
    var topic: String
    /// The publisher's principal.
    var publisher: String
    /// What the payload holds.
    var contentType: ContentType
    /// The event's sequence.
    var sequence: UInt64
    /// When it was taken, in nanoseconds since 1970.
    var timestamp: UInt64
    /// The payload; the table owns the reference.
    var body: BodyHandle
    /// The payload's length.
    var byteCount: Int

    /// What it counts for against the limit: its payload and its record.
    fileprivate var charge: Int { max(0, min(byteCount, Int(Int32.max))) + 128 }
}

/// What a subscriber is to get before the live events.
struct Replay: Sendable {
    /// One event; `flags` say why.
    struct Item: Hashable, Sendable {
        /// The event; its payload stays the table's, so it is shared.
        var event: KeptEvent
        /// Last value, replay, or both.
        var flags: EventFlags
    }
    /// In order of sequence.
    var items: [Item] = []
    /// With resume: how many events after `since` are no longer kept, as far as can be told; never too few of a topic
    /// whose history is still there.
    var missed: UInt64 = 0
}

/// Last values and histories by topic, as a cache that forgets the topic published to longest ago.
struct RetainedValues: Sendable {
    /// Payloads that are held, without those that are `none`.
    private(set) var bodyCount = 0
    /// Payload bytes that are held, and 128 for the record of each event.
    private(set) var byteCount = 0

    private var entries: [Entry] = []
    private var firstFree: Int32 = -1
    private var entryOfTopic: [String: Int32] = [:]
    /// The topics in order of their latest event.
    private var oldest: Int32 = -1
    private var newest: Int32 = -1

    private struct Entry: Sendable {
        var topic = ""
        var last: KeptEvent?
        var history: Deque<KeptEvent> = []
        /// Events that have left the history, and the sequence of the latest of them.
        var droppedCount: UInt64 = 0
        var droppedSequence: UInt64 = 0
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    /// Makes an empty table.
    init() {}

    /// Topics of which something is kept.
    var topicCount: Int { entryOfTopic.count }

    /// Keeps an event as the topic's last value, in its history, or both.
    ///
    /// Returns false when it is too large to be kept; the reference to its payload stays the caller's then. What is
    /// kept no longer is appended to `released`.
    mutating func keep(
        _ event: KeptEvent,
        retain: Bool,
        history: Bool,
        limits: Limits,
        released: inout [BodyHandle]
    ) -> Bool {
        let history = history && limits.historyCount > 0
        guard retain || history, limits.retainedTopicCount > 0, event.charge <= limits.retainedByteCount else {
            return false
        }
        let entry = makeNewest(event.topic)
        byteCount += event.charge
        if !event.body.isNone { bodyCount += 1 }
        if retain {
            dropLast(of: entry, released: &released)
            entries[Int(entry)].last = event
        }
        if history {
            entries[Int(entry)].history.append(event)
            shorten(entry, to: limits.historyCount, released: &released)
        }
        evict(limits, keeping: event.sequence, of: entry, released: &released)
        return true
    }

    /// What a new subscription gets: the last values (when asked), the latest `history` events of each topic, and (when
    /// `since` is given) every kept one with a higher sequence.
    func replay(pattern: String, lastValue: Bool, history: UInt32, since: UInt64?) -> Replay {
        var replay = Replay()
        guard lastValue || history > 0 || since != nil else { return replay }
        let isLiteral = !pattern.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: ">") }
        if isLiteral {
            if let entry = entryOfTopic[pattern] { add(entry, lastValue, history, since, to: &replay) }
            return replay
        }
        let compiled = DottedPattern(pattern)
        var entry = oldest
        while entry >= 0 {
            var topic = entries[Int(entry)].topic
            if topic.withUTF8({ compiled.contains(UnsafeRawBufferPointer($0)) }) {
                add(entry, lastValue, history, since, to: &replay)
            }
            entry = entries[Int(entry)].next
        }
        replay.items.sort { $0.event.sequence < $1.event.sequence }
        return replay
    }

    /// Applies limits that have been lowered.
    mutating func trim(to limits: Limits, released: inout [BodyHandle]) {
        var entry = oldest
        while entry >= 0 {
            let next = entries[Int(entry)].next
            shorten(entry, to: max(0, limits.historyCount), released: &released)
            if isEmpty(entry) { remove(entry, released: &released) }
            entry = next
        }
        while oldest >= 0, byteCount > limits.retainedByteCount || topicCount > limits.retainedTopicCount {
            remove(oldest, released: &released)
        }
    }

    /// Forgets everything.
    mutating func removeAll(released: inout [BodyHandle]) {
        while oldest >= 0 { remove(oldest, released: &released) }
    }

    // MARK: One topic

    private func isEmpty(_ entry: Int32) -> Bool {
        entries[Int(entry)].last == nil && entries[Int(entry)].history.isEmpty
    }

    /// Takes the last value away; its payload goes with it unless the history has it too.
    private mutating func dropLast(of entry: Int32, released: inout [BodyHandle]) {
        guard let last = entries[Int(entry)].last else { return }
        entries[Int(entry)].last = nil
        if !isInHistory(last.sequence, of: entry) { forget(last, released: &released) }
    }

    private mutating func dropFirst(of entry: Int32, released: inout [BodyHandle]) {
        guard let first = entries[Int(entry)].history.popFirst() else { return }
        entries[Int(entry)].droppedCount &+= 1
        entries[Int(entry)].droppedSequence = first.sequence
        if entries[Int(entry)].last?.sequence != first.sequence { forget(first, released: &released) }
    }

    private mutating func shorten(_ entry: Int32, to count: Int, released: inout [BodyHandle]) {
        while entries[Int(entry)].history.count > count { dropFirst(of: entry, released: &released) }
    }

    /// Binary search: a history is in order of sequence.
    private func isInHistory(_ sequence: UInt64, of entry: Int32) -> Bool {
        let start = firstIndex(after: sequence, of: entry)
        return start > 0 && entries[Int(entry)].history[start - 1].sequence == sequence
    }

    private func firstIndex(after sequence: UInt64, of entry: Int32) -> Int {
        var low = 0
        var high = entries[Int(entry)].history.count
        while low < high {
            let middle = (low + high) / 2
            if entries[Int(entry)].history[middle].sequence > sequence { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func add(_ entry: Int32, _ lastValue: Bool, _ history: UInt32, _ since: UInt64?, to replay: inout Replay) {
        let kept = entries[Int(entry)].history
        let last = lastValue ? entries[Int(entry)].last : nil
        var start = kept.count - min(kept.count, Int(history))
        if let since {
            start = min(start, firstIndex(after: since, of: entry))
            let dropped = entries[Int(entry)].droppedSequence
            if dropped > since {
                replay.missed &+= min(entries[Int(entry)].droppedCount, dropped - since)
            }
        }
        // The last value may be older than the history that is replayed, newer than all of it, or between two of its
        // events.
        var pending = last
        for event in kept[start...] {
            if let value = pending, value.sequence <= event.sequence {
                pending = nil
                if value.sequence == event.sequence {
                    replay.items.append(Replay.Item(event: event, flags: [.replay, .lastValue]))
                    continue
                }
                replay.items.append(Replay.Item(event: value, flags: .lastValue))
            }
            replay.items.append(Replay.Item(event: event, flags: .replay))
        }
        if let pending { replay.items.append(Replay.Item(event: pending, flags: .lastValue)) }
    }

    // MARK: The cache

    /// Forgets topics, those published to longest ago first, until the limits hold; of the last one left, its older
    /// events.
    private mutating func evict(
        _ limits: Limits,
        keeping sequence: UInt64,
        of entry: Int32,
        released: inout [BodyHandle]
    ) {
        while byteCount > limits.retainedByteCount || topicCount > limits.retainedTopicCount {
            if oldest != entry {
                remove(oldest, released: &released)
            } else if let first = entries[Int(entry)].history.first, first.sequence != sequence {
                dropFirst(of: entry, released: &released)
            } else if let last = entries[Int(entry)].last, last.sequence != sequence {
                dropLast(of: entry, released: &released)
            } else {
                return
            }
        }
    }

    private mutating func makeNewest(_ topic: String) -> Int32 {
        let entry: Int32
        if let known = entryOfTopic[topic] {
            entry = known
            guard newest != entry else { return entry }
            unlink(entry)
        } else if firstFree >= 0 {
            entry = firstFree
            firstFree = entries[Int(entry)].next
            entries[Int(entry)] = Entry(topic: topic)
            entryOfTopic[topic] = entry
        } else {
            entry = Int32(truncatingIfNeeded: entries.count)
            entries.append(Entry(topic: topic))
            entryOfTopic[topic] = entry
        }
        entries[Int(entry)].previous = newest
        entries[Int(entry)].next = -1
        if newest >= 0 { entries[Int(newest)].next = entry } else { oldest = entry }
        newest = entry
        return entry
    }

    private mutating func unlink(_ entry: Int32) {
        let next = entries[Int(entry)].next
        let previous = entries[Int(entry)].previous
        if next >= 0 { entries[Int(next)].previous = previous } else { newest = previous }
        if previous >= 0 { entries[Int(previous)].next = next } else { oldest = next }
    }

    private mutating func remove(_ entry: Int32, released: inout [BodyHandle]) {
        shorten(entry, to: 0, released: &released)
        dropLast(of: entry, released: &released)
        unlink(entry)
        entryOfTopic[entries[Int(entry)].topic] = nil
        entries[Int(entry)] = Entry(next: firstFree)
        firstFree = entry
    }

    private mutating func forget(_ event: KeptEvent, released: inout [BodyHandle]) {
        byteCount -= event.charge
        guard !event.body.isNone else { return }
        bodyCount -= 1
        released.append(event.body)
    }
}
