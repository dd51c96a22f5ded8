// The way out of a sandbox that may reach some hosts: an HTTP proxy on a unix socket, which only that sandbox sees. It checks
// the host, resolves the name itself, checks the address, dials that very address, and says so. A thread for each connection,
// bounded in number: there are few, and each waits on others.

import CLinuxShims
import Glibc
import Manifest
import Synchronization

/// The egress proxy of one plugin process.
final class EgressProxy: Sendable {
    /// What a proxy has done.
    struct Counts: Hashable, Sendable {
        /// Connections that it made.
        var dialled = 0
        /// Those that it refused: not granted, or an address that may not be dialled.
        var refused = 0
        /// Those that failed: no such name, no answer.
        var failed = 0
    }

    private struct State {
        var counts = Counts()
        var open: Set<Int32> = []
        var isStopped = false
        var meter = LineMeter(perSecond: 100)
    }

    private static let mostConnections = 64
    private static let longestHead = 16 * 1024

    private let policy: EgressPolicy
    private let hear: @Sendable (String) -> Void
    private let begin = ContinuousClock.now
    private let listener: Int32
    private let state = Mutex(State())

    init(
        folder: String,
        hosts: [HostPattern],
        account: Account?,
        say: @escaping @Sendable (String) -> Void
    ) throws(LaunchFailure) {
        policy = EgressPolicy(hosts: hosts)
        hear = say
        guard mkdir(folder, 0o700) == 0 else {
            throw LaunchFailure(.system, "\(folder) cannot be made: \(errorText(errno))")
        }
        listener = wiz_listen_unix(folder + "/" + SandboxPlan.Inside.proxySocket)
        guard listener >= 0 else {
            throw LaunchFailure(.system, "the egress proxy in \(folder): \(errorText(listener))")
        }
        if let account { chown(folder, account.uid, account.gid) }
        Worker.start(name: "wiz-egress") { [self] in accept() }
    }

    var counts: Counts { state.withLock { $0.counts } }

    /// Ends the proxy and every connection through it.
    func stop() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.isStopped = true
            _ = wiz_shutdown_both(listener)
            for file in state.open { _ = wiz_shutdown_both(file) }
        }
    }

    private func accept() {
        while true {
            let file = Glibc.accept(listener, nil, nil)
            if file < 0, errno == EINTR || errno == ECONNABORTED { continue }
            if file < 0, [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno) {
                // It waits in the queue until the host has room again.
                poll(nil, 0, 100)
                continue
            }
            guard file >= 0, hold(file) else {
                if file >= 0 {
                    close(file)
                    if !state.withLock({ $0.isStopped }) { continue }
                }
                close(listener)
                return
            }
            _ = wiz_set_close_on_exec(file, true)
            Worker.start(name: "wiz-egress-1") { [self] in serve(file) }
        }
    }

    /// Takes a connection in, as long as there are not too many.
    private func hold(_ file: Int32) -> Bool {
        state.withLock { state in
            guard !state.isStopped, state.open.count < 2 * Self.mostConnections else { return false }
            state.open.insert(file)
            return true
        }
    }

    private func release(_ file: Int32) {
        state.withLock { _ = $0.open.remove(file) }
        close(file)
    }

    private func serve(_ client: Int32) {
        defer { release(client) }
        guard let (head, rest) = readHead(client), let request = EgressRequest(head) else {
            return answer(
                client,
                "400 Bad Request",
                "this proxy takes CONNECT host:port, and requests for http:// addresses"
            )
        }
        let place = "\(request.host.contains(":") ? "[\(request.host)]" : request.host):\(request.port)"
        guard policy.grants(request.host, port: request.port) else {
            let granted = policy.hosts.map(\.description).joined(separator: ", ")
            refuse(place, "granted are \(granted)")
            return answer(client, "403 Forbidden", "\(place) is not granted to this plugin; granted are \(granted)")
        }
        switch dial(request) {
        case .failure(let reason) where reason.isRefusal:
            refuse(place, reason.text)
            answer(client, "403 Forbidden", "\(place) may not be reached: \(reason.text)")
        case .failure(let reason):
            state.withLock { $0.counts.failed += 1 }
            say("egress: \(place) failed: \(reason.text)")
            answer(client, "502 Bad Gateway", "\(place) could not be reached: \(reason.text)")
        case .success(let (server, address)):
            guard hold(server) else {
                close(server)
                return
            }
            defer { release(server) }
            state.withLock { $0.counts.dialled += 1 }
            say("egress: \(place) at \(address)")
            let first = request.forwarded ?? []
            if request.forwarded == nil, !send(client, Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)) {
                return
            }
            guard send(server, first + rest) else { return }
            Splice(client, server).run()
        }
    }

    private struct Reason: Error {
        let text: String
        var isRefusal = false
    }

    private func dial(_ request: EgressRequest) -> Result<(server: Int32, address: String), Reason> {
        let addresses = resolve(request.host)
        guard !addresses.isEmpty else { return .failure(Reason(text: "there is no such host")) }
        let allowed = addresses.filter { policy.mayDial($0, for: request.host, port: request.port) }
        guard !allowed.isEmpty else {
            let list = addresses.joined(separator: ", ")
            return .failure(
                Reason(
                    text: "it is at \(list), within this machine or its networks; grant the address itself",
                    isRefusal: true
                )
            )
        }
        var failure = ""
        for address in allowed.prefix(4) {
            let file = wiz_connect_address(address, request.port, 10_000)
            if file >= 0 { return .success((file, address)) }
            failure = "\(address): \(errorText(file))"
        }
        return .failure(Reason(text: failure))
    }

    private func resolve(_ host: String) -> [String] {
        let capacity = 16
        return withUnsafeTemporaryAllocation(byteCount: 64 * capacity, alignment: 1) { buffer in
            guard let base = buffer.baseAddress else { return [] }
            let count = wiz_resolve(host, base.assumingMemoryBound(to: CChar.self), Int32(capacity))
            guard count > 0 else { return [] }
            var found: [String] = []
            for index in 0..<Int(count) {
                let bytes = buffer[(64 * index)..<(64 * index + 64)].prefix { $0 != 0 }
                let text = String(decoding: bytes, as: UTF8.self)
                if !found.contains(text) { found.append(text) }
            }
            return found
        }
    }

    /// Says a line, unless there are very many: whoever is refused may try again without end.
    private func say(_ text: String) {
        let elapsed = begin.duration(to: .now)
        guard case .show(let leftOut) = state.withLock({ $0.meter.line(at: elapsed) }) else { return }
        hear(leftOut == 0 ? text : "\(text) (\(leftOut) lines before it were left out)")
    }

    private func refuse(_ place: String, _ reason: String) {
        state.withLock { $0.counts.refused += 1 }
        say("egress: \(place) refused: \(reason)")
    }

    private func answer(_ client: Int32, _ status: String, _ text: String) {
        let body = text + "\n"
        _ = send(
            client,
            Array(
                ("HTTP/1.1 \(status)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: \(body.utf8.count)\r\n"
                    + "Connection: close\r\n\r\n\(body)").utf8
            )
        )
    }

    /// The head of a request up to its empty line, and what came after it.
    private func readHead(_ client: Int32) -> (head: [UInt8], rest: [UInt8])? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        // For the whole of it: who sends a byte now and then holds no place for ever.
        let end = ContinuousClock.now + .seconds(30)
        while bytes.count < Self.longestHead {
            var wait = [pollfd(fd: client, events: Int16(POLLIN), revents: 0)]
            let left = Int32(clamping: ContinuousClock.now.duration(to: end).components.seconds * 1000)
            guard left > 0, poll(&wait, 1, left) > 0 else { return nil }
            let count = read(client, &buffer, buffer.count)
            guard count > 0 else { return nil }
            let from = max(0, bytes.count - 3)
            bytes += buffer.prefix(count)
            guard bytes.count >= 4 else { continue }
            for start in from...(bytes.count - 4) where bytes[start..<(start + 4)].elementsEqual([13, 10, 13, 10]) {
                return (Array(bytes[..<(start + 4)]), Array(bytes[(start + 4)...]))
            }
        }
        return nil
    }

    private func send(_ file: Int32, _ bytes: [UInt8]) -> Bool {
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(file, buffer.baseAddress?.advanced(by: start), bytes.count - start, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            start += count
        }
        return true
    }
}

/// Carries bytes between two sockets until both sides have ended, or nothing has moved for ten minutes.
private struct Splice {
    private struct Lane {
        let source: Int32
        let target: Int32
        var buffer = [UInt8](repeating: 0, count: 32 * 1024)
        var range = 0..<0
        var isEnded = false

        /// False when the connection is broken.
        mutating func move() -> Bool {
            if range.isEmpty, !isEnded {
                let count = recv(source, &buffer, buffer.count, Int32(MSG_DONTWAIT))
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
                    send(
                        target,
                        bytes.baseAddress?.advanced(by: range.lowerBound),
                        range.count,
                        Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
                    )
                }
                if count < 0 { return errno == EAGAIN || errno == EINTR }
                range = (range.lowerBound + count)..<range.upperBound
            }
            return true
        }

        /// What to wait for on the source, given the lane that writes to it.
        func interest(_ other: Lane) -> pollfd {
            let reads = range.isEmpty && !isEnded ? POLLIN : 0
            let writes = other.range.isEmpty ? 0 : POLLOUT
            let events = reads | writes
            return pollfd(fd: events == 0 ? -1 : source, events: Int16(events), revents: 0)
        }
    }

    private var there: Lane
    private var back: Lane

    init(_ near: Int32, _ far: Int32) {
        there = Lane(source: near, target: far)
        back = Lane(source: far, target: near)
    }

    func run() {
        var (there, back) = (there, back)
        while !(there.isEnded && back.isEnded && there.range.isEmpty && back.range.isEmpty) {
            var polls = [there.interest(back), back.interest(there)]
            let count = poll(&polls, 2, 600_000)
            if count < 0, errno == EINTR { continue }
            guard count > 0, there.move(), back.move() else { return }
        }
    }
}
