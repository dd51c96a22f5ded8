// Who may connect at all: the answers to libzmq's ZAP questions for one broker. On ipc every process that could enter the
// run folder is let in and the core decides by ticket or user; on tcp the CURVE key must be in the mesh file. Runs on the
// ZAP thread; the keys may be replaced at any time.

import CLinuxShims
import Synchronization
import ZeroMQ

/// The door of one broker.
final class Gatekeeper: Sendable {
    /// Told when a connection is refused, on the ZAP thread.
    typealias Refusal = @Sendable (String) -> Void

    /// The ZAP domain of the ipc socket.
    let localDomain: String
    /// The ZAP domain of the tcp socket.
    let remoteDomain: String
    private let principals: Mutex<[CurvePublicKey: String]>
    /// Keys that are let in for a ticket that was made for them.
    private let ticketKeys = Mutex<Set<CurvePublicKey>>([])
    /// Whether a ticket for a key is still out; asked on the ZAP thread.
    private let hasTicket: @Sendable (CurvePublicKey) -> Bool
    private let refusals = Atomic<UInt64>(0)
    private let lastTold = Atomic<Int64>(0)
    private let onRefusal: Refusal

    /// Connections refused so far.
    var refusalCount: UInt64 { refusals.load(ordering: .relaxed) }

    init(
        number: Int,
        principals: [CurvePublicKey: String],
        hasTicket: @escaping @Sendable (CurvePublicKey) -> Bool,
        onRefusal: @escaping Refusal
    ) {
        localDomain = "ipc.\(number)"
        remoteDomain = "tcp.\(number)"
        self.principals = Mutex(principals)
        self.hasTicket = hasTicket
        self.onRefusal = onRefusal
    }

    /// What marks the messages of a key that is let in for its ticket; no principal's name has a colon.
    static let ticketKeyPrefix = "key:"

    /// Replaces the keys that are let in for their tickets.
    func setTicketKeys(_ keys: Set<String>) {
        let keys = Set(keys.compactMap { try? CurvePublicKey(z85: $0) })
        ticketKeys.withLock { $0 = keys }
    }

    /// Replaces the keys; connections that exist stay.
    func setPrincipals(_ principals: [CurvePublicKey: String]) { self.principals.withLock { $0 = principals } }

    /// Decides about one connection.
    func decide(_ request: ZapRequest) -> ZapDecision {
        let decision = request.domain == localDomain ? decideLocal(request) : decideRemote(request)
        if case .deny(let reason) = decision {
            let count = refusals.add(1, ordering: .relaxed).newValue
            tell("a connection from \(request.addressText) was refused: \(reason) (number \(count))")
        }
        return decision
    }

    /// Tells of a refusal, once a second at most: whoever knocks decides how often.
    private func tell(_ sentence: String) {
        let now = wiz_monotonic_ns()
        let last = lastTold.load(ordering: .relaxed)
        guard last == 0 || now - last >= 1_000_000_000 else { return }
        lastTold.store(now, ordering: .relaxed)
        onRefusal(sentence)
    }

    private func decideLocal(_ request: ZapRequest) -> ZapDecision {
        guard case .process(let peer) = request.address else {
            return .deny(reason: "the kernel does not say which process is at the other end")
        }
        guard request.mechanism == .null else { return .deny(reason: "local connections use the mechanism NULL") }
        return .accept(userID: "uid:\(peer.userID)")
    }

    private func decideRemote(_ request: ZapRequest) -> ZapDecision {
        guard request.domain == remoteDomain else { return .deny(reason: "unknown domain") }
        guard case .curve(let key) = request.mechanism else { return .deny(reason: "tcp connections use CURVE") }
        if let principal = principals.withLock({ $0[key] }) { return .accept(userID: principal) }
        // Strangers are refused without a question to the mesh thread.
        guard ticketKeys.withLock({ $0.contains(key) }) else {
            return .deny(reason: "the mesh file gives no principal the key \(key.z85)")
        }
        guard hasTicket(key) else {
            _ = ticketKeys.withLock { $0.remove(key) }
            return .deny(reason: "no ticket is out for the key \(key.z85)")
        }
        return .accept(userID: Gatekeeper.ticketKeyPrefix + key.z85)
    }
}
