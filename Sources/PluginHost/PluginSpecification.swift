// What the host runs for one plugin: where it is and what the operator says about it (PluginSource), and that together with
// its manifest as it was read (PluginSpecification).

public import ConfigDocument
public import Manifest

/// A plugin as an operator lists it.
public struct PluginSource: Hashable, Sendable {
    /// The folder that holds `plugin.json`.
    public var folder: String
    /// Its name in this mesh; nil: the manifest's.
    public var name: String?
    /// A program to run in place of the manifest's `main`.
    public var executable: String?
    /// Arguments beside the manifest's.
    public var arguments: [String] = []
    /// Variables beside those that the host sets.
    public var environment: [String: String] = [:]
    /// Its settings as JSON; nil: none.
    public var config: String?
    /// How many processes of it run; nil: as many as the manifest says.
    public var instances: ClosedRange<Int>?
    /// When it starts; nil: as the manifest says.
    public var activation: Activation?
    /// How the next generation takes over; nil: as the manifest says.
    public var reload: ReloadMode?
    /// After how long without calls a lazy plugin stops.
    public var idle: Duration?
    /// What to do where a permission that it does not have cannot be kept from it.
    public var enforcement = Enforcement.require
    /// Bounds on what the manifest asks for.
    public var limits = ProcessLimits()
    /// What was granted to it.
    public var grant = PluginGrant()

    /// A plugin in a folder.
    public init(folder: String) { self.folder = folder }
}

/// A plugin that a host runs.
public struct PluginSpecification: Hashable, Sendable {
    /// What the operator says.
    public let source: PluginSource
    /// The plugin's name in this mesh, which is its principal's.
    public let name: String
    /// What its `plugin.json` says.
    public let manifest: PluginManifest
    /// The program and what follows it on the command line.
    public let program: Program
    /// What it asks for and was granted.
    public let permissions: EffectivePermissions
    /// What its processes may use.
    public let limits: ProcessLimits

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

    /// Its folder, which is also its working directory.
    public var folder: String { source.folder }

    /// Reads a plugin's folder and finds its program, which may be not built yet.
    ///
    /// - Throws: every problem of the manifest at once.
    public init(_ source: PluginSource) throws(ConfigErrors) {
        let checks: MainCheck = source.executable == nil ? .location : .none
        let manifest = try PluginManifest.load(folder: source.folder, checking: checks)
        self.source = source
        self.manifest = manifest
        name = source.name ?? manifest.name
        permissions = EffectivePermissions(manifest, grant: source.grant)
        limits = ProcessLimits(manifest.limits, capped: source.limits)
        if let executable = source.executable {
            program = Program(path: executable, arguments: source.arguments)
        } else {
            program = Program(
                path: Self.mainPath(manifest.main, in: source.folder),
                arguments: manifest.main.arguments + source.arguments
            )
        }
    }

    /// The same plugin as it was read, under what an operator says now.
    init(_ other: PluginSpecification, source: PluginSource) throws(ConfigErrors) {
        self.source = source
        manifest = other.manifest
        name = other.name
        permissions = EffectivePermissions(other.manifest, grant: source.grant)
        limits = ProcessLimits(other.manifest.limits, capped: source.limits)
        let isSame = source.executable == other.source.executable && source.arguments == other.source.arguments
        program = isSame ? other.program : try PluginSpecification(source).program
    }

    private static func mainPath(_ main: EntryPoint, in folder: String) -> String {
        if let path = try? main.resolve(in: folder) { return path }
        switch main.program {
        case .inFolder(let path): return folder + "/" + path
        case .onPath(let name): return name
        }
    }

    /// What keeps the program from being run as it is now; nil: nothing.
    var programProblem: String? {
        guard source.executable == nil else { return nil }
        do throws(EntryPointError) {
            _ = try manifest.main.resolve(in: folder)
            return nil
        } catch {
            return "its program cannot be run: \(error)"
        }
    }

    /// The text of the manifest, as long as the folder's file says what was read; nil: somebody has changed it.
    var manifestText: String? {
        guard let text = readText("\(folder)/\(PluginManifest.fileName)", atMost: 1 << 20),
            let present = try? PluginManifest.load(text: text), present == manifest
        else { return nil }
        return text
    }

    /// The same for the host core.
    func plan(revision: Int) -> PluginPlan {
        let count = manifest.instances
        return PluginPlan(
            name: name,
            version: manifest.version,
            revision: revision,
            resolvable: ResolvablePlugin(name: name, manifest: manifest),
            provides: manifest.provides,
            restart: manifest.restart,
            activation: source.activation ?? manifest.activation,
            instances: source.instances ?? count.minimum...max(count.minimum, count.maximum),
            reload: source.reload ?? manifest.lifecycle.reload,
            initTimeout: manifest.lifecycle.initTimeout ?? .seconds(10),
            drainTimeout: manifest.lifecycle.drainTimeout ?? .seconds(5),
            idleTimeout: source.idle ?? .seconds(60),
            missingGrants: permissions.missingNames,
            sandbox: "\(permissions.networking) \(permissions.storage) \(limits) \(entry)"
        )
    }

    /// What an operator says besides grants, in a value that holds no secret: settings, environment, instances and so on.
    private var entry: Int {
        var others = source
        others.grant = PluginGrant()
        return others.hashValue
    }
}

extension ProcessLimits {
    /// What a manifest asks for, no more than an operator's bounds.
    init(_ request: ResourceRequest, capped cap: ProcessLimits) {
        func least<Number: Comparable>(_ asked: Number?, _ cap: Number?) -> Number? {
            guard let asked, let cap else { return asked ?? cap }
            return min(asked, cap)
        }
        self.init(
            memoryBytes: least(request.memoryBytes.map(Int64.init), cap.memoryBytes),
            cpuPercent: least(request.cpuPercent, cap.cpuPercent),
            processCount: least(request.processCount, cap.processCount),
            openFileCount: least(request.openFileCount, cap.openFileCount),
            fileSizeBytes: cap.fileSizeBytes
        )
    }
}
