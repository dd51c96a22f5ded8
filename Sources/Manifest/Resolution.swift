// Resolution: which plugin of a host may start, with which provider for each of its dependencies, in which order; and why
// one may not. These are the values; the work is in Resolver.swift, the sentences are in Explanation.swift. Pure.

public import SemanticVersion

/// A plugin of a host, as resolution sees it.
public struct ResolvablePlugin: Hashable, Sendable {
    /// Why a plugin is kept from starting, whatever its dependencies.
    public enum Hold: Hashable, Sendable {
        /// It asks for permissions that are not granted.
        case grant([String])
        /// It ended too often; the text tells how it ended.
        case quarantined(String)
        /// An operator stopped it.
        case stopped
    }

    /// Its name in the mesh.
    public let name: String
    /// Its version.
    public let version: SemanticVersion
    /// The versions of the mesh that it works with; nil means any.
    public let engine: VersionRange?
    /// The services without which it does not start.
    public let requires: [ServiceDependency]
    /// The services that it uses if they are there.
    public let wants: [ServiceDependency]
    /// The services that it provides.
    public let provides: [OfferedService]
    /// Why it is kept from starting.
    public let hold: Hold?

    /// A service and its version.
    public struct OfferedService: Hashable, Sendable {
        /// The service's name.
        public let service: String
        /// Its version.
        public let version: SemanticVersion

        /// Names a version of a service.
        public init(service: String, version: SemanticVersion) {
            self.service = service
            self.version = version
        }
    }

    /// A plugin with its manifest.
    ///
    /// A manifest that lists no services stands for one service with the plugin's own name and version, as the broker's
    /// policy does too.
    public init(name: String, manifest: PluginManifest, hold: Hold? = nil) {
        let listed = manifest.provides.map { OfferedService(service: $0.service, version: $0.version) }
        self.init(
            name: name,
            version: manifest.version,
            engine: manifest.engine,
            requires: manifest.requiredDependencies,
            wants: manifest.optionalDependencies,
            provides: listed.isEmpty ? [OfferedService(service: name, version: manifest.version)] : listed,
            hold: hold
        )
    }

    /// A plugin of which each part is given.
    public init(
        name: String,
        version: SemanticVersion,
        engine: VersionRange? = nil,
        requires: [ServiceDependency] = [],
        wants: [ServiceDependency] = [],
        provides: [OfferedService] = [],
        hold: Hold? = nil
    ) {
        self.name = name
        self.version = version
        self.engine = engine
        self.requires = requires
        self.wants = wants
        self.provides = provides
        self.hold = hold
    }
}

/// A service that is offered in the mesh by somebody who is no plugin of this host.
public struct ServiceOffer: Hashable, Sendable {
    /// The service's name.
    public let service: String
    /// Its version.
    public let version: SemanticVersion
    /// Who offers it: the principal's name.
    public let provider: String

    /// Names an offer.
    public init(service: String, version: SemanticVersion, provider: String) {
        self.service = service
        self.version = version
        self.provider = provider
    }
}

/// Who provides a service.
public struct ServiceProvider: Hashable, Sendable, CustomStringConvertible {
    /// The plugin's name in the mesh.
    public let name: String
    /// The plugin's version; nil when it is not of this host, and so not known.
    public let pluginVersion: SemanticVersion?
    /// The version of the service.
    public let serviceVersion: SemanticVersion

    /// Whether it is somewhere else in the mesh, and there already.
    public var isElsewhere: Bool { pluginVersion == nil }

    /// "openai-llm 1.6.0 (service 1.4.0)".
    public var description: String {
        guard let pluginVersion else { return "\(name) elsewhere in the mesh (service \(serviceVersion))" }
        return "\(name) \(pluginVersion) (service \(serviceVersion))"
    }
}

/// The provider that a dependency was given.
public struct DependencyBinding: Hashable, Sendable {
    /// The dependency.
    public let dependency: ServiceDependency
    /// Whether the plugin cannot start without it.
    public let isRequired: Bool
    /// The highest version in range, among equals the first by name; nil if nobody can provide it.
    public let provider: ServiceProvider?
    /// Whether the plugin waits for that provider before it starts.
    ///
    /// Not so when the provider is there already, or when waiting would close a cycle.
    public let isAwaited: Bool
}

/// Plugins that wait for each other.
public struct DependencyCycle: Hashable, Sendable, CustomStringConvertible {
    /// The way around; the first plugin stands at the end again.
    public let path: [String]
    /// All plugins that wait for each other there, by name; more than the path when cycles cross.
    public let members: [String]

    /// "a -> b -> c -> a".
    public var description: String { path.joined(separator: " -> ") }
}

/// Why a plugin cannot start.
public enum BlockReason: Hashable, Sendable, CustomStringConvertible {
    /// It is held.
    case held(ResolvablePlugin.Hold)
    /// It does not work with this version of the mesh.
    case engine(VersionRange, mesh: SemanticVersion)
    /// Nobody provides a version in range; `others` provide another version.
    case missing(ServiceDependency, others: [ServiceProvider])
    /// Somebody could provide it, but cannot start.
    case providersBlocked(ServiceDependency, [ServiceProvider])
    /// It is in a cycle.
    case cycle(DependencyCycle)

    /// A few words, as in "blocked (waits for llm-service ^2.0.0)".
    public var description: String {
        switch self {
        case .held(.grant(let names)): "waits for the grant of \(names.joined(separator: ", "))"
        case .held(.quarantined(let cause)): "quarantined: \(cause)"
        case .held(.stopped): "stopped by an operator"
        case .engine(let range, let mesh): "needs wizmesh \(range), this is \(mesh)"
        case .missing(let dependency, _): "waits for \(dependency.phrase)"
        case .providersBlocked(let dependency, let providers):
            "waits for \(dependency.phrase) of \(providers.map(\.name).joined(separator: " or "))"
        case .cycle(let cycle): "cycle \(cycle)"
        }
    }
}

/// What resolution says about one plugin.
public struct PluginResolution: Hashable, Sendable {
    /// The plugin's name in the mesh.
    public let name: String
    /// Its version.
    public let version: SemanticVersion
    /// Its dependencies, required first, in the manifest's order.
    public let bindings: [DependencyBinding]
    /// Why it cannot start; empty when it can.
    public let reasons: [BlockReason]
    /// The wave in which it starts, from 0; nil when it cannot.
    public let wave: Int?
    /// The plugins of this host that must be ready before it starts, by name.
    public let waitsFor: [String]

    /// Whether it cannot start.
    public var isBlocked: Bool { wave == nil }
    /// "waits for llm-service ^2.0.0; waits for the grant of storage", or empty.
    public var summary: String { reasons.map(\.description).joined(separator: "; ") }
}

/// An optional dependency for which nobody waits, since waiting would close a cycle.
public struct DroppedDependency: Hashable, Sendable, CustomStringConvertible {
    /// Whose dependency it is.
    public let plugin: String
    /// The dependency.
    public let dependency: ServiceDependency
    /// The plugin that provides it.
    public let provider: String
    /// The cycle that waiting would close.
    public let cycle: DependencyCycle

    /// The note for an operator.
    public var description: String {
        "\(plugin) does not wait for its optional \(dependency.phrase) of \(provider): that would be a cycle, \(cycle)"
    }
}

/// The outcome for all plugins of a host.
public struct Resolution: Hashable, Sendable {
    /// What is said of each plugin, by name.
    public let plugins: [String: PluginResolution]
    /// The plugins that can start, by waves: each after those that it waits for; by name within a wave.
    public let waves: [[String]]
    /// The cycles of required dependencies, by their first member.
    public let cycles: [DependencyCycle]
    /// The optional dependencies that are not waited for.
    public let dropped: [DroppedDependency]
    /// The names of all services that the host's plugins or others offer, sorted.
    public let services: [String]

    /// The names of those that cannot start, sorted.
    public var blocked: [String] { plugins.values.filter(\.isBlocked).map(\.name).sorted() }
    /// The waves in which running plugins stop: those that use others first.
    public var stopWaves: [[String]] { waves.reversed() }

    /// Resolves the plugins of a host.
    ///
    /// - Parameters:
    ///   - plugins: The host's plugins; of two with one name the first counts.
    ///   - elsewhere: What others offer in the mesh now.
    ///   - mesh: This mesh's version, for `engines`; nil asks no plugin.
    public init(_ plugins: [ResolvablePlugin], elsewhere: [ServiceOffer] = [], mesh: SemanticVersion? = nil) {
        var resolver = Resolver(plugins, elsewhere: elsewhere, mesh: mesh)
        self = resolver.resolve()
    }

    init(
        plugins: [String: PluginResolution],
        waves: [[String]],
        cycles: [DependencyCycle],
        dropped: [DroppedDependency],
        services: [String]
    ) {
        self.plugins = plugins
        self.waves = waves
        self.cycles = cycles
        self.dropped = dropped
        self.services = services
    }
}

extension ServiceDependency {
    /// "llm-service ^2.0.0", or "llm-service" when any version will do.
    public var phrase: String { range.isAny ? service : "\(service) \(rangeText)" }
}
