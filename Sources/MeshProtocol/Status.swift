// The status registry: how a call, a request or a session ended. Pure; the numbers are normative (docs/PROTOCOL.md, "Status").

/// How something ended.
///
/// The numbers 0–16 are those of gRPC, so that gateways need no table.
public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number on the wire.
    public let rawValue: UInt16
    /// Takes any number: one that this version does not know is shown as `STATUS_n` and treated as `UNKNOWN`.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// It went well.
    public static let ok = Status(rawValue: 0)
    /// The caller, an operator or the caller's end cancelled it.
    public static let cancelled = Status(rawValue: 1)
    /// A failure that fits nothing else.
    public static let unknown = Status(rawValue: 2)
    /// The request itself is wrong, whatever the state of the mesh.
    public static let invalidArgument = Status(rawValue: 3)
    /// One of the call's clocks ran out.
    public static let deadlineExceeded = Status(rawValue: 4)
    /// No such service, method, version, topic or call.
    public static let notFound = Status(rawValue: 5)
    /// The name or id is taken.
    public static let alreadyExists = Status(rawValue: 6)
    /// The principal may not do this.
    public static let permissionDenied = Status(rawValue: 7)
    /// A limit or a queue is full; try again later.
    public static let resourceExhausted = Status(rawValue: 8)
    /// The mesh is not in the state that this needs.
    public static let failedPrecondition = Status(rawValue: 9)
    /// It was overtaken by something else.
    public static let aborted = Status(rawValue: 10)
    /// A value is past its end.
    public static let outOfRange = Status(rawValue: 11)
    /// The method does not exist at the provider.
    public static let unimplemented = Status(rawValue: 12)
    /// A fault in the provider or the broker.
    public static let `internal` = Status(rawValue: 13)
    /// No provider can take it now, or the provider was lost.
    public static let unavailable = Status(rawValue: 14)
    /// Data was lost beyond repair.
    public static let dataLoss = Status(rawValue: 15)
    /// The peer did not prove who it is.
    public static let unauthenticated = Status(rawValue: 16)
    /// The peer broke the protocol.
    public static let protocolError = Status(rawValue: 17)

    /// Every status of the registry, in the order of its number.
    public static let registry: [(status: Status, name: String)] = [
        (.ok, "OK"), (.cancelled, "CANCELLED"), (.unknown, "UNKNOWN"), (.invalidArgument, "INVALID_ARGUMENT"),
        (.deadlineExceeded, "DEADLINE_EXCEEDED"), (.notFound, "NOT_FOUND"), (.alreadyExists, "ALREADY_EXISTS"),
        (.permissionDenied, "PERMISSION_DENIED"), (.resourceExhausted, "RESOURCE_EXHAUSTED"),
        (.failedPrecondition, "FAILED_PRECONDITION"), (.aborted, "ABORTED"), (.outOfRange, "OUT_OF_RANGE"),
        (.unimplemented, "UNIMPLEMENTED"), (.internal, "INTERNAL"), (.unavailable, "UNAVAILABLE"),
        (.dataLoss, "DATA_LOSS"), (.unauthenticated, "UNAUTHENTICATED"), (.protocolError, "PROTOCOL_ERROR"),
    ]

    /// The name as the specification, logs and metrics write it, `DEADLINE_EXCEEDED` for example.
    public var description: String {
        Int(rawValue) < Self.registry.count ? Self.registry[Int(rawValue)].name : "STATUS_\(rawValue)"
    }
}

/// Which of a call's clocks ran out.
public enum Clock: UInt8, Sendable, CaseIterable {
    /// No clock: the call ended otherwise.
    case none = 0
    /// The whole call.
    case total = 1
    /// The wait in the broker for a free worker.
    case queue = 2
    /// The wait for the first chunk of a stream.
    case firstChunk = 3
    /// The gap between two chunks of a stream.
    case idle = 4

    /// The name that sentences and logs show.
    public var name: String {
        switch self {
        case .none: "none"
        case .total: "total"
        case .queue: "queue"
        case .firstChunk: "firstChunk"
        case .idle: "idle"
        }
    }
}

/// Where a call was when it ended.
public enum CallPhase: UInt8, Sendable, CaseIterable {
    /// It had not been taken in.
    case none = 0
    /// It waited in the broker.
    case queued = 1
    /// It had been given to a worker that had not accepted it.
    case dispatched = 2
    /// A worker was at it.
    case accepted = 3
    /// Chunks had been delivered.
    case streaming = 4

    /// The name that sentences and logs show.
    public var name: String {
        switch self {
        case .none: "none"
        case .queued: "queued"
        case .dispatched: "dispatched"
        case .accepted: "accepted"
        case .streaming: "streaming"
        }
    }
}

/// How urgent a call is: calls of a higher band leave the queue first.
public enum Band: UInt8, Sendable, CaseIterable, Comparable {
    /// Work that can wait.
    case background = 0
    /// The default.
    case normal = 1
    /// Somebody is waiting at a screen.
    case interactive = 2

    /// Orders bands by urgency.
    public static func < (left: Band, right: Band) -> Bool { left.rawValue < right.rawValue }
}

/// What a payload holds; the broker carries it and never looks inside.
public struct ContentType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire; 0x8000 and above are for private use.
    public let rawValue: UInt16
    /// Takes any number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Bytes whose meaning caller and provider know.
    public static let bytes = ContentType(rawValue: 0)
    /// JSON (RFC 8259), UTF-8.
    public static let json = ContentType(rawValue: 1)
    /// Text in UTF-8.
    public static let text = ContentType(rawValue: 2)
    /// CBOR (RFC 8949).
    public static let cbor = ContentType(rawValue: 3)
    /// MessagePack.
    public static let messagePack = ContentType(rawValue: 4)
    /// Protocol Buffers.
    public static let protobuf = ContentType(rawValue: 5)
}
