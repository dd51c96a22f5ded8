// The plugins of a mesh file. Of each manifest only the name, the services and the tags are read here, since they decide
// what the plugin may provide; the host reads the rest. What is granted comes from the grants file where that lists the
// plugin.

import BrokerCore
import ConfigDocument
import Glibc
public import Manifest
import MeshProtocol

/// A plugin that the mesh file lists: what its host needs to start it.
public struct PluginEntry: Sendable, Hashable {
    /// What a host does where a permission that the plugin does not have cannot be kept from it.
    public enum Enforcement: String, Sendable, Hashable, CaseIterable {
        /// It does not start the plugin.
        case require
        /// It starts it and marks what is not enforced.
        case prefer
        /// It starts it without a sandbox.
        case off
    }

    /// Bounds on what the manifest asks for; nil: none.
    public struct Limits: Sendable, Hashable {
        /// Memory in MiB.
        public var memoryMB: Int?
        /// Processor time in percent of one core.
        public var cpuPercent: Int?
        /// Processes and threads.
        public var pids: Int?
        /// Open files of each process.
        public var openFiles: Int?
        /// No bounds.
        public init() {}
    }

    /// The plugin's folder, absolute; empty when it runs on another machine.
    public var folder: String
    /// Its name, which is also its principal's.
    public var name: String
    /// The host that runs it; nil: that of the broker's own machine.
    public var host: String?
    /// How many processes to start, at least and at most; nil: as many as the manifest says.
    public var instances: ClosedRange<Int>?
    /// What to start instead of the manifest's `main`; absolute.
    public var executable: String?
    /// Further arguments.
    public var arguments: [String]
    /// Further environment variables.
    public var environment: [String: String]
    /// JSON for the plugin; nil when the file says nothing.
    public var config: String?
    /// When it is started first; nil: as the manifest says.
    public var activation: Activation?
    /// How the next generation takes over; nil: as the manifest says.
    public var reload: ReloadMode?
    /// After how long without calls a lazy plugin stops; nil: the host's usual time.
    public var idle: Duration?
    /// What to do where a permission cannot be kept from it.
    public var enforcement: Enforcement
    /// Bounds on what the manifest asks for.
    public var limits: Limits
    /// What is granted to it, by the grants file or by this one.
    public var grant: PluginGrant
    /// Where it stands: `mesh.yaml:12`.
    public var origin: String

    /// The named permissions granted to it, in order.
    public var permissions: [String] { grant.permissions.sorted() }
    /// False when the file says that no process of it runs.
    public var isRun: Bool { instances.map { $0.upperBound > 0 } ?? true }
}

extension MeshFile {
    mutating func readPlugins(_ field: ConfigField, folder: ConfigField, grants: GrantsFile) {
        for item in field.list(atMost: 1_000) { readPlugin(item, grants) }
        guard let path = folder.string(allowsEmpty: false).map(resolve) else { return }
        guard let names = MeshFile.subfolders(path) else {
            folder.report("the folder \(path) cannot be read: \(String(cString: strerror(errno)))")
            return
        }
        for name in names {
            let plugin = path + "/" + name
            guard access(plugin + "/plugin.json", F_OK) == 0, !plugins.contains(where: { $0.folder == plugin }) else {
                continue
            }
            add(entry(in: plugin, at: folder), grants, pathField: folder, nameField: folder, services: [], grant: nil)
        }
    }

    /// The names of the folders in a folder, in order; nil when it cannot be read.
    private static func subfolders(_ path: String) -> [String]? {
        guard let listing = opendir(path) else { return nil }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing), names.count < 1_000 {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private func entry(in folder: String, at field: ConfigField) -> PluginEntry {
        PluginEntry(
            folder: folder,
            name: "",
            arguments: [],
            environment: [:],
            enforcement: .require,
            limits: PluginEntry.Limits(),
            grant: PluginGrant(),
            origin: origin(field)
        )
    }

    private mutating func readPlugin(_ item: ConfigField, _ grants: GrantsFile) {
        let keys = [
            "path", "name", "host", "provides", "capabilities", "instances", "executable", "arguments", "environment",
            "config", "activation", "reload", "idle", "enforcement", "limits", "grant",
        ]
        let fields = item.mapping(keys)
        let isElsewhere = fields["host"].isPresent
        let path = isElsewhere ? nil : fields["path"].required().string(allowsEmpty: false)
        let grant = fields["grant"].mapping(["permissions", "hosts"] + Policy.Action.allCases.map(\.rawValue))
        var entry = entry(in: path.map(resolve) ?? "", at: item)
        entry.name = (isElsewhere ? fields["name"].required() : fields["name"]).name("name of a plugin") ?? ""
        entry.host = fields["host"].name("name of a host")
        entry.instances = instances(fields["instances"])
        entry.executable = fields["executable"].string(allowsEmpty: false).map(resolve)
        entry.arguments = fields["arguments"].list(atMost: 256).compactMap { $0.string() }
        entry.environment = environment(fields["environment"])
        entry.config = fields["config"].value()?.json
        entry.activation = fields["activation"].oneOf()
        entry.reload = fields["reload"].oneOf()
        entry.idle = fields["idle"].duration(in: .milliseconds(100) ... .seconds(86_400))
        if fields["enforcement"].isPresent { entry.enforcement = fields["enforcement"].oneOf() ?? .require }
        entry.limits = PluginEntry.Limits(fields["limits"])
        entry.grant = PluginGrant(permissions: grant["permissions"].names("name of a permission"), hosts: hosts(grant))
        let services = fields["provides"].names("name of a service")
        let tags = fields["capabilities"].names("name of a capability").map { Policy.capabilityTarget($0) }
        if isElsewhere {
            for key in ["path", "executable"] where fields[key].isPresent {
                fields[key].report("the host \(entry.host ?? "") has the plugin's folder", expected: "no `\(key)` here")
            }
        } else {
            for key in ["provides", "capabilities"] where fields[key].isPresent {
                fields[key].report("the manifest says what the plugin provides", expected: "no `\(key)` beside `path`")
            }
            guard path != nil else { return }
        }
        add(
            entry,
            grants,
            pathField: isElsewhere ? fields["host"] : fields["path"],
            nameField: fields["name"],
            services: services + tags,
            grant: grant
        )
    }

    /// A number, or `{min, max}`.
    private func instances(_ field: ConfigField) -> ClosedRange<Int>? {
        guard case .mapping? = field.node?.content else { return field.integer(in: 0...1_024).map { $0...$0 } }
        let fields = field.mapping(["min", "max"])
        let least = fields["min"].integer(in: 0...1_024) ?? 1
        let most = fields["max"].integer(in: 0...1_024) ?? max(1, least)
        guard least <= most else {
            field.report("at least \(least) and at most \(most)", expected: "a `min` that is not above `max`")
            return nil
        }
        return least...most
    }

    private func hosts(_ grant: ConfigMapping) -> [HostPattern]? {
        guard grant["hosts"].isPresent else { return nil }
        return grant["hosts"].list(atMost: 256).compactMap { item in
            guard let text = item.string() else { return nil }
            let pattern = HostPattern(text)
            if pattern == nil {
                item.report("\"\(text)\" is no host", expected: "such as \"api.example.org:443\" or \"*.example.org\"")
            }
            return pattern
        }
    }

    private func environment(_ field: ConfigField) -> [String: String] {
        var environment: [String: String] = [:]
        for entry in field.entries() {
            guard !entry.key.hasPrefix("WIZ_") else {
                entry.keyField.report(
                    "\(entry.key) is set by the host",
                    expected: "a name that does not begin with WIZ_"
                )
                continue
            }
            environment[entry.key] = entry.value.string()
        }
        return environment
    }

    private mutating func add(
        _ entry: PluginEntry,
        _ grants: GrantsFile,
        pathField: ConfigField,
        nameField: ConfigField,
        services: [String],
        grant: ConfigMapping?
    ) {
        var entry = entry
        var provided = services
        if entry.host == nil {
            guard let manifest = manifest(in: entry.folder, pathField) else { return }
            if entry.name.isEmpty { entry.name = manifest.name }
            provided += manifest.services + manifest.capabilities.map { Policy.capabilityTarget($0) }
        }
        guard !entry.name.isEmpty else { return }
        if let other = plugins.first(where: { $0.name == entry.name }) {
            (nameField.isPresent ? nameField : pathField).report(
                "there is already a plugin \(entry.name) at \(other.origin)",
                expected: "a `name:` of its own for each, or `instances:` for more of the same"
            )
            return
        }
        entry.grant = grants.plugins[entry.name] ?? entry.grant
        var principal = policy.principals[entry.name] ?? Policy.Principal(origin: entry.origin)
        principal.roles.insert(policy.pluginRole)
        // Else any host could come as any plugin.
        principal.host = entry.host ?? ""
        principal.permissions.formUnion(entry.grant.permissions)
        policy.principals[entry.name] = principal
        plugins.append(entry)
        for target in Set(provided + [entry.name]).sorted() {
            policy.rules.append(rule(entry.name, .provide, target, origin: entry.origin))
        }
        for action in Policy.Action.allCases {
            for (target, field) in grant.map({ targets($0[action.rawValue]) }) ?? [] {
                policy.rules.append(rule(entry.name, action, target, origin: origin(field)))
            }
        }
    }

    /// What is needed of a manifest: as it is, or as it was read before.
    private mutating func manifest(in folder: String, _ pathField: ConfigField) -> ManifestSummary? {
        do {
            manifests[folder] = try ManifestSummary(folder: folder)
        } catch {
            if isStrict {
                pathField.report("the plugin in \(folder) cannot be used: \(error)")
            } else if manifests[folder] == nil {
                leftOut.append(LeftOutPlugin(folder: folder, problems: error))
            }
        }
        return manifests[folder]
    }

    private func rule(_ name: String, _ action: Policy.Action, _ target: String, origin: String) -> Policy.Rule {
        Policy.Rule(effect: .allow, subject: name, action: action, target: target, origin: origin)
    }
}

extension PluginEntry.Limits {
    init(_ field: ConfigField) {
        let fields = field.mapping(["memoryMB", "cpuPercent", "pids", "openFiles"])
        memoryMB = fields["memoryMB"].integer(in: 1...(1 << 24))
        cpuPercent = fields["cpuPercent"].integer(in: 1...100_000)
        pids = fields["pids"].integer(in: 1...1_000_000)
        openFiles = fields["openFiles"].integer(in: 1...1_000_000)
    }
}

/// What the broker needs of a manifest.
struct ManifestSummary: Hashable, Sendable {
    var name: String
    var services: [String]
    /// Tags of the plugin and of each of its services.
    var capabilities: [String]

    init(folder: String) throws(ConfigErrors) {
        let document = try ConfigDocument(path: folder + "/plugin.json")
        self = try document.decode { root in
            guard case .mapping(let entries) = root.node?.content else {
                root.report("a manifest is a mapping")
                return nil
            }
            var name: String?
            var services: [String] = []
            var capabilities = ManifestSummary.capabilities(entries)
            for entry in entries {
                if entry.key == "name", case .string(let text) = entry.value.content { name = text }
                if entry.key == "provides", case .list(let items) = entry.value.content {
                    services = items.compactMap { ManifestSummary.service($0) }
                    for case .mapping(let service) in items.map(\.content) {
                        capabilities += ManifestSummary.capabilities(service)
                    }
                }
            }
            guard let name, Names.isName(name) else {
                root.report("the manifest has no good name", expected: "a name such as \"llm-service\"")
                return nil
            }
            return ManifestSummary(name: name, services: services, capabilities: capabilities)
        }
    }

    private init(name: String, services: [String], capabilities: [String]) {
        self.name = name
        self.services = services
        self.capabilities = capabilities
    }

    private static func capabilities(_ entries: [ConfigNode.Entry]) -> [String] {
        let entry = entries.first { $0.key == "capabilities" }
        guard let entry, case .list(let items) = entry.value.content else { return [] }
        return items.compactMap { item in
            if case .string(let tag) = item.content, Names.isName(tag) { tag } else { nil }
        }
    }

    private static func service(_ node: ConfigNode) -> String? {
        guard case .mapping(let entries) = node.content,
            let entry = entries.first(where: { $0.key == "service" }), case .string(let text) = entry.value.content,
            Names.isName(text)
        else { return nil }
        return text
    }
}
