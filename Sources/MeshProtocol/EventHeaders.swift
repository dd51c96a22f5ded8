// The headers of events: SUBSCRIBE SUBSCRIBED UNSUBSCRIBE PUBLISH EVENT. Pure.

/// SUBSCRIBE: asks for the events whose topic matches a pattern.
///
/// Answered with SUBSCRIBED or FAIL.
public struct Subscribe: HeaderFields {
    /// SUBSCRIBE.
    public static let verb = Verb.subscribe
    /// Last value, resume.
    public var flags: SubscribeFlags
    /// Names the subscription from here on.
    public var id: RequestID
    /// What the subscriber is ready to take at once.
    public var credit: Credit
    /// How many of the latest kept events to replay for each topic.
    public var history: UInt32
    /// With ``SubscribeFlags/resume``: the sequence of the last event the subscriber has.
    public var since: UInt64
    /// Words, `*` for one word, `>` for the rest.
    public var pattern: String
    /// Makes a SUBSCRIBE.
    public init(
        flags: SubscribeFlags = [],
        id: RequestID,
        credit: Credit,
        history: UInt32 = 0,
        since: UInt64 = 0,
        pattern: String
    ) {
        self.flags = flags
        self.id = id
        self.credit = credit
        self.history = history
        self.since = since
        self.pattern = pattern
    }

    /// Reads a SUBSCRIBE.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Subscribe {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.subscribe, knownFlags: SubscribeFlags.known.rawValue, from: &reader)
        let subscribe = Subscribe(
            flags: SubscribeFlags(rawValue: prefix.flags),
            id: try prefix.request(reader),
            credit: try reader.credit(),
            history: try reader.integer("history"),
            since: try reader.integer("since"),
            pattern: try reader.text("pattern", maximum: WireLimits.topicByteCount, required: true)
        )
        try reader.finish()
        return subscribe
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.subscribe, flags: flags.rawValue, id: id.wire, to: &buffer)
        HeaderWriter.credit(credit, to: &buffer)
        HeaderWriter.integer(history, to: &buffer)
        HeaderWriter.integer(since, to: &buffer)
        HeaderWriter.text(pattern, to: &buffer)
    }
}

/// SUBSCRIBED: every matching event with a higher sequence than this will be delivered or counted as dropped.
public struct Subscribed: HeaderFields {
    /// SUBSCRIBED.
    public static let verb = Verb.subscribed
    /// The subscription.
    public var id: RequestID
    /// The sequence of the latest event when the subscription began.
    public var sequence: UInt64
    /// With resume: how many events after `since` the history no longer holds, as far as the broker can tell.
    public var missed: UInt64
    /// Makes a SUBSCRIBED.
    public init(id: RequestID, sequence: UInt64, missed: UInt64 = 0) {
        self.id = id
        self.sequence = sequence
        self.missed = missed
    }

    /// Reads a SUBSCRIBED.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Subscribed {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.subscribed, from: &reader)
        let subscribed = Subscribed(
            id: try prefix.request(reader),
            sequence: try reader.integer("sequence"),
            missed: try reader.integer("missed")
        )
        try reader.finish()
        return subscribed
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.subscribed, id: id.wire, to: &buffer)
        HeaderWriter.integer(sequence, to: &buffer)
        HeaderWriter.integer(missed, to: &buffer)
    }
}

/// UNSUBSCRIBE: ends a subscription.
///
/// Answered with END or FAIL.
public struct Unsubscribe: HeaderFields {
    /// UNSUBSCRIBE.
    public static let verb = Verb.unsubscribe
    /// The subscription.
    public var id: RequestID
    /// Makes an UNSUBSCRIBE.
    public init(id: RequestID) { self.id = id }

    /// Reads an UNSUBSCRIBE.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Unsubscribe {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.unsubscribe, from: &reader)
        try reader.finish()
        return Unsubscribe(id: try prefix.request(reader))
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.unsubscribe, id: id.wire, to: &buffer)
    }
}

/// PUBLISH: an event for all whose subscriptions match its topic; the payload is the event.
public struct Publish<Text: HeaderText>: Hashable, Sendable {
    /// Retain, history, acknowledge.
    public var flags: PublishFlags
    /// What the payload holds.
    public var contentType: ContentType
    /// The request that END (when asked for) or FAIL answers.
    public var id: RequestID
    /// Dotted words.
    public var topic: Text

    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Publish<Text> {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.publish, knownFlags: PublishFlags.known.rawValue, from: &reader)
        let publish = Publish(
            flags: PublishFlags(rawValue: prefix.flags),
            contentType: prefix.contentType,
            id: try prefix.request(reader),
            topic: try Text.read("topic", maximum: WireLimits.topicByteCount, from: &reader)
        )
        try reader.finish()
        guard publish.topic.byteCount > 0 else { throw reader.error("topic", at: HeaderPrefix.byteCount, .empty) }
        return publish
    }
}

/// PUBLISH with strings: what publishers write.
public typealias PublishHeader = Publish<String>
/// PUBLISH with places in the header: what the broker reads.
public typealias PublishView = Publish<TextSlice>

extension PublishView {
    /// Reads a PUBLISH without making a string.
    ///
    /// - Throws: ``DecodeError``.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> PublishView { try read(bytes) }
}

extension PublishHeader: HeaderFields {
    /// PUBLISH.
    public static let verb = Verb.publish

    /// Makes a PUBLISH.
    public init(flags: PublishFlags = [], contentType: ContentType = .json, id: RequestID, topic: String) {
        self.flags = flags
        self.contentType = contentType
        self.id = id
        self.topic = topic
    }

    /// Reads a PUBLISH.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> PublishHeader { try read(bytes) }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(
            .publish,
            flags: flags.rawValue,
            contentType: contentType,
            id: id.wire,
            to: &buffer
        )
        HeaderWriter.text(topic, to: &buffer)
    }
}

/// The numbers of one delivery.
public struct EventNumbers: Hashable, Sendable {
    /// The event's place among all events of this broker's epoch; grows, with gaps for other topics.
    public var sequence: UInt64
    /// Counts this subscription's deliveries from one, without gaps.
    public var delivery: UInt64
    /// How many matching events this subscription has missed so far for want of credit.
    public var dropped: UInt64
    /// When the broker took it, in nanoseconds since 1970-01-01 UTC.
    public var timestamp: UInt64
    /// Makes the numbers.
    @inlinable public init(sequence: UInt64, delivery: UInt64, dropped: UInt64 = 0, timestamp: UInt64 = 0) {
        self.sequence = sequence
        self.delivery = delivery
        self.dropped = dropped
        self.timestamp = timestamp
    }
}

/// EVENT: one event, delivered to one subscription; the payload is the publisher's.
public struct Event: HeaderFields {
    /// EVENT.
    public static let verb = Verb.event
    /// Last value, replay.
    public var flags: EventFlags
    /// What the payload holds.
    public var contentType: ContentType
    /// The subscription.
    public var id: RequestID
    /// Sequence, delivery, drops, time.
    public var numbers: EventNumbers
    /// Dotted words.
    public var topic: String
    /// The publisher's principal; empty for the broker itself.
    public var publisher: String
    /// Makes an EVENT.
    public init(
        flags: EventFlags = [],
        contentType: ContentType = .json,
        id: RequestID,
        numbers: EventNumbers,
        topic: String,
        publisher: String = ""
    ) {
        self.flags = flags
        self.contentType = contentType
        self.id = id
        self.numbers = numbers
        self.topic = topic
        self.publisher = publisher
    }

    /// Reads an EVENT.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Event {
        var reader = HeaderReader(bytes)
        let prefix = try HeaderPrefix.read(.event, knownFlags: EventFlags.known.rawValue, from: &reader)
        let numbers = EventNumbers(
            sequence: try reader.integer("sequence"),
            delivery: try reader.integer("delivery"),
            dropped: try reader.integer("dropped"),
            timestamp: try reader.integer("timestamp")
        )
        let event = Event(
            flags: EventFlags(rawValue: prefix.flags),
            contentType: prefix.contentType,
            id: try prefix.request(reader),
            numbers: numbers,
            topic: try reader.text("topic", maximum: WireLimits.topicByteCount, required: true),
            publisher: try reader.text("publisher", maximum: WireLimits.nameByteCount)
        )
        try reader.finish()
        return event
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) {
        HeaderWriter.prefix(.event, flags: flags.rawValue, contentType: contentType, id: id.wire, to: &buffer)
        Self.write(numbers, to: &buffer)
        HeaderWriter.text(topic, to: &buffer)
        HeaderWriter.text(publisher, to: &buffer)
    }

    /// Appends an EVENT whose texts are at hand as bytes: the broker's way, without a string.
    public static func encode(
        flags: EventFlags,
        contentType: ContentType,
        id: RequestID,
        numbers: EventNumbers,
        topic: UnsafeRawBufferPointer,
        publisher: UnsafeRawBufferPointer,
        to buffer: inout [UInt8]
    ) {
        HeaderWriter.prefix(.event, flags: flags.rawValue, contentType: contentType, id: id.wire, to: &buffer)
        write(numbers, to: &buffer)
        HeaderWriter.bytes(topic, to: &buffer)
        HeaderWriter.bytes(publisher, to: &buffer)
    }

    private static func write(_ numbers: EventNumbers, to buffer: inout [UInt8]) {
        let words = (
            numbers.sequence.littleEndian, numbers.delivery.littleEndian,
            numbers.dropped.littleEndian, numbers.timestamp.littleEndian
        )
        withUnsafeBytes(of: words) { buffer.append(contentsOf: $0) }
    }
}
