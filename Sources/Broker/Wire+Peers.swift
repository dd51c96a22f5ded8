// Connections as they come and go: credentials of a peer that speaks for the first time, probes, the end of a connection
// by shutting its descriptor down, and what libzmq's monitor tells.

import BrokerCore
import MeshProtocol
import ZeroMQ

extension Wire {
    /// How long a closed peer has to read what was sent to it before its connection is ended.
    static let closingMilliseconds: UInt64 = 500
    /// How long a closed peer is remembered, so that what it still sends is dropped.
    static let forgettingMilliseconds: UInt64 = 10_000
    /// Closed peers that are remembered at a time; beyond, they are forgotten early and treated as strangers.
    static let peerCount = 65_536

    /// Takes in a peer that speaks for the first time, by the message in the frame buffer; nil: it cannot be told who it is.
    ///
    /// The first frame may lack a connection's properties, so the second is asked.
    mutating func meet(_ peer: PeerHandle, now: MeshInstant) -> Credentials? {
        let frame = frames.count > 1 ? 1 : 0
        let address = frames.property(.peerAddress, at: frame).flatMap { PeerAddress($0) }
        let descriptor = frames.sourceFileDescriptor(at: frame)
        let credentials: Credentials
        if peer.listener == 0 {
            guard let address, case .process(let process) = address else { return nil }
            // A sandbox keeps the user: only the way that somebody came tells a plugin from the user's own programs, and
            // where it cannot be told any more it is the plugins' one.
            let path = descriptor.flatMap { listenerPath(fileDescriptor: $0, expecting: address) }
            credentials =
                path == ownPath
                ? .local(user: process.userID, process: process.processID)
                : .plugin(user: process.userID, process: process.processID)
        } else {
            guard let principal = frames.property(.userID, at: frame), !principal.isEmpty else { return nil }
            credentials =
                principal.hasPrefix(Gatekeeper.ticketKeyPrefix)
                ? .ticketKey(String(principal.dropFirst(Gatekeeper.ticketKeyPrefix.count))) : .key(principal: principal)
        }
        peers[peer] = Peer(descriptor: descriptor, address: address)
        if let descriptor {
            // A descriptor that comes again belonged to a connection that is gone.
            if let previous = descriptorOwners[descriptor] { errands.add(.probe, previous, now: now) }
            descriptorOwners[descriptor] = peer
        }
        return credentials
    }

    /// Ends a connection after what was sent to it; nothing more is read from it.
    mutating func close(_ peer: PeerHandle, now: MeshInstant) {
        recent.remove(peer)
        guard peers[peer] != nil else { return }
        peers[peer]?.isClosing = true
        errands.add(.kick, peer, now: now)
        if peers.count > Wire.peerCount { forget(peer) }
    }

    /// Forgets a peer that is gone.
    mutating func forget(_ peer: PeerHandle) {
        recent.remove(peer)
        dropOverflow(of: peer)
        guard let known = peers.removeValue(forKey: peer) else { return }
        if let descriptor = known.descriptor, descriptorOwners[descriptor] == peer {
            descriptorOwners[descriptor] = nil
        }
    }

    /// Frees what waits for peers, at the end.
    mutating func dropOverflows() {
        for peer in Array(overflows.keys) { dropOverflow(of: peer) }
    }

    mutating func dropOverflow(of peer: PeerHandle) {
        guard var overflow = overflows.removeValue(forKey: peer) else { return }
        overflow.removeAll()
    }

    /// Throws a peer with an id of its own choosing out: it could take another's place.
    mutating func refuseForeign() {
        foreignCount += 1
        let frame = frames.count > 1 ? 1 : 0
        guard let descriptor = frames.sourceFileDescriptor(at: frame),
            let address = frames.property(.peerAddress, at: frame).flatMap({ PeerAddress($0) })
        else { return }
        try? disconnectPeer(fileDescriptor: descriptor, expecting: address)
    }

    /// Does what is due with connections.
    mutating func runErrands(now: MeshInstant) {
        while let errand = errands.next(due: now) {
            switch errand.kind {
            case .probe, .probeSoon, .probeAgain, .probeLast: probe(errand.peer)
            case .kick: kick(errand.peer, now: now)
            case .forget:
                // One that was forgotten early may be back, as a stranger whom the core knows.
                if peers[errand.peer]?.isClosing == true { forget(errand.peer) }
            }
        }
    }

    private mutating func kick(_ peer: PeerHandle, now: MeshInstant) {
        guard let known = peers[peer], known.isClosing else { return }
        dropOverflow(of: peer)
        // The descriptor may be another connection's by now: only its last owner is ended.
        if let descriptor = known.descriptor, descriptorOwners[descriptor] == peer, let address = known.address {
            try? disconnectPeer(fileDescriptor: descriptor, expecting: address)
        }
        errands.add(.forget, peer, now: now)
    }

    /// Reads what the monitors tell: a lost connection's peer is probed shortly after, when what it said last has been read (a
    /// BYE, as a rule), and again since on tcp the first sends may still succeed.
    mutating func readMonitors(now: MeshInstant) {
        while let event = try? local.monitor.next() { noticed(event, now: now) }
        while let event = try? remote.monitor.next() { noticed(event, now: now) }
    }

    private mutating func noticed(_ event: MonitorEvent, now: MeshInstant) {
        guard event.kind == .disconnected, let descriptor = event.fileDescriptor,
            let peer = descriptorOwners[descriptor], let known = peers[peer]
        else { return }
        if known.isClosing {
            forget(peer)
            return
        }
        errands.add(.probeSoon, peer, now: now)
        errands.add(.probeAgain, peer, now: now)
        errands.add(.probeLast, peer, now: now)
    }
}
