// What the process was started with: variables, and what the host gave over standard input so that nobody else can read it.

internal import FoundationEssentials
internal import Glibc

/// What the process was started with.
struct PluginEnvironment: Sendable {
    var variables: [String: String]
    /// The settings from standard input; nil when none came that way.
    var settings: Value?

    init(variables: [String: String], settings: Value? = nil) {
        self.variables = variables
        self.settings = settings
    }

    static var own: PluginEnvironment { PluginEnvironment(variables: ProcessInfo.processInfo.environment) }

    subscript(name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }

    var folder: String { self["WIZ_PLUGIN_FOLDER"] ?? FileManager.default.currentDirectoryPath }
    /// The manifest: as the host read it, or as it lies in the folder.
    var manifest: String { self["WIZ_MANIFEST"] ?? folder + "/plugin.json" }
    /// Whether a host started this process, holds its standard input and waits for its end.
    var isHosted: Bool { self["WIZ_HOST"] == "1" }
    var logLevel: Logger.Level { self["WIZ_LOG"].flatMap(Logger.Level.init(rawValue:)) ?? .info }
    /// Which generation of the plugin this is in its host, from 1; 0 without a host.
    var generation: Int { self["WIZ_GENERATION"].flatMap { Int($0) } ?? 0 }

    /// The socket of the proxy through which permitted hosts are reached.
    var egressProxy: String? {
        if let path = self["WIZ_EGRESS"] { return path }
        let usual = "/run/egress/proxy.sock"
        return access(usual, F_OK) == 0 ? usual : nil
    }

    /// The settings.
    func config() throws(PluginError) -> Value {
        if let settings { return settings }
        guard let text = self["WIZ_PLUGIN_CONFIG"] else { return [:] }
        do throws(MeshError) {
            let value = try Payload.json(text: text).decode(Value.self)
            guard value.object != nil else { throw MeshError(.invalidArgument, "it is no object") }
            return value
        } catch {
            throw .configuration("WIZ_PLUGIN_CONFIG is not valid: \(error.message)")
        }
    }

    /// Takes what the host gave over standard input: `{"config": {…}, "variables": {…}}`, both if there is something to give.
    ///
    /// - Throws: ``PluginError/configuration(_:)``, which quotes nothing of the line: there may be secrets in it.
    mutating func take(_ line: [UInt8]) throws(PluginError) {
        guard let value = try? Payload(line, contentType: .json).decode(Value.self), let members = value.object else {
            throw .configuration(
                "the first line of standard input is not the JSON object that WIZ_SETTINGS=stdin promises"
            )
        }
        for name in members.keys.sorted() where name != "config" && name != "variables" {
            throw .configuration(
                "the first line of standard input has a member \"\(name)\", which this SDK does not know"
            )
        }
        if let config = members["config"] {
            guard config.object != nil else {
                throw .configuration("\"config\" in the first line of standard input is no object")
            }
            settings = config
        }
        for (name, variable) in members["variables"]?.object ?? [:] {
            guard let text = variable.string else {
                throw .configuration("the variable \(name) in the first line of standard input is no text")
            }
            variables[name] = text
        }
    }
}
