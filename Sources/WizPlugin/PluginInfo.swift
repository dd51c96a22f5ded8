// What the SDK needs of plugin.json. The strict validator is the host's (room Manifest); here what is not understood is
// passed over. Reads one file.

internal import FoundationEssentials

/// What a plugin's `plugin.json` says about it.
public struct PluginInfo: Sendable, Hashable {
    /// A method as `provides` declares it.
    public struct Method: Sendable, Hashable {
        /// The name.
        public var name: String
        /// Whether a second call with the same parameters does no harm.
        public var isIdempotent: Bool
        /// Which directions are streams.
        public var streams: StreamDirections
        /// The named permissions that a caller must have.
        public var permissions: [String]
        /// The method's own deadline.
        public var deadline: Duration?
    }

    /// A service as `provides` declares it.
    public struct Service: Sendable, Hashable {
        /// The name.
        public var name: String
        /// The version; the plugin's own unless given.
        public var version: String
        /// The methods, by name in order.
        public var methods: [Method]
        /// Attributes for look-up.
        public var attributes: [Attribute]
        /// Capability tags.
        public var capabilities: [String]
        /// The entry as it stands in the file, schemas included.
        public var document: Value
    }

    /// The plugin's name.
    public var name: String
    /// The plugin's version.
    public var version: String
    /// One sentence for people; may be empty.
    public var description: String
    /// The services that it declares.
    public var services: [Service]
    /// Capability tags of the plugin, which all its services get.
    public var capabilities: [String]
    /// The permissions that it asks for, the optional ones among them.
    public var permissions: [String]
    /// `limits.concurrency`: calls at a time, for each service.
    public var concurrency: Int?
    /// `lifecycle.drainTimeoutMs`: how long calls in flight may go on when the plugin stops; 5 s unless given.
    public var drainTimeout: Duration
    /// Which generation of the plugin this process is in its host, counted from 1 with every reload; 0 without a host.
    public var generation = 0
    /// The JSON Schema of its settings.
    var configSchema: Value?

    /// The declaration of a service; of several versions, that of the version or the first.
    public func service(_ name: String, version: String? = nil) -> Service? {
        let declared = services.filter { $0.name == name }
        return declared.first { $0.version == version } ?? declared.first
    }
}

extension PluginInfo {
    /// Reads the manifest of a plugin's folder.
    ///
    /// - Throws: ``PluginError/configuration(_:)`` when there is none, or it is not one.
    public init(folder: String) throws(PluginError) { try self.init(path: folder + "/plugin.json") }

    /// Reads a manifest.
    init(path: String) throws(PluginError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw .configuration(
                "\(path) could not be read; start the plugin in its folder, or set WIZ_PLUGIN_FOLDER to it"
            )
        }
        do throws(MeshError) {
            try self.init(Payload(Array(data), contentType: .json).decode(Value.self))
        } catch {
            throw .configuration("\(path) is not valid: \(error.message); run: wiz validate \(folder)")
        }
    }

    /// Takes a manifest that is at hand as a value.
    ///
    /// - Throws: ``MeshError`` INVALID_ARGUMENT naming what is missing.
    public init(_ file: Value) throws(MeshError) {
        guard let name = file["name"]?.string, let version = file["version"]?.string else {
            throw MeshError(.invalidArgument, "\"name\" and \"version\" must be texts")
        }
        self.name = name
        self.version = version
        description = file["description"]?.string ?? ""
        capabilities = Self.texts(file["capabilities"])
        permissions = Self.permissionNames(file["permissions"]) + Self.permissionNames(file["optionalPermissions"])
        concurrency = file["limits"]?["concurrency"]?.int
        drainTimeout = .milliseconds(file["lifecycle"]?["drainTimeoutMs"]?.int ?? 5000)
        configSchema = file["config"]
        services = (file["provides"]?.array ?? []).compactMap { Service($0, pluginVersion: version) }
    }

    /// A permission is a name, or an object with the name as a key beside its reason.
    private static func permissionNames(_ value: Value?) -> [String] {
        (value?.array ?? []).compactMap { entry in
            entry.string ?? entry.object?.keys.first { $0 != "reason" && !$0.hasPrefix("x-") }
        }
    }

    static func texts(_ value: Value?) -> [String] { (value?.array ?? []).compactMap(\.string) }
}

extension PluginInfo.Service {
    init?(_ entry: Value, pluginVersion: String) {
        guard let name = entry["service"]?.string else { return nil }
        self.name = name
        version = entry["version"]?.string ?? pluginVersion
        capabilities = PluginInfo.texts(entry["capabilities"])
        attributes = (entry["attributes"]?.object ?? [:]).sorted { $0.key < $1.key }.compactMap { name, value in
            value.asText.map { Attribute(name: name, value: $0) }
        }
        methods = (entry["methods"]?.object ?? [:]).sorted { $0.key < $1.key }.map(PluginInfo.Method.init)
        document = entry
    }
}

extension PluginInfo.Method {
    init(name: String, _ entry: Value) {
        self.name = name
        isIdempotent = entry["idempotent"]?.bool ?? false
        permissions = PluginInfo.texts(entry["permissions"])
        deadline = entry["timeoutMs"]?.int.map { .milliseconds($0) }
        switch entry["stream"] {
        case .bool(true), .string("reply"): streams = .replies
        case .string("request"): streams = .requests
        case .string("both"): streams = .both
        default: streams = []
        }
    }
}

extension Value {
    /// An attribute's value as text.
    fileprivate var asText: String? {
        switch self {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): String(number)
        case .bool(let flag): String(flag)
        default: nil
        }
    }
}
