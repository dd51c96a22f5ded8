// The grants file, grants.yaml beside the mesh file: what each plugin is granted. Read strictly and written as text, sorted;
// who changes it on disk is the command line.

public import ConfigDocument

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// What the grants file says.
public struct GrantsFile: Hashable, Sendable {
    /// Its name beside the mesh file.
    public static let fileName = "grants.yaml"
    private static let comment = """
        # What plugins are granted: the permissions of a plugin that is listed here count in place of those in the mesh file.
        # Written by `wiz grant` and `wiz revoke`, which keep no comments.

        """

    /// Grants by the plugin's name; a plugin that is not here has what the mesh file grants.
    public var plugins: [String: PluginGrant] = [:]

    /// A file that lists no plugin.
    public init() {}

    /// Reads the file; one that is not there grants nothing.
    ///
    /// - Throws: every problem of the file at once.
    public init(reading path: String) throws(ConfigErrors) {
        guard access(path, F_OK) == 0 else { return }
        let document = try ConfigDocument(path: path, format: .yaml)
        self = try document.decode { root in GrantsFile(root) }
    }

    private init(_ root: ConfigField) {
        if root.node?.value == .null { return }
        for entry in root.mapping(["plugins"])["plugins"].entries() {
            let fields = entry.value.mapping(["permissions", "hosts"])
            let permissions = fields["permissions"].strings(atMost: 256)
            var hosts: [HostPattern]?
            if fields["hosts"].isPresent {
                hosts = fields["hosts"].list(atMost: 256).compactMap { item in
                    guard let text = item.string() else { return nil }
                    let pattern = HostPattern(text)
                    if pattern == nil {
                        item.report(
                            "host \"\(text)\" is not valid",
                            expected: "a host such as \"api.example.com:443\" or \"*.example.com\""
                        )
                    }
                    return pattern
                }
            }
            plugins[entry.key] = PluginGrant(permissions: permissions, hosts: hosts)
        }
    }

    /// The file's text.
    public var text: String {
        guard !plugins.isEmpty else { return Self.comment + "plugins: {}\n" }
        var text = Self.comment + "plugins:\n"
        for (name, grant) in plugins.sorted(by: { $0.key < $1.key }) {
            text += "  \(Self.quoted(name)):\n"
            text += "    permissions: \(Self.list(grant.permissions.sorted()))\n"
            if let hosts = grant.hosts { text += "    hosts: \(Self.list(hosts.map(\.description)))\n" }
        }
        return text
    }

    private static func list(_ items: [String]) -> String { "[\(items.map(quoted).joined(separator: ", "))]" }

    /// Bare where YAML takes it for nothing else; in quotes otherwise.
    private static func quoted(_ text: String) -> String {
        let words: Set = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        let isBare =
            text.utf8.first.map { $0 >= 0x61 && $0 <= 0x7A } ?? false
            && text.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2D }
            && !words.contains(text)
        return isBare ? text : ConfigValue.string(text).json
    }
}
