// Random headers from a seed: every field of every verb takes its edges as well as what lies between.

import MeshProtocol

/// A small generator with a seed, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// Makes headers.
struct HeaderMaker {
    var generator: SeededGenerator
    private static let characters = Array("abcXYZ019-_.* \u{0}\n\"éßλЖ語🧙\u{301}")

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func number<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value {
        switch generator.next() % 8 {
        case 0: 0
        case 1: .max
        case 2: 1
        default: Value(truncatingIfNeeded: generator.next() >> (generator.next() % 64))
        }
    }

    mutating func text(_ maximum: Int, required: Bool = false) -> String {
        let longest = generator.next() % 16 == 0 ? maximum : Swift.min(maximum, 24)
        let count = Int.random(in: (required ? 1 : 0)...longest, using: &generator)
        var text = ""
        while text.utf8.count < count {
            let character = Self.characters.randomElement(using: &generator) ?? "a"
            text.append(text.utf8.count + character.utf8.count <= count ? character : "a")
        }
        return text
    }

    mutating func name(required: Bool = false) -> String { text(WireLimits.nameByteCount, required: required) }
    mutating func sentence() -> String { text(WireLimits.messageByteCount) }
    mutating func id() -> WireID { WireID(rawValue: number()) }
    mutating func status() -> Status { Status(rawValue: number()) }
    mutating func failure() -> Status { Status(rawValue: Swift.max(1, number())) }
    mutating func content() -> ContentType { ContentType(rawValue: number()) }
    mutating func credit() -> Credit { Credit(messages: number(), bytes: number()) }
    mutating func choice<Value: CaseIterable>(_ type: Value.Type = Value.self, else value: Value) -> Value {
        Value.allCases.randomElement(using: &generator) ?? value
    }

    mutating func request() -> RequestID {
        while true {
            if let request = RequestID(rawValue: number(UInt64.self) & ~WireID.leaseBit) { return request }
        }
    }

    mutating func list<Element>(_ maximum: Int, _ make: (inout HeaderMaker) -> Element) -> [Element] {
        let longest = generator.next() % 32 == 0 ? maximum : 3
        return (0..<Int.random(in: 0...longest, using: &generator)).map { _ in make(&self) }
    }

    mutating func header(_ verb: Verb) -> Header {
        switch verb {
        case .hello, .welcome, .reject, .ping, .pong, .bye, .batch: session(verb)
        case .provide, .withdraw, .capacity, .drain: registry(verb)
        case .call: .call(call())
        case .accept, .chunk, .end, .fail, .refuse, .cancel, .credit: progress(verb)
        case .subscribe, .subscribed, .unsubscribe, .publish, .event: event(verb)
        }
    }

    private mutating func session(_ verb: Verb) -> Header {
        switch verb {
        case .hello:
            .hello(
                Hello(
                    minimumVersion: ProtocolVersion(rawValue: number()),
                    maximumVersion: ProtocolVersion(rawValue: number()),
                    lastEpoch: number(),
                    name: name(required: true),
                    version: text(WireLimits.versionByteCount),
                    instance: name(),
                    ticket: text(WireLimits.ticketByteCount),
                    sdk: name(),
                    batchByteCount: number()
                )
            )
        case .welcome:
            .welcome(
                Welcome(
                    version: ProtocolVersion(rawValue: number()),
                    epoch: number(),
                    session: number(),
                    heartbeatMilliseconds: number(),
                    maximumPayloadByteCount: number(),
                    maximumCallCount: number(),
                    principal: name(),
                    ticket: text(WireLimits.ticketByteCount),
                    broker: name(),
                    batchByteCount: number()
                )
            )
        case .reject: .reject(Reject(status: failure(), retryAfterMilliseconds: number(), message: sentence()))
        case .ping: .ping(Ping(nonce: number()))
        case .pong: .pong(Pong(nonce: number()))
        case .batch: .batch(Batch())
        default: .bye(Bye(status: status(), reason: sentence()))
        }
    }

    private mutating func registry(_ verb: Verb) -> Header {
        switch verb {
        case .provide:
            .provide(
                Provide(
                    id: request(),
                    contentType: content(),
                    capacity: number(),
                    weight: number(),
                    service: name(required: true),
                    version: text(WireLimits.versionByteCount, required: true),
                    methods: list(40) { $0.method() },
                    attributes: list(WireLimits.attributeCount) { make in
                        Attribute(name: make.name(required: true), value: make.text(WireLimits.valueByteCount))
                    },
                    capabilities: list(WireLimits.capabilityCount) { $0.name(required: true) }
                )
            )
        case .withdraw: .withdraw(Withdraw(id: request()))
        case .capacity: .capacity(Capacity(id: request(), capacity: number(), weight: number()))
        default: .drain(Drain(id: id(), graceMilliseconds: number(), reason: sentence()))
        }
    }

    private mutating func method() -> MethodDescription {
        MethodDescription(
            name: name(required: true),
            flags: MethodFlags(rawValue: number() & 0b111),
            deadlineMilliseconds: number(),
            permissions: list(4) { $0.name(required: true) }
        )
    }

    mutating func call() -> CallHeader {
        CallHeader(
            flags: CallFlags(rawValue: number() & 0b1111),
            contentType: content(),
            id: WireID(rawValue: Swift.max(1, number())),
            clocks: CallClocks(total: number(), queue: number(), firstChunk: number(), idle: number()),
            credit: credit(),
            cost: number(),
            band: choice(else: .normal),
            hops: number(),
            parent: id(),
            trace: TraceContext(traceHigh: number(), traceLow: number(), span: number(), flags: number()),
            service: name(required: true),
            range: text(WireLimits.versionByteCount),
            method: name(),
            affinity: text(WireLimits.valueByteCount),
            conditions: text(WireLimits.valueByteCount),
            caller: name()
        )
    }

    private mutating func progress(_ verb: Verb) -> Header {
        switch verb {
        case .accept: .accept(Accept(id: id(), credit: credit()))
        case .chunk:
            .chunk(
                Chunk(
                    flags: ChunkFlags(rawValue: number() & 0b1),
                    contentType: content(),
                    id: id(),
                    sequence: number()
                )
            )
        case .end:
            .end(
                End(
                    contentType: content(),
                    id: id(),
                    queuedMicroseconds: number(),
                    serviceMicroseconds: number(),
                    provider: number()
                )
            )
        case .fail:
            .fail(
                Fail(
                    flags: FailFlags(rawValue: number() & 0b111),
                    contentType: content(),
                    status: failure(),
                    id: id(),
                    retryAfterMilliseconds: number(),
                    clock: choice(else: .none),
                    phase: choice(else: .none),
                    origin: name(),
                    message: sentence(),
                    hint: sentence()
                )
            )
        case .refuse:
            .refuse(Refuse(status: failure(), id: id(), retryAfterMilliseconds: number(), message: sentence()))
        case .cancel: .cancel(Cancel(status: status(), id: id(), reason: sentence()))
        default: .credit(CreditGrant(id: id(), credit: credit()))
        }
    }

    private mutating func event(_ verb: Verb) -> Header {
        switch verb {
        case .subscribe:
            .subscribe(
                Subscribe(
                    flags: SubscribeFlags(rawValue: number() & 0b11),
                    id: request(),
                    credit: credit(),
                    history: number(),
                    since: number(),
                    pattern: text(WireLimits.topicByteCount, required: true)
                )
            )
        case .subscribed: .subscribed(Subscribed(id: request(), sequence: number(), missed: number()))
        case .unsubscribe: .unsubscribe(Unsubscribe(id: request()))
        case .publish:
            .publish(
                PublishHeader(
                    flags: PublishFlags(rawValue: number() & 0b111),
                    contentType: content(),
                    id: request(),
                    topic: text(WireLimits.topicByteCount, required: true)
                )
            )
        default:
            .event(
                Event(
                    flags: EventFlags(rawValue: number() & 0b11),
                    contentType: content(),
                    id: request(),
                    numbers: EventNumbers(
                        sequence: number(),
                        delivery: number(),
                        dropped: number(),
                        timestamp: number()
                    ),
                    topic: text(WireLimits.topicByteCount, required: true),
                    publisher: name()
                )
            )
        }
    }
}
