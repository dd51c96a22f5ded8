// The verbs of the wire and the flags each may carry. Pure; the numbers are normative (docs/PROTOCOL.md, "Verbs").

/// What a frame asks or tells: the second byte of every header.
public enum Verb: UInt8, Sendable, CaseIterable {
    /// A peer's first word.
    case hello = 0x01
    /// The broker takes the peer in.
    case welcome = 0x02
    /// The broker does not take the peer in, or ends its session for a broken rule.
    case reject = 0x03
    /// Asks for a PONG.
    case ping = 0x04
    /// Answers a PING.
    case pong = 0x05
    /// Ends the session in good order.
    case bye = 0x06
    /// Holds several messages.
    case batch = 0x07

    /// Registers a service.
    case provide = 0x10
    /// Takes a registration back.
    case withdraw = 0x11
    /// Changes what a registration takes.
    case capacity = 0x12
    /// No new work.
    case drain = 0x13

    /// Asks for a method.
    case call = 0x20
    /// The worker is at the call.
    case accept = 0x21
    /// One element of a stream.
    case chunk = 0x22
    /// The good end of a request.
    case end = 0x23
    /// The bad end of a request.
    case fail = 0x24
    /// The worker has not begun the call and does not take it.
    case refuse = 0x25
    /// Stop.
    case cancel = 0x26
    /// A reader is ready for more.
    case credit = 0x27

    /// Asks for events.
    case subscribe = 0x30
    /// The subscription has begun.
    case subscribed = 0x31
    /// Ends a subscription.
    case unsubscribe = 0x32
    /// Hands an event to the broker.
    case publish = 0x33
    /// Delivers an event.
    case event = 0x34

    /// The verb as the specification, logs and metrics write it.
    public var name: String {
        switch self {
        case .hello: "HELLO"
        case .welcome: "WELCOME"
        case .reject: "REJECT"
        case .ping: "PING"
        case .pong: "PONG"
        case .bye: "BYE"
        case .batch: "BATCH"
        case .provide: "PROVIDE"
        case .withdraw: "WITHDRAW"
        case .capacity: "CAPACITY"
        case .drain: "DRAIN"
        case .call: "CALL"
        case .accept: "ACCEPT"
        case .chunk: "CHUNK"
        case .end: "END"
        case .fail: "FAIL"
        case .refuse: "REFUSE"
        case .cancel: "CANCEL"
        case .credit: "CREDIT"
        case .subscribe: "SUBSCRIBE"
        case .subscribed: "SUBSCRIBED"
        case .unsubscribe: "UNSUBSCRIBE"
        case .publish: "PUBLISH"
        case .event: "EVENT"
        }
    }
}

/// What is particular about one CALL.
public struct CallFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The caller sends CHUNKs after the CALL, the last of them with ``ChunkFlags/last``.
    public static let requestStream = CallFlags(rawValue: 1 << 0)
    /// The caller takes CHUNKs before the END.
    public static let replyStream = CallFlags(rawValue: 1 << 1)
    /// `service` names a capability, not a service.
    public static let byCapability = CallFlags(rawValue: 1 << 2)
    /// The method may run twice without harm; set by the broker on its way to the worker, from the worker's PROVIDE.
    public static let idempotent = CallFlags(rawValue: 1 << 3)
    static let known: CallFlags = [.requestStream, .replyStream, .byCapability, .idempotent]
}

/// What is particular about one CHUNK.
public struct ChunkFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The sender's direction ends with this chunk (request streams; a reply stream ends with END or FAIL).
    public static let last = ChunkFlags(rawValue: 1 << 0)
    static let known: ChunkFlags = [.last]
}

/// How a FAIL is to be understood.
public struct FailFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The same call may be made again, after the delay the FAIL names.
    public static let retryable = FailFlags(rawValue: 1 << 0)
    /// A worker may have done the work, or a part of it.
    public static let outcomeUnknown = FailFlags(rawValue: 1 << 1)
    /// The worker's method failed; without it, the broker ended the call.
    public static let fromWorker = FailFlags(rawValue: 1 << 2)
    static let known: FailFlags = [.retryable, .outcomeUnknown, .fromWorker]
}

/// What a method is like, told in PROVIDE.
public struct MethodFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The method may run twice without harm, so a call may be given to another worker when one is lost.
    public static let idempotent = MethodFlags(rawValue: 1 << 0)
    /// The method takes a stream of chunks.
    public static let requestStream = MethodFlags(rawValue: 1 << 1)
    /// The method answers with a stream of chunks.
    public static let replyStream = MethodFlags(rawValue: 1 << 2)
    static let known: MethodFlags = [.idempotent, .requestStream, .replyStream]
}

/// What a subscriber asks for beyond the events to come.
public struct SubscribeFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Deliver the last value of every matching topic first.
    public static let lastValue = SubscribeFlags(rawValue: 1 << 0)
    /// Replay what the broker's history holds after sequence `since`.
    public static let resume = SubscribeFlags(rawValue: 1 << 1)
    static let known: SubscribeFlags = [.lastValue, .resume]
}

/// What a publisher asks for.
public struct PublishFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Keep this event as the topic's last value.
    public static let retain = PublishFlags(rawValue: 1 << 0)
    /// Keep this event in the topic's bounded history.
    public static let history = PublishFlags(rawValue: 1 << 1)
    /// Answer with END when the event has been taken (a refusal is always answered with FAIL).
    public static let acknowledge = PublishFlags(rawValue: 1 << 2)
    static let known: PublishFlags = [.retain, .history, .acknowledge]
}

/// Where a delivered event comes from.
public struct EventFlags: OptionSet, Sendable, Hashable {
    /// The bits as they stand in the header.
    public let rawValue: UInt16
    /// Makes a set from the bits of a header.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The event is the topic's last value, delivered at subscription.
    public static let lastValue = EventFlags(rawValue: 1 << 0)
    /// The event comes from the history.
    public static let replay = EventFlags(rawValue: 1 << 1)
    static let known: EventFlags = [.lastValue, .replay]
}
