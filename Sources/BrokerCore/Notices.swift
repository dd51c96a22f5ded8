// Holds notices back when there are too many of one topic, so that a flood of denials does not become a flood of logs.

import MeshProtocol

/// A token bucket for each topic.
struct NoticeLimiter {
    private struct Bucket {
        var tokens = NoticeLimiter.burst
        var filledAt = MeshInstant(nanoseconds: 0)
        var suppressed = 0
    }

    /// Notices of one topic at once.
    static let burst = 20
    /// Then one of a topic in this time.
    static let refillNanoseconds: UInt64 = 200_000_000

    private var buckets: [String: Bucket] = [:]

    /// Nil when the notice is to be held back; else how many of its topic have been since the last one.
    mutating func admit(_ topic: String, now: MeshInstant) -> Int? {
        var bucket = buckets[topic] ?? Bucket(filledAt: now)
        let refill = now.nanoseconds(since: bucket.filledAt) / Self.refillNanoseconds
        if refill > 0 {
            bucket.tokens = min(Self.burst, bucket.tokens + Int(min(refill, UInt64(Self.burst))))
            bucket.filledAt = now
        }
        defer { buckets[topic] = bucket }
        guard bucket.tokens > 0 else {
            bucket.suppressed += 1
            return nil
        }
        bucket.tokens -= 1
        defer { bucket.suppressed = 0 }
        return bucket.suppressed
    }
}

extension BrokerCore {
    /// Tells operators something, unless there is too much of it.
    mutating func notice(
        _ level: Notice.Level,
        _ topic: String,
        _ message: String,
        _ fields: [Attribute] = [],
        isCounted: Bool = true,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        // Hosts act on what they are told, so what concerns their instances is never held back.
        guard isCounted else {
            return outbox.notice(Notice(level: level, topic: topic, message: message, fields: fields))
        }
        guard let suppressed = notices.admit(topic, now: now) else {
            counters.noticesSuppressed &+= 1
            return
        }
        var fields = fields
        if suppressed > 0 { fields.append(Attribute(name: "suppressed", value: String(suppressed))) }
        outbox.notice(Notice(level: level, topic: topic, message: message, fields: fields))
    }
}
