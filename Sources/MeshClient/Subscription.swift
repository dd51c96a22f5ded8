// Events as a subscriber sees them.

public import MeshProtocol
import Synchronization

/// One event.
public struct MeshEvent: Hashable, Sendable {
    /// Dotted words.
    public var topic: String
    /// The event.
    public var payload: Payload
    /// The publisher's principal; empty for the broker itself.
    public var publisher: String
    /// The event's place among all events of the broker's ``epoch``; grows, with gaps for other topics.
    public var sequence: UInt64
    /// The broker's start that ``sequence`` counts in; when it changes, events may have been missed uncounted.
    public var epoch: UInt64
    /// Counts this subscription's deliveries in its present session, from one, without gaps.
    public var delivery: UInt64
    /// How many matching events the subscription has missed so far, as far as the broker can tell.
    public var dropped: UInt64
    /// When the broker took the event, in nanoseconds since 1970-01-01 UTC.
    public var timestamp: UInt64
    /// Whether it is the topic's last value, delivered at subscription.
    public var isLastValue: Bool
    /// Whether it comes from the history.
    public var isReplay: Bool
}

/// What a subscriber asks for beyond the events to come.
public struct SubscriptionOptions: Hashable, Sendable {
    /// Deliver the last value of every matching topic first.
    public var lastValue: Bool
    /// How many of the latest kept events to replay for each topic.
    public var history: UInt32
    /// Replay what the broker's history holds after this sequence, in this epoch; nil: nothing.
    public var since: Position?
    /// How many events and bytes may be on their way to this side.
    public var window: Credit

    /// A place in the broker's count of events.
    public struct Position: Hashable, Sendable {
        /// The broker's start.
        public var epoch: UInt64
        /// The last event that the subscriber has.
        public var sequence: UInt64
        /// Names a place.
        public init(epoch: UInt64, sequence: UInt64) {
            self.epoch = epoch
            self.sequence = sequence
        }
    }

    /// Sets what differs from the defaults.
    public init(
        lastValue: Bool = false,
        history: UInt32 = 0,
        since: Position? = nil,
        window: Credit = Credit(messages: 256, bytes: 4 << 20)
    ) {
        self.lastValue = lastValue
        self.history = history
        self.since = since
        self.window = window
    }
}

/// What a publisher asks for.
public struct PublishOptions: Hashable, Sendable {
    /// Keep the event as the topic's last value.
    public var retain: Bool
    /// Keep the event in the topic's bounded history.
    public var history: Bool
    /// Return when the broker has taken the event, and throw its refusal; else return when it is on its way.
    public var acknowledge: Bool

    /// Sets what differs from the defaults.
    public init(retain: Bool = false, history: Bool = false, acknowledge: Bool = true) {
        self.retain = retain
        self.history = history
        self.acknowledge = acknowledge
    }

    var flags: PublishFlags {
        var flags: PublishFlags = []
        if retain { flags.insert(.retain) }
        if history { flags.insert(.history) }
        if acknowledge { flags.insert(.acknowledge) }
        return flags
    }
}

/// What the connection thread and the subscriber share.
final class SubscriptionState: Sendable {
    let id: RequestID
    let pattern: String
    let options: SubscriptionOptions
    let events: ReceiveChannel<MeshEvent>

    init(
        id: RequestID,
        pattern: String,
        options: SubscriptionOptions,
        grant: @escaping @Sendable (Credit) -> Void
    ) {
        self.id = id
        self.pattern = pattern
        self.options = options
        events = ReceiveChannel(window: options.window, grant: grant)
    }
}

/// The events of a pattern's topics, in order; survives reconnects.
///
/// Iterate it once. An event that comes while the reader is a whole window behind is dropped by the broker and counted
/// in ``MeshEvent/dropped``. After a reconnect to the same broker the subscription resumes where it was, as far as the
/// broker's history reaches. It ends when it is cancelled, when nobody holds it, and when the broker takes it back.
public final class Subscription: AsyncSequence, Sendable {
    /// An event.
    public typealias Element = MeshEvent

    let state: SubscriptionState
    private let connection: MeshConnection
    private let isOver = Atomic<Bool>(false)

    init(_ state: SubscriptionState, connection: MeshConnection) {
        self.state = state
        self.connection = connection
    }

    deinit {
        guard !isOver.load(ordering: .relaxed) else { return }
        connection.core.inbox.push(.unsubscribe(state.id, nil))
    }

    /// The pattern that was subscribed to.
    public var pattern: String { state.pattern }

    /// Ends the subscription; events that are here already can still be read.
    ///
    /// Does nothing the second time.
    public func cancel() async {
        guard !isOver.exchange(true, ordering: .relaxed) else { return }
        _ = await connection.core.ask { .unsubscribe(self.state.id, $0) }
        state.events.finish(nil)
    }

    /// Reads the events.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// The reader of a subscription's events.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let subscription: Subscription

        init(_ subscription: Subscription) { self.subscription = subscription }

        /// The next event; nil after the end.
        ///
        /// - Throws: ``MeshError`` when the broker took the subscription back or the connection ended for good;
        ///   `CancellationError` when the task is cancelled.
        public mutating func next() async throws -> MeshEvent? { try await subscription.state.events.next() }
    }
}
