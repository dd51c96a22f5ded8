// The broker as others see it: started with a configuration, serving when `start` returns, stopped in good order. Owns
// the threads and the run folder; all work is in MeshLoop (the mesh thread) and Office (the administration thread).

import BrokerCore
import CLinuxShims
public import ConfigDocument
import Glibc
public import Logging
import Synchronization
import ZeroMQ

/// A running broker.
public final class Broker: Sendable {
    /// Name and version, as peers see them.
    public static let nameAndVersion = Office.brokerName

    /// Where peers connect: the local one first.
    public let endpoints: [String]
    /// The tcp listener's public key, which tcp peers pin.
    public let publicKey: String?
    /// Changes with every start.
    public let epoch: UInt64

    let mailbox: Mailbox
    private let office: Office
    private let gatekeeper: Gatekeeper
    private let ending: Ending
    private let logger: Logger
    private let settings: Mutex<BrokerConfiguration>

    init(_ parts: BrokerParts, endpoints: [String]) {
        self.endpoints = endpoints
        publicKey = parts.configuration.tcp?.key.publicKey
        epoch = parts.epoch
        mailbox = parts.mailbox
        office = parts.office
        gatekeeper = parts.gatekeeper
        ending = parts.ending
        logger = parts.logger
        settings = Mutex(parts.configuration)
    }

    /// Starts a broker; it serves when this returns.
    ///
    /// - Parameters:
    ///   - configuration: What it needs to know.
    ///   - logger: Where it tells what happens.
    /// - Returns: The broker, which stops when it is told to or when nobody keeps it.
    /// - Throws: why it cannot serve, with what to do.
    public static func start(_ configuration: BrokerConfiguration, logger: Logger) throws -> Broker {
        for warning in configuration.warnings { logger.warning("\(warning)") }
        let parts = try BrokerParts(configuration, logger: logger)
        let endpoints = try parts.launch()
        let broker = Broker(parts, endpoints: endpoints)
        parts.office.reload.withLock { reload in
            reload = { [weak broker] path in try broker?.reload(path) ?? [] }
        }
        return broker
    }

    /// Makes a one-time ticket, with which a process that is about to start says who it is.
    ///
    /// - Parameters:
    ///   - name: The name that its HELLO must carry.
    ///   - principal: Who it will be; the same as the name unless given.
    /// - Returns: The ticket.
    /// - Throws: when the broker has stopped.
    public func issueTicket(name: String, principal: String? = nil) throws -> String {
        let grant = TicketGrant(name: name, principal: principal ?? name)
        guard let ticket = mailbox.ask({ $0.core.issueTicket(grant, now: $0.now) }) else { throw BrokerStopped() }
        return ticket
    }

    /// Tells that a local process ended: its sessions are gone at once.
    public func processEnded(_ process: Int32, cause: String) {
        mailbox.post { _ = $0.core.processEnded(process, cause: cause, now: $0.now, into: &$0.outbox) }
    }

    /// Reads a mesh file and puts its limits, policy, keys and balances into force, all or nothing.
    ///
    /// - Parameter path: The file.
    /// - Returns: What has changed; what needs a restart is logged.
    /// - Throws: every problem of the file; then everything stays as it was.
    @discardableResult
    public func reload(_ path: String) throws(ConfigErrors) -> [String] {
        let file = try MeshFile(reading: path, knowing: settings.withLock { $0.manifests })
        for warning in file.leftOut.map({ "\($0)" }) + file.warnings { logger.warning("\(warning)") }
        let (old, changed) = settings.withLock { settings in
            let old = settings
            settings.limits = file.limits
            settings.policy = file.policy
            settings.keys = file.keys
            settings.balances = file.balances
            settings.manifests = file.manifests
            return (old, Broker.changes(from: old, to: settings))
        }
        for advice in Broker.needsRestart(old, file) { logger.warning("\(advice)") }
        gatekeeper.setPrincipals(BrokerParts.principals(file.keys))
        let removed = Set(old.keys.values).subtracting(file.keys.values)
        mailbox.post { loop in loop.apply(file, withoutKeys: removed, transportLimits: old.limits) }
        logger.info("mesh file read again", metadata: ["changed": "\(changed.joined(separator: ", "))"])
        return changed
    }

    private static func changes(from old: BrokerConfiguration, to new: BrokerConfiguration) -> [String] {
        var changed: [String] = []
        if old.limits != new.limits { changed.append("limits") }
        if old.policy != new.policy { changed.append("policy") }
        if old.keys != new.keys { changed.append("keys") }
        if old.balances != new.balances { changed.append("balances") }
        return changed
    }

    private static func needsRestart(_ old: BrokerConfiguration, _ file: MeshFile) -> [String] {
        var advice: [String] = []
        if absolute(BrokerConfiguration.runFolder(of: file)) != absolute(old.runFolder), file.runFolder != nil {
            advice.append("broker.run has changed: restart the broker for it")
        }
        if file.tcp?.listen != old.tcp?.listen || file.tcp?.key != old.tcp?.key.path {
            advice.append("broker.tcp has changed: restart the broker for it")
        }
        return advice
    }

    /// Stops in good order: every peer is told, answers get a bounded time to leave.
    ///
    /// - Parameters:
    ///   - reason: What peers are told.
    ///   - immediately: Whether the last answers may be lost; a second call with it cuts the first one short.
    public func stop(reason: String = "the broker shuts down", immediately: Bool = false) async {
        mailbox.post { $0.stop(reason: reason, immediately: immediately) }
        await waitUntilStopped()
    }

    /// Stops in good order and blocks the calling thread until it has: for threads of one's own, never for a task.
    ///
    /// - Parameter reason: What peers are told.
    public func stopAndBlock(reason: String = "the broker shuts down") {
        mailbox.post { $0.stop(reason: reason, immediately: false) }
        ending.block()
    }

    /// Returns when the broker has stopped: its threads have ended, its files are gone.
    public func waitUntilStopped() async { await ending.wait() }

    deinit { mailbox.post { $0.stop(reason: "the broker shuts down", immediately: false) } }
}

/// The broker was asked for something after its end.
public struct BrokerStopped: Error, Hashable, Sendable, CustomStringConvertible {
    /// What happened.
    public var description: String { "the broker has stopped: start another one" }
}

/// The end of a broker, for those who wait for it.
final class Ending: Sendable {
    private struct State {
        var isReached = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var blocked: [WakeUp] = []
    }

    private let state = Mutex(State())

    func wait() async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if !state.isReached { state.waiters.append(continuation) }
                return state.isReached
            }
            if isReached { continuation.resume() }
        }
    }

    /// The same for a thread that may block.
    func block() {
        guard let reached = try? WakeUp() else { return }
        let isReached = state.withLock { state in
            if !state.isReached { state.blocked.append(reached) }
            return state.isReached
        }
        if isReached { return }
        var poller = Poller(capacity: 1)
        poller.add(reached)
        _ = try? poller.wait(timeout: nil)
    }

    func reach() {
        let (waiters, blocked) = state.withLock { state in
            state.isReached = true
            defer {
                state.waiters = []
                state.blocked = []
            }
            return (state.waiters, state.blocked)
        }
        for waiter in waiters { waiter.resume() }
        for wakeUp in blocked { wakeUp.signal() }
    }
}

extension MeshLoop {
    /// Puts a mesh file into force.
    mutating func apply(_ file: MeshFile, withoutKeys removed: Set<String>, transportLimits: Limits) {
        var limits = file.limits
        // Longer frames than the sockets were made for never arrive.
        limits.payloadByteCount = min(limits.payloadByteCount, Listener.frameByteCount(transportLimits))
        core.setLimits(limits, into: &outbox)
        core.setBalance(file.balances)
        core.setPolicy(file.policy, now: now, into: &outbox)
        settle()
        guard !removed.isEmpty else { return }
        var after: SessionID?
        while true {
            let page = core.sessions(after: after, limit: 500, now: now)
            for session in page where session.user == nil && removed.contains(session.principal) {
                let id = SessionID(rawValue: session.session)
                _ = core.kickSession(id, reason: "its key is no longer in the mesh file", now: now, into: &outbox)
                settle()
            }
            guard page.count == 500, let last = page.last else { return }
            after = SessionID(rawValue: last.session)
        }
    }
}
