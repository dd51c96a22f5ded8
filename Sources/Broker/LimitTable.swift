// The limits by the names that the mesh file and the service `mesh` use, with their units. One list: a limit that is
// missing here cannot be set, which a test notices.

import BrokerCore
import ConfigDocument

/// The limits by name.
enum LimitTable {
    enum Unit: Sendable {
        case count, bytes, milliseconds
    }

    struct Entry: Sendable {
        let name: String
        let unit: Unit
        let range: ClosedRange<Int>
        let get: @Sendable (Limits) -> Int
        let set: @Sendable (inout Limits, Int) -> Void
    }

    private static let day = 86_400_000

    static let entries: [Entry] = [
        Entry("payload", .bytes, 1024...(64 << 20), { $0.payloadByteCount }, { $0.payloadByteCount = $1 }),
        Entry("sessions", .count, 1...1_000_000, { $0.sessionCount }, { $0.sessionCount = $1 }),
        Entry(
            "sessions-per-principal",
            .count,
            1...1_000_000,
            { $0.sessionCountPerPrincipal },
            { $0.sessionCountPerPrincipal = $1 }
        ),
        Entry("unwelcomed", .count, 1...65_536, { $0.unwelcomedCount }, { $0.unwelcomedCount = $1 }),
        Entry(
            "unwelcomed-per-peer",
            .count,
            1...65_536,
            { $0.unwelcomedCountPerPeer },
            { $0.unwelcomedCountPerPeer = $1 }
        ),
        Entry("hello", .milliseconds, 10...day, { Int($0.helloMilliseconds) }, { $0.helloMilliseconds = UInt64($1) }),
        Entry(
            "heartbeat",
            .milliseconds,
            10...60_000,
            { Int($0.heartbeatMilliseconds) },
            { $0.heartbeatMilliseconds = UInt32($1) }
        ),
        Entry("calls-per-session", .count, 1...1_000_000, { $0.callCountPerSession }, { $0.callCountPerSession = $1 }),
        Entry("calls", .count, 1...10_000_000, { $0.callCount }, { $0.callCount = $1 }),
        Entry("queue", .count, 0...1_000_000, { $0.queueCount }, { $0.queueCount = $1 }),
        Entry("queue-bytes", .bytes, 0...(1 << 40), { $0.queueByteCount }, { $0.queueByteCount = $1 }),
        Entry(
            "services-per-session",
            .count,
            1...65_536,
            { $0.serviceCountPerSession },
            { $0.serviceCountPerSession = $1 }
        ),
        Entry("registrations", .count, 1...1_000_000, { $0.registrationCount }, { $0.registrationCount = $1 }),
        Entry("capacity", .count, 1...1_000_000, { Int($0.capacity) }, { $0.capacity = UInt32($1) }),
        Entry(
            "subscriptions-per-session",
            .count,
            0...1_000_000,
            { $0.subscriptionCountPerSession },
            { $0.subscriptionCountPerSession = $1 }
        ),
        Entry("retained-topics", .count, 0...1_000_000, { $0.retainedTopicCount }, { $0.retainedTopicCount = $1 }),
        Entry("retained-bytes", .bytes, 0...(1 << 40), { $0.retainedByteCount }, { $0.retainedByteCount = $1 }),
        Entry("history", .count, 0...100_000, { $0.historyCount }, { $0.historyCount = $1 }),
        Entry("fan-out", .count, 1...1_000_000, { $0.fanOutCount }, { $0.fanOutCount = $1 }),
        Entry(
            "credit-messages",
            .count,
            1...1_000_000,
            { Int($0.creditMessageCount) },
            { $0.creditMessageCount = UInt32($1) }
        ),
        Entry(
            "credit-bytes",
            .bytes,
            1024...(1 << 30),
            { Int($0.creditByteCount) },
            { $0.creditByteCount = UInt32($1) }
        ),
        Entry("offences", .count, 1...1_000_000, { $0.offenceCount }, { $0.offenceCount = $1 }),
        Entry(
            "offence-window",
            .milliseconds,
            1...day,
            { Int($0.offenceWindowMilliseconds) },
            { $0.offenceWindowMilliseconds = UInt64($1) }
        ),
        Entry(
            "deadline",
            .milliseconds,
            1...day,
            { Int($0.unaryDeadlineMilliseconds) },
            { $0.unaryDeadlineMilliseconds = UInt32($1) }
        ),
        Entry(
            "maximum-deadline",
            .milliseconds,
            1...(30 * day),
            { Int($0.maximumDeadlineMilliseconds) },
            { $0.maximumDeadlineMilliseconds = UInt32($1) }
        ),
        Entry(
            "stream-clock",
            .milliseconds,
            1...day,
            { Int($0.streamClockMilliseconds) },
            { $0.streamClockMilliseconds = UInt32($1) }
        ),
        Entry(
            "accept",
            .milliseconds,
            10...day,
            { Int($0.acceptMilliseconds) },
            { $0.acceptMilliseconds = UInt64($1) }
        ),
        Entry(
            "cancel-grace",
            .milliseconds,
            10...day,
            { Int($0.cancelGraceMilliseconds) },
            { $0.cancelGraceMilliseconds = UInt64($1) }
        ),
        Entry(
            "cancel-loss",
            .milliseconds,
            10...day,
            { Int($0.cancelLossMilliseconds) },
            { $0.cancelLossMilliseconds = UInt64($1) }
        ),
        Entry(
            "cancels-per-session",
            .count,
            1...1_000_000,
            { $0.cancelCountPerSession },
            { $0.cancelCountPerSession = $1 }
        ),
        Entry(
            "refusal-pause",
            .milliseconds,
            1...day,
            { Int($0.refusalPauseMilliseconds) },
            { $0.refusalPauseMilliseconds = UInt64($1) }
        ),
        Entry(
            "held-bytes-per-principal",
            .bytes,
            1 << 20...1 << 40,
            { $0.heldByteCountPerPrincipal },
            { $0.heldByteCountPerPrincipal = $1 }
        ),
        Entry("held-bytes", .bytes, 1 << 20...1 << 40, { $0.heldByteCount }, { $0.heldByteCount = $1 }),
        Entry("refusals", .count, 0...1_000, { $0.refusalCount }, { $0.refusalCount = $1 }),
        Entry("reroutes", .count, 0...1_000, { $0.rerouteCount }, { $0.rerouteCount = $1 }),
        Entry(
            "registry-changes",
            .count,
            1...1_000_000,
            { $0.registryChangeCount },
            { $0.registryChangeCount = $1 }
        ),
        Entry("page", .count, 1...10_000, { $0.pageCount }, { $0.pageCount = $1 }),
        Entry("route-cache", .count, 1...10_000_000, { $0.routeCacheCount }, { $0.routeCacheCount = $1 }),
        Entry(
            "ticket",
            .milliseconds,
            100...day,
            { Int($0.ticketMilliseconds) },
            { $0.ticketMilliseconds = UInt64($1) }
        ),
        Entry(
            "return",
            .milliseconds,
            0...60_000,
            { Int($0.returnMilliseconds) },
            { $0.returnMilliseconds = UInt64($1) }
        ),
    ]

    /// Reads `limits:` of a mesh file.
    static func read(_ field: ConfigField, into limits: inout Limits) {
        let fields = field.mapping(entries.map(\.name))
        for entry in entries where fields[entry.name].isPresent {
            if let value = entry.read(fields[entry.name]) { entry.set(&limits, value) }
        }
    }

    /// Reads one limit that also has a place of its own in the mesh file.
    static func read(_ name: String, _ field: ConfigField, into limits: inout Limits) {
        guard let entry = entries.first(where: { $0.name == name }), let value = entry.read(field) else { return }
        entry.set(&limits, value)
    }
}

extension LimitTable.Entry {
    init(
        _ name: String,
        _ unit: LimitTable.Unit,
        _ range: ClosedRange<Int>,
        _ get: @escaping @Sendable (Limits) -> Int,
        _ set: @escaping @Sendable (inout Limits, Int) -> Void
    ) {
        self.init(name: name, unit: unit, range: range, get: get, set: set)
    }

    func read(_ field: ConfigField) -> Int? {
        switch unit {
        case .count: field.integer(in: range)
        case .bytes: field.byteCount(in: range)
        case .milliseconds:
            field.duration(in: .milliseconds(range.lowerBound) ... .milliseconds(range.upperBound)).map {
                Int($0.components.seconds) * 1_000 + Int($0.components.attoseconds / 1_000_000_000_000_000)
            }
        }
    }
}
