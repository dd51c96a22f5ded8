// The plugins of a mesh file. Of each manifest only the name and the services are read here, since they decide what the
// plugin may provide; the host reads the rest.

import BrokerCore
import ConfigDocument
import Glibc
import MeshProtocol

/// A plugin that the mesh file lists: what its host needs to start it.
public struct PluginEntry: Sendable, Hashable {
    /// The plugin's folder, absolute.
    public var folder: String
    /// Its name, which is also its principal's.
    public var name: String
    /// How many processes to start.
    public var instances: Int
    /// What to start instead of the manifest's `main`; absolute.
    public var executable: String?
    /// Further arguments.
    public var arguments: [String]
    /// Further environment variables.
    public var environment: [String: String]
    /// JSON for the plugin; nil when the file says nothing.
    public var config: String?
    /// The named permissions granted to it.
    public var permissions: [String]
    /// Where it stands: `mesh.yaml:12`.
    public var origin: String
}

extension MeshFile {
    mutating func readPlugins(_ field: ConfigField) {
        for item in field.list(atMost: 1_000) {
            let keys = ["path", "name", "instances", "executable", "arguments", "environment", "config", "grant"]
            let fields = item.mapping(keys)
            let path = fields["path"].required().string(allowsEmpty: false)
            let grant = fields["grant"].mapping(["permissions"] + Policy.Action.allCases.map(\.rawValue))
            let entry = PluginEntry(
                folder: path.map(resolve) ?? "",
                name: fields["name"].name("name of a plugin") ?? "",
                instances: fields["instances"].integer(in: 0...1_024) ?? 1,
                executable: fields["executable"].string(allowsEmpty: false).map(resolve),
                arguments: fields["arguments"].list(atMost: 256).compactMap { $0.string() },
                environment: environment(fields["environment"]),
                config: fields["config"].value()?.json,
                permissions: grant["permissions"].names("name of a permission"),
                origin: origin(item)
            )
            guard path != nil else { continue }
            add(entry, item: item, pathField: fields["path"], nameField: fields["name"], grant: grant)
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
        item: ConfigField,
        pathField: ConfigField,
        nameField: ConfigField,
        grant: ConfigMapping
    ) {
        var entry = entry
        var services: [String] = []
        var capabilities: [String] = []
        do {
            let manifest = try ManifestSummary(folder: entry.folder)
            if entry.name.isEmpty { entry.name = manifest.name }
            services = manifest.services
            capabilities = manifest.capabilities
        } catch {
            pathField.report("the plugin in \(entry.folder) cannot be used: \(error)")
        }
        guard !entry.name.isEmpty else { return }
        if let other = plugins.first(where: { $0.name == entry.name }) {
            (nameField.isPresent ? nameField : pathField).report(
                "there is already a plugin \(entry.name) at \(other.origin)",
                expected: "a `name:` of its own for each, or `instances:` for more of the same"
            )
            return
        }
        var principal = policy.principals[entry.name] ?? Policy.Principal(origin: entry.origin)
        principal.roles.insert("plugin")
        principal.permissions.formUnion(entry.permissions)
        policy.principals[entry.name] = principal
        plugins.append(entry)
        let tags = capabilities.map { Policy.capabilityTarget($0) }
        for target in Set(services + [entry.name] + tags).sorted() {
            policy.rules.append(rule(entry.name, .provide, target, origin: entry.origin))
        }
        for action in Policy.Action.allCases {
            for (target, field) in targets(grant[action.rawValue]) {
                policy.rules.append(rule(entry.name, action, target, origin: origin(field)))
            }
        }
    }

    private func rule(_ name: String, _ action: Policy.Action, _ target: String, origin: String) -> Policy.Rule {
        Policy.Rule(effect: .allow, subject: name, action: action, target: target, origin: origin)
    }
}

/// What the broker needs of a manifest.
private struct ManifestSummary {
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
