// Starting a broker: the run folder, the shared libzmq context, the sockets on their thread, and the handshake by which
// `start` learns that it serves. And the end, in the one order that libzmq allows.

import BrokerCore
import CLinuxShims
import Glibc
import Logging
import Synchronization
import ZeroMQ

/// Everything that a broker consists of, until it serves.
struct BrokerParts {
    let configuration: BrokerConfiguration
    let logger: Logger
    let epoch: UInt64
    let mailbox: Mailbox
    let workbench: Workbench
    let office: Office
    let gatekeeper: Gatekeeper
    let ending = Ending()
    private let folder: RunFolder
    private let home: ZeroMQHome

    init(_ configuration: BrokerConfiguration, logger: Logger) throws {
        var configuration = configuration
        configuration.runFolder = absolute(configuration.runFolder)
        self.configuration = configuration
        self.logger = logger
        BrokerParts.raiseFileLimit(logger)
        let folder = try RunFolder(configuration.runFolder)
        var isComplete = false
        defer { if !isComplete { folder.leave() } }
        self.folder = folder
        epoch = try BrokerParts.makeEpoch()
        mailbox = try Mailbox()
        workbench = try Workbench()
        office = Office(
            mailbox: mailbox,
            workbench: workbench,
            logger: logger,
            facts: Office.Facts(
                mesh: configuration.mesh,
                epoch: epoch,
                publicKey: configuration.tcp?.key.publicKey,
                meshFilePath: configuration.meshFilePath,
                startedNanoseconds: wiz_monotonic_ns()
            )
        )
        let number: Int
        (home, number) = try ZeroMQHome.enter(ioThreadCount: configuration.ioThreadCount)
        let office = office
        let mailbox = mailbox
        gatekeeper = Gatekeeper(
            number: number,
            principals: BrokerParts.principals(configuration.keys),
            hasTicket: { key in mailbox.ask { $0.core.hasTicket(for: key.z85, now: $0.now) } ?? false },
            onRefusal: { sentence in
                office.tell(Notice(level: .warning, topic: "mesh.connection.refused", message: sentence))
            }
        )
        home.admit(by: gatekeeper)
        let gatekeeper = gatekeeper
        office.countRefusals.withLock { count in count = { [weak gatekeeper] in gatekeeper?.refusalCount ?? 0 } }
        office.admitKeys.withLock { admit in admit = { [weak gatekeeper] keys in gatekeeper?.setTicketKeys(keys) } }
        isComplete = true
    }

    static func principals(_ keys: [String: String]) -> [CurvePublicKey: String] {
        var principals: [CurvePublicKey: String] = [:]
        for (text, principal) in keys {
            if let key = try? CurvePublicKey(z85: text) { principals[key] = principal }
        }
        return principals
    }

    private static func makeEpoch() throws(ZeroMQError) -> UInt64 {
        var epoch: UInt64 = 0
        let result = wiz_random_bytes(&epoch, MemoryLayout<UInt64>.size)
        guard result == 0 else { throw ZeroMQError(code: .init(rawValue: -result), operation: .seedRandom) }
        return max(1, epoch)
    }

    /// libzmq aborts when accept finds no descriptor left, so the limit is raised as far as it goes.
    private static func raiseFileLimit(_ logger: Logger) {
        let limit = wiz_raise_open_file_limit(262_144)
        guard limit >= 0, limit < 4096 else { return }
        logger.warning(
            "only \(limit) files may be open: each peer takes one. Raise the limit (ulimit -Hn, LimitNOFILE=)"
        )
    }

    /// Starts the threads; returns the endpoints when the broker serves.
    func launch() throws -> [String] {
        let launch = Launch()
        let workbench = workbench
        let administration = try OSThread.start(name: "administration") { workbench.run() }
        let thread: OSThread
        let plan = self.plan
        do {
            let served = try WakeUp()
            thread = try OSThread.start(name: "mesh") { BrokerParts.serve(plan, launch: launch, served: served) }
            var poller = Poller(capacity: 1)
            poller.add(served)
            _ = try poller.wait(timeout: nil)
        } catch {
            end(after: nil)
            administration.join()
            throw error
        }
        let result = launch.result.withLock { $0 }
        // The thread that was made first ends last: it joins the mesh thread and gives everything back.
        let parts = self
        launch.onEnd.withLock { $0 = { parts.end(after: thread) } }
        if launch.hasEnded.load(ordering: .acquiring) { end(after: thread) }
        switch result {
        case .success(let endpoints)?:
            do { try announce(endpoints) } catch {
                mailbox.post { $0.stop(reason: "the broker could not start", immediately: true) }
                administration.join()
                throw error
            }
            return endpoints
        case .failure(let error)?:
            administration.join()
            throw error
        case nil:
            throw BrokerStopped()
        }
    }

    private func announce(_ endpoints: [String]) throws {
        office.facts.withLock { $0.endpoints = endpoints }
        struct Description: Encodable {
            var endpoints: [String]
            var epoch: String
            var pid: Int32
            var publicKey: String?
        }
        let description = Description(
            endpoints: endpoints,
            epoch: String(epoch),
            pid: getpid(),
            publicKey: configuration.tcp?.key.publicKey
        )
        try folder.describe(encoded(description))
        logger.info(
            "serving",
            metadata: ["mesh": "\(configuration.mesh)", "endpoints": "\(endpoints.joined(separator: " "))"]
        )
    }

    /// Gives everything back, on the administration thread, after what waits there.
    private func end(after thread: OSThread?) {
        let (folder, home, gatekeeper, ending) = (folder, home, gatekeeper, ending)
        workbench.end {
            thread?.join()
            home.dismiss(gatekeeper)
            ZeroMQHome.leave()
            folder.leave()
            ending.reach()
        }
    }
}

/// How the mesh thread tells that it serves, and that it has ended.
private final class Launch: Sendable {
    let result = Mutex<Result<[String], any Error>?>(nil)
    let hasEnded = Atomic<Bool>(false)
    let onEnd = Mutex<(@Sendable () -> Void)?>(nil)
}

/// What the mesh thread needs.
private struct MeshPlan: Sendable {
    let configuration: BrokerConfiguration
    let context: Context
    let gatekeeper: Gatekeeper
    let folder: RunFolder
    let office: Office
    let mailbox: Mailbox
    let epoch: UInt64
}

extension BrokerParts {
    private var plan: MeshPlan {
        MeshPlan(
            configuration: configuration,
            context: home.context,
            gatekeeper: gatekeeper,
            folder: folder,
            office: office,
            mailbox: mailbox,
            epoch: epoch
        )
    }

    /// The mesh thread's body.
    private static func serve(_ plan: MeshPlan, launch: Launch, served: WakeUp) {
        do {
            try serveUntilStopped(plan) { endpoints in
                launch.result.withLock { $0 = .success(endpoints) }
                served.signal()
            }
        } catch {
            launch.result.withLock { $0 = .failure(error) }
            served.signal()
        }
        plan.mailbox.close()
        launch.hasEnded.store(true, ordering: .releasing)
        launch.onEnd.withLock { $0 }?()
    }

    private static func serveUntilStopped(
        _ plan: MeshPlan,
        onServing: ([String]) -> Void
    ) throws {
        let configuration = plan.configuration
        let local = try Listener(
            plan.context,
            security: .none,
            domain: plan.gatekeeper.localDomain,
            isLocal: true,
            limits: configuration.limits
        )
        let remote = try Listener(
            plan.context,
            security: configuration.tcp.map { .curveServer($0.key.keys.secretKey) } ?? .none,
            domain: plan.gatekeeper.remoteDomain,
            isLocal: false,
            limits: configuration.limits
        )
        var endpoints = [try local.socket.bind(plan.folder.endpoint)]
        _ = try local.socket.bind(plan.folder.pluginsEndpoint)
        try plan.folder.openSockets()
        if let tcp = configuration.tcp {
            let address = tcp.listen.hasSuffix(":0") ? tcp.listen.dropLast() + "*" : tcp.listen[...]
            endpoints.append(try remote.socket.bind("tcp://" + address))
        }
        var core = BrokerCore(
            limits: configuration.limits,
            policy: configuration.policy,
            identity: BrokerIdentity(epoch: plan.epoch, name: Office.brokerName),
            entropy: entropy
        )
        core.setBalance(configuration.balances)
        core.started(at: MeshLoop.clock())
        var loop = try MeshLoop(
            core: core,
            wire: Wire(local: local, remote: remote, ownPath: plan.folder.socketPath),
            hasRemote: configuration.tcp != nil,
            office: plan.office,
            mailbox: plan.mailbox
        )
        onServing(endpoints)
        loop.run()
    }

    /// Bits from the kernel.
    private static let entropy: @Sendable () -> UInt64 = {
        var bits: UInt64 = 0
        // getrandom does not fail for eight bytes once the system is up.
        precondition(wiz_random_bytes(&bits, MemoryLayout<UInt64>.size) == 0, "the kernel gives no random bytes")
        return bits
    }
}
