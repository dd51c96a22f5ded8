// The administration of one broker, on its own thread: answers calls to the service `mesh`, logs and publishes notices,
// turns values into JSON. Talks to the mesh thread through its mailbox alone.

import BrokerCore
import CLinuxShims
import FoundationEssentials
import Logging
import MeshProtocol
import Synchronization
import ZeroMQ

/// The administration of one broker.
final class Office: Sendable {
    /// What does not change while the broker serves, except the endpoints, which are known once it listens.
    struct Facts: Sendable {
        var mesh: String
        var epoch: UInt64
        var endpoints: [String] = []
        var publicKey: String?
        var meshFilePath: String?
        var startedNanoseconds: Int64
    }

    /// The broker's name and version, as peers see it.
    static let brokerName = "wizmesh/0.1.0"

    let mailbox: Mailbox
    let workbench: Workbench
    let logger: Logger
    let facts: Mutex<Facts>
    /// Reads the mesh file again; set by the broker that owns both.
    let reload = Mutex<(@Sendable (String) throws -> [String])?>(nil)
    /// How many connections the door refused; set by the broker that owns both.
    let countRefusals = Mutex<(@Sendable () -> UInt64)?>(nil)
    /// Lets keys in over tcp for their tickets; set by the broker that owns both.
    let admitKeys = Mutex<(@Sendable (Set<String>) -> Void)?>(nil)
    private let noticesLost = Atomic<UInt64>(0)

    init(mailbox: Mailbox, workbench: Workbench, logger: Logger, facts: Facts) {
        self.mailbox = mailbox
        self.workbench = workbench
        self.logger = logger
        self.facts = Mutex(facts)
    }

    /// Notices that were dropped because too many waited.
    var lostNoticeCount: UInt64 { noticesLost.load(ordering: .relaxed) }

    /// Connections refused at the door so far.
    func refusalCount() -> UInt64 { countRefusals.withLock { $0 }?() ?? 0 }

    /// Takes a call to the service `mesh`; false when there is no room for it.
    func answer(_ call: AdministrativeCall, arguments: [UInt8]) -> Bool {
        workbench.post { [self] in
            do throws(Refusal) {
                guard let answer = try MeshService(office: self).answer(call, arguments: arguments) else { return }
                reply(answer, to: call.lease)
            } catch {
                mailbox.post { loop in
                    loop.core.refuse(call.lease, with: error.failure, now: loop.now, into: &loop.outbox)
                }
            }
        }
    }

    private func reply(_ answer: MeshService.Answer, to lease: LeaseID) {
        mailbox.post { loop in
            guard answer.bytes.count <= loop.core.limits.payloadByteCount else {
                let failure = Failure(
                    .outOfRange,
                    message: "the answer has \(answer.bytes.count) bytes, more than a payload may have",
                    hint: "ask for less at a time with \"limit\""
                )
                loop.core.refuse(lease, with: failure, now: loop.now, into: &loop.outbox)
                return
            }
            let body = loop.wire.slab.insert(Message(copying: answer.bytes))
            loop.core.answer(
                lease,
                body: body,
                byteCount: answer.bytes.count,
                contentType: answer.contentType,
                now: loop.now,
                into: &loop.outbox
            )
        }
    }

    /// Makes a piece of a watcher's stream; false when there is no room.
    func make(_ piece: WatchPiece, for lease: LeaseID) -> Bool {
        workbench.post { [self] in
            let json: [UInt8]
            switch piece {
            case .services(let services, let revision, let isLast):
                json = encoded(WatchSnapshot(revision: revision, services: services, more: isLast ? nil : true))
            case .changes(let changes, let revision):
                json = encoded(WatchChanges(revision: revision, changes: changes))
            }
            mailbox.post { loop in loop.tellWatcher(lease, json) }
        }
    }

    /// Logs a notice and publishes it under its topic.
    func tell(_ notice: Notice) {
        let isTaken = workbench.post { [self] in
            logger.log(level: notice.level.logLevel, "\(notice.message)", metadata: notice.metadata)
            publish(notice)
        }
        if !isTaken { noticesLost.add(1, ordering: .relaxed) }
    }

    private func publish(_ notice: Notice) {
        let event = NoticeEvent(
            level: notice.level.logLevel.rawValue,
            message: notice.message,
            fields: Dictionary(notice.fields.map { ($0.name, $0.value) }) { $1 },
            time: Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        )
        let json = encoded(event)
        mailbox.post { loop in
            let body = loop.wire.slab.insert(Message(copying: json))
            loop.core.publish(
                topic: notice.topic,
                body: body,
                byteCount: json.count,
                contentType: .json,
                history: true,
                now: loop.now,
                into: &loop.outbox
            )
        }
    }
}

/// A value as JSON, with its keys in order.
func encoded(_ value: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return Array("{}".utf8) }
    return Array(data)
}

private struct WatchSnapshot: Encodable {
    var revision: UInt64
    var services: [ServiceSnapshot]
    var more: Bool?
}

private struct WatchChanges: Encodable {
    var revision: UInt64
    var changes: [RegistryChange]
}

private struct NoticeEvent: Encodable {
    var level: String
    var message: String
    var fields: [String: String]
    var time: String
}

extension Notice {
    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = ["topic": "\(topic)"]
        for field in fields { metadata[field.name] = "\(field.value)" }
        return metadata
    }
}

extension Notice.Level {
    var logLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        }
    }
}
