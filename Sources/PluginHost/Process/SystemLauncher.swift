// The real launcher: finds what the machine has, makes the plan, prepares group, proxy and folder, starts the launcher's
// program and waits until the plugin's own runs. What holds the process is said in its report, and what cannot is never silent.

import CLinuxShims
import Glibc
import Manifest
import Synchronization

/// Starts plugins as processes of this machine, each in a sandbox of its own.
public final class SystemLauncher: ProcessLauncher {
    /// How a launcher works.
    public struct Configuration: Sendable {
        /// The program `wizmesh-launch`; nil: `WIZ_LAUNCH`, or the one beside the running program.
        public var launcher: String?
        /// bubblewrap; nil: `WIZ_BWRAP`, or `bwrap` on the system's paths.
        public var bubblewrap: String?
        /// The user and group that plugins become when the host is root; nil: `wizmesh` where there is one, else 65534.
        public var account: (uid: UInt32, gid: UInt32)?
        /// How much `/tmp` and `/dev/shm` of a sandbox hold each.
        public var temporaryBytes: Int64
        /// From a start until the program must run.
        public var startBound: Duration
        /// How often memory and processor time are looked at.
        public var watchInterval: Duration
        /// For how long a process may use more processor time than its limit.
        public var cpuWindow: Duration
        /// Where groups are: a test's folder in place of the system's.
        public var groupRoot: String

        /// A configuration; the defaults are for a machine's host.
        public init(
            launcher: String? = nil,
            bubblewrap: String? = nil,
            account: (uid: UInt32, gid: UInt32)? = nil,
            temporaryBytes: Int64 = 64 << 20,
            startBound: Duration = .seconds(20),
            watchInterval: Duration = .milliseconds(250),
            cpuWindow: Duration = .seconds(10),
            groupRoot: String = "/sys/fs/cgroup"
        ) {
            self.launcher = launcher
            self.bubblewrap = bubblewrap
            self.account = account
            self.temporaryBytes = temporaryBytes
            self.startBound = startBound
            self.watchInterval = watchInterval
            self.cpuWindow = cpuWindow
            self.groupRoot = groupRoot
        }
    }

    let configuration: Configuration
    let machine: Machine
    private let watchdog: Watchdog
    private let groups: ControlGroups
    private let availability = Mutex<Task<String?, Never>?>(nil)

    /// A launcher for this machine.
    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        machine = Machine(configuration)
        LaunchFolder.sweep(isShared: machine.facts.account != nil)
        groups = ControlGroups(root: configuration.groupRoot)
        watchdog = Watchdog(interval: configuration.watchInterval, cpuWindow: configuration.cpuWindow)
    }

    /// Starts a process, and returns once its program runs.
    ///
    /// - Parameters:
    ///   - order: What to start.
    ///   - line: Hears each line that the process writes, also before this returns.
    /// - Returns: the process.
    /// - Throws: why its program does not run.
    public func launch(
        _ order: LaunchOrder,
        line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async throws(LaunchFailure) -> any RunningProcess {
        var order = order
        order.folder = realPath(order.folder) ?? order.folder
        let searchPath = order.environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let program =
            if let kept = order.keptProgram {
                try ProgramLayout(order.program, kept: kept, folder: order.folder, searchPath: searchPath)
            } else {
                try ProgramLayout(order.program, folder: order.folder, searchPath: searchPath)
            }
        if order.enforcement == .off {
            return try await start(order, program, reason: "enforcement is off", line)
        }
        if let problem = await sandboxProblem() {
            guard order.enforcement == .prefer else { throw Self.notEnforceable(order, problem) }
            return try await start(order, program, reason: problem, line)
        }
        return try await startInSandbox(order, program, line)
    }

    /// Why no sandbox can be made here; nil when one was made, with the real flags.
    ///
    /// Once made, it is not tried again; a failure may pass, and the next who asks tries anew.
    public func sandboxProblem() async -> String? {
        let task = availability.withLock { kept in
            let task = kept ?? Task.detached { await self.trySandbox() }
            kept = task
            return task
        }
        let problem = await task.value
        if problem != nil { availability.withLock { if $0 == task { $0 = nil } } }
        return problem
    }

    private static func notEnforceable(_ order: LaunchOrder, _ problem: String) -> LaunchFailure {
        LaunchFailure(
            .notEnforceable,
            """
            \(order.label) was not started: what it may not do cannot be kept from it here, since \(problem). \
            `wiz doctor` tells what to do; `enforcement: prefer` starts it without a sandbox and marks it NOT ENFORCED
            """
        )
    }

    /// Makes a sandbox with the real flags around a program that does nothing.
    private func trySandbox() async -> String? {
        if let problem = machine.problem { return problem }
        guard let launcher = machine.launcher else { return Machine.noLauncher }
        let order = LaunchOrder(
            label: "probe",
            program: launcher,
            arguments: ["probe"],
            folder: "/usr",
            meshFolder: "/usr",
            dataFolder: "/usr"
        )
        do {
            let program = try ProgramLayout(launcher, folder: "/usr", searchPath: "")
            let process = try await startInSandbox(order, program) { _, _ in }
            let end = await process.end()
            return end.cause.isSuccess ? nil : "a trial of the sandbox ended with \(end.cause)"
        } catch {
            return machine.explain(error)
        }
    }

    private func startInSandbox(
        _ order: LaunchOrder,
        _ program: ProgramLayout,
        _ line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async throws(LaunchFailure) -> SystemProcess {
        guard let launcher = machine.launcher else { throw LaunchFailure(.system, Machine.noLauncher) }
        var facts = machine.facts
        var program = program
        program.addRuntime(of: launcher)
        // Beside it lies the storage of the host's other plugins.
        program.leaveOut(order.dataFolder.lastIndex(of: "/").map { String(order.dataFolder[..<$0]) } ?? "")
        let sockets: SeccompProgram.Sockets = order.permissions.networking == .none ? .local : .internet
        let room = takeRoom(order, &facts)
        let filter = FilterArchitecture.current.map { architecture in
            SeccompProgram(architecture, sockets: sockets, keepsProcessors: room != nil).bytes
        }
        let (folder, group) = try await prepare(order, &facts, filter: filter ?? [])
        var egress: EgressProxy?
        if case .hosts(let hosts) = order.permissions.networking {
            facts.egressFolder = folder.path + "/egress"
            do throws(LaunchFailure) {
                egress = try EgressProxy(folder: folder.path + "/egress", hosts: hosts, account: facts.account) {
                    text in
                    line(.host, text)
                }
            } catch {
                await group?.remove()
                throw error
            }
        }
        facts.groupHoldsProcesses = group?.controllers.contains(.pids) == true
        let plan = SandboxPlan(order, program: program, facts: facts)
        let report = IsolationReport(sandboxed: order, facts: facts, group: group, groups: groups)
        return try await start(
            LaunchPieces(
                order: order,
                launcher: launcher,
                arguments: plan.arguments,
                environment: plan.environment,
                folder: folder,
                group: group,
                room: room,
                egress: egress,
                isolation: report,
                line: line
            )
        )
    }

    private func start(
        _ order: LaunchOrder,
        _ program: ProgramLayout,
        reason: String,
        _ line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async throws(LaunchFailure) -> SystemProcess {
        guard let launcher = machine.launcher else { throw LaunchFailure(.system, Machine.noLauncher) }
        var facts = machine.facts
        let isOff = order.enforcement == .off
        // Without a sandbox the user is changed only to hold what can be held.
        if isOff { facts.account = nil }
        let room = takeRoom(order, &facts)
        var filter: [UInt8] = []
        facts.hasFilter = false
        if !isOff, order.permissions.networking == .none, let architecture = FilterArchitecture.current {
            filter = SeccompProgram(architecture, sockets: .local, keepsProcessors: room != nil).bytes
            facts.hasFilter = true
        }
        let (folder, group) = try await prepare(order, &facts, filter: filter)
        let plan = BarePlan(order, program: program, facts: facts, isOff: isOff)
        return try await start(
            LaunchPieces(
                order: order,
                launcher: launcher,
                arguments: plan.arguments,
                environment: plan.environment,
                folder: folder,
                group: group,
                room: room,
                egress: nil,
                isolation: IsolationReport(bare: order, reason: reason, facts: facts, group: group, groups: groups),
                line: line
            )
        )
    }

    /// The processors of a process with a limited share of them.
    private func takeRoom(_ order: LaunchOrder, _ facts: inout SandboxFacts) -> ProcessorRoom? {
        let room = order.limits.cpuPercent.flatMap { ProcessorRooms.shared.take(percent: $0) }
        facts.processors = room?.processors ?? []
        return room
    }

    /// What every process has: a folder of its launch, storage if it may store, and a group if one can be had.
    private func prepare(
        _ order: LaunchOrder,
        _ facts: inout SandboxFacts,
        filter: [UInt8]
    ) async throws(LaunchFailure) -> (LaunchFolder, ControlGroup?) {
        let (account, room) = (facts.account, facts.processors)
        let made = await Worker.run(name: "wiz-launch") { [self] in
            Result { () throws(LaunchFailure) in
                let folder = try LaunchFolder(account: account, filter: filter)
                if order.permissions.storage { try makeDataFolder(order.dataFolder, account) }
                let count = room.isEmpty ? ProcessorRooms.shared.count : room.count
                return (folder, groups.make(order.label, order.limits, processors: count))
            }
        }
        let (folder, group) = try made.get()
        facts.launchFolder = folder.path
        facts.joins = group?.joins ?? []
        return (folder, group)
    }

    private func start(_ pieces: LaunchPieces) async throws(LaunchFailure) -> SystemProcess {
        let process = SystemProcess(pieces)
        switch await pieces.folder.report(within: configuration.startBound) {
        case .runs(let number):
            process.noteStart(number)
            watchdog.watch(process)
            return process
        case .failed(let text):
            process.kill()
            _ = await process.end()
            throw Self.failure(text, process.lastLines)
        case .broken:
            process.kill()
            let end = await process.end()
            let said = process.lastLines
            let reason = said.last ?? "\(end.cause)"
            throw LaunchFailure(.system, machine.explain(reason), lastLines: said)
        case .late:
            process.kill()
            _ = await process.end()
            throw LaunchFailure(
                .system,
                "its program did not run within \(configuration.startBound)",
                lastLines: process.lastLines
            )
        }
    }

    /// A failure of the launcher's: that of a program names it first.
    private static func failure(_ text: String, _ lines: [String]) -> LaunchFailure {
        let isProgram = text.hasPrefix("/plugin/") || text.hasPrefix("/program/")
        var reason = "the program could not be run: \(text)"
        if isProgram, geteuid() == 0, text.hasSuffix(errorText(EACCES)) {
            reason += "; plugins of root's host run as another user, who must be able to read it: chmod -R o+rX FOLDER"
        }
        return LaunchFailure(isProgram ? .program : .system, reason, lastLines: lines)
    }

    private func makeDataFolder(_ path: String, _ account: Account?) throws(LaunchFailure) {
        var made = ""
        for step in path.split(separator: "/") {
            made += "/" + step
            if mkdir(made, made == path ? 0o700 : 0o755) != 0, errno != EEXIST, access(made, F_OK) != 0 {
                throw LaunchFailure(.system, "the folder for storage, \(made), cannot be made: \(errorText(errno))")
            }
        }
        guard let account else { return }
        var status = stat()
        if stat(path, &status) == 0, status.st_uid == account.uid, status.st_gid == account.gid { return }
        // Never through a link, by which whoever may write beside it could have any folder given away.
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        defer { if folder >= 0 { close(folder) } }
        guard folder >= 0, fchown(folder, account.uid, account.gid) == 0 else {
            let reason = errno == ELOOP || errno == ENOTDIR ? "it is no folder, or a link" : errorText(errno)
            throw LaunchFailure(
                .system,
                """
                the folder for storage, \(path), cannot be given to the plugin's user: \(reason); \
                chown \(account.uid):\(account.gid) it yourself
                """
            )
        }
    }
}
