// Any header, decoded with strings: for SDKs, tests and tools. The broker decodes verb by verb instead. Pure.

/// One decoded header.
public enum Header: Hashable, Sendable {
    /// HELLO.
    case hello(Hello)
    /// WELCOME.
    case welcome(Welcome)
    /// REJECT.
    case reject(Reject)
    /// PING.
    case ping(Ping)
    /// PONG.
    case pong(Pong)
    /// BYE.
    case bye(Bye)
    /// BATCH.
    case batch(Batch)
    /// PROVIDE.
    case provide(Provide)
    /// WITHDRAW.
    case withdraw(Withdraw)
    /// CAPACITY.
    case capacity(Capacity)
    /// DRAIN.
    case drain(Drain)
    /// CALL.
    case call(CallHeader)
    /// ACCEPT.
    case accept(Accept)
    /// CHUNK.
    case chunk(Chunk)
    /// END.
    case end(End)
    /// FAIL.
    case fail(Fail)
    /// REFUSE.
    case refuse(Refuse)
    /// CANCEL.
    case cancel(Cancel)
    /// CREDIT.
    case credit(CreditGrant)
    /// SUBSCRIBE.
    case subscribe(Subscribe)
    /// SUBSCRIBED.
    case subscribed(Subscribed)
    /// UNSUBSCRIBE.
    case unsubscribe(Unsubscribe)
    /// PUBLISH.
    case publish(PublishHeader)
    /// EVENT.
    case event(Event)

    /// Reads a header of any verb.
    ///
    /// - Throws: ``DecodeError`` naming verb, field and offset; hostile bytes never trap.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Header {
        switch try HeaderPrefix.decode(bytes).verb {
        case .hello: .hello(try Hello.decode(bytes))
        case .welcome: .welcome(try Welcome.decode(bytes))
        case .reject: .reject(try Reject.decode(bytes))
        case .ping: .ping(try Ping.decode(bytes))
        case .pong: .pong(try Pong.decode(bytes))
        case .bye: .bye(try Bye.decode(bytes))
        case .batch: .batch(try Batch.decode(bytes))
        case .provide: .provide(try Provide.decode(bytes))
        case .withdraw: .withdraw(try Withdraw.decode(bytes))
        case .capacity: .capacity(try Capacity.decode(bytes))
        case .drain: .drain(try Drain.decode(bytes))
        case .call: .call(try CallHeader.decode(bytes))
        case .accept: .accept(try Accept.decode(bytes))
        case .chunk: .chunk(try Chunk.decode(bytes))
        case .end: .end(try End.decode(bytes))
        case .fail: .fail(try Fail.decode(bytes))
        case .refuse: .refuse(try Refuse.decode(bytes))
        case .cancel: .cancel(try Cancel.decode(bytes))
        case .credit: .credit(try CreditGrant.decode(bytes))
        case .subscribe: .subscribe(try Subscribe.decode(bytes))
        case .subscribed: .subscribed(try Subscribed.decode(bytes))
        case .unsubscribe: .unsubscribe(try Unsubscribe.decode(bytes))
        case .publish: .publish(try PublishHeader.decode(bytes))
        case .event: .event(try Event.decode(bytes))
        }
    }

    /// Reads a header of any verb from an array.
    public static func decode(_ bytes: [UInt8]) throws(DecodeError) -> Header {
        try bytes.span.bytes.withUnsafeBytes { (raw) throws(DecodeError) in try decode(raw) }
    }

    /// The fields, whatever the verb.
    public var fields: any HeaderFields {
        switch self {
        case .hello(let fields): fields
        case .welcome(let fields): fields
        case .reject(let fields): fields
        case .ping(let fields): fields
        case .pong(let fields): fields
        case .bye(let fields): fields
        case .batch(let fields): fields
        case .provide(let fields): fields
        case .withdraw(let fields): fields
        case .capacity(let fields): fields
        case .drain(let fields): fields
        case .call(let fields): fields
        case .accept(let fields): fields
        case .chunk(let fields): fields
        case .end(let fields): fields
        case .fail(let fields): fields
        case .refuse(let fields): fields
        case .cancel(let fields): fields
        case .credit(let fields): fields
        case .subscribe(let fields): fields
        case .subscribed(let fields): fields
        case .unsubscribe(let fields): fields
        case .publish(let fields): fields
        case .event(let fields): fields
        }
    }

    /// The header as bytes.
    public func encoded() -> [UInt8] { fields.encoded() }
}
