// The life of a peer's session: connect, HELLO, WELCOME, heartbeats, loss, backing off, connect again. A pure value: the
// time and the random numbers come in from outside, what is to be done comes out as actions.

import MeshProtocol

/// A peer's side of the session protocol (docs/PROTOCOL.md, "Session").
struct SessionMachine: Sendable {
    /// What the owner of the socket shall do, in this order.
    enum Action: Hashable, Sendable {
        /// Open a new connection.
        case open
        /// Close the connection, once what was sent before has gone out.
        case close
        /// Send a message.
        case send(Frame)
        /// The broker took the peer in; `isSameEpoch` when it is still the start of the broker that the peer knew.
        case began(Welcome, isSameEpoch: Bool)
        /// The session that had begun has ended.
        case lost(MeshError)
        /// Tell those who watch.
        case changed(ConnectionState)
        /// The connection has ended for good.
        case ended(MeshError?)
    }

    private enum State: Hashable, Sendable {
        case idle
        case greeting(until: Moment)
        case live(since: Moment)
        case backingOff(until: Moment)
        case ended
    }

    /// How long the broker may take from the socket's opening to WELCOME.
    static let greetingTimeout = Duration.seconds(5)
    /// A session that lasted this long lets the back-off begin anew.
    static let healthyAfter = Duration.seconds(5)
    /// The delay before the second attempt, doubled for each further one.
    static let firstDelay = Duration.milliseconds(100)
    /// The longest delay.
    static let longestDelay = Duration.seconds(5)
    /// Silent heartbeats after which the broker counts as lost.
    static let silentHeartbeats = 4

    private var hello: Hello
    private let endpoint: String
    private let random: @Sendable () -> UInt64
    private var state = State.idle
    private var attempt = 0
    private var heartbeat = Duration.seconds(1)
    private var lastHeard = Moment(nanoseconds: 0)
    private var lastSent = Moment(nanoseconds: 0)
    private var lastPing = Moment(nanoseconds: 0)
    private var nonce: UInt64 = 0

    /// Makes a machine that has not begun.
    /// - Parameters:
    ///   - hello: what the peer says about itself.
    ///   - endpoint: where the broker is, for messages.
    ///   - random: any number, each as likely as the other.
    init(hello: Hello, endpoint: String, random: @escaping @Sendable () -> UInt64) {
        self.hello = hello
        self.endpoint = endpoint
        self.random = random
    }

    /// Whether the broker has taken the peer in.
    var isLive: Bool { if case .live = state { true } else { false } }

    /// When `timePassed` must be called at the latest.
    var nextDeadline: Moment? {
        switch state {
        case .idle, .ended: nil
        case .greeting(let until), .backingOff(let until): until
        case .live: min(pingDue, silenceEnd)
        }
    }

    private var pingDue: Moment { max(lastPing, min(lastSent, lastHeard)) + heartbeat }
    private var silenceEnd: Moment { lastHeard + heartbeat * Self.silentHeartbeats }

    /// Begins.
    mutating func start(now: Moment, into actions: inout [Action]) {
        guard state == .idle else { return }
        open(now: now, into: &actions)
    }

    private mutating func open(now: Moment, into actions: inout [Action]) {
        attempt += 1
        state = .greeting(until: now + Self.greetingTimeout)
        actions.append(.changed(.connecting(attempt: attempt)))
        actions.append(.open)
        actions.append(.send(Frame(hello)))
    }

    /// Notes that the broker has sent something.
    mutating func heard(now: Moment) { lastHeard = now }

    /// Notes that something has been sent.
    mutating func wrote(now: Moment) { lastSent = now }

    /// Takes WELCOME.
    mutating func received(_ welcome: Welcome, now: Moment, into actions: inout [Action]) {
        guard case .greeting = state else { return }
        guard welcome.version == .current else {
            let error = MeshError(
                .failedPrecondition,
                "the broker chose protocol version \(welcome.version.rawValue), which this side did not offer",
                subject: endpoint
            )
            return end(error, into: &actions)
        }
        let isSameEpoch = hello.lastEpoch == welcome.epoch
        hello.lastEpoch = welcome.epoch
        if !welcome.ticket.isEmpty { hello.ticket = welcome.ticket }
        heartbeat = .milliseconds(Int64(max(10, welcome.heartbeatMilliseconds)))
        state = .live(since: now)
        lastHeard = now
        lastSent = now
        lastPing = now
        actions.append(.changed(.connected(SessionInfo(welcome))))
        actions.append(.began(welcome, isSameEpoch: isSameEpoch))
    }

    /// Takes REJECT: without a delay it is the broker's last word.
    mutating func received(_ reject: Reject, now: Moment, into actions: inout [Action]) {
        guard isConnected else { return }
        let error = MeshError(reject).about(endpoint)
        guard let delay = error.retryAfter else { return end(error, into: &actions) }
        lose(error, atLeast: delay, now: now, into: &actions)
    }

    /// Takes PING.
    mutating func received(_ ping: Ping, into actions: inout [Action]) {
        guard isLive else { return }
        actions.append(.send(Frame(Pong(nonce: ping.nonce))))
    }

    /// Takes BYE.
    mutating func received(_ bye: Bye, now: Moment, into actions: inout [Action]) {
        guard isConnected else { return }
        let reason = bye.reason.isEmpty ? "the broker said good-bye" : "the broker said good-bye: \(bye.reason)"
        let status = bye.status == .ok ? Status.unavailable : bye.status
        lose(MeshError(status, reason, flags: .retryable, subject: endpoint), now: now, into: &actions)
    }

    /// The connection is gone, or could not be made.
    mutating func connectionLost(_ error: MeshError, now: Moment, into actions: inout [Action]) {
        guard isConnected else { return }
        lose(error.about(endpoint), now: now, into: &actions)
    }

    private var isConnected: Bool {
        switch state {
        case .greeting, .live: true
        case .idle, .backingOff, .ended: false
        }
    }

    /// Does what is due.
    mutating func timePassed(now: Moment, into actions: inout [Action]) {
        switch state {
        case .idle, .ended: break
        case .greeting(let until):
            guard now >= until else { return }
            let error = MeshError(
                .unavailable,
                "no broker answered within \(Self.greetingTimeout)",
                hint: "Check that the broker runs and that the endpoint and, on tcp, its public key are right.",
                flags: .retryable,
                subject: endpoint
            )
            lose(error, now: now, into: &actions)
        case .live: beat(now: now, into: &actions)
        case .backingOff(let until): if now >= until { open(now: now, into: &actions) }
        }
    }

    private mutating func beat(now: Moment, into actions: inout [Action]) {
        if now >= silenceEnd {
            let error = MeshError(
                .unavailable,
                "the broker has been silent for \(Self.silentHeartbeats) heartbeats",
                flags: .retryable,
                subject: endpoint
            )
            lose(error, now: now, into: &actions)
        } else if now >= pingDue {
            nonce += 1
            lastPing = now
            actions.append(.send(Frame(Ping(nonce: nonce))))
        }
    }

    /// Leaves in good order.
    mutating func close(reason: String, into actions: inout [Action]) {
        guard state != .ended else { return }
        if isLive { actions.append(.send(Frame(Bye(reason: reason)))) }
        end(nil, into: &actions)
    }

    private mutating func lose(
        _ error: MeshError,
        atLeast minimum: Duration = .zero,
        now: Moment,
        into actions: inout [Action]
    ) {
        let wasLive = isLive
        if case .live(let since) = state, now >= since + Self.healthyAfter { attempt = 1 }
        let delay = max(minimum, backOff())
        state = .backingOff(until: now + delay)
        actions.append(.close)
        if wasLive { actions.append(.lost(error)) }
        actions.append(.changed(.disconnected(error, retryIn: delay)))
    }

    /// 100 ms doubling to 5 s, each between half and one and a half of itself.
    private func backOff() -> Duration {
        let doublings = min(max(attempt, 1) - 1, 6)
        let delay = min(Self.firstDelay * (1 << doublings), Self.longestDelay)
        let jitter = 500 + Int64(random() % 1001)
        return .nanoseconds(delay.wholeNanoseconds / 1000 * jitter)
    }

    private mutating func end(_ error: MeshError?, into actions: inout [Action]) {
        let wasLive = isLive
        state = .ended
        actions.append(.close)
        if wasLive { actions.append(.lost(error ?? .closed)) }
        actions.append(.changed(.closed(error)))
        actions.append(.ended(error))
    }
}

extension SessionInfo {
    /// Takes a WELCOME.
    init(_ welcome: Welcome) {
        self.init(
            session: welcome.session,
            epoch: welcome.epoch,
            principal: welcome.principal,
            broker: welcome.broker,
            heartbeat: .milliseconds(Int64(welcome.heartbeatMilliseconds)),
            maximumPayloadByteCount: Int(welcome.maximumPayloadByteCount),
            maximumCallCount: Int(welcome.maximumCallCount)
        )
    }
}
