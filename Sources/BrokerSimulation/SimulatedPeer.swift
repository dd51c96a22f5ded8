// A peer in the simulation: one process with its connection, in the roles of caller, worker and subscriber at once. Pure.

import BrokerCore
import MeshProtocol

/// A frame on its way.
struct SimulatedFrame {
    var header: [UInt8]
    var body: BodyLedger.Body?
}

/// One connection.
///
/// A peer that loses it makes a new one.
struct SimulatedLink {
    var peer: Int
    var handle: PeerHandle
    /// The transport carries frames.
    var isUp = true
    /// The broker has ended it, or knows that it is gone.
    var isClosedByBroker = false
    /// Frames keep their order: none arrives before the one sent before it.
    var lastArrivalAtBroker: UInt64 = 0
    var lastArrivalAtPeer: UInt64 = 0
    /// What has come while the peer was stopped.
    var unread: [(header: Header, body: BodyLedger.Body?)] = []
}

/// One process.
struct SimulatedPeer {
    enum Role {
        case caller
        case worker
        case watcher
        /// Sends rubbish.
        case hostile
    }

    var role: Role
    var name: String
    /// Grows with each start of the process.
    var incarnation = 0
    var link: Int?
    var isWelcome = false
    /// What its ticket calls it; empty: it came without one.
    var label = ""
    /// It gets no calls until it is promoted.
    var isShadow = false
    /// Stopped (SIGSTOP): it neither sends nor reads until it goes on.
    var stoppedUntil: UInt64 = 0
    var lastSent: UInt64 = 0
    var client = SimulatedClient()
    var worker = SimulatedWorker()
    var watcher = SimulatedWatcher()

    /// Forgets the session; its books end with it.
    mutating func lost() {
        link = nil
        isWelcome = false
        label = ""
        isShadow = false
        let (clientID, workerID, watcherID) = (client.nextID, worker.nextID, watcher.nextID)
        client.pending = [:]
        worker = SimulatedWorker()
        watcher = SimulatedWatcher()
        (client.nextID, worker.nextID, watcher.nextID) = (clientID, workerID, watcherID)
    }
}
