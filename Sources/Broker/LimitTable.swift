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
        Entry("payload", .bytes, 1024...(64 << 20), \.payloadByteCount),
        Entry("sessions", .count, 1...1_000_000, \.sessionCount),
        Entry("sessions-per-principal", .count, 1...1_000_000, \.sessionCountPerPrincipal),
        Entry("unwelcomed", .count, 1...65_536, \.unwelcomedCount),
        Entry("unwelcomed-per-peer", .count, 1...65_536, \.unwelcomedCountPerPeer),
        Entry("hello", .milliseconds, 10...day, \.helloMilliseconds),
        Entry("heartbeat", .milliseconds, 10...60_000, \.heartbeatMilliseconds),
        Entry("calls-per-session", .count, 1...1_000_000, \.callCountPerSession),
        Entry("calls", .count, 1...10_000_000, \.callCount),
        Entry("queue", .count, 0...1_000_000, \.queueCount),
        Entry("queue-bytes", .bytes, 0...(1 << 40), \.queueByteCount),
        Entry("services-per-session", .count, 1...65_536, \.serviceCountPerSession),
        Entry("registrations", .count, 1...1_000_000, \.registrationCount),
        Entry("capacity", .count, 1...1_000_000, \.capacity),
        Entry("subscriptions-per-session", .count, 0...1_000_000, \.subscriptionCountPerSession),
        Entry("retained-topics", .count, 0...1_000_000, \.retainedTopicCount),
        Entry("retained-bytes", .bytes, 0...(1 << 40), \.retainedByteCount),
        Entry("history", .count, 0...100_000, \.historyCount),
        Entry("fan-out", .count, 1...1_000_000, \.fanOutCount),
        Entry("credit-messages", .count, 1...1_000_000, \.creditMessageCount),
        Entry("credit-bytes", .bytes, 1024...(1 << 30), \.creditByteCount),
        Entry("offences", .count, 1...1_000_000, \.offenceCount),
        Entry("offence-window", .milliseconds, 1...day, \.offenceWindowMilliseconds),
        Entry("deadline", .milliseconds, 1...day, \.unaryDeadlineMilliseconds),
        Entry("maximum-deadline", .milliseconds, 1...(30 * day), \.maximumDeadlineMilliseconds),
        Entry("stream-clock", .milliseconds, 1...day, \.streamClockMilliseconds),
        Entry("accept", .milliseconds, 10...day, \.acceptMilliseconds),
        Entry("cancel-grace", .milliseconds, 10...day, \.cancelGraceMilliseconds),
        Entry("cancel-loss", .milliseconds, 10...day, \.cancelLossMilliseconds),
        Entry("cancels-per-session", .count, 1...1_000_000, \.cancelCountPerSession),
        Entry("refusal-pause", .milliseconds, 1...day, \.refusalPauseMilliseconds),
        Entry("held-bytes-per-principal", .bytes, (1 << 20)...(1 << 40), \.heldByteCountPerPrincipal),
        Entry("held-bytes", .bytes, (1 << 20)...(1 << 40), \.heldByteCount),
        Entry("refusals", .count, 0...1_000, \.refusalCount),
        Entry("reroutes", .count, 0...1_000, \.rerouteCount),
        Entry("registry-changes", .count, 1...1_000_000, \.registryChangeCount),
        Entry("page", .count, 1...10_000, \.pageCount),
        Entry("route-cache", .count, 1...10_000_000, \.routeCacheCount),
        Entry("ticket", .milliseconds, 100...day, \.ticketMilliseconds),
        Entry("tickets", .count, 1...10_000_000, \.ticketCount),
        Entry("return", .milliseconds, 0...60_000, \.returnMilliseconds),
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
    init<Value: FixedWidthInteger & SendableMetatype>(
        _ name: String,
        _ unit: LimitTable.Unit,
        _ range: ClosedRange<Int>,
        _ limit: any WritableKeyPath<Limits, Value> & Sendable
    ) {
        self.init(
            name: name,
            unit: unit,
            range: range,
            get: { Int($0[keyPath: limit]) },
            set: { $0[keyPath: limit] = Value($1) }
        )
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
