// The broker in a simulated network: peers of every kind over links with delays and breaks, crashes, stops, clock jumps,
// rubbish, all chosen by a seed. After every step the books of the core, of the ledger and of the peers must agree. Pure:
// a failure prints its seed, and the seed replays it.

import BrokerCore
import HeapModule
import MeshProtocol
import Synchronization

/// How large and how hostile a simulated world is.
public struct SimulationOptions: Sendable {
    /// Peers that mostly call.
    public var callerCount = 3
    /// Peers that provide.
    public var workerCount = 3
    /// Peers that publish and subscribe.
    public var watcherCount = 2
    /// Peers that send rubbish.
    public var hostileCount = 1
    /// Events after which the world calms down.
    public var stepCount = 300
    /// One event in so many is a fault.
    public var faultInterval = 40

    /// The defaults.
    public init() {}
}

/// How a simulated run went.
public struct SimulationReport: Sendable, CustomStringConvertible {
    /// The seed, which replays the run.
    public var seed: UInt64
    /// Events that were run.
    public var steps = 0
    /// Calls that were begun.
    public var calls = 0
    /// Calls whose end their caller saw.
    public var ends = 0
    /// What was wrong; empty when all was well.
    ///
    /// The run ends at the first.
    public var violations: [String] = []
    /// The last events before a violation.
    public var trace: [String] = []

    /// The seed, the violation and what led to it.
    public var description: String {
        guard !violations.isEmpty else { return "seed \(seed): \(steps) steps, \(calls) calls, \(ends) ends" }
        return "seed \(seed), step \(steps):\n  " + violations.joined(separator: "\n  ") + "\nwhat led to it:\n  "
            + trace.joined(separator: "\n  ")
    }
}

/// One run.
public struct MeshSimulation: ~Copyable {
    enum Happening {
        case atBroker(link: Int, SimulatedFrame)
        case atPeer(link: Int, Header, BodyLedger.Body?)
        case act(peer: Int)
        case connect(peer: Int)
        /// The broker learns from its transport that a link is gone.
        case brokerLearns(link: Int)
        /// A peer learns that its link is gone.
        case peerLearns(link: Int)
        case goOn(peer: Int)
        /// A fault, in words.
        case fault(String)
    }

    struct Scheduled: Comparable {
        var at: UInt64
        var order: UInt64
        var happening: Happening

        static func < (left: Scheduled, right: Scheduled) -> Bool { (left.at, left.order) < (right.at, right.order) }
        static func == (left: Scheduled, right: Scheduled) -> Bool { left.order == right.order }
    }

    let options: SimulationOptions
    var random: SeededGenerator
    var core: BrokerCore
    var outbox = Outbox()
    var ledger = BodyLedger()
    var now: UInt64 = 1_000_000_000
    var agenda = Heap<Scheduled>()
    var order: UInt64 = 0
    var peers: [SimulatedPeer] = []
    var links: [SimulatedLink] = []
    var linkOfHandle: [PeerHandle: Int] = [:]
    /// By call: the process that may have begun it, when the method must not run twice.
    var begun: [UInt64: String] = [:]
    var nextTag: UInt64 = 1
    /// What hosts have said that they can start, and whose it is.
    var expectations: [(id: UInt64, session: SessionID)] = []
    var isCalm = false
    /// What has happened lately, written down only when something is wrong.
    var recent: [(at: UInt64, happening: Happening)] = []
    var report: SimulationReport

    /// Sets the world up.
    public init(seed: UInt64, options: SimulationOptions = SimulationOptions()) {
        self.options = options
        random = SeededGenerator(seed: seed)
        report = SimulationReport(seed: seed)
        var limits = Limits()
        limits.queueCount = 6
        limits.callCountPerSession = 12
        limits.payloadByteCount = 4096
        limits.historyCount = 3
        limits.retainedTopicCount = 3
        let entropy = SimulatedEntropy(seed: seed ^ 0xabcdef)
        core = BrokerCore(
            limits: limits,
            policy: Self.policy,
            identity: BrokerIdentity(epoch: 1, name: "wizmesh/simulated"),
            entropy: { entropy.next() }
        )
        core.started(at: instant)
        populate()
    }

    private mutating func populate() {
        func add(_ role: SimulatedPeer.Role, _ count: Int, _ name: String) {
            for number in 0..<count { peers.append(SimulatedPeer(role: role, name: "\(name)-\(number)")) }
        }
        add(.caller, options.callerCount, "caller")
        add(.worker, options.workerCount, "worker")
        add(.watcher, options.watcherCount, "watcher")
        add(.hostile, options.hostileCount, "hostile")
        for peer in peers.indices { schedule(.connect(peer: peer), after: UInt64(random.pick(0...50)) * 1_000_000) }
    }

    /// Everybody may do everything but call `secret`, which only one caller may.
    private static var policy: Policy {
        var policy = Policy()
        for action in Policy.Action.allCases {
            policy.rules.append(
                Policy.Rule(effect: .allow, subject: "*", action: action, target: ">", origin: "simulation:1")
            )
        }
        policy.rules.append(
            Policy.Rule(effect: .deny, subject: "caller-1", action: .call, target: "secret.>", origin: "simulation:2")
        )
        return policy
    }

    /// Puts an event on the agenda.
    mutating func schedule(_ happening: Happening, after delay: UInt64) {
        order += 1
        agenda.insert(Scheduled(at: now + delay, order: order, happening: happening))
    }

    /// Runs the world until it has calmed down.
    ///
    /// - Returns: what happened; without violations when every promise was kept.
    public mutating func run() -> SimulationReport {
        while report.violations.isEmpty, report.steps < options.stepCount { step() }
        if report.violations.isEmpty { calmDown() }
        if !report.violations.isEmpty { report.trace = recent.suffix(60).map { line($0.at, $0.happening) } }
        for peer in peers {
            report.calls += peer.client.startedCount
            report.ends += peer.client.endedCount
        }
        return report
    }

    /// Runs the next event: the earlier of the agenda's and the core's timer.
    mutating func step() {
        report.steps += 1
        let next = agenda.min?.at
        if let deadline = core.nextDeadline?.nanoseconds, deadline <= next ?? .max {
            now = max(now, deadline)
            core.timePassed(now: instant, into: &outbox)
        } else if let scheduled = agenda.popMin() {
            now = max(now, scheduled.at)
            recent.append((now, scheduled.happening))
            if recent.count > 200 { recent.removeFirst(100) }
            run(scheduled.happening)
            if !isCalm, random.once(in: options.faultInterval) { fault() }
        }
        emptyOutbox()
        check()
    }

    var instant: MeshInstant { MeshInstant(nanoseconds: now) }

    private mutating func run(_ happening: Happening) {
        switch happening {
        case .atBroker(let link, let frame): arriveAtBroker(link, frame)
        case .atPeer(let link, let header, let body): arriveAtPeer(link, header, body)
        case .act(let peer): act(peer)
        case .connect(let peer): connect(peer)
        case .brokerLearns(let link):
            guard !links[link].isClosedByBroker else { return }
            links[link].isClosedByBroker = true
            core.disconnected(links[link].handle, now: instant, into: &outbox)
        case .peerLearns(let link):
            let peer = links[link].peer
            guard peers[peer].link == link else { return }
            peers[peer].lost()
            let pause = UInt64(random.pick(50...900)) * 1_000_000
            schedule(.connect(peer: peer), after: pause)
        case .fault:
            break
        case .goOn(let peer): goOn(peer)
        }
    }

    private mutating func arriveAtBroker(_ link: Int, _ frame: SimulatedFrame) {
        guard !links[link].isClosedByBroker else { return }
        let handle = links[link].handle
        let body = frame.body.map { ledger.hand(over: $0) } ?? .none
        if !core.knows(handle) {
            core.connected(
                handle,
                credentials: .key(principal: peers[links[link].peer].name),
                now: instant,
                into: &outbox
            )
        }
        frame.header.withUnsafeBytes { bytes in
            core.received(
                from: handle,
                header: bytes,
                body: body,
                bodyByteCount: frame.body?.byteCount ?? 0,
                now: instant,
                into: &outbox
            )
        }
    }

    /// Does what the core wants done, as a shell would.
    mutating func emptyOutbox() {
        var unreachable: [PeerHandle] = []
        for action in outbox.actions {
            switch action {
            case .send(let send):
                let body = ledger.look(at: send.body)
                if send.use == .move { ledger.giveBack(send.body) }
                let bytes = Array(outbox.headers[send.headerOffset..<send.headerOffset + send.headerCount])
                if !deliver(bytes, body, to: send.peer) { unreachable.append(send.peer) }
            case .release(let body):
                ledger.giveBack(body)
            case .close(let handle):
                guard let link = linkOfHandle[handle] else { continue }
                links[link].isClosedByBroker = true
                schedule(.peerLearns(link: link), after: delay())
            case .administer, .notice, .probe, .detach:
                break
            }
        }
        let administration = outbox.administration
        outbox.removeAll()
        for call in administration {
            ledger.giveBack(call.body)
            core.refuse(
                call.lease,
                with: Failure(.unimplemented, message: "not simulated"),
                now: instant,
                into: &outbox
            )
        }
        for handle in unreachable {
            guard let link = linkOfHandle[handle], !links[link].isClosedByBroker else { continue }
            links[link].isClosedByBroker = true
            core.disconnected(handle, now: instant, into: &outbox)
        }
        if !outbox.isEmpty { emptyOutbox() }
    }

    /// Puts a frame on its way to a peer; false when the link is gone.
    private mutating func deliver(_ bytes: [UInt8], _ body: BodyLedger.Body?, to handle: PeerHandle) -> Bool {
        guard let link = linkOfHandle[handle], links[link].isUp else { return false }
        guard let header = try? Header.decode(bytes) else {
            report.violations.append("the broker sent a header that cannot be read: \(bytes)")
            return true
        }
        if case .call = header, peers[links[link].peer].isShadow, peers[links[link].peer].link == link {
            report.violations.append("\(peers[links[link].peer].name) got a call in shadow")
        }
        let at = max(now + delay(), links[link].lastArrivalAtPeer)
        links[link].lastArrivalAtPeer = at
        schedule(.atPeer(link: link, header, body), after: at - now)
        return true
    }

    /// Puts a frame on its way to the broker.
    mutating func send(_ header: [UInt8], _ body: BodyLedger.Body? = nil, from peer: Int) {
        guard let link = peers[peer].link, links[link].isUp else { return }
        peers[peer].lastSent = now
        let at = max(now + delay(), links[link].lastArrivalAtBroker)
        links[link].lastArrivalAtBroker = at
        schedule(.atBroker(link: link, SimulatedFrame(header: header, body: body)), after: at - now)
    }

    /// Puts a frame on its way to the broker.
    mutating func send(_ fields: some HeaderFields, _ body: BodyLedger.Body? = nil, from peer: Int) {
        send(fields.encoded(), body, from: peer)
    }

    /// Mostly fractions of a millisecond, now and then a long way.
    mutating func delay() -> UInt64 {
        random.once(in: 20) ? UInt64(random.pick(1...300)) * 1_000_000 : UInt64(random.pick(10...900)) * 1_000
    }

    mutating func note(_ fault: String) { recent.append((now, .fault(fault))) }

    /// An event in one line, its frame decoded.
    private func line(_ at: UInt64, _ happening: Happening) -> String {
        let what =
            switch happening {
            case .atBroker(let link, let frame):
                "\(peers[links[link].peer].name) → broker: "
                    + ((try? Header.decode(frame.header)).map { "\($0)" } ?? "rubbish \(frame.header)")
            case .atPeer(let link, let header, _): "broker → \(peers[links[link].peer].name): \(header)"
            default: "\(happening)"
            }
        return "\(at / 1_000) µs  \(what)"
    }

    /// Compares the books.
    mutating func check() {
        report.violations += core.checkInvariants()
        report.violations += ledger.violations
        if core.heldBodyCount != ledger.heldCount {
            report.violations.append("the core holds \(core.heldBodyCount) bodies, it was given \(ledger.heldCount)")
        }
    }
}

/// The entropy of a simulated broker: predictable, which a real one's must never be.
final class SimulatedEntropy: Sendable {
    private let generator: Mutex<SeededGenerator>
    init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }
    func next() -> UInt64 { generator.withLock { $0.next() } }
}
