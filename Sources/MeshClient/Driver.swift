// The connection thread: owns the socket and the machines, turns commands and messages into their inputs and their
// actions into messages and resumed tasks. Everything here runs on that one thread.

import CLinuxShims
import DequeModule
import Logging
import MeshProtocol
import ZeroMQ

/// The loop of one connection.
final class Driver {
    /// Messages that are received before commands and clocks get their turn.
    private static let receiveCount = 512

    let core: ConnectionCore
    let logger: Logger
    var session: SessionMachine
    var calls = CallTable<CallWaiter>()
    var leases = LeaseTable<IncomingCall>()
    var registrations = RegistrationTable<RegistrationState, Waiter<Void>>()
    var subscriptions = SubscriptionTable<SubscriptionState, Waiter<Void>>()
    var sessionKey: SessionKey
    var now: Moment

    var sessionActions: [SessionMachine.Action] = []
    var callActions: [CallTable<CallWaiter>.Action] = []
    var leaseActions: [LeaseTable<IncomingCall>.Action] = []
    var registrationActions: [RegistrationTable<RegistrationState, Waiter<Void>>.Action] = []
    var subscriptionActions: [SubscriptionTable<SubscriptionState, Waiter<Void>>.Action] = []

    /// What libzmq would not take yet, in order.
    var unsent = Deque<Frame>()
    var unsentByteCount = 0
    /// The largest BATCH that the broker takes, in bytes of payload; zero: none, or no session.
    var batchByteCount = 0
    /// Reused: the messages that are joined.
    private var joined: [UInt8] = []
    /// Counts the sockets that were asked for; the link in use belongs to one of them.
    var wantedLink = 0
    var wantsLink = false
    var isEnded = false
    var lastLoss: MeshError?
    var welcomeWaiters: [(waiter: Waiter<SessionInfo>, until: Moment)] = []
    var closers: [Waiter<Void>] = []
    var drainHandler: (@Sendable (DrainRequest) async -> Void)?
    /// Set while the broker waits for this worker to leave.
    var leaving: Leaving?
    private var commands: [Command] = []

    /// How far this worker has come with leaving.
    struct Leaving {
        let request: DrainRequest
        /// Whether the handler has been told.
        var isTold = false
        /// Whether the handler has returned; so it has when there is none.
        var isHandled = true
        /// Whether the last call is answered.
        var isDrained = false
    }

    init(_ core: ConnectionCore) {
        self.core = core
        logger = core.configuration.logger
        let configuration = core.configuration
        let hello = Hello(
            name: configuration.name,
            version: configuration.version,
            instance: configuration.instance,
            ticket: configuration.ticket,
            sdk: "wizmesh-swift/\(WizmeshVersion.current)",
            batchByteCount: UInt32(WireLimits.batchByteCount)
        )
        session = SessionMachine(hello: hello, endpoint: configuration.endpoint) {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        }
        sessionKey = SessionKey(connection: core.number, generation: 0)
        now = Moment(nanoseconds: wiz_monotonic_ns())
    }

    /// Runs until the connection has ended for good, then answers everybody who still waits.
    func run() {
        session.start(now: now, into: &sessionActions)
        perform()
        while !isEnded {
            if wantsLink { runLink() } else { runIdle() }
        }
        for command in core.inbox.close() { refuse(command) }
        for closer in closers { closer.resume(returning: .success(())) }
    }

    private var backlogCount: Int { unsent.count + calls.parkedCount }
    private var backlogByteCount: Int { unsentByteCount + calls.parkedByteCount }

    private func fallAsleep() -> Bool {
        core.inbox.fallAsleep(backlogCount: backlogCount, backlogByteCount: backlogByteCount)
    }

    private func tick() { now = Moment(nanoseconds: wiz_monotonic_ns()) }

    /// Takes the commands that have come.
    private func takeCommands() {
        core.inbox.swap(&commands, backlogCount: backlogCount, backlogByteCount: backlogByteCount)
        for command in commands { handle(command) }
        commands.removeAll(keepingCapacity: true)
        perform()
    }

    private func takeTime() {
        session.timePassed(now: now, into: &sessionActions)
        calls.timePassed(now: now, reason: lastLoss, into: &callActions)
        leases.timePassed(now: now, into: &leaseActions)
        registrations.timePassed(now: now, into: &registrationActions)
        expireWelcomeWaiters()
        perform()
    }

    private var timeout: Int64 {
        var next = earliest(session.nextDeadline, calls.nextDeadline)
        next = earliest(next, leases.nextDeadline)
        next = earliest(next, registrations.nextDeadline)
        for waiter in welcomeWaiters { next = earliest(next, waiter.until) }
        guard let next else { return -1 }
        return max(0, next.nanoseconds - wiz_monotonic_ns())
    }

    /// Waits for commands and for the end of the back-off, without a socket.
    private func runIdle() {
        var poller = Poller(capacity: 1)
        poller.add(core.inbox.wakeUp)
        while !isEnded, !wantsLink {
            tick()
            takeCommands()
            takeTime()
            guard !isEnded, !wantsLink, fallAsleep() else { continue }
            do {
                if try !poller.wait(timeoutNanoseconds: timeout).isEmpty { core.inbox.wakeUp.drain() }
            } catch {
                logger.error("waiting for commands failed: \(error)")
            }
        }
    }

    /// Runs one connection attempt, and the session if it comes to one.
    private func runLink() {
        let number = wantedLink
        do {
            var link = try Link.open(core.configuration, wakeUp: core.inbox.wakeUp)
            do {
                while wantsLink, number == wantedLink { try turn(&link) }
                // The last words: BYE, and what was sent before it.
                try flush(link)
            } catch {
                lose(error)
            }
            link.close()
        } catch {
            lose(error)
        }
        unsent.removeAll()
        unsentByteCount = 0
    }

    private func lose(_ error: any Error) {
        tick()
        let loss = error as? MeshError ?? MeshError(.unavailable, "\(error)", flags: .retryable)
        session.connectionLost(loss, now: now, into: &sessionActions)
        perform()
    }

    private func turn(_ link: inout Link) throws {
        tick()
        takeCommands()
        let mayHaveMore = try receive(&link)
        takeTime()
        guard wantsLink else { return }
        try flush(link)
        guard !mayHaveMore, fallAsleep() else { return }
        guard try link.wait(timeoutNanoseconds: timeout, wantsToSend: !unsent.isEmpty) else { return }
        guard let loss = try link.loss() else { return }
        // What the broker said before it went away is still there, a REJECT perhaps.
        while wantsLink, try receive(&link) {}
        lose(loss)
    }

    /// Receives a bounded number of messages; true when there may be more.
    private func receive(_ link: inout Link) throws -> Bool {
        var count = 0
        while count < Self.receiveCount {
            switch try link.socket.tryReceive(into: &link.frames) {
            case .nothing:
                if count > 0 { session.heard(now: now) }
                return false
            case .tooManyFrames(let total):
                throw MeshError(.protocolError, "the broker sent a message of \(total) frames")
            case .received:
                count += try take(&link.frames)
                guard wantsLink else { return false }
            }
        }
        session.heard(now: now)
        return true
    }

    /// Takes in a message, or each of those in a batch; returns their number.
    private func take(_ frames: inout FrameBuffer) throws -> Int {
        guard frames.count > 1, frames.withUnsafeBytes(at: 0, { Batch.begins($0) }) else {
            let body: [UInt8]? = frames.count > 1 ? frames.withUnsafeBytes(at: 1) { Array($0) } : nil
            try frames.withUnsafeBytes(at: 0) { try received($0, body: body) }
            perform()
            return 1
        }
        _ = try frames.withUnsafeBytes(at: 0) { try Batch.decode($0) }
        return try frames.take(at: 1).withUnsafeBytes { batch in
            var reader = BatchReader(batch)
            var count = 0
            while wantsLink, let item = try reader.next() {
                try received(item.header, body: item.payload.map { Array($0) })
                perform()
                count += 1
            }
            return count
        }
    }

    /// Sends what libzmq takes.
    private func flush(_ link: borrowing Link) throws {
        guard !unsent.isEmpty else { return }
        while let frame = unsent.first {
            let count = joinableCount()
            let outcome: EnvelopeOutcome
            if count > 1 {
                join(count)
                outcome = try link.socket.trySend(header: Self.batchHeader.span.bytes, body: Message(copying: joined))
            } else {
                let body = frame.body.map { Message(copying: $0) }
                outcome = try link.socket.trySend(header: frame.header.span.bytes, body: body)
            }
            switch outcome {
            case .sent: break
            case .wouldBlock: return
            case .unreachable: return
            }
            for frame in unsent.prefix(count) { unsentByteCount -= frame.byteCount }
            unsent.removeFirst(count)
        }
        session.wrote(now: now)
    }

    private static let batchHeader = Batch().encoded()

    /// How many of the first messages that wait leave as one; at least 1.
    private func joinableCount() -> Int {
        var (count, byteCount) = (0, 0)
        for frame in unsent {
            let payloadCount = frame.body?.count
            byteCount += Batch.byteCount(header: frame.header.count, payload: payloadCount)
            guard byteCount <= batchByteCount, payloadCount ?? 0 <= Batch.joinedPayloadByteCount else { break }
            count += 1
        }
        return max(1, count)
    }

    private func join(_ count: Int) {
        joined.removeAll(keepingCapacity: true)
        for frame in unsent.prefix(count) {
            frame.header.withUnsafeBytes { header in
                guard let body = frame.body else { return Batch.append(header: header, payload: nil, to: &joined) }
                body.withUnsafeBytes { Batch.append(header: header, payload: $0, to: &joined) }
            }
        }
    }

    /// Sends a message, after those that wait.
    func emit(_ frame: Frame) {
        unsentByteCount += frame.byteCount
        unsent.append(frame)
    }
}
