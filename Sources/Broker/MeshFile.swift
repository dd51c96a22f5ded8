// The mesh file: who runs, who may do what, and where the broker listens. Read strictly, every problem at once, each with
// its place. Parts: rules and principals in MeshFile+Policy.swift, plugins in MeshFile+Plugins.swift.

public import BrokerCore
public import ConfigDocument
import Glibc
public import Logging
public import Manifest
import ZeroMQ

/// A mesh file that was read and is right.
public struct MeshFile: Sendable {
    /// Where tcp peers connect.
    public struct TCP: Sendable, Hashable {
        /// `ADDRESS:PORT`.
        public var listen: String
        /// The path of the broker's key file.
        public var key: String
    }

    /// Where the file stands.
    public let path: String
    /// The mesh's name.
    public internal(set) var mesh = "wizmesh"
    /// The run folder, if the file names one.
    public internal(set) var runFolder: String?
    /// The tcp listener.
    public internal(set) var tcp: TCP?
    /// The limits: the defaults, and what the file says.
    public internal(set) var limits = Limits()
    /// What is worth logging.
    public internal(set) var logLevel = Logger.Level.info
    /// Who may do what, with the built-in rules.
    public internal(set) var policy = BrokerConfiguration.builtInPolicy()
    /// Principals by the public keys of their tcp connections.
    public internal(set) var keys: [String: String] = [:]
    /// How services' work is spread.
    public internal(set) var balances: [String: Balance] = [:]
    /// The grants file: what the file names under `grants`, else grants.yaml beside it; it need not be there.
    public internal(set) var grantsPath = ""
    /// The plugins to start.
    public internal(set) var plugins: [PluginEntry] = []
    /// Plugins that are listed, but whose manifests cannot be used.
    public internal(set) var leftOut: [LeftOutPlugin] = []
    /// What is no problem, but hardly meant.
    public internal(set) var warnings: [String] = []
    /// What was read of each manifest, by its folder.
    var manifests: [String: ManifestSummary] = [:]
    /// Whether a manifest that cannot be used is a problem of the file.
    private(set) var isStrict = true

    /// Reads a mesh file.
    ///
    /// - Throws: every problem of the file and of the plugin manifests that it names.
    public init(reading path: String) throws(ConfigErrors) {
        let document = try ConfigDocument(path: path)
        self = try document.decode { root in MeshFile(root, path: path) }
    }

    /// Reads a mesh file of which a part is to run even where a manifest cannot be used: that plugin alone is left out, or
    /// counts as it was read before.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - earlier: The file as it was; nil the first time.
    /// - Throws: every problem of the file itself.
    public init(reading path: String, after earlier: MeshFile?) throws(ConfigErrors) {
        try self.init(reading: path, knowing: earlier?.manifests ?? [:])
    }

    init(reading path: String, knowing manifests: [String: ManifestSummary]) throws(ConfigErrors) {
        let document = try ConfigDocument(path: path)
        self = try document.decode { root in MeshFile(root, path: path, isStrict: false, knowing: manifests) }
    }

    /// Reads a mesh file's text; relative paths are as if the file stood at `path`.
    public init(text: String, path: String) throws(ConfigErrors) {
        let document = try ConfigDocument(text: text, source: path)
        self = try document.decode { root in MeshFile(root, path: path) }
    }

    private init(
        _ root: ConfigField,
        path: String,
        isStrict: Bool = true,
        knowing manifests: [String: ManifestSummary] = [:]
    ) {
        self.path = path
        self.isStrict = isStrict
        self.manifests = manifests
        let keys = [
            "mesh", "broker", "users", "principals", "roles", "rules", "services", "plugins", "pluginsFolder", "grants",
        ]
        let fields = root.mapping(keys)
        if let name = fields["mesh"].name("name of a mesh") { mesh = name }
        readBroker(fields["broker"])
        readPrincipals(fields["principals"])
        let grants = readGrants(fields["grants"])
        readPlugins(fields["plugins"], folder: fields["pluginsFolder"], grants: grants)
        warnOfUnknown(grants)
        readUsers(fields["users"])
        readRules(fields["rules"])
        for entry in fields["services"].entries() {
            let service = entry.value.mapping(["balance"])
            if let balance = service["balance"].oneOf(Balance.self), entry.keyField.name("name of a service") != nil {
                balances[entry.key] = balance
            }
        }
        if !fields["roles"].entries().isEmpty {
            fields["roles"].report(
                "roles are not declared",
                expected: "no entries: a role is any name that principals list under `roles:`"
            )
        }
    }

    private mutating func readGrants(_ field: ConfigField) -> GrantsFile {
        grantsPath = resolve(field.string(allowsEmpty: false) ?? GrantsFile.fileName)
        do {
            return try GrantsFile(reading: grantsPath)
        } catch {
            field.report("the grants file cannot be used: \(error)")
            return GrantsFile()
        }
    }

    /// A grant for a name that no plugin has is for nobody: perhaps the plugin is called otherwise.
    private mutating func warnOfUnknown(_ grants: GrantsFile) {
        let names = plugins.map(\.name)
        // What a plugin is called whose manifest cannot be read stands there; it is mostly called like its folder.
        let others = leftOut.compactMap { $0.folder.split(separator: "/").last.map(String.init) }
        for name in grants.plugins.keys.sorted() where !names.contains(name) && !others.contains(name) {
            let near = nearest(to: name, among: names).map { "; did you mean \($0)?" } ?? ""
            warnings.append("\(grantsPath) grants something to \(name), but no plugin is called so\(near)")
        }
    }

    private mutating func readBroker(_ field: ConfigField) {
        let fields = field.mapping(["run", "tcp", "limits", "deadline", "heartbeat", "log"])
        runFolder = fields["run"].string(allowsEmpty: false).map(resolve)
        LimitTable.read(fields["limits"], into: &limits)
        LimitTable.read("deadline", fields["deadline"], into: &limits)
        LimitTable.read("heartbeat", fields["heartbeat"], into: &limits)
        if let level = fields["log"].oneOf(Logger.Level.allCases.map(\.rawValue)) {
            logLevel = Logger.Level(rawValue: level) ?? .info
        }
        guard fields["tcp"].isPresent else { return }
        let tcp = fields["tcp"].mapping(["listen", "key"])
        let listen = tcp["listen"].required().listenAddress()
        let key = tcp["key"].required().string(allowsEmpty: false)
        if let listen, let key { self.tcp = TCP(listen: listen, key: resolve(key)) }
    }

    /// A path relative to the file, as an absolute one where the file's own path is.
    func resolve(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        let folder = self.path.lastIndex(of: "/").map { String(self.path[..<$0]) } ?? "."
        return absolute(folder + "/" + path)
    }
}

/// A path without `.` and doubled slashes, from the root.
func absolute(_ path: String) -> String {
    var whole = path
    if !path.hasPrefix("/"), let current = getcwd(nil, 0) {
        whole = String(cString: current) + "/" + path
        free(current)
    }
    var steps: [Substring] = []
    for step in whole.split(separator: "/") where step != "." {
        if step == "..", steps.last != nil { steps.removeLast() } else { steps.append(step) }
    }
    return "/" + steps.joined(separator: "/")
}

extension ConfigField {
    /// `ADDRESS:PORT` of one of the machine's addresses.
    func listenAddress() -> String? {
        guard let text = string(allowsEmpty: false) else { return nil }
        let expected = "an address and a port, such as 127.0.0.1:7400; port 0 takes a free one"
        guard let colon = text.lastIndex(of: ":"), UInt16(text[text.index(after: colon)...]) != nil,
            colon > text.startIndex
        else {
            report("found \"\(text)\"", expected: expected)
            return nil
        }
        let host = text[..<colon]
        guard !host.contains("*"), !host.allSatisfy({ "0.:[]".contains($0) }) else {
            report(
                "\"\(text)\" stands for every address of the machine",
                expected: "one address: the mesh is not for strangers"
            )
            return nil
        }
        return text
    }
}
