// One relayed connection: the plugin's unix socket, the broker's tcp socket, and the two directions between them. Used by
// the relay's thread alone.

internal import Glibc

/// One connection of a relay.
final class RelayLink {
    /// What a connection is about.
    enum Phase {
        /// The broker's name is looked up.
        case resolving
        /// One address was tried after the other; these are left.
        case connecting([RelayAddress])
        /// Bytes go to and fro.
        case open
        /// It is over.
        case over(RelayFailure?)
    }

    let number: UInt64
    private let local: Int32
    private var remote: Int32 = -1
    private(set) var phase = Phase.resolving
    private var outward: RelayPipe
    private var inward: RelayPipe
    /// When it is given up, unless something moves: connecting, or half closed.
    private(set) var deadline: ContinuousClock.Instant?
    private let bounds: ByteRelay.Bounds

    init(number: UInt64, local: Int32, bounds: ByteRelay.Bounds, now: ContinuousClock.Instant) {
        self.number = number
        self.local = local
        self.bounds = bounds
        outward = RelayPipe(capacity: bounds.bufferByteCount)
        inward = RelayPipe(capacity: bounds.bufferByteCount)
        deadline = now + bounds.connect
    }

    deinit {
        close(local)
        if remote >= 0 { close(remote) }
    }

    var isOver: Bool { if case .over = phase { true } else { false } }
    var byteCounts: (outward: UInt64, inward: UInt64) { (outward.byteCount, inward.byteCount) }

    /// The broker's addresses are known, or that it has none.
    func resolved(_ result: Result<[RelayAddress], RelayFailure>) {
        guard case .resolving = phase else { return }
        switch result {
        case .success(let addresses): tryNext(addresses, RelayFailure("it has no address"))
        case .failure(let failure): phase = .over(failure)
        }
    }

    /// What to wait for: a descriptor that is negative waits for nothing, so that a hang-up nobody can act on yet does not
    /// wake the thread again and again.
    func interests() -> (local: pollfd, remote: pollfd) {
        var toLocal: Int32 = 0
        var toRemote: Int32 = 0
        if outward.wantsToRead { toLocal |= POLLIN }
        switch phase {
        case .connecting: toRemote = POLLOUT
        case .open:
            if inward.wantsToWrite { toLocal |= POLLOUT }
            if inward.wantsToRead { toRemote |= POLLIN }
            if outward.wantsToWrite { toRemote |= POLLOUT }
        case .resolving, .over: break
        }
        return (
            pollfd(fd: toLocal == 0 ? -1 : local, events: Int16(toLocal), revents: 0),
            pollfd(fd: toRemote == 0 ? -1 : remote, events: Int16(toRemote), revents: 0)
        )
    }

    /// Does what the sockets are ready for.
    func advance(local localEvents: Int16, remote remoteEvents: Int16, now: ContinuousClock.Instant) {
        if case .connecting(let left) = phase {
            if remoteEvents != 0 { finishConnecting(left) }
            if localEvents != 0 { take(outward.read(from: local)) }
            // Somebody who is gone before the broker answered needs no connection.
            if case .connecting = phase, outward.hasSourceEnded, !outward.wantsToWrite { phase = .over(nil) }
            // What came in the turn in which the broker answered wakes nobody again, least of all an end.
            flush()
            settle(hasMoved: true, now: now)
            return
        }
        if case .resolving = phase {
            if localEvents != 0 { take(outward.read(from: local)) }
            return
        }
        guard case .open = phase else { return }
        if localEvents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { take(outward.read(from: local)) }
        if remoteEvents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { take(inward.read(from: remote)) }
        // At once, rather than after another wait: a small message is through in one turn.
        flush()
        settle(hasMoved: localEvents != 0 || remoteEvents != 0, now: now)
    }

    /// Gives up when its time is over.
    func expire(now: ContinuousClock.Instant) {
        guard let deadline, now >= deadline else { return }
        if case .open = phase {
            phase = .over(nil)
        } else {
            phase = .over(RelayFailure("no answer within \(bounds.connect)"))
        }
    }

    private func flush() {
        guard case .open = phase else { return }
        take(outward.write(to: remote))
        guard case .open = phase else { return }
        take(inward.write(to: local))
    }

    private func take(_ step: RelayPipe.Step) {
        if case .broken(let failure) = step { phase = .over(failure) }
    }

    private func settle(hasMoved: Bool, now: ContinuousClock.Instant) {
        guard case .open = phase else { return }
        if outward.isDone, inward.isDone {
            phase = .over(nil)
        } else if outward.isDone || inward.isDone {
            if deadline == nil || hasMoved { deadline = now + bounds.halfClosed }
        }
    }

    private func tryNext(_ addresses: [RelayAddress], _ last: RelayFailure) {
        var failure = last
        var left = addresses[...]
        while let address = left.popFirst() {
            switch address.connect() {
            case .success(let descriptor):
                remote = descriptor
                phase = .connecting(Array(left))
                return
            case .failure(let found): failure = found
            }
        }
        phase = .over(failure)
    }

    private func finishConnecting(_ left: [RelayAddress]) {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(remote, SOL_SOCKET, SO_ERROR, &code, &size)
        guard code != 0 else {
            phase = .open
            deadline = nil
            return flush()
        }
        close(remote)
        remote = -1
        tryNext(left, RelayFailure(errno: code))
    }
}
