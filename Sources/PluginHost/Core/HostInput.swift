// What goes into the host core and what comes out of it. Both are plain values, so that tests can write them down.

public import Manifest

/// Something that happened.
public enum HostInput: Sendable {
    /// These are the plugins that the host runs; those that are no longer among them are stopped.
    case plugins([PluginPlan])
    /// What others offer in the mesh.
    case elsewhere([ServiceOffer])
    /// A process runs.
    case launched(InstanceLabel, process: Int32)
    /// A process could not be started.
    case launchFailed(InstanceLabel, LaunchProblem)
    /// A process has registered everything and serves.
    case ready(InstanceLabel)
    /// A process has registered everything and has not said for a while that it is ready: plugins of other making may not know
    /// that they should.
    case silent(InstanceLabel)
    /// A process says that it cannot serve yet; it ends by itself.
    case notReady(InstanceLabel, reason: String, retryAfter: Duration?)
    /// A process does not do what the broker asked of it.
    case suspect(InstanceLabel, reason: String)
    /// The broker has no session of a process any more, and why.
    case sessionGone(InstanceLabel, reason: String)
    /// A process has ended.
    case exited(InstanceLabel, ExitCause, lastLines: [String])
    /// The broker's answer to ``HostAction/promote(plugin:generation:instances:retire:grace:reason:)``; nil: it is done.
    case promoted(plugin: String, generation: Int, problem: String?)
    /// A call waits for a service that nobody provides.
    case demand(service: String, version: String)
    /// The answer to ``HostAction/askLoad(plugin:)``; nil: it could not be had.
    case load(plugin: String, PluginLoad?)
    /// Somebody wants a new generation of what lies in the plugin's folder now.
    case reload(plugin: String, RequestNumber)
    /// The answer to ``HostAction/prepare(plugin:)``.
    case prepared(plugin: String, PreparedPlan)
    /// The grants have changed, and these are the plans by the new ones.
    case regranted([PluginPlan])
    /// Forget crashes and quarantine, and start what can start.
    case reset(plugin: String)
    /// New processes of the present revision.
    case restart(plugin: String, RequestNumber)
    /// Stop the plugin until somebody starts it.
    case stop(plugin: String)
    /// Start it after a stop.
    case start(plugin: String)
    /// Stop everything, users before what they use.
    case stopAll
    /// Nothing but that time has passed.
    case tick
}

/// What a plugin's folder holds now.
public enum PreparedPlan: Sendable {
    /// It is sound.
    case plan(PluginPlan)
    /// It cannot be run; the text says why.
    case problem(String)
}

/// Why a process could not be started.
public enum LaunchProblem: Hashable, Sendable {
    /// Trying again may help.
    case failed(String)
    /// Trying again does not help before somebody changes something: no sandbox, no program.
    case refused(String)
    /// The broker could not be asked; it does not count as a crash.
    case noBroker(String)

    var reason: String {
        switch self {
        case .failed(let reason), .refused(let reason), .noBroker(let reason): reason
        }
    }
}

/// Who waits for the outcome of a reload.
public struct RequestNumber: Hashable, Sendable {
    /// The number.
    public let value: Int
    /// Makes a number.
    public init(_ value: Int) { self.value = value }
}

/// How busy a plugin's processes are, all its services together.
public struct PluginLoad: Hashable, Sendable {
    /// Calls that wait.
    public var waiting: Int
    /// Calls that run.
    public var running: Int
    /// Calls that could run.
    public var capacity: Int
    /// Calls that have ever been taken; nil when the broker does not tell.
    public var total: Int?

    /// A load.
    public init(waiting: Int, running: Int, capacity: Int, total: Int? = nil) {
        self.waiting = waiting
        self.running = running
        self.capacity = capacity
        self.total = total
    }
}

/// Whether a process takes calls as soon as it has registered.
public enum LaunchStage: String, Hashable, Sendable {
    /// It does.
    case live
    /// Not before it is promoted.
    case shadow
}

/// Names an expectation between core and shell.
public struct ExpectationNumber: Hashable, Sendable {
    /// The number.
    public let value: Int
}

/// Something to do.
public enum HostAction: Hashable, Sendable {
    /// Start a process of a revision.
    case launch(InstanceLabel, stage: LaunchStage, revision: Int)
    /// Ask a process to end.
    case terminate(InstanceLabel)
    /// End a process.
    case kill(InstanceLabel)
    /// Give processes no further calls; they finish and leave.
    case drain(plugin: String, [InstanceLabel], grace: Duration, reason: String)
    /// Let the shadow processes take over from the others, in one step.
    case promote(
        plugin: String,
        generation: Int,
        instances: [InstanceLabel],
        retire: [InstanceLabel],
        grace: Duration,
        reason: String
    )
    /// Let calls wait for these services while nobody provides them.
    case expect(plugin: String, ExpectationNumber, [ProvidedService])
    /// Let no calls wait any more.
    case unexpect(plugin: String, ExpectationNumber)
    /// Tell the broker that a process has ended.
    case tellExited(InstanceLabel, process: Int32?, cause: String)
    /// Ask how busy a plugin is.
    case askLoad(plugin: String)
    /// Read a plugin's folder and keep its program.
    case prepare(plugin: String)
    /// Answer those who asked for a reload or a restart.
    case reloaded(plugin: String, [RequestNumber], ReloadOutcome)
    /// Tell everybody.
    case tell(HostEvent)
    /// Everything has stopped.
    case finished
}

/// How a reload went.
public enum ReloadOutcome: Hashable, Sendable {
    /// The new generation serves.
    case promoted(generation: Int, version: String, after: Duration)
    /// The new one could not take over; the old one serves as before (or again).
    case failed(reason: String, lastLines: [String])
    /// The new one asks for permissions that are not granted; the old one serves on.
    case held(permissions: [String])
    /// Nothing runs that could be replaced: the next start uses the new one.
    case deferred(String)

    /// In a sentence.
    public var sentence: String {
        switch self {
        case .promoted(let generation, let version, _): "generation \(generation) (version \(version)) serves"
        case .failed(let reason, _): reason
        case .held(let names): "the new version waits for the grant of \(names.joined(separator: ", "))"
        case .deferred(let text): text
        }
    }
}
