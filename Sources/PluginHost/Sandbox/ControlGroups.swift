// Control groups: a group for each process that sets a limit, of version 2 where the host may make them, else of version 1
// for the controllers that are free. The launcher joins before it runs anything, so that no process is ever outside. The
// kernel weighs groups against those that lie beside them: they lie in the host's own group, or beside its leaf.

import CLinuxShims
import Glibc
import Synchronization

/// What a limit is about.
enum Controller: String, Hashable, Sendable, CaseIterable {
    case memory
    case cpu
    case pids
}

/// Where a host can make groups, found once.
final class ControlGroups: Sendable {
    private static let prefix = "wizmesh-"
    private let root: String
    private let ownText: String
    private let host: Int32
    private let found = Mutex<Layout?>(nil)
    /// Counts the groups of this process, whichever launcher makes them: two must never have one name.
    private static let count = Atomic<Int>(0)

    /// The ways in which groups can be made.
    enum Layout: Hashable, Sendable {
        /// One tree: the folder in which groups are made.
        case unified(parent: String)
        /// A tree for each controller.
        case separate(parents: [Controller: String], reasons: [Controller: String])
        /// None, and why.
        case none(reason: String)
    }

    /// - Parameters:
    ///   - root: Where groups are mounted.
    ///   - own: What `/proc/self/cgroup` says; nil: it is read.
    ///   - host: The process that makes the groups.
    init(root: String, own: String? = nil, host: Int32 = getpid()) {
        self.root = root
        self.host = host
        ownText = own ?? readText("/proc/self/cgroup") ?? ""
    }

    var layout: Layout {
        found.withLock { found in
            let layout = found ?? find()
            found = layout
            return layout
        }
    }

    /// Why there is no group for a controller; nil where there is.
    func reason(_ controller: Controller) -> String? {
        switch layout {
        case .unified: nil
        case .separate(let parents, let reasons):
            parents[controller] == nil ? reasons[controller] ?? "no such controller" : nil
        case .none(let reason): reason
        }
    }

    /// Makes the group of one process, which may run on so many processors; nil where there is nothing to put into one.
    func make(_ label: String, _ limits: ProcessLimits, processors: Int) -> ControlGroup? {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        let safe = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" }.prefix(60))
        let name = "\(Self.prefix)\(safe)-\(host)-\(number)"
        switch layout {
        case .unified(let parent): return ControlGroup(unified: parent + "/" + name, limits, processors: processors)
        case .separate(let parents, _):
            return ControlGroup(separate: parents.mapValues { $0 + "/" + name }, limits, processors: processors)
        case .none: return nil
        }
    }

    private func find() -> Layout {
        if access(root + "/cgroup.controllers", F_OK) == 0 { return unified() }
        var parents: [Controller: String] = [:]
        var reasons: [Controller: String] = [:]
        for controller in Controller.allCases {
            let mount = root + "/" + controller.rawValue
            guard access(mount + "/cgroup.procs", F_OK) == 0 else {
                reasons[controller] = "there is no \(controller.rawValue) controller at \(mount)"
                continue
            }
            let own = path(of: controller.rawValue)
            if controller == .memory, own != "/" {
                reasons[controller] = "the memory group \(own) belongs to whoever put this machine's processes into it"
                continue
            }
            let parent = mount + (own == "/" ? "" : own)
            if access(parent, W_OK) != 0 {
                reasons[controller] = "no groups in \(parent): \(errorText(errno))"
            } else {
                parents[controller] = parent
                sweep(parent)
            }
        }
        return .separate(parents: parents, reasons: reasons)
    }

    private func path(of controller: String) -> String {
        for line in ownText.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            if parts.count == 3,
                parts[1].split(separator: ",").contains(where: { $0 == controller }) || parts[1] == controller
            {
                return String(parts[2])
            }
        }
        return "/"
    }

    private func unified() -> Layout {
        let own = path(of: "")
        var group = root + (own == "/" ? "" : own)
        var advice = "run it as systemd-run --user --scope -p Delegate=yes wiz up"
        if access(group, W_OK) != 0 {
            return .none(reason: "the control group \(own) is not this user's: \(advice)")
        }
        // The root of the machine's tree, for root, may hold processes and groups side by side.
        if geteuid() == 0, access(root + "/cgroup.type", F_OK) != 0, access(root, W_OK) == 0 { group = root }
        advice = "start it in a group of its own: systemd-run --scope -p Delegate=yes wiz up"
        if group != root || access(root + "/cgroup.type", F_OK) == 0 {
            let others = (readText(group + "/cgroup.procs") ?? "").split(separator: "\n").count { $0 != "\(host)" }
            guard others == 0 else {
                return .none(reason: "\(others) other processes are in the control group \(own): \(advice)")
            }
            // A group that gives controllers to groups below it holds no process itself.
            let leaf = group + "/wiz-host"
            guard mkdir(leaf, 0o755) == 0 || errno == EEXIST, ControlGroup.set(leaf + "/cgroup.procs", "\(host)") else {
                return .none(reason: "the host cannot move to \(leaf): \(errorText(errno))")
            }
        }
        for controller in Controller.allCases
        where !ControlGroup.set(group + "/cgroup.subtree_control", "+\(controller.rawValue)") {
            return .none(
                reason: "\(group) does not hand on the \(controller.rawValue) controller: \(errorText(errno))"
            )
        }
        sweep(group)
        return .unified(parent: group)
    }

    /// Removes what hosts that were killed left: groups without processes.
    private func sweep(_ parent: String) {
        for name in folderNames(parent) where name.hasPrefix(Self.prefix) {
            let parts = name.split(separator: "-")
            guard parts.count >= 3, let owner = Int32(parts[parts.count - 2]), owner != host,
                wiz_kill(owner, 0) == -ESRCH
            else { continue }
            rmdir(parent + "/" + name)
        }
    }
}

/// The group of one process and all that it starts.
final class ControlGroup: Sendable {
    /// The folders, one for all controllers (version 2) or one each.
    private let folders: [String]
    private let isUnified: Bool
    private let byController: [Controller: String]
    /// What is limited by it.
    let controllers: Set<Controller>

    convenience init?(unified folder: String, _ limits: ProcessLimits, processors: Int) {
        guard mkdir(folder, 0o755) == 0 else { return nil }
        self.init(existing: folder, limits, processors: processors)
    }

    /// Takes a folder of version 2 that is there.
    init(existing folder: String, _ limits: ProcessLimits, processors: Int) {
        folders = [folder]
        isUnified = true
        byController = Dictionary(uniqueKeysWithValues: Controller.allCases.map { ($0, folder) })
        var held: Set<Controller> = []
        if let bytes = limits.memoryBytes, Self.set(folder + "/memory.max", "\(bytes)") {
            held.insert(.memory)
            _ = Self.set(folder + "/memory.swap.max", "0")
            _ = Self.set(folder + "/memory.oom.group", "1")
        }
        if let percent = limits.cpuPercent {
            let share = ProcessorShare(percent: percent, processors: processors)
            if Self.set(folder + "/cpu.max", share.unified) {
                held.insert(.cpu)
                Self.setWeight(folder, isUnified: true)
            }
        }
        if let count = limits.processCount, Self.set(folder + "/pids.max", "\(count + Self.own)") { held.insert(.pids) }
        controllers = held
    }

    init?(separate folders: [Controller: String], _ limits: ProcessLimits, processors: Int) {
        var made: [Controller: String] = [:]
        for controller in Controller.allCases {
            guard let folder = folders[controller] else { continue }
            let settings: [(name: String, value: String)]
            switch controller {
            case .memory:
                guard let bytes = limits.memoryBytes else { continue }
                settings = [("memory.limit_in_bytes", "\(bytes)")]
            case .cpu:
                guard let percent = limits.cpuPercent else { continue }
                let share = ProcessorShare(percent: percent, processors: processors)
                settings = [("cpu.cfs_period_us", "\(share.period)"), ("cpu.cfs_quota_us", "\(share.quota)")]
            case .pids:
                guard let count = limits.processCount else { continue }
                settings = [("pids.max", "\(count + Self.own)")]
            }
            guard mkdir(folder, 0o755) == 0 else { continue }
            if settings.allSatisfy({ Self.set(folder + "/" + $0.name, $0.value) }) {
                made[controller] = folder
                if controller == .cpu { Self.setWeight(folder, isUnified: false) }
            } else {
                rmdir(folder)
            }
        }
        guard !made.isEmpty else { return nil }
        self.folders = made.values.sorted()
        isUnified = false
        byController = made
        controllers = Set(made.keys)
    }

    /// The processes of the sandbox itself: bubblewrap outside, and the relay of an egress proxy.
    private static let own = 2

    /// The files into which the launcher writes itself.
    var joins: [String] { folders.map { $0 + "/cgroup.procs" } }

    /// What it is, for reports.
    var version: String { isUnified ? "cgroup v2" : "cgroup v1" }

    /// Lets its processes run when nothing beside them wants to, or again by their weight; kernels before 5.15 cannot.
    func yieldsToPeers(_ yields: Bool) {
        guard controllers.contains(.cpu), let folder = byController[.cpu] else { return }
        _ = Self.set(folder + "/cpu.idle", yields ? "1" : "0")
        // With it goes the weight, which comes back as the usual one.
        if !yields { Self.setWeight(folder, isUnified: isUnified) }
    }

    private static func setWeight(_ folder: String, isUnified: Bool) {
        _ =
            isUnified
            ? set(folder + "/cpu.weight", "\(PluginPriority.weight)")
            : set(folder + "/cpu.shares", "\(PluginPriority.shares)")
    }

    /// Ends every process in it, those that are just being made too.
    func kill() {
        if isUnified, Self.set(folders[0] + "/cgroup.kill", "1") { return }
        for process in processes { _ = wiz_kill(process, SIGKILL) }
    }

    /// The processes in it.
    var processes: [Int32] {
        folders.first.flatMap { readText($0 + "/cgroup.procs") }?.split(separator: "\n").compactMap { Int32($0) } ?? []
    }

    /// Whether the kernel ended a process in it for want of memory.
    var wasOutOfMemory: Bool {
        guard controllers.contains(.memory), let folder = byController[.memory] else { return false }
        let text = readText(folder + (isUnified ? "/memory.events" : "/memory.oom_control")) ?? ""
        return Self.count("oom_kill", in: text) > 0 || Self.count("oom_group_kill", in: text) > 0
    }

    /// How often a process could not be started for the limit's sake.
    var refusedStarts: Int {
        guard controllers.contains(.pids), let folder = byController[.pids] else { return 0 }
        return Self.count("max", in: readText(folder + "/pids.events") ?? "")
    }

    /// Removes it.
    ///
    /// Its processes are gone or going. Each try may wait in the kernel.
    func remove() async {
        guard await !tryRemove() else { return }
        Task.detached { [self] in
            // The last process leaves a group a moment after it was waited for, or later where the kernel keeps it.
            var pause = Duration.milliseconds(20)
            for _ in 0..<100 {
                try? await Task.sleep(for: pause)
                if await tryRemove() { return }
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    /// Whether no folder of it is left that could be removed later.
    private func tryRemove() async -> Bool {
        await Worker.run(name: "wiz-groups") { [folders] in
            folders.filter { rmdir($0) != 0 && errno == EBUSY }.isEmpty
        }
    }

    static func set(_ path: String, _ value: String) -> Bool {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return value.utf8CString.withUnsafeBytes { write(file, $0.baseAddress, $0.count - 1) } == value.utf8.count
    }

    static func count(_ name: String, in text: String) -> Int {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == name { return Int(parts[1]) ?? 0 }
        }
        return 0
    }
}
