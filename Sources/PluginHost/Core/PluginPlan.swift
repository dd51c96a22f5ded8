// What the host core knows of a plugin: the manifest and the mesh file brought to the values that decide when it starts,
// how it is kept running and how the next generation takes over. Pure.

public import Manifest
public import SemanticVersion

/// How a host is to run one revision of a plugin.
public struct PluginPlan: Hashable, Sendable {
    /// Its name in the mesh.
    public var name: String
    /// Its version.
    public var version: SemanticVersion
    /// Names the program, the manifest and the permissions that belong to this plan; the shell keeps them by it.
    public var revision: Int
    /// What resolution needs to know.
    public var resolvable: ResolvablePlugin
    /// The services that it provides, as its manifest declares them.
    public var provides: [ProvidedService]
    /// When it is started again after it ended.
    public var restart: RestartPolicy
    /// When it is started first.
    public var activation: Activation
    /// The fewest and the most processes.
    public var instances: ClosedRange<Int>
    /// How the next generation takes over.
    public var reload: ReloadMode
    /// From a process's start to ready.
    public var initTimeout: Duration
    /// For calls in flight when it stops.
    public var drainTimeout: Duration
    /// How long a lazy plugin may do nothing before it is stopped.
    public var idleTimeout: Duration
    /// Permissions that it needs and that are not granted; it does not start while there are any.
    public var missingGrants: [String]
    /// Whatever its sandbox and its start are made of, in one value: a change needs new processes.
    public var sandbox: String

    /// Puts a plan together.
    public init(
        name: String,
        version: SemanticVersion,
        revision: Int,
        resolvable: ResolvablePlugin? = nil,
        provides: [ProvidedService] = [],
        restart: RestartPolicy = .transient,
        activation: Activation = .eager,
        instances: ClosedRange<Int> = 1...1,
        reload: ReloadMode = .overlap,
        initTimeout: Duration = .seconds(10),
        drainTimeout: Duration = .seconds(5),
        idleTimeout: Duration = .seconds(60),
        missingGrants: [String] = [],
        sandbox: String = ""
    ) {
        self.name = name
        self.version = version
        self.revision = revision
        self.resolvable = resolvable ?? ResolvablePlugin(name: name, version: version)
        self.provides = provides
        self.restart = restart
        self.activation = activation
        self.instances = instances
        self.reload = reload
        self.initTimeout = initTimeout
        self.drainTimeout = drainTimeout
        self.idleTimeout = idleTimeout
        self.missingGrants = missingGrants
        self.sandbox = sandbox
    }

    /// Whether it starts with the first call and stops when nobody needs it.
    var isLazy: Bool { activation == .lazy }
    /// How many processes it begins with.
    var initialTarget: Int { max(1, instances.lowerBound) }
}

/// The times of a host that no manifest sets.
public struct HostTiming: Hashable, Sendable {
    /// The delay after the first failure; doubles with each further one.
    public var firstBackoff = Duration.milliseconds(250)
    /// The longest delay.
    public var longestBackoff = Duration.seconds(30)
    /// After running for so long, the next failure counts as the first.
    public var healthyAfter = Duration.seconds(60)
    /// So many crashes within ``crashWindow`` put a plugin in quarantine.
    public var crashLimit = 5
    /// See ``crashLimit``.
    public var crashWindow = Duration.seconds(60)
    /// From quarantine to the one process that tries whether it runs again.
    public var probeAfter = Duration.seconds(300)
    /// After a plugin said that it is not ready and not when it will be.
    public var notReadyDelay = Duration.seconds(1)
    /// For `teardown`, after the last call in flight.
    public var teardown = Duration.seconds(2)
    /// From SIGKILL to the next try; a process that cannot be killed is waiting for the kernel.
    public var killAgain = Duration.seconds(5)
    /// A stop of everything kills what is left after so long.
    public var stopBound = Duration.seconds(15)
    /// How long reading a plugin's folder may take.
    public var prepareBound = Duration.seconds(30)
    /// New calls wait for a plugin that is down when it starts again within so long.
    public var parkBound = Duration.seconds(2)
    /// How often a plugin that can grow is asked for its load.
    public var loadInterval = Duration.milliseconds(250)
    /// How often a lazy plugin is asked whether somebody needs it.
    public var idleInterval = Duration.seconds(1)
    /// Calls must have waited for so long before another process is started.
    public var growAfter = Duration.milliseconds(500)
    /// There must have been a process too many for so long before one is stopped.
    public var shrinkAfter = Duration.seconds(30)

    /// The version of the mesh, for the `engines` of manifests; nil asks no plugin.
    public var mesh: SemanticVersion?

    /// The times that a host uses unless a test needs others.
    public init() {}
}
