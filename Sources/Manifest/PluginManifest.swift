// A plugin's manifest, plugin.json, as a typed value: what a plugin is, needs, provides and asks for. A value of this type
// is always valid; `load` (ManifestLoading.swift) is the way to get one. Resolution and grants build on it elsewhere.

public import ConfigDocument
public import SemanticVersion

/// What a plugin's `plugin.json` says.
public struct PluginManifest: Hashable, Sendable {
    /// The file's name inside a plugin's folder.
    public static let fileName = "plugin.json"
    /// The manifest version that this code reads.
    public static let currentManifestVersion = 1
    /// Bounds on the file: 64 KiB, and 32 levels, which no sensible settings schema exceeds.
    public static let fileLimits = ConfigLimits(bytes: 64 << 10, depth: 32)

    /// `$schema`: where an editor finds the JSON Schema.
    public let schema: String?
    /// `manifestVersion`: 1.
    public let manifestVersion: Int
    /// `name`: the plugin's name, unique in a mesh.
    public let name: String
    /// `version`: the plugin's version.
    public let version: SemanticVersion
    /// `description`: one sentence for people.
    public let description: String?
    /// `main`: the program to run.
    public let main: EntryPoint
    /// `build`: the command that makes `main`, run in the plugin's folder.
    public let build: BuildCommand?
    /// `engines.wizmesh`: the versions of the mesh that it works with; nil means any.
    public let engine: VersionRange?
    /// `provides`: the services that it offers.
    public let provides: [ProvidedService]
    /// `dependencies.required`: services without which it does not start.
    public let requiredDependencies: [ServiceDependency]
    /// `dependencies.optional`: services that it uses if they are there.
    public let optionalDependencies: [ServiceDependency]
    /// `permissions`: what it asks for and needs.
    public let permissions: [PermissionRequest]
    /// `optionalPermissions`: what it asks for and can do without.
    public let optionalPermissions: [PermissionRequest]
    /// `capabilities`: tags by which it is found.
    public let capabilities: [String]
    /// `config`: the JSON Schema of its settings.
    public let config: ConfigSchema?
    /// `limits`: the resources that it asks for.
    public let limits: ResourceRequest
    /// `lifecycle`: its times and its way of reloading.
    public let lifecycle: Lifecycle
    /// `restart`: when its host starts it again.
    public let restart: RestartPolicy
    /// `activation`: when its host starts it first.
    public let activation: Activation
    /// `instances`: how many processes of it may run.
    public let instances: InstanceCount
    /// The top-level entries whose keys begin with `x-`.
    public let extensions: [ConfigValue.Entry]

    /// Required and optional dependencies together, required first.
    public var dependencies: [ServiceDependency] { requiredDependencies + optionalDependencies }

    /// The dependency on a service, if it is declared.
    public func dependency(on service: String) -> ServiceDependency? {
        dependencies.first { $0.service == service }
    }

    /// The request for a permission, needed or optional.
    public func permissionRequest(_ name: String) -> PermissionRequest? {
        permissions.first { $0.name == name } ?? optionalPermissions.first { $0.name == name }
    }
}

/// A service that a plugin uses, with the versions that will do.
public struct ServiceDependency: Hashable, Sendable {
    /// The service's name.
    public let service: String
    /// The versions that will do; `*` if none were given.
    public let range: VersionRange
    /// The range as it is written in the manifest.
    public let rangeText: String
    /// Why it is used, for people.
    public let reason: String?

    /// A dependency on a service; `rangeText` is the range's canonical form unless given.
    public init(service: String, range: VersionRange, rangeText: String? = nil, reason: String? = nil) {
        self.service = service
        self.range = range
        self.rangeText = rangeText ?? range.canonical
        self.reason = reason
    }
}

/// A permission that a plugin asks for.
public struct PermissionRequest: Hashable, Sendable {
    /// The permission that opens the network.
    public static let networking = "networking"
    /// The permission that gives a private writable folder.
    public static let storage = "storage"
    /// The permissions that the operating system enforces; all others are the broker's.
    public static let systemNames = [networking, storage]

    /// The permission's name.
    public let name: String
    /// With `networking`: the only hosts to reach; nil means all.
    public let hosts: [HostPattern]?
    /// Why it is asked for, for the operator who grants it.
    public let reason: String?

    /// A request for a permission.
    public init(name: String, hosts: [HostPattern]? = nil, reason: String? = nil) {
        self.name = name
        self.hosts = hosts
        self.reason = reason
    }
}

/// A service that a plugin provides.
public struct ProvidedService: Hashable, Sendable {
    /// The service's name.
    public let service: String
    /// The service's version; the plugin's own unless given.
    public let version: SemanticVersion
    /// One sentence for people.
    public let description: String?
    /// The declared methods, in written order.
    public let methods: [ProvidedMethod]
    /// Attributes for look-up, in written order.
    public let attributes: [ServiceAttribute]
    /// Capability tags for look-up.
    public let capabilities: [String]
}

/// A property of a service that a look-up can ask for.
public struct ServiceAttribute: Hashable, Sendable {
    /// The attribute's name.
    public let name: String
    /// Its value as text.
    public let value: String
}

/// A method of a provided service.
public struct ProvidedMethod: Hashable, Sendable {
    /// The method's name.
    public let name: String
    /// One sentence for people.
    public let description: String?
    /// The JSON Schema of its parameters.
    public let input: ConfigValue?
    /// The JSON Schema of its result.
    public let output: ConfigValue?
    /// `timeoutMs`: its own total deadline.
    public let timeout: Duration?
    /// Whether a second call with the same parameters does no harm.
    public let isIdempotent: Bool
    /// Whether it changes nothing.
    public let isReadOnly: Bool
    /// Whether it may destroy what was there.
    public let isDestructive: Bool
    /// What it streams.
    public let stream: MethodStream
    /// The named permissions that a caller must have.
    public let permissions: [String]
}

/// What a method streams.
public enum MethodStream: String, CaseIterable, Hashable, Sendable {
    /// Nothing: one request, one reply.
    case none
    /// The request.
    case request
    /// The reply; `true` in the manifest means this.
    case reply
    /// Both.
    case both
}

/// The resources that a plugin asks for; an operator's policy caps them.
public struct ResourceRequest: Hashable, Sendable {
    /// `memoryMB`, in bytes (a manifest's MB is 1024 × 1024 bytes).
    public let memoryBytes: Int?
    /// `cpuPercent`: 100 is one core.
    public let cpuPercent: Int?
    /// `pids`: processes and threads.
    public let processCount: Int?
    /// `openFiles`: file descriptors.
    public let openFileCount: Int?
    /// `concurrency`: calls at a time.
    public let concurrency: Int?
    /// `queue`: calls that may wait in the broker.
    public let queueLength: Int?
}

/// A plugin's times and its way of reloading; nil leaves a time to the host.
public struct Lifecycle: Hashable, Sendable {
    /// `initTimeoutMs`: from start to ready.
    public let initTimeout: Duration?
    /// `drainTimeoutMs`: for calls in flight when it stops.
    public let drainTimeout: Duration?
    /// `reload`: how the next generation takes over.
    public let reload: ReloadMode
}

/// How the next generation of a plugin takes over.
public enum ReloadMode: String, CaseIterable, Hashable, Sendable {
    /// The new one starts beside the old one.
    case overlap
    /// The old one stops first, since it owns something that only one can have.
    case exclusive
}

/// When a host starts a plugin again after it ended.
public enum RestartPolicy: String, CaseIterable, Hashable, Sendable {
    /// Always.
    case permanent
    /// Only after a failure.
    case transient
    /// Never.
    case temporary
}

/// When a host first starts a plugin.
public enum Activation: String, CaseIterable, Hashable, Sendable {
    /// With the host.
    case eager
    /// On the first call.
    case lazy
}

/// How many processes of a plugin may run.
public struct InstanceCount: Hashable, Sendable {
    /// The fewest.
    public let minimum: Int
    /// The most.
    public let maximum: Int
}

/// The command that builds a plugin.
public struct BuildCommand: Hashable, Sendable {
    /// The program and its arguments; a command given as text is run by `/bin/sh -c`.
    public let arguments: [String]
}
