// What a plugin is given at its start: settings, folders, a logger, the connection.

/// The settings of a plugin and its place in the world.
public struct PluginConfig: Sendable {
    /// What `plugin.json` says.
    public let plugin: PluginInfo
    /// The settings from the mesh file; an empty object when there are none.
    public let values: Value
    /// The plugin's folder, with `plugin.json` in it.
    public let folder: String
    /// Where the plugin may keep files (WIZ_DATA, else `data` in its folder); it may not exist yet.
    public let dataFolder: String
    /// The unix socket of the proxy through which the hosts that `plugin.json` names are reached; nil when the plugin has the
    /// whole network, or none.
    public let egressProxy: String?
    /// Writes to the plugin's log.
    public let logger: Logger
    /// The connection, for what the registry does not cover; nil in tests without a mesh.
    public let mesh: MeshConnection?

    /// Puts a configuration together, as for a test.
    public init(
        plugin: PluginInfo,
        values: Value = [:],
        folder: String = ".",
        dataFolder: String? = nil,
        egressProxy: String? = nil,
        logger: Logger = Logger(label: "plugin"),
        mesh: MeshConnection? = nil
    ) {
        self.plugin = plugin
        self.values = values
        self.folder = folder
        self.dataFolder = dataFolder ?? folder + "/data"
        self.egressProxy = egressProxy
        self.logger = logger
        self.mesh = mesh
    }

    /// A setting; nil when it is not given.
    public subscript(key: String) -> Value? { values[key] }

    /// Reads all settings as a type.
    ///
    /// - Throws: ``PluginError/configuration(_:)`` naming the key that is missing or of another type.
    public func decode<Settings: Decodable>(_ type: Settings.Type = Settings.self) throws(PluginError) -> Settings {
        do throws(MeshError) {
            return try values.decode(type)
        } catch {
            throw .configuration("the config of \(plugin.name) in the mesh file is not valid: \(error.message)")
        }
    }
}

extension PluginConfig: CustomStringConvertible, CustomReflectable {
    /// The settings as JSON, those that `plugin.json` marks `sensitive` left out.
    public var description: String {
        let shown = plugin.configSchema.map { SchemaCheck($0).masked(values) } ?? values
        return (try? Payload.json(shown).text) ?? "{}"
    }

    /// Shows nothing but the description: no sensitive setting is printed by mistake.
    public var customMirror: Mirror { Mirror(self, children: ["config": description]) }
}
