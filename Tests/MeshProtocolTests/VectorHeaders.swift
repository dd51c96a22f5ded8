// Makes the header that a vector's fields describe.

import MeshProtocol

extension Header {
    /// Makes a header of a verb from a vector's fields.
    init(_ verb: Verb, _ fields: VectorFields) throws {
        switch verb {
        case .hello, .welcome, .reject, .ping, .pong, .bye, .batch: self = try Self.session(verb, fields)
        case .provide, .withdraw, .capacity, .drain: self = try Self.registry(verb, fields)
        case .call: self = .call(try Self.call(fields))
        case .accept, .chunk, .end, .fail, .refuse, .cancel, .credit: self = try Self.progress(verb, fields)
        case .subscribe, .subscribed, .unsubscribe, .publish, .event: self = try Self.event(verb, fields)
        }
    }

    private static func session(_ verb: Verb, _ fields: VectorFields) throws -> Header {
        switch verb {
        case .hello:
            .hello(
                Hello(
                    minimumVersion: ProtocolVersion(rawValue: try fields.number("minimumVersion")),
                    maximumVersion: ProtocolVersion(rawValue: try fields.number("maximumVersion")),
                    lastEpoch: try fields.long("lastEpoch"),
                    name: try fields.text("name"),
                    version: try fields.text("version"),
                    instance: try fields.text("instance"),
                    ticket: try fields.text("ticket"),
                    sdk: try fields.text("sdk"),
                    batchByteCount: try fields.number("batchByteCount")
                )
            )
        case .welcome:
            .welcome(
                Welcome(
                    version: ProtocolVersion(rawValue: try fields.number("version")),
                    epoch: try fields.long("epoch"),
                    session: try fields.long("session"),
                    heartbeatMilliseconds: try fields.number("heartbeatMilliseconds"),
                    maximumPayloadByteCount: try fields.number("maximumPayloadByteCount"),
                    maximumCallCount: try fields.number("maximumCallCount"),
                    principal: try fields.text("principal"),
                    ticket: try fields.text("ticket"),
                    broker: try fields.text("broker"),
                    batchByteCount: try fields.number("batchByteCount")
                )
            )
        case .reject:
            .reject(
                Reject(
                    status: try fields.status,
                    retryAfterMilliseconds: try fields.number("retryAfterMilliseconds"),
                    message: try fields.text("message")
                )
            )
        case .ping: .ping(Ping(nonce: try fields.long("id")))
        case .pong: .pong(Pong(nonce: try fields.long("id")))
        case .batch: .batch(Batch())
        default: .bye(Bye(status: try fields.status, reason: try fields.text("reason")))
        }
    }

    private static func registry(_ verb: Verb, _ fields: VectorFields) throws -> Header {
        switch verb {
        case .provide: .provide(try provide(fields))
        case .withdraw: .withdraw(Withdraw(id: try fields.request))
        case .capacity:
            .capacity(
                Capacity(
                    id: try fields.request,
                    capacity: try fields.number("capacity"),
                    weight: try fields.number("weight")
                )
            )
        default:
            .drain(
                Drain(
                    id: try fields.id,
                    graceMilliseconds: try fields.number("graceMilliseconds"),
                    reason: try fields.text("reason")
                )
            )
        }
    }

    private static func provide(_ fields: VectorFields) throws -> Provide {
        Provide(
            id: try fields.request,
            contentType: try fields.contentType,
            capacity: try fields.number("capacity"),
            weight: try fields.number("weight"),
            service: try fields.text("service"),
            version: try fields.text("version"),
            methods: try fields.list("methods").map { method in
                MethodDescription(
                    name: try method.text("name"),
                    flags: try method.flags(FlagNames.method),
                    deadlineMilliseconds: try method.number("deadlineMilliseconds"),
                    permissions: try method.texts("permissions")
                )
            },
            attributes: try fields.list("attributes").map { attribute in
                Attribute(name: try attribute.text("name"), value: try attribute.text("value"))
            },
            capabilities: try fields.texts("capabilities")
        )
    }

    private static func call(_ fields: VectorFields) throws -> CallHeader {
        CallHeader(
            flags: try fields.flags(FlagNames.call),
            contentType: try fields.contentType,
            id: try fields.id,
            clocks: CallClocks(
                total: try fields.number("totalMilliseconds"),
                queue: try fields.number("queueMilliseconds"),
                firstChunk: try fields.number("firstChunkMilliseconds"),
                idle: try fields.number("idleMilliseconds")
            ),
            credit: try fields.credit,
            cost: try fields.number("cost"),
            band: try fields.choice("band"),
            hops: try fields.number("hops"),
            parent: WireID(rawValue: try fields.long("parent")),
            trace: TraceContext(
                traceHigh: try fields.long("traceHigh"),
                traceLow: try fields.long("traceLow"),
                span: try fields.long("span"),
                flags: try fields.number("traceFlags")
            ),
            service: try fields.text("service"),
            range: try fields.text("range"),
            method: try fields.text("method"),
            affinity: try fields.text("affinity"),
            conditions: try fields.text("conditions"),
            caller: try fields.text("caller")
        )
    }

    private static func progress(_ verb: Verb, _ fields: VectorFields) throws -> Header {
        switch verb {
        case .accept: .accept(Accept(id: try fields.id, credit: try fields.credit))
        case .chunk:
            .chunk(
                Chunk(
                    flags: try fields.flags(FlagNames.chunk),
                    contentType: try fields.contentType,
                    id: try fields.id,
                    sequence: try fields.number("sequence")
                )
            )
        case .end:
            .end(
                End(
                    contentType: try fields.contentType,
                    id: try fields.id,
                    queuedMicroseconds: try fields.number("queuedMicroseconds"),
                    serviceMicroseconds: try fields.number("serviceMicroseconds"),
                    provider: try fields.long("provider")
                )
            )
        case .fail: .fail(try fail(fields))
        case .refuse:
            .refuse(
                Refuse(
                    status: try fields.status,
                    id: try fields.id,
                    retryAfterMilliseconds: try fields.number("retryAfterMilliseconds"),
                    message: try fields.text("message")
                )
            )
        case .cancel:
            .cancel(Cancel(status: try fields.status, id: try fields.id, reason: try fields.text("reason")))
        default: .credit(CreditGrant(id: try fields.id, credit: try fields.credit))
        }
    }

    private static func fail(_ fields: VectorFields) throws -> Fail {
        Fail(
            flags: try fields.flags(FlagNames.fail),
            contentType: try fields.contentType,
            status: try fields.status,
            id: try fields.id,
            retryAfterMilliseconds: try fields.number("retryAfterMilliseconds"),
            clock: try fields.choice("clock"),
            phase: try fields.choice("phase"),
            origin: try fields.text("origin"),
            message: try fields.text("message"),
            hint: try fields.text("hint")
        )
    }

    private static func event(_ verb: Verb, _ fields: VectorFields) throws -> Header {
        switch verb {
        case .subscribe:
            .subscribe(
                Subscribe(
                    flags: try fields.flags(FlagNames.subscribe),
                    id: try fields.request,
                    credit: try fields.credit,
                    history: try fields.number("history"),
                    since: try fields.long("since"),
                    pattern: try fields.text("pattern")
                )
            )
        case .subscribed:
            .subscribed(
                Subscribed(
                    id: try fields.request,
                    sequence: try fields.long("sequence"),
                    missed: try fields.long("missed")
                )
            )
        case .unsubscribe: .unsubscribe(Unsubscribe(id: try fields.request))
        case .publish:
            .publish(
                PublishHeader(
                    flags: try fields.flags(FlagNames.publish),
                    contentType: try fields.contentType,
                    id: try fields.request,
                    topic: try fields.text("topic")
                )
            )
        default:
            .event(
                Event(
                    flags: try fields.flags(FlagNames.event),
                    contentType: try fields.contentType,
                    id: try fields.request,
                    numbers: EventNumbers(
                        sequence: try fields.long("sequence"),
                        delivery: try fields.long("delivery"),
                        dropped: try fields.long("dropped"),
                        timestamp: try fields.long("timestamp")
                    ),
                    topic: try fields.text("topic"),
                    publisher: try fields.text("publisher")
                )
            )
        }
    }
}
