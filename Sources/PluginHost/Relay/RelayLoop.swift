// The thread of a relay: takes connections of its unix socket, connects each to the broker, and moves bytes until it is
// told to end. It waits in poll(2); nobody else touches its connections.

internal import CLinuxShims
internal import Glibc
internal import Synchronization

/// What the relay's thread runs.
final class RelayLoop {
    private let listener: Int32
    private let target: RelayTarget
    private let bounds: ByteRelay.Bounds
    private let shared: RelayShared
    private var links: [RelayLink] = []
    private let most: Int
    private var nextNumber: UInt64 = 1
    /// Not before then are further connections taken, after the system had no descriptor for one.
    private var pausesUntil: ContinuousClock.Instant?

    init(listener: Int32, target: RelayTarget, bounds: ByteRelay.Bounds, shared: RelayShared) {
        self.listener = listener
        self.target = target
        self.bounds = bounds
        self.shared = shared
        var (soft, hard) = (UInt64.max, UInt64.max)
        _ = wiz_get_open_file_limit(&soft, &hard)
        most = Self.most(bounds.connectionCount, files: soft)
    }

    /// poll(2) refuses more entries than a process may have files, those that wait for nothing among them: two for each
    /// connection and two more.
    static func most(_ wanted: Int, files: UInt64) -> Int { max(1, min(wanted, Int(clamping: files) / 2 - 1)) }

    deinit { close(listener) }

    /// Runs until the relay is stopped.
    func run() {
        while true {
            var descriptors = waits()
            let ready = poll(&descriptors, nfds_t(descriptors.count), timeout())
            if ready < 0, errno != EINTR { return shared.tell(failure: RelayFailure(errno: errno)) }
            if descriptors[0].revents != 0 {
                _ = wiz_eventfd_drain(shared.wakeUp)
                if takeResolved() { return }
            }
            let now = ContinuousClock.now
            for (place, link) in links.enumerated() {
                let events = (descriptors[2 + place * 2].revents, descriptors[3 + place * 2].revents)
                if events != (0, 0) { link.advance(local: events.0, remote: events.1, now: now) }
                link.expire(now: now)
            }
            sweep()
            if descriptors[1].revents != 0 { accept(now) }
            shared.turned(connectionCount: links.count)
        }
    }

    private func waits() -> [pollfd] {
        var descriptors = [pollfd(fd: shared.wakeUp, events: Int16(POLLIN), revents: 0)]
        descriptors.reserveCapacity(2 + links.count * 2)
        let isPausing = pausesUntil.map { $0 > .now } ?? false
        descriptors.append(pollfd(fd: isPausing ? -1 : listener, events: Int16(POLLIN), revents: 0))
        for link in links {
            let (local, remote) = link.interests()
            descriptors.append(local)
            descriptors.append(remote)
        }
        return descriptors
    }

    private func timeout() -> Int32 {
        let next = (links.compactMap(\.deadline) + [pausesUntil].compactMap { $0 }.filter { $0 > .now }).min()
        guard let next else { return -1 }
        let left = ContinuousClock.now.duration(to: next).components
        return Int32(clamping: max(0, left.seconds * 1_000 + left.attoseconds / 1_000_000_000_000_000 + 1))
    }

    private func accept(_ now: ContinuousClock.Instant) {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else {
                // Without a descriptor to give, the connection stays in the queue and poll(2) would return at once.
                if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
                    pausesUntil = now + .milliseconds(100)
                    shared.tell(failure: RelayFailure(errno: errno))
                }
                return
            }
            guard links.count < most else {
                shared.tell(failure: RelayFailure("there are \(links.count) connections, and may be no more"))
                close(descriptor)
                continue
            }
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            let link = RelayLink(number: nextNumber, local: descriptor, bounds: bounds, now: now)
            nextNumber += 1
            links.append(link)
            dial(link)
        }
    }

    /// Addresses are connected to from here; names are looked up by a thread of their own, since that may take long.
    private func dial(_ link: RelayLink) {
        if case .success(let addresses) = RelayAddress.resolve(target, isNumericOnly: true) {
            link.resolved(.success(addresses))
        } else {
            let number = link.number
            let isStarted = RelayThread.start("relay-resolve") { [shared, target] in
                shared.resolved(number, RelayAddress.resolve(target))
            }
            if !isStarted { link.resolved(.failure(RelayFailure("no thread can be started"))) }
        }
        sweep()
    }

    /// Takes what resolver threads have found; true when the relay is stopped.
    private func takeResolved() -> Bool {
        let (isStopped, found) = shared.take()
        for (number, result) in found { links.first { $0.number == number }?.resolved(result) }
        return isStopped
    }

    private func sweep() {
        links.removeAll { link in
            guard case .over(let failure) = link.phase else { return false }
            let counts = link.byteCounts
            shared.ended(outward: counts.outward, inward: counts.inward, failure: failure)
            return true
        }
    }
}

/// What the relay's thread and others share.
final class RelayShared: Sendable {
    private struct State {
        var isStopped = false
        var found: [(UInt64, Result<[RelayAddress], RelayFailure>)] = []
        var status = ByteRelay.Status()
    }

    let wakeUp: Int32
    private let state = Mutex(State())

    init?() {
        wakeUp = wiz_eventfd_create()
        if wakeUp < 0 { return nil }
    }

    deinit { close(wakeUp) }

    var status: ByteRelay.Status { state.withLock { $0.status } }

    func stop() {
        state.withLock { $0.isStopped = true }
        _ = wiz_eventfd_signal(wakeUp)
    }

    func resolved(_ number: UInt64, _ result: Result<[RelayAddress], RelayFailure>) {
        state.withLock { $0.found.append((number, result)) }
        _ = wiz_eventfd_signal(wakeUp)
    }

    func take() -> (isStopped: Bool, found: [(UInt64, Result<[RelayAddress], RelayFailure>)]) {
        state.withLock { state in
            defer { state.found = [] }
            return (state.isStopped, state.found)
        }
    }

    func turned(connectionCount: Int) {
        state.withLock { state in
            state.status.turnCount += 1
            state.status.connectionCount = connectionCount
        }
    }

    func ended(outward: UInt64, inward: UInt64, failure: RelayFailure?) {
        state.withLock { state in
            state.status.endedCount += 1
            state.status.outwardByteCount += outward
            state.status.inwardByteCount += inward
            if let failure { state.status.lastFailure = failure }
        }
    }

    func tell(failure: RelayFailure) { state.withLock { $0.status.lastFailure = failure } }
}

/// Threads that do one thing.
enum RelayThread {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void

        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread that ends by itself; false when the system has no room for one.
    static func start(_ name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        let body = Unmanaged.passRetained(Body(name, run))
        var handle: UInt64 = 0
        let result = wiz_thread_start(
            &handle,
            512 << 10,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                wiz_set_thread_name(body.name)
                body.run()
                return nil
            },
            body.toOpaque()
        )
        if result == 0 { wiz_thread_detach(handle) } else { body.release() }
        return result == 0
    }
}
