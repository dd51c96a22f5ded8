// Every limit of the broker, each with its default and the reason for it. The shell may set them from the mesh file.

/// What the broker allows.
///
/// All counts are inclusive.
public struct Limits: Sendable, Hashable {
    /// Payload of one message in bytes.
    ///
    /// 1 MiB: larger frames would outlast heartbeats on slow links; larger data goes in streams.
    public var payloadByteCount = 1 << 20
    /// The largest BATCH that is taken and sent, in bytes of payload; no operator needs another one.
    ///
    /// 16 KiB are 40 calls of 256 bytes, and 680 of the smallest messages at most, which nobody else's come between. libzmq
    /// counts what waits for a peer by messages: 2048 of these are 32 MiB, then the peer counts as one that is behind.
    public static let batchByteCount = 16 << 10
    /// Sessions in all.
    ///
    /// Each idle one costs about 45 KiB with its connection; 10 000 are 450 MB.
    public var sessionCount = 10_000
    /// Sessions of one principal.
    ///
    /// A loop that connects anew must not take the places of all others.
    public var sessionCountPerPrincipal = 1_000
    /// Connections that have not said HELLO.
    ///
    /// Bounds what strangers can hold.
    public var unwelcomedCount = 256
    /// Connections of one local user or key that have not said HELLO.
    ///
    /// A quarter of all: nobody keeps others out by knocking.
    public var unwelcomedCountPerPeer = 64
    /// Time for HELLO, in milliseconds.
    ///
    /// A local peer needs one; a slow link a few hundred.
    public var helloMilliseconds: UInt64 = 5_000
    /// Heartbeat that peers are asked for, in milliseconds.
    ///
    /// Four missed ones make a dead peer: gone within 3 s.
    public var heartbeatMilliseconds: UInt32 = 700
    /// Calls in flight of one session as caller.
    ///
    /// The benchmark's widest window is 1 000; a gateway needs some thousands.
    public var callCountPerSession = 4_096
    /// Calls in flight in all.
    ///
    /// Each costs about half a KiB of state and its payload.
    public var callCount = 1_000_000
    /// Calls waiting for one service and version.
    ///
    /// At 1 ms each on one worker, a thousand wait a second.
    public var queueCount = 4_096
    /// Payload bytes waiting for one service and version.
    ///
    /// 64 MiB is what a small machine can spare.
    public var queueByteCount = 64 << 20
    /// Bytes held for one principal, in payloads of calls and registrations and for its peers that are behind.
    ///
    /// A quarter of all: nobody takes the room of the others.
    public var heldByteCountPerPrincipal = 256 << 20
    /// Bytes held in all, in payloads of calls and registrations and for peers that are behind.
    public var heldByteCount = 1 << 30
    /// Services that one session provides.
    public var serviceCountPerSession = 256
    /// Registrations in all.
    ///
    /// The registry is soft state in memory.
    public var registrationCount = 100_000
    /// Capacity that one registration may claim.
    public var capacity: UInt32 = 65_536
    /// Subscriptions of one session.
    public var subscriptionCountPerSession = 1_024
    /// Topics whose last value is kept.
    ///
    /// The oldest goes first.
    public var retainedTopicCount = 10_000
    /// Payload bytes of kept last values and history.
    public var retainedByteCount = 64 << 20
    /// Events kept for each topic that asks for history.
    public var historyCount = 100
    /// Subscribers that one event may go to.
    ///
    /// A fan-out of ten thousand takes about 10 ms of the mesh thread.
    public var fanOutCount = 10_000
    /// Credit in messages that a stream or a subscription may hold; more is cut to this.
    public var creditMessageCount: UInt32 = 65_536
    /// Credit in bytes that a stream or a subscription may hold; more is cut to this.
    public var creditByteCount: UInt32 = 16 << 20
    /// Offences within ``offenceWindowMilliseconds`` that end a session.
    public var offenceCount = 16
    /// The window in which offences are counted, in milliseconds.
    public var offenceWindowMilliseconds: UInt64 = 10_000
    /// Total clock of a unary call, in milliseconds: the seed's rule.
    public var unaryDeadlineMilliseconds: UInt32 = 5_000
    /// Longest total clock that a caller may ask for, in milliseconds: a day.
    public var maximumDeadlineMilliseconds: UInt32 = 86_400_000
    /// Queue, first-chunk and idle clock of a stream, in milliseconds.
    public var streamClockMilliseconds: UInt32 = 5_000
    /// Time in which a worker accepts or answers before it is suspect, in milliseconds.
    public var acceptMilliseconds: UInt64 = 3_000
    /// Time in which a worker acknowledges CANCEL before it is suspect, in milliseconds.
    public var cancelGraceMilliseconds: UInt64 = 2_000
    /// Time in which a worker acknowledges CANCEL before its session is ended, in milliseconds.
    ///
    /// The call's slot is taken as long; a handler that is deaf for half a minute is better started anew.
    public var cancelLossMilliseconds: UInt64 = 30_000
    /// CANCELs that one worker may leave unacknowledged; beyond, its session is ended.
    ///
    /// Four callers may each give up all that they have in flight with it.
    public var cancelCountPerSession = 16_384
    /// How long a worker that refused a call is given no more than it has, at most, in milliseconds.
    ///
    /// Its own `retryAfterMilliseconds` counts up to this; without one it is a tenth.
    public var refusalPauseMilliseconds: UInt64 = 1_000
    /// Refusals after which a call fails.
    public var refusalCount = 3
    /// Losses of a worker after which an idempotent call fails.
    public var rerouteCount = 2
    /// Changes that the registry remembers for watchers that resume.
    public var registryChangeCount = 4_096
    /// Entries in a page of the service `mesh`; keeps a request from holding the mesh thread.
    public var pageCount = 1_000
    /// Decisions kept in the route cache.
    ///
    /// Dropped whole when full or when the policy changes.
    public var routeCacheCount = 65_536
    /// A ticket's life until it is used, in milliseconds: a slow process start.
    public var ticketMilliseconds: UInt64 = 60_000
    /// Tickets that are out, besides two for each session that there may be.
    ///
    /// Each session holds the one for its next HELLO; the rest are for processes that are being started, and a quarter of it
    /// for those of one host.
    public var ticketCount = 65_536
    /// After the broker's start, how long a call of a peer that comes back from an earlier broker waits for a provider
    /// that is not back yet, in milliseconds.
    ///
    /// Peers come back within a few of their first delays: 100 ms, 200 ms, 400 ms, each half as long again.
    public var returnMilliseconds: UInt64 = 3_000

    /// The defaults.
    public init() {}
}
