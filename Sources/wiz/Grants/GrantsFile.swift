// The grants file, grants.yaml beside the mesh file: what each plugin is granted. Read strictly; written whole, sorted, and
// put in place in one step, so that nobody ever reads half of it.

import CLinuxShims
import ConfigDocument
import Glibc
import Manifest

/// What the grants file says.
struct GrantsFile: Equatable {
    static let fileName = "grants.yaml"
    private static let comment = """
        # What plugins are granted: the permissions of a plugin that is listed here count in place of those in the mesh file.
        # Written by `wiz grant` and `wiz revoke`, which keep no comments.

        """

    /// Grants by the plugin's name; a plugin that is not here has what the mesh file grants.
    var plugins: [String: PluginGrant] = [:]

    init() {}

    /// Reads the file; one that is not there grants nothing.
    init(reading path: String) throws(ConfigErrors) {
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
    var text: String {
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
        return isBare ? text : JSON.string(text).json
    }

    /// Changes the file: reads it, lets `change` work on it, and puts the new one in place.
    ///
    /// Two that do so at once wait for each other.
    ///
    /// - Returns: what `change` returned.
    static func change<Value>(_ path: String, _ change: (inout GrantsFile) throws -> Value) throws -> Value {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { String(path[..<$0]) } ?? "."
        let lock = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw failure(folder) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 { guard errno == EINTR else { throw failure(folder) } }
        var file = try GrantsFile(reading: path)
        let before = file
        let value = try change(&file)
        if file != before || access(path, F_OK) != 0 { try replace(path, with: file.text) }
        return value
    }

    private static func replace(_ path: String, with text: String) throws {
        var status = stat()
        let mode = stat(path, &status) == 0 ? status.st_mode & 0o777 : 0o640
        let draft = path + ".new"
        unlink(draft)
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure(draft) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(draft) }
            written += count
        }
        guard fchmod(file, mode) == 0, fsync(file) == 0, rename(draft, path) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> CommandFailure {
        let code = errno
        return CommandFailure(
            code == EACCES || code == EPERM ? .permissionDenied : .failed,
            "\(path) cannot be written: \(String(cString: strerror(code)))",
            hint: "Grants stand beside the mesh file; run as the user who owns it."
        )
    }
}
