// What has happened since the broker started, as numbers that only grow.

import MeshProtocol

/// The broker's counters.
public struct Counters: Encodable, Sendable, Hashable {
    /// How a session ended.
    public enum Cause: Int, CaseIterable, Sendable, Hashable {
        /// BYE from the peer.
        case left
        /// The connection broke.
        case disconnected
        /// It was silent for four heartbeats.
        case silent
        /// It broke rules.
        case offences
        /// It never read what was sent to it.
        case overflow
        /// It did not acknowledge that calls were cancelled.
        case deaf
        /// Its process ended.
        case processEnded
        /// An operator ended it, or its drain took too long.
        case kicked
        /// The broker shut down.
        case shutdown

        /// The name that notices and metrics show.
        public var name: String {
            switch self {
            case .left: "left"
            case .disconnected: "disconnected"
            case .silent: "silent"
            case .offences: "offences"
            case .overflow: "overflow"
            case .deaf: "deaf"
            case .processEnded: "process-ended"
            case .kicked: "kicked"
            case .shutdown: "shutdown"
            }
        }
    }

    /// A broken rule.
    public enum Offence: Int, CaseIterable, Sendable, Hashable {
        /// A header that cannot be decoded.
        case undecodable
        /// Too many frames, an empty message, a payload over the limit.
        case framing
        /// A verb that a peer may not send, or not now.
        case unexpectedVerb
        /// A request id that is live.
        case duplicateID
        /// A chunk without credit.
        case overdraw
        /// A gap in a stream.
        case sequence
        /// A chunk for a call without that stream.
        case noStream
        /// Credit or a clock out of range, a name that breaks the grammar.
        case malformed

        /// The name that metrics show.
        public var name: String {
            switch self {
            case .undecodable: "undecodable"
            case .framing: "framing"
            case .unexpectedVerb: "unexpected-verb"
            case .duplicateID: "duplicate-id"
            case .overdraw: "overdraw"
            case .sequence: "sequence"
            case .noStream: "no-stream"
            case .malformed: "malformed"
            }
        }
    }

    /// Frames taken in.
    public var framesIn: UInt64 = 0
    /// Frames given out.
    public var framesOut: UInt64 = 0
    /// CALLs taken in, refused ones included.
    public var calls: UInt64 = 0
    /// Calls that ended with END.
    public var ends: UInt64 = 0
    /// Calls that ended with FAIL, by status.
    public private(set) var fails: [UInt64] = Array(repeating: 0, count: Status.registry.count)
    /// Requests other than calls that were refused, and registrations and subscriptions that the policy ended.
    public var requestsDeclined: UInt64 = 0
    /// Calls given to another worker.
    public var reroutes: UInt64 = 0
    /// REFUSEs.
    public var refusals: UInt64 = 0
    /// Frames for calls that had ended, dropped.
    public var lateFrames: UInt64 = 0
    /// Chunks forwarded.
    public var chunks: UInt64 = 0
    /// Events taken in.
    public var eventsIn: UInt64 = 0
    /// Events delivered.
    public var eventsOut: UInt64 = 0
    /// Events dropped for want of credit.
    public var eventsDropped: UInt64 = 0
    /// Requests that the policy denied.
    public var denied: UInt64 = 0
    /// Clocks that ran out.
    public var deadlines: UInt64 = 0
    /// Requests refused because a limit or a queue was full.
    public var exhausted: UInt64 = 0
    /// Requests refused and sessions ended because no more bytes may be held.
    public var overBudget: UInt64 = 0
    /// Notices that were held back because there were too many.
    public var noticesSuppressed: UInt64 = 0
    /// Sessions welcomed.
    public var sessionsOpened: UInt64 = 0
    /// Connections rejected before WELCOME.
    public var sessionsRejected: UInt64 = 0
    /// Sessions ended, by cause.
    public private(set) var sessionsClosed: [UInt64] = Array(repeating: 0, count: Cause.allCases.count)
    /// Offences by kind.
    public private(set) var offences: [UInt64] = Array(repeating: 0, count: Offence.allCases.count)

    /// Everything at zero.
    public init() {}

    mutating func failed(_ status: Status) {
        let index = Int(status.rawValue)
        fails[index < fails.count ? index : Int(Status.unknown.rawValue)] &+= 1
    }
    mutating func closed(_ cause: Cause) { sessionsClosed[cause.rawValue] &+= 1 }
    mutating func offended(_ offence: Offence) { offences[offence.rawValue] &+= 1 }

    private enum Key: String, CodingKey {
        case framesIn, framesOut, calls, ends, fails, requestsDeclined, reroutes, refusals, lateFrames, chunks
        case eventsIn, eventsOut, eventsDropped, denied, deadlines, exhausted, overBudget, noticesSuppressed
        case sessionsOpened, sessionsRejected, sessionsClosed, offences
    }

    /// Writes the counters, those by kind as objects with the kinds' names.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(framesIn, forKey: .framesIn)
        try container.encode(framesOut, forKey: .framesOut)
        try container.encode(calls, forKey: .calls)
        try container.encode(ends, forKey: .ends)
        try container.encode(failsByName, forKey: .fails)
        try container.encode(requestsDeclined, forKey: .requestsDeclined)
        try container.encode(reroutes, forKey: .reroutes)
        try container.encode(refusals, forKey: .refusals)
        try container.encode(lateFrames, forKey: .lateFrames)
        try container.encode(chunks, forKey: .chunks)
        try container.encode(eventsIn, forKey: .eventsIn)
        try container.encode(eventsOut, forKey: .eventsOut)
        try container.encode(eventsDropped, forKey: .eventsDropped)
        try container.encode(denied, forKey: .denied)
        try container.encode(deadlines, forKey: .deadlines)
        try container.encode(exhausted, forKey: .exhausted)
        try container.encode(overBudget, forKey: .overBudget)
        try container.encode(noticesSuppressed, forKey: .noticesSuppressed)
        try container.encode(sessionsOpened, forKey: .sessionsOpened)
        try container.encode(sessionsRejected, forKey: .sessionsRejected)
        try container.encode(sessionsClosedByName, forKey: .sessionsClosed)
        try container.encode(offencesByName, forKey: .offences)
    }

    /// Failed calls by the name of their status; every status is there.
    public var failsByName: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: zip(Status.registry.map(\.name), fails))
    }
    /// Ended sessions by the name of the cause.
    public var sessionsClosedByName: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: zip(Cause.allCases.map(\.name), sessionsClosed))
    }
    /// Offences by the name of the kind.
    public var offencesByName: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: zip(Offence.allCases.map(\.name), offences))
    }
}
