// One plugin process while it runs: the launcher's process as swift-subprocess sees it, the plugin's own inside the sandbox,
// who may end it and why, and how it ended. Everything that belongs to it (group, room, proxy, folder) goes
// when it ends.

import CLinuxShims
import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// What a process is started with, apart from what it is.
struct LaunchPieces: Sendable {
    let order: LaunchOrder
    let launcher: String
    let arguments: [String]
    let environment: [String: String]
    let folder: LaunchFolder
    let group: ControlGroup?
    let room: ProcessorRoom?
    let egress: EgressProxy?
    let isolation: IsolationReport
    let line: @Sendable (HostEvent.Output, String) -> Void
}

/// A plugin process of the real launcher.
final class SystemProcess: RunningProcess {
    private struct State {
        /// The launcher, which becomes bubblewrap or the supervisor: the child that swift-subprocess waits for.
        var outer: Int32?
        /// The plugin's own id.
        var process: Int32 = 0
        var pidfd: Int32 = -1
        var isEnded = false
        /// Why the host ended it, where it was not asked to.
        var verdict: ExitCause?
        var isTerminating = false
        var isKilled = false
        /// Whether its group lets others go first.
        var yields = false
        /// What ended it was the host, in place of a signal's default effect that a first process does not have.
        var standIn: Int32?
    }

    let isolation: IsolationReport
    let label: String
    let limits: ProcessLimits
    let group: ControlGroup?
    private let grace: Duration
    private let egress: EgressProxy?
    private let say: @Sendable (HostEvent.Output, String) -> Void
    private let state = Mutex(State())
    private let tail = LastLines()
    private let running = Mutex<Task<ProcessEnd, Never>?>(nil)

    init(_ pieces: LaunchPieces) {
        isolation = pieces.isolation
        label = pieces.order.label
        limits = pieces.order.limits
        grace = pieces.order.grace
        group = pieces.group
        egress = pieces.egress
        say = pieces.line
        let task = Task.detached { await self.run(pieces) }
        running.withLock { $0 = task }
    }

    var process: Int32 { state.withLock { $0.process } }
    var isEnded: Bool { state.withLock { $0.isEnded } }
    /// The process at the top of its tree.
    var root: Int32? { state.withLock { $0.isEnded ? nil : $0.outer } }
    var lastLines: [String] { tail.lines }

    /// How many connections its proxy let through and refused.
    var egressCounts: EgressProxy.Counts? { egress?.counts }

    func end() async -> ProcessEnd {
        guard let task = running.withLock({ $0 }) else { return ProcessEnd(cause: .notStarted("it never ran")) }
        return await task.value
    }

    /// The program runs, with this id.
    func noteStart(_ process: Int32) {
        state.withLock { state in
            state.process = process
            // The id is a child's of a process that we have not waited for, or is gone; it is nobody else's yet.
            if !state.isEnded { state.pidfd = wiz_pidfd_open(process) }
        }
        if isolation["processes"]?.isEnforced == true { Task.detached { await self.yieldSession() } }
    }

    /// Where the kernel groups sessions, processes yield within their session alone, and sessions among each other: a sandbox
    /// is a session of its own, and yields as its processes do.
    private func yieldSession() async {
        for _ in 0..<20 {
            let file = state.withLock { $0.isEnded ? -1 : open("/proc/\($0.process)/autogroup", O_WRONLY | O_CLOEXEC) }
            guard file >= 0 else { return }
            defer { close(file) }
            // While it is there, what was opened is its own, and not that of another with its id.
            guard state.withLock({ $0.pidfd >= 0 && wiz_pidfd_send_signal($0.pidfd, 0) == 0 }) else { return }
            let text = "\(PluginPriority.nice)"
            let isDone = text.utf8CString.withUnsafeBytes { write(file, $0.baseAddress, $0.count - 1) } > 0
            // The kernel does this ten times a second for all ordinary users together.
            guard !isDone, errno == EAGAIN else { return }
            try? await Task.sleep(for: .milliseconds(150))
        }
    }

    func terminate() {
        let isFirst = state.withLock { state in
            defer { state.isTerminating = true }
            return !state.isTerminating && !state.isEnded
        }
        guard isFirst else { return }
        // The first process of a namespace has no default for SIGTERM: what would have ended it elsewhere ends it here.
        if isolation["processes"]?.isEnforced == true, SignalState(process: process)?.hasDefault(SIGTERM) == true {
            state.withLock { state in
                if !state.isKilled { state.standIn = SIGTERM }
            }
            kill()
            return
        }
        send(SIGTERM)
        Task.detached { [grace] in
            try? await Task.sleep(for: grace)
            self.kill()
        }
    }

    func kill() {
        let yields = state.withLock { state in
            state.isKilled = true
            return state.yields
        }
        if yields { Task.detached { await self.stopYielding() } }
        // The kernel may let whoever asks wait for others who change groups.
        if let group { Worker.start(name: "wiz-groups") { group.kill() } }
        send(SIGKILL)
        guard let outer = root else { return }
        if isolation["processes"]?.isEnforced != true {
            // The supervisor ends all that the program left.
            _ = wiz_kill(outer, SIGTERM)
        }
        Task.detached {
            // bubblewrap ends with its child, and the supervisor with its last; should one not, it is made to.
            try? await Task.sleep(for: .seconds(2))
            if self.root == outer { _ = wiz_kill(outer, SIGKILL) }
        }
    }

    /// Lets others go first, or no longer.
    func yieldsToPeers(_ yields: Bool) {
        state.withLock { state in
            guard !state.isKilled, !state.isEnded else { return }
            group?.yieldsToPeers(yields)
            state.yields = yields
        }
    }

    /// The end of what was killed is work, too: it lets others go first for a while, and not for ever.
    private func stopYielding() async {
        try? await Task.sleep(for: .milliseconds(250))
        state.withLock { state in
            if state.yields, !state.isEnded { group?.yieldsToPeers(false) }
            state.yields = false
        }
    }

    /// Ends it for a reason of the host's.
    func kill(because cause: ExitCause) {
        let isFirst = state.withLock { state in
            guard state.verdict == nil, !state.isEnded else { return false }
            state.verdict = cause
            return true
        }
        guard isFirst else { return }
        say(.host, "\(cause)")
        kill()
    }

    private func send(_ signal: Int32) {
        state.withLock { state in
            guard !state.isEnded, state.process > 0 else { return }
            if state.pidfd < 0 || wiz_pidfd_send_signal(state.pidfd, signal) == -ENOSYS {
                _ = wiz_kill(state.process, signal)
            }
        }
    }

    private func run(_ pieces: LaunchPieces) async -> ProcessEnd {
        let cause = await runToEnd(pieces)
        pieces.folder.noteEnd()
        let verdict = state.withLock { state in
            state.isEnded = true
            if state.pidfd >= 0 { close(state.pidfd) }
            state.pidfd = -1
            return state.verdict ?? state.standIn.map { ExitCause.signalled($0) }
        }
        let starved = pieces.group?.wasOutOfMemory == true
        pieces.egress?.stop()
        await pieces.group?.remove()
        withExtendedLifetime(pieces.room) {}
        if let verdict { return ProcessEnd(cause: verdict, lastLines: tail.lines) }
        if starved, let limit = limits.memoryBytes {
            return ProcessEnd(cause: .outOfMemory(limit: limit), lastLines: tail.lines)
        }
        return ProcessEnd(cause: cause, lastLines: tail.lines)
    }

    private func runToEnd(_ pieces: LaunchPieces) async -> ExitCause {
        let line = pieces.line
        let tail = tail
        do {
            var options = PlatformOptions()
            options.processGroupID = 0
            var variables: [Environment.Key: String] = [:]
            for (name, value) in pieces.environment { variables[Environment.Key(stringLiteral: name)] = value }
            let result = try await Subprocess.run(
                .path(FilePath(pieces.launcher)),
                arguments: Arguments(pieces.arguments),
                environment: .custom(variables),
                workingDirectory: FilePath(pieces.order.folder),
                platformOptions: options,
                input: .inputWriter,
                output: .sequence,
                error: .sequence
            ) { execution in
                let isKilled = self.state.withLock { state in
                    state.outer = execution.processIdentifier.value
                    return state.isKilled
                }
                // Whoever killed it before there was a process had nobody to kill.
                if isKilled { self.kill() }
                // Tasks of their own: each goes on however slow the others are.
                let output = execution.standardOutput
                let error = execution.standardError
                let writer = execution.standardInputWriter
                let reading = Task { await OutputLines { line(.standardOutput, $0) }.read(output) }
                let readingErrors = Task {
                    await OutputLines {
                        tail.add($0)
                        line(.standardError, $0)
                    }.read(error)
                }
                let writing = Task { [input = pieces.order.input] in
                    // A process that does not read its line has ended or will be late; neither is a fault here.
                    if let input { _ = try? await writer.write(Array((input + "\n").utf8)) }
                }
                await reading.value
                await readingErrors.value
                await Self.wait(forEndOf: execution.processIdentifier.value)
                writing.cancel()
            }
            return cause(result.terminationStatus)
        } catch {
            return .launch("\(error)")
        }
    }

    /// Waits for a process's end, whatever became of its outputs: a process that closed them still runs.
    private static func wait(forEndOf process: Int32) async {
        let pidfd = wiz_pidfd_open(process)
        guard pidfd >= 0 else { return }
        defer { close(pidfd) }
        var pause = Duration.milliseconds(1)
        while true {
            var polls = [pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)]
            if poll(&polls, 1, 0) > 0 { return }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// bubblewrap exits with 128 and the signal that ended the program; the supervisor ends by that signal itself.
    private func cause(_ status: TerminationStatus) -> ExitCause {
        switch status {
        case .exited(128 + SIGKILL) where state.withLock({ $0.isKilled }): .signalled(SIGKILL)
        case .exited(let code) where 129...192 ~= code && isolation["processes"]?.isEnforced == true:
            .exitedOrSignalled(code)
        case .exited(let code): .exited(code)
        case .signaled(let signal): .signalled(signal)
        }
    }
}

/// What a process does with its signals, from `/proc/PID/status`.
struct SignalState: Hashable, Sendable {
    let caught: UInt64
    let blocked: UInt64
    let ignored: UInt64

    init?(process: Int32) {
        guard process > 0, let text = readText("/proc/\(process)/status") else { return nil }
        self.init(text)
    }

    init?(_ text: String) {
        func mask(_ name: String) -> UInt64? {
            text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
                .flatMap { UInt64($0.dropFirst(name.count + 1).drop { $0 == "\t" || $0 == " " }, radix: 16) }
        }
        guard let caught = mask("SigCgt"), let blocked = mask("SigBlk"), let ignored = mask("SigIgn") else {
            return nil
        }
        self.caught = caught
        self.blocked = blocked
        self.ignored = ignored
    }

    /// Whether a signal has its default effect: it is neither caught, nor blocked to be waited for, nor ignored.
    func hasDefault(_ signal: Int32) -> Bool { (caught | blocked | ignored) & wiz_signal_bit(signal) == 0 }
}
