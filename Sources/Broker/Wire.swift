// The mesh thread's side of the sockets: receives whole messages, sends what the core's outbox says, and keeps per
// connection what the transport needs. Knows nothing of sessions. Sending never waits; what cannot be sent waits in a
// bounded overflow. Parts: peers and their ends in Wire+Peers.swift, sending in
// Wire+Send.swift, batches in Wire+Batches.swift.

import BrokerCore
import MeshProtocol
import ZeroMQ

/// The two listeners, the payloads and the peers.
struct Wire: ~Copyable {
    /// What the transport remembers of a peer that has spoken.
    struct Peer {
        /// The connection's descriptor; nil when libzmq did not say.
        var descriptor: Int32?
        /// Who the kernel says is at the other end.
        var address: PeerAddress?
        /// The core has closed it: nothing more is read from it.
        var isClosing = false
    }

    /// The ipc socket, bound twice; its peers have the listener number 0.
    var local: Listener
    /// The tcp socket, bound only if the mesh file says so; its peers have the listener number 1.
    var remote: Listener
    var frames = FrameBuffer(capacity: 3)
    var slab = BodySlab()

    var peers: [PeerHandle: Peer] = [:]
    /// Which peer last came by a descriptor.
    var descriptorOwners: [Int32: PeerHandle] = [:]
    var recent = RecentPeers()
    var overflows: [PeerHandle: Overflow] = [:]
    var nextFlush = MeshInstant(nanoseconds: .max)
    /// Probes and ends of connections that are due later.
    var errands = Errands()

    /// Frames that are joined.
    var batches = Batches()
    /// The batch that is being taken apart.
    let incoming = MessageCell()

    /// Peers that could not be reached, for the core.
    var lost: [PeerHandle] = []
    /// Peers whose overflow is full, for the core.
    var flooded: [PeerHandle] = []
    /// Peers whose overflow holds more or less than before, for the core's accounts.
    var overflowChanges: [(peer: PeerHandle, byteCount: Int)] = []
    /// Messages handed to libzmq or tried to be.
    var sendCount: UInt64 = 0
    /// Messages under routing ids that peers chose themselves, refused.
    var foreignCount: UInt64 = 0
    /// The header of a probe.
    let probeHeader = Ping(nonce: 0).encoded()

    /// The path of the socket whose peers are who the kernel says; those of the plugins' one need a ticket.
    let ownPath: String

    init(local: consuming Listener, remote: consuming Listener, ownPath: String) {
        self.local = local
        self.remote = remote
        self.ownPath = ownPath
    }

    /// Whether there is something to tell the core.
    var hasNews: Bool { !lost.isEmpty || !flooded.isEmpty || !overflowChanges.isEmpty }

    deinit { incoming.free() }

    /// Keeps the payload of the message in the frame buffer.
    mutating func keepPayload() -> BodyHandle { slab.insert(from: &frames, at: 2) }

    /// Takes the next message of a listener, if there is one.
    mutating func receive(from listener: UInt32) throws(ZeroMQError) -> ReceiveOutcome {
        listener == 0
            ? try local.socket.tryReceive(into: &frames)
            : try remote.socket.tryReceive(into: &frames)
    }
}

/// The peers heard lately, so that the common message needs no look-up in the table of all peers.
struct RecentPeers: ~Copyable {
    private static let count = 4096
    private let slots: UnsafeMutablePointer<UInt64>

    init() {
        slots = .allocate(capacity: RecentPeers.count)
        slots.initialize(repeating: .max, count: RecentPeers.count)
    }

    deinit { slots.deallocate() }

    /// libzmq numbers connections one after the other, most significant byte first.
    @inline(__always)
    private func slot(_ peer: PeerHandle) -> UnsafeMutablePointer<UInt64> {
        slots + Int((peer.routingID.byteSwapped ^ peer.listener) & UInt32(RecentPeers.count - 1))
    }

    @inline(__always)
    func contains(_ peer: PeerHandle) -> Bool { slot(peer).pointee == peer.rawValue }
    @inline(__always)
    func insert(_ peer: PeerHandle) { slot(peer).pointee = peer.rawValue }
    func remove(_ peer: PeerHandle) { if contains(peer) { slot(peer).pointee = .max } }
}
