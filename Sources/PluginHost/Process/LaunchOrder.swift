// What the host asks of whoever starts its plugins, and what it gets back: the order, what holds the process in, and the
// process while it runs. Values and protocols only; `SystemLauncher` is the real launcher, tests bring their own.

public import Manifest

/// One process to start: what to run, what it may do, and what it may use.
public struct LaunchOrder: Sendable {
    /// The label of the instance (`echo#1@3`), for groups, folders and messages.
    public var label: String
    /// The program; without a slash it is looked up in the search path.
    public var program: String
    /// A file that runs in the program's place: the program as it was; nil: as it is.
    public var keptProgram: String?
    /// What follows the program on the command line.
    public var arguments: [String]
    /// The plugin's folder on the host: read-only at `/plugin` in the sandbox, and the working directory.
    public var folder: String
    /// The manifest as it was read, which the process finds by `WIZ_MANIFEST`; nil: the one in its folder.
    public var manifest: String?
    /// The variables that the process gets.
    ///
    /// Paths are the host's: the launcher puts `WIZ_ENDPOINT`, `WIZ_PLUGIN_FOLDER` and `WIZ_DATA` into the sandbox's own
    /// words, and adds `PATH`, `HOME` and the like where they are not given.
    public var environment: [String: String]
    /// The first line of the process's standard input, without its line break: settings and secrets; nil: no line.
    ///
    /// Standard input stays open after it; its end is the host's.
    public var input: String?
    /// What the process may do.
    public var permissions: LaunchPermissions
    /// What the process may use.
    public var limits: ProcessLimits
    /// What to do where a permission that it does not have cannot be kept from it.
    public var enforcement: Enforcement
    /// The folder with nothing but the broker's socket `mesh.sock`: `/run/wiz` in the sandbox.
    public var meshFolder: String
    /// Where the process may store, on the host, when it has `storage`.
    ///
    /// It is made when it is not there, belongs to the plugin's user, and is `/data` in the sandbox.
    public var dataFolder: String
    /// From ``RunningProcess/terminate()`` until the process is killed.
    public var grace: Duration

    /// Puts an order together.
    public init(
        label: String,
        program: String,
        keptProgram: String? = nil,
        arguments: [String] = [],
        folder: String,
        manifest: String? = nil,
        environment: [String: String] = [:],
        input: String? = nil,
        permissions: LaunchPermissions = LaunchPermissions(),
        limits: ProcessLimits = ProcessLimits(),
        enforcement: Enforcement = .require,
        meshFolder: String,
        dataFolder: String,
        grace: Duration = .seconds(5)
    ) {
        self.label = label
        self.program = program
        self.keptProgram = keptProgram
        self.arguments = arguments
        self.folder = folder
        self.manifest = manifest
        self.environment = environment
        self.input = input
        self.permissions = permissions
        self.limits = limits
        self.enforcement = enforcement
        self.meshFolder = meshFolder
        self.dataFolder = dataFolder
        self.grace = grace
    }
}

/// What a process may do beyond talking to the broker, as far as the operating system keeps it.
public struct LaunchPermissions: Hashable, Sendable {
    /// How far it reaches into the network.
    public var networking: NetworkAccess
    /// Whether it may keep files in its own folder.
    public var storage: Bool

    /// Permissions; the default is none.
    public init(networking: NetworkAccess = .none, storage: Bool = false) {
        self.networking = networking
        self.storage = storage
    }

    /// The operating system's part of what a plugin has.
    public init(_ effective: EffectivePermissions) {
        self.init(networking: effective.networking, storage: effective.storage)
    }
}

/// What a process, with all that it starts, may use; nil means that nobody set a limit.
public struct ProcessLimits: Hashable, Sendable {
    /// Memory in bytes.
    public var memoryBytes: Int64?
    /// Processor time in percent of one core.
    public var cpuPercent: Int?
    /// Processes and threads.
    public var processCount: Int?
    /// Open files of each process.
    public var openFileCount: Int?
    /// The size of each file it writes.
    public var fileSizeBytes: Int64?

    /// Limits; the default is none.
    public init(
        memoryBytes: Int64? = nil,
        cpuPercent: Int? = nil,
        processCount: Int? = nil,
        openFileCount: Int? = nil,
        fileSizeBytes: Int64? = nil
    ) {
        self.memoryBytes = memoryBytes
        self.cpuPercent = cpuPercent
        self.processCount = processCount
        self.openFileCount = openFileCount
        self.fileSizeBytes = fileSizeBytes
    }
}

/// What to do where a permission that a plugin does not have cannot be kept from it.
public enum Enforcement: String, Hashable, Sendable, CaseIterable {
    /// Do not start it, and say why.
    case require
    /// Start it with what can be enforced, and mark the rest NOT ENFORCED.
    case prefer
    /// Start it without a sandbox; limits hold all the same.
    case off
}

/// What holds one process in: a line for each thing that is kept from it or limited.
public struct IsolationReport: Hashable, Sendable {
    /// One thing that is kept from a process or limited.
    public struct Line: Hashable, Sendable, CustomStringConvertible {
        /// What it is about: `networking`, `storage`, `files`, `processes`, `privileges`, `memory`, `cpu`, `pids`, `open files`.
        public let subject: String
        /// What the process has of it: "none", "only api.example.org:443", "at most 256 MB".
        public let rule: String
        /// What enforces the rule; nil: nothing does.
        public let mechanism: String?
        /// Why nothing enforces it, or what the mechanism does not cover.
        public let reason: String?

        /// Puts a line together.
        public init(subject: String, rule: String, mechanism: String?, reason: String? = nil) {
            self.subject = subject
            self.rule = rule
            self.mechanism = mechanism
            self.reason = reason
        }

        /// Whether something enforces the rule.
        public var isEnforced: Bool { mechanism != nil }

        /// "networking: none (empty network namespace, seccomp)", "memory: at most 256 MB (NOT ENFORCED: …)".
        public var description: String {
            if let mechanism { return "\(subject): \(rule) (\(mechanism)\(reason.map { "; " + $0 } ?? ""))" }
            return "\(subject): \(rule) (NOT ENFORCED\(reason.map { ": " + $0 } ?? ""))"
        }
    }

    /// The lines, in a fixed order.
    public var lines: [Line]

    /// Puts a report together.
    public init(lines: [Line] = []) { self.lines = lines }

    /// The line about a subject.
    public subscript(subject: String) -> Line? { lines.first { $0.subject == subject } }

    /// The subjects whose rule nothing enforces.
    public var notEnforced: [Line] { lines.filter { !$0.isEnforced } }
}

/// Why a process could not be started.
public struct LaunchFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Kind: String, Hashable, Sendable {
        /// A permission that it does not have cannot be kept from it here, and enforcement is `require`.
        case notEnforceable
        /// The program is not there or may not be run.
        case program
        /// The sandbox, a limit or the launcher failed.
        case system
    }

    /// What kind of failure it is.
    public let kind: Kind
    /// What happened, where and why, and what to type next.
    public let reason: String
    /// What was last written to standard error.
    public let lastLines: [String]

    /// Puts a failure together.
    public init(_ kind: Kind, _ reason: String, lastLines: [String] = []) {
        self.kind = kind
        self.reason = reason
        self.lastLines = lastLines
    }

    /// The reason.
    public var description: String { reason }
}

/// How a process ended and what it last said.
public struct ProcessEnd: Hashable, Sendable {
    /// How it ended.
    public let cause: ExitCause
    /// The last lines that it wrote to standard error.
    public let lastLines: [String]

    /// Puts an end together.
    public init(cause: ExitCause, lastLines: [String] = []) {
        self.cause = cause
        self.lastLines = lastLines
    }
}

/// Starts plugin processes.
public protocol ProcessLauncher: Sendable {
    /// Starts a process, and returns once its program runs.
    ///
    /// - Parameters:
    ///   - order: What to start.
    ///   - line: Hears each line that the process writes, also before this returns.
    /// - Returns: the process.
    /// - Throws: why its program does not run.
    func launch(
        _ order: LaunchOrder,
        line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async throws(LaunchFailure) -> any RunningProcess
}

/// A process that was started.
public protocol RunningProcess: Sendable {
    /// The plugin's own process id as the host sees it.
    var process: Int32 { get }
    /// What holds it in.
    var isolation: IsolationReport { get }
    /// Asks it to end (SIGTERM to the plugin itself); after the order's grace it is killed. May be called any number of times.
    func terminate()
    /// Ends it and all that it started, at once.
    func kill()
    /// Waits until it and all that it started are gone. Any number of callers may wait.
    func end() async -> ProcessEnd
}
