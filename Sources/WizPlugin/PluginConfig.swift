// What a plugin is given at its start: settings, folders, a logger, the connection.

internal import FoundationEssentials

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
        logger: Logger = Logger(label: "plugin"),
        mesh: MeshConnection? = nil
    ) {
        self.plugin = plugin
        self.values = values
        self.folder = folder
        self.dataFolder = dataFolder ?? folder + "/data"
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

/// What the process was started with.
struct PluginEnvironment {
    var variables: [String: String]

    static var own: PluginEnvironment { PluginEnvironment(variables: ProcessInfo.processInfo.environment) }

    subscript(name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }

    var folder: String { self["WIZ_PLUGIN_FOLDER"] ?? FileManager.default.currentDirectoryPath }
    /// Whether a host started this process, holds its standard input and waits for its end.
    var isHosted: Bool { self["WIZ_HOST"] == "1" }
    var logLevel: Logger.Level { self["WIZ_LOG"].flatMap(Logger.Level.init(rawValue:)) ?? .info }

    /// The settings.
    func config() throws(PluginError) -> Value {
        guard let text = self["WIZ_PLUGIN_CONFIG"] else { return [:] }
        do throws(MeshError) {
            let value = try Payload.json(text: text).decode(Value.self)
            guard value.object != nil else { throw MeshError(.invalidArgument, "it is no object") }
            return value
        } catch {
            throw .configuration("WIZ_PLUGIN_CONFIG is not valid: \(error.message)")
        }
    }
}
