// What the tests of this room share: moments, and headers read back from frames.

import MeshProtocol
import Testing

@testable import MeshClient

/// A moment, in milliseconds of the tests' own time.
func at(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: milliseconds * 1_000_000) }

/// A request id.
func request(_ number: UInt64) throws -> RequestID { try #require(RequestID(rawValue: number)) }

/// A lease.
func lease(_ number: UInt32) -> WireID { LeaseID(index: number, generation: 1).wire }

extension Frame {
    /// The header, read back.
    var decoded: Header {
        get throws { try Header.decode(header) }
    }
}

/// Frames in words, for lists of actions that can be read.
enum Words {
    static func of(_ frame: Frame) throws -> String {
        let body = frame.body.map { " " + String(decoding: $0, as: UTF8.self) } ?? ""
        switch try frame.decoded {
        case .chunk(let chunk):
            let last = chunk.flags.contains(.last) ? " last" : ""
            return "CHUNK \(number(chunk.id)) #\(chunk.sequence)\(last)\(body)"
        case .credit(let grant):
            return "CREDIT \(number(grant.id)) \(grant.credit.messages)/\(grant.credit.bytes)"
        case .accept(let accept):
            return "ACCEPT \(number(accept.id)) \(accept.credit.messages)/\(accept.credit.bytes)"
        case .refuse(let refuse): return "REFUSE \(number(refuse.id)) \(refuse.status)"
        case .fail(let fail): return "FAIL \(number(fail.id)) \(fail.status) \(fail.flags.rawValue)"
        case .subscribe(let subscribe):
            let credit = "\(subscribe.credit.messages)/\(subscribe.credit.bytes)"
            return "SUBSCRIBE \(subscribe.id) \(subscribe.flags.rawValue) \(credit) since \(subscribe.since)"
        case .capacity(let capacity): return "CAPACITY \(capacity.id) \(capacity.capacity) \(capacity.weight)"
        default:
            let prefix = try frame.header.span.bytes.withUnsafeBytes { try HeaderPrefix.decode($0) }
            return "\(prefix.verb.name) \(number(prefix.id))\(body)"
        }
    }

    private static func number(_ id: WireID) -> String {
        LeaseID(id).map { "lease \($0.index)" } ?? "\(id.rawValue)"
    }
}

/// Waits until the task is cancelled.
func untilCancelled() async throws {
    let (nothing, continuation) = AsyncStream<Never>.makeStream()
    for await _ in nothing {}
    continuation.finish()
    try Task.checkCancellation()
}
