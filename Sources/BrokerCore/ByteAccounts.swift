// What the broker keeps: the payloads of calls and registrations, and what the shell holds for peers that are behind.
// Counted for each principal and in all, so that nobody fills the memory of the others. Pure.

import MeshProtocol

/// Bytes held, by principal.
struct ByteAccounts: ~Copyable {
    /// In all.
    private(set) var total = 0
    private var byPrincipal = Slab<Int>()

    /// Those of one principal.
    @inline(__always)
    func held(by principal: PrincipalIndex) -> Int {
        principal.at < byPrincipal.count ? byPrincipal[principal.at] : 0
    }

    @inline(__always)
    mutating func add(_ byteCount: Int, to principal: PrincipalIndex) {
        while byPrincipal.count <= principal.at { byPrincipal.append(0) }
        byPrincipal[principal.at] += byteCount
        total += byteCount
    }

    @inline(__always)
    mutating func subtract(_ byteCount: Int, from principal: PrincipalIndex) {
        guard byteCount > 0 else { return }
        precondition(held(by: principal) >= byteCount, "bytes are given back that were not held")
        byPrincipal[principal.at] -= byteCount
        total -= byteCount
    }
}

extension BrokerCore {
    /// Bytes held in payloads and for peers that are behind.
    public var heldByteCount: Int { accounts.total }

    /// Whether so many more bytes may be held for a principal.
    @inline(__always)
    func mayHold(_ byteCount: Int, _ principal: PrincipalIndex) -> Bool {
        accounts.total + byteCount <= limits.heldByteCount
            && accounts.held(by: principal) + byteCount <= limits.heldByteCountPerPrincipal
    }

    /// Why no more may be held for a principal.
    func heldBytesFailure(_ principal: PrincipalIndex) -> Failure {
        let name = principals.records[principal.at].subject.principal
        let isOwn = accounts.held(by: principal) * 2 > limits.heldByteCountPerPrincipal
        let message =
            isOwn
            ? "the broker holds \(accounts.held(by: principal)) bytes for \"\(name)\", and may hold"
                + " \(limits.heldByteCountPerPrincipal)"
            : "the broker holds \(accounts.total) bytes, and may hold \(limits.heldByteCount)"
        return Failure(
            .resourceExhausted,
            message: message,
            hint: "wait for calls to end before making others, or send large data as a stream",
            retryAfterMilliseconds: 100,
            flags: .retryable
        )
    }

    /// Gives the payload of a call back.
    @inline(__always)
    mutating func releaseBody(of call: CallIndex, into outbox: inout Outbox) {
        let body = calls.slots[call.at].body
        guard !body.isNone else { return }
        forgetBody(of: call)
        outbox.release(body)
    }

    /// A call's payload is another's to give back.
    @inline(__always)
    mutating func forgetBody(of call: CallIndex) {
        ownBodyCount &-= 1
        accounts.subtract(calls.slots[call.at].bodyByteCount, from: calls.slots[call.at].principal)
        calls.slots[call.at].body = .none
    }

    /// The shell holds so many bytes for a peer that is behind; one for which no more may be held loses its session.
    public mutating func holdsOverflow(
        of peer: PeerHandle,
        byteCount: Int,
        now: MeshInstant,
        into outbox: inout Outbox
    ) {
        guard let session = sessions[peer], sessions.slots[session.at].state == .active else { return }
        let principal = sessions.slots[session.at].principal
        let before = sessions.slots[session.at].overflowByteCount
        let isAllowed = byteCount <= before || mayHold(byteCount - before, principal)
        accounts.subtract(before, from: principal)
        accounts.add(byteCount, to: principal)
        sessions.slots[session.at].overflowByteCount = byteCount
        guard !isAllowed else { return }
        counters.overBudget &+= 1
        overflowed(peer, now: now, into: &outbox)
    }
}
