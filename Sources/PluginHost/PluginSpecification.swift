// What the host runs for one plugin: its folder and manifest, and what the mesh file says about it.

public import ConfigDocument
public import Manifest

/// A plugin that a host runs.
public struct PluginSpecification: Sendable {
    /// The plugin's name in this mesh, which is its principal's.
    public let name: String
    /// Its folder, which is also its working directory.
    public let folder: String
    /// What its `plugin.json` says.
    public let manifest: PluginManifest
    /// The program and what follows it on the command line.
    public let program: Program
    /// Variables beside those that the host sets.
    public let environment: [String: String]
    /// Its settings as JSON; nil: none.
    public let config: String?
    /// How many processes of it run.
    public let instances: Int

    /// A program and its arguments.
    public struct Program: Hashable, Sendable {
        /// The file; without a slash it is looked up in the search path.
        public let path: String
        /// The arguments.
        public let arguments: [String]

        /// Names a program.
        public init(path: String, arguments: [String] = []) {
            self.path = path
            self.arguments = arguments
        }
    }

    /// Reads a plugin's folder and finds its program.
    ///
    /// - Parameters:
    ///   - folder: The folder that holds `plugin.json`.
    ///   - name: Its name in this mesh; nil: the manifest's.
    ///   - executable: A program to run in place of the manifest's `main`.
    ///   - arguments: Arguments beside the manifest's.
    ///   - environment: Variables beside those that the host sets.
    ///   - config: Its settings as JSON.
    ///   - instances: How many processes of it run.
    /// - Throws: every problem of the manifest and of its program at once.
    public init(
        folder: String,
        name: String? = nil,
        executable: String? = nil,
        arguments: [String] = [],
        environment: [String: String] = [:],
        config: String? = nil,
        instances: Int = 1
    ) throws(ConfigErrors) {
        let manifest = try PluginManifest.load(folder: folder, checking: executable == nil ? .executable : .none)
        self.folder = folder
        self.manifest = manifest
        self.name = name ?? manifest.name
        self.environment = environment
        self.config = config
        self.instances = max(1, instances)
        if let executable {
            program = Program(path: executable, arguments: arguments)
        } else {
            program = Program(
                path: Self.mainPath(manifest.main, in: folder),
                arguments: manifest.main.arguments + arguments
            )
        }
    }

    private static func mainPath(_ main: EntryPoint, in folder: String) -> String {
        if let path = try? main.resolve(in: folder) { return path }
        switch main.program {
        case .inFolder(let path): return folder + "/" + path
        case .onPath(let name): return name
        }
    }

    /// The services that a required dependency names.
    var requires: [String] { manifest.requiredDependencies.map(\.service) }

    /// The services that it provides, by name.
    var provides: Set<String> { Set(manifest.provides.map(\.service)).union([name]) }
}

/// One process of a plugin among those of its host.
public struct InstanceID: Hashable, Sendable, CustomStringConvertible {
    /// The plugin's name.
    public let plugin: String
    /// Counts the plugin's processes from 1.
    public let number: Int

    /// Names a process of a plugin.
    public init(plugin: String, number: Int) {
        self.plugin = plugin
        self.number = number
    }

    /// "echo#1".
    public var description: String { "\(plugin)#\(number)" }
}

/// The order in which plugins start: each wave after those that provide what it requires.
///
/// A dependency that none of the plugins provides is not waited for: another host may bring it. Plugins in a cycle come in the last wave.
public func startWaves(_ plugins: [PluginSpecification]) -> [[PluginSpecification]] {
    var waves: [[PluginSpecification]] = []
    var left = plugins
    while !left.isEmpty {
        let ready = left.filter { plugin in
            !left.contains { other in
                other.name != plugin.name && plugin.requires.contains { other.provides.contains($0) }
            }
        }
        guard !ready.isEmpty else {
            waves.append(left)
            break
        }
        waves.append(ready)
        left.removeAll { plugin in ready.contains { $0.name == plugin.name } }
    }
    return waves
}
