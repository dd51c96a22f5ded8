// From an order and what is known of the machine to the exact words of bubblewrap. Pure, so that every flag is in a test.

import Manifest

/// What a sandbox is made with, beside the order.
struct SandboxFacts: Hashable, Sendable {
    /// A top folder that every sandbox shows: itself, or the link that it is on a system with one `/usr`.
    enum SystemFolder: Hashable, Sendable {
        case folder(String)
        case link(String, target: String)
    }

    /// bubblewrap's program.
    var bubblewrap: String
    /// Whether it knows `--disable-userns` (0.8 and newer).
    var disablesUserNamespaces = true
    /// The top folders of the system.
    var system: [SystemFolder]
    /// Files of `/etc` that are there: libraries, time zone, and with a network, names and certificates.
    var settings: [String] = []
    var networkSettings: [String] = []
    /// The launcher's program.
    var launcher: String
    /// The user and group that the plugin becomes; nil: those of the host.
    var account: Account?
    /// The folder of this launch: it holds the FIFOs and the filter.
    var launchFolder: String
    /// Whether folders are mounted where the account reaches them (root alone can).
    var stages = false
    /// `cgroup.procs` of the groups it joins.
    var joins: [String] = []
    /// The processors that it may run on; empty: all of the host's.
    var processors: [Int32] = []
    /// Whether one of them limits the number of processes.
    var groupHoldsProcesses = false
    /// The folder with the egress proxy's socket.
    var egressFolder: String?
    /// How much `/tmp` and `/dev/shm` hold each.
    var temporaryBytes: Int64 = 64 << 20
    /// Whether a filter of system calls exists for this processor.
    var hasFilter = true
}

/// How plugins share the processors with the broker and the host, on which every call of every plugin depends.
enum PluginPriority {
    /// Under load the mesh has three times the weight of a plugin.
    static let nice = 5
    /// The same for control groups of version 2, where 100 is usual.
    static let weight = 33
    /// The same for control groups of version 1, where 1024 is usual.
    static let shares = 335

    /// How the launcher is told what a plugin may have of the processors.
    static func words(_ facts: SandboxFacts) -> [String] {
        let room = facts.processors.map(String.init).joined(separator: ",")
        return ["--nice", "\(nice)"] + (room.isEmpty ? [] : ["--processors", room])
    }
}

/// A user and a group.
struct Account: Hashable, Sendable {
    var uid: UInt32
    var gid: UInt32
}

/// The words that start a plugin in its sandbox.
struct SandboxPlan: Hashable, Sendable {
    /// The launcher's arguments, with bubblewrap's and the plugin's after them.
    let arguments: [String]
    /// The plugin's environment.
    let environment: [String: String]

    /// Where things are in a sandbox.
    enum Inside {
        static let mesh = "/run/wiz"
        static let data = "/data"
        static let egress = "/run/egress"
        static let launcher = "/run/wizmesh-launch"
        static let manifest = "/run/wizmesh-plugin.json"
        static let proxyPort = 3128
        static let proxySocket = "proxy.sock"
    }

    init(_ order: LaunchOrder, program: ProgramLayout, facts: SandboxFacts) {
        var bindings = [
            Binding(source: order.folder, destination: ProgramLayout.folderInside),
            Binding(source: order.meshFolder, destination: Inside.mesh),
            Binding(source: facts.launcher, destination: Inside.launcher),
        ]
        if let manifest = order.manifest {
            bindings.append(Binding(source: manifest, destination: Inside.manifest))
        }
        if order.permissions.storage {
            bindings.append(Binding(source: order.dataFolder, destination: Inside.data, isWritable: true))
        }
        if let folder = facts.egressFolder { bindings.append(Binding(source: folder, destination: Inside.egress)) }
        bindings += program.bindings
        var outer = ["run"] + Self.channels(facts)
        if facts.stages {
            let stage = facts.launchFolder + "/stage"
            outer += ["--stage", stage]
            for index in bindings.indices {
                outer += ["--mount", "m\(index)=\(bindings[index].source)"]
                bindings[index].source = "\(stage)/m\(index)"
            }
        }
        if let account = facts.account { outer += ["--account", "\(account.uid):\(account.gid)"] }
        arguments =
            outer + PluginPriority.words(facts) + ["--scope", "--"] + Self.bubblewrap(order, bindings, facts)
            + [Inside.launcher, "inside"] + Self.inside(order, facts) + ["--", program.inside] + order.arguments
        environment = Self.environment(order, program, hasProxy: facts.egressFolder != nil)
    }

    /// How the launcher is told where to report, what to join and which filter to hand on.
    static func channels(_ facts: SandboxFacts) -> [String] {
        let folder = facts.launchFolder
        var words = ["--status", folder + "/status", "--failure", folder + "/failure"]
        if facts.hasFilter { words += ["--filter", folder + "/filter"] }
        for join in facts.joins { words += ["--join", join] }
        return words
    }

    private static func bubblewrap(_ order: LaunchOrder, _ bindings: [Binding], _ facts: SandboxFacts) -> [String] {
        var words = [facts.bubblewrap, "--unshare-all"]
        if order.permissions.networking == .all { words.append("--share-net") }
        words.append("--unshare-user")
        if facts.disablesUserNamespaces { words.append("--disable-userns") }
        words += ["--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
        words += ["--new-session", "--die-with-parent", "--as-pid-1", "--hostname", "plugin"]
        for folder in facts.system {
            switch folder {
            case .folder(let path): words += ["--ro-bind", path, path]
            case .link(let path, let target): words += ["--symlink", target, path]
            }
        }
        let settings = facts.settings + (order.permissions.networking == .all ? facts.networkSettings : [])
        for path in settings { words += ["--ro-bind-try", path, path] }
        let size = "\(facts.temporaryBytes)"
        words += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        words += ["--size", size, "--tmpfs", "/tmp"]
        for binding in bindings {
            words += [binding.isWritable ? "--bind" : "--ro-bind", binding.source, binding.destination]
        }
        words += ["--remount-ro", "/", "--chdir", ProgramLayout.folderInside, "--json-status-fd", "3"]
        if facts.hasFilter { words += ["--seccomp", "4"] }
        return words + ["--"]
    }

    private static func inside(_ order: LaunchOrder, _ facts: SandboxFacts) -> [String] {
        var limits = limits(order.limits)
        // A group counts better: it knows what it refused.
        if let count = order.limits.processCount, !facts.groupHoldsProcesses {
            limits.append("processes=\(count + (facts.egressFolder == nil ? 0 : 1))")
        }
        var words = limits.flatMap { ["--limit", $0] }
        if facts.egressFolder != nil {
            words += ["--relay", "\(Inside.proxyPort)=\(Inside.egress)/\(Inside.proxySocket)"]
        }
        return words
    }

    /// The limits of each process, whatever else holds it.
    ///
    /// Memory has room above the limit, since what counts here is what was reserved, stacks of threads too; the group or the
    /// watchdog counts what is used.
    static func limits(_ limits: ProcessLimits) -> [String] {
        var words = ["core=0"]
        if let bytes = limits.memoryBytes { words.append("data=\(2 * bytes + (256 << 20))") }
        if let count = limits.openFileCount { words.append("open-files=\(count)") }
        if let bytes = limits.fileSizeBytes { words.append("file-size=\(bytes)") }
        return words
    }

    private static func environment(
        _ order: LaunchOrder,
        _ program: ProgramLayout,
        hasProxy: Bool
    ) -> [String: String] {
        var variables = order.environment
        let path = [program.searchFolder, "/usr/local/bin", "/usr/bin", "/bin"].compactMap { $0 }.joined(separator: ":")
        let defaults = [
            "PATH": path, "HOME": order.permissions.storage ? Inside.data : "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8",
        ]
        variables.merge(defaults) { given, _ in given }
        variables["WIZ_ENDPOINT"] = "ipc://\(Inside.mesh)/mesh.sock"
        variables["WIZ_PLUGIN_FOLDER"] = ProgramLayout.folderInside
        variables["WIZ_MANIFEST"] = order.manifest == nil ? nil : Inside.manifest
        variables["WIZ_DATA"] = order.permissions.storage ? Inside.data : nil
        if hasProxy {
            let proxy = "http://127.0.0.1:\(Inside.proxyPort)"
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
                variables[name] = proxy
            }
            variables["WIZ_EGRESS"] = Inside.egress + "/" + Inside.proxySocket
        }
        return variables
    }
}
