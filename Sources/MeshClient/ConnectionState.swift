// What a connection tells about itself: its session, its states, and a broker's wish that it leaves.

/// What the broker told about the session in WELCOME.
public struct SessionInfo: Hashable, Sendable {
    /// The session's number, as operators see it.
    public var session: UInt64
    /// Changes with every start of the broker.
    public var epoch: UInt64
    /// Who the broker found this peer to be.
    public var principal: String
    /// The broker's name and version.
    public var broker: String
    /// The time between heartbeats.
    public var heartbeat: Duration
    /// The largest payload that the broker carries.
    public var maximumPayloadByteCount: Int
    /// How many calls may be in flight.
    public var maximumCallCount: Int
}

/// How a connection stands.
public enum ConnectionState: Hashable, Sendable {
    /// A socket is open and the broker has not yet answered; attempts count from one since the last session.
    case connecting(attempt: Int)
    /// The broker took the peer in.
    case connected(SessionInfo)
    /// There is no session: why, and when the next attempt comes.
    case disconnected(MeshError, retryIn: Duration)
    /// The connection has ended for good; nil when it was closed in good order.
    case closed(MeshError?)
}

/// An operator's or the broker's wish that this worker finishes its calls and leaves.
public struct DrainRequest: Hashable, Sendable {
    /// How long the broker waits before it ends the session; nil: as long as the calls take.
    public var grace: Duration?
    /// Why, for people.
    public var reason: String
}
