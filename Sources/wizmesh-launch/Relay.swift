// Inside a sandbox with an empty network: carries bytes between a port of the loopback, which programs know how to use as
// their HTTP proxy, and the unix socket of the host's egress proxy. It decides nothing: who may be reached is the host's.

import CLinuxShims
import Glibc

struct Relay {
    let listener: Int32
    let socket: String

    private static let most = 128
    private static let bufferSize = 32 * 1024

    /// One direction of a connection.
    private struct Lane {
        let source: Int32
        let target: Int32
        var buffer = [UInt8](repeating: 0, count: Relay.bufferSize)
        var range = 0..<0
        var isEnded = false

        /// Reads when the buffer is empty, and writes on, which a full target refuses without blocking; false when the connection is broken.
        mutating func move(canRead: Bool) -> Bool {
            if range.isEmpty, !isEnded, canRead {
                let count = read(source, &buffer, buffer.count)
                if count < 0 { return errno == EAGAIN || errno == EINTR }
                if count == 0 {
                    isEnded = true
                    shutdown(target, Int32(SHUT_WR))
                    return true
                }
                range = 0..<count
            }
            if !range.isEmpty {
                let count = buffer.withUnsafeBytes { bytes in
                    send(target, bytes.baseAddress?.advanced(by: range.lowerBound), range.count, Int32(MSG_NOSIGNAL))
                }
                if count < 0 { return errno == EAGAIN || errno == EINTR }
                range = (range.lowerBound + count)..<range.upperBound
            }
            return true
        }
    }

    private struct Pair {
        var there: Lane
        var back: Lane
        var isOver: Bool { there.isEnded && back.isEnded }
    }

    func run() throws(LaunchError) -> Never {
        signal(SIGPIPE, SIG_IGN)
        // The plugin's own signals are not for the relay.
        signal(SIGINT, SIG_IGN)
        var pairs: [Pair] = []
        while true {
            var polls = [pollfd(fd: pairs.count < Self.most ? listener : -1, events: Int16(POLLIN), revents: 0)]
            for pair in pairs {
                polls.append(Self.interest(pair.there, pair.back))
                polls.append(Self.interest(pair.back, pair.there))
            }
            guard poll(&polls, nfds_t(polls.count), -1) >= 0 || errno == EINTR else { throw LaunchError("poll", errno) }
            for index in pairs.indices.reversed() {
                let near = polls[1 + 2 * index].revents
                let far = polls[2 + 2 * index].revents
                let isAlive =
                    pairs[index].there.move(canRead: Self.reads(near))
                    && pairs[index].back.move(canRead: Self.reads(far))
                if !isAlive || pairs[index].isOver {
                    close(pairs[index].there.source)
                    close(pairs[index].there.target)
                    pairs.remove(at: index)
                }
            }
            if polls[0].revents != 0, let pair = meet() { pairs.append(pair) }
        }
    }

    /// What to wait for on the source of `lane`: bytes to take, and room for the other lane's bytes.
    private static func interest(_ lane: Lane, _ other: Lane) -> pollfd {
        var events: Int32 = 0
        if lane.range.isEmpty, !lane.isEnded { events |= POLLIN }
        if !other.range.isEmpty { events |= POLLOUT }
        return pollfd(fd: events == 0 ? -1 : lane.source, events: Int16(events), revents: 0)
    }

    private static func reads(_ events: Int16) -> Bool { Int32(events) & (POLLIN | POLLHUP | POLLERR) != 0 }

    private func meet() -> Pair? {
        let near = accept(listener, nil, nil)
        guard near >= 0 else { return nil }
        let far = wiz_connect_unix(socket)
        guard far >= 0, fcntl(far, F_SETFL, O_NONBLOCK) == 0, fcntl(near, F_SETFL, O_NONBLOCK) == 0 else {
            close(near)
            return nil
        }
        return Pair(there: Lane(source: near, target: far), back: Lane(source: far, target: near))
    }
}
