// What the core wants done: filled by the core, emptied by the shell after each turn. The headers stand one after the
// other in one byte array, so that in steady state nothing is allocated for a message.

/// The actions of one turn, in order.
public struct Outbox: Sendable {
    /// What happens to a payload when a frame is sent.
    public enum BodyUse: UInt8, Sendable {
        /// The core's reference goes with the frame.
        case move
        /// The core keeps its reference; the frame takes another.
        case share
    }

    /// One frame for one peer.
    public struct Send: Hashable, Sendable {
        /// The connection.
        public var peer: PeerHandle
        /// Where the header begins in ``Outbox/headers``.
        public var headerOffset: Int
        /// The header's length.
        public var headerCount: Int
        /// The payload; may be none.
        public var body: BodyHandle
        /// What happens to the core's reference to it.
        public var use: BodyUse
        /// How large a BATCH may be in which the frame comes with others, in bytes of payload; zero: it comes by itself.
        public var batchByteCount: UInt32
    }

    /// One thing to do.
    public enum Action: Hashable, Sendable {
        /// Send a frame. When the peer cannot be reached, the shell reports ``BrokerCore/disconnected(_:now:into:)``.
        case send(Send)
        /// Give a reference to a payload back.
        case release(BodyHandle)
        /// A payload will be held for long: give it memory of its own.
        case detach(BodyHandle)
        /// End a connection: after what was sent to it, nothing follows, and nothing more is read from it.
        case close(PeerHandle)
        /// Make sure soon whether a connection lives (sending PING counts).
        case probe(PeerHandle)
        /// A call to the service `mesh`, for the shell to answer: an index into ``Outbox/administration``.
        case administer(Int)
        /// Something that operators should know: an index into ``Outbox/notices``.
        case notice(Int)
    }

    /// What to do, in order.
    public private(set) var actions: [Action] = []
    /// How many of the actions send a frame that may come in a BATCH.
    public private(set) var joinableCount = 0
    /// The bytes of all headers.
    public private(set) var headers: [UInt8] = []
    /// The calls to the service `mesh`.
    public private(set) var administration: [AdministrativeCall] = []
    /// The notices.
    public private(set) var notices: [Notice] = []

    /// Makes an empty outbox with room for a busy turn.
    public init() {
        actions.reserveCapacity(1024)
        headers.reserveCapacity(128 * 1024)
    }

    /// True when there is nothing to do.
    public var isEmpty: Bool { actions.isEmpty }

    /// Forgets what has been done; keeps the room.
    public mutating func removeAll() {
        actions.removeAll(keepingCapacity: true)
        joinableCount = 0
        headers.removeAll(keepingCapacity: true)
        if !administration.isEmpty { administration.removeAll(keepingCapacity: true) }
        if !notices.isEmpty { notices.removeAll(keepingCapacity: true) }
    }

    /// Appends a frame whose header `write` appends to the bytes.
    @inline(__always)
    mutating func send(
        to peer: PeerHandle,
        batchByteCount: UInt32,
        body: BodyHandle = .none,
        use: BodyUse = .move,
        header write: (inout [UInt8]) -> Void
    ) {
        let offset = headers.count
        write(&headers)
        if batchByteCount > 0 { joinableCount &+= 1 }
        actions.append(
            .send(
                Send(
                    peer: peer,
                    headerOffset: offset,
                    headerCount: headers.count &- offset,
                    body: body,
                    use: use,
                    batchByteCount: batchByteCount
                )
            )
        )
    }

    /// Appends the release of a payload, unless there is none.
    mutating func release(_ body: BodyHandle) {
        if !body.isNone { actions.append(.release(body)) }
    }

    /// Appends that a payload will be held for long, unless there is none.
    mutating func detach(_ body: BodyHandle) {
        if !body.isNone { actions.append(.detach(body)) }
    }

    /// Appends the end of a connection.
    mutating func close(_ peer: PeerHandle) { actions.append(.close(peer)) }

    /// Appends a probe.
    mutating func probe(_ peer: PeerHandle) { actions.append(.probe(peer)) }

    /// Appends a call for the shell.
    mutating func administer(_ call: AdministrativeCall) {
        administration.append(call)
        actions.append(.administer(administration.count - 1))
    }

    /// Appends a notice.
    mutating func notice(_ notice: Notice) {
        notices.append(notice)
        actions.append(.notice(notices.count - 1))
    }
}
