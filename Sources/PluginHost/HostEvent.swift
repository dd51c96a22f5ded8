// What a host tells about its plugins: to the log of `wiz up`, to `host.<name>.logs`, and as events on the mesh.

/// How a plugin is doing.
public enum PluginState: String, CaseIterable, Hashable, Sendable, Codable {
    /// It is known and not running: a lazy plugin that nobody has called, or one whose turn has not come.
    case discovered
    /// It cannot start until something is there or is granted.
    case blocked
    /// It runs and is not ready.
    case starting
    /// It serves.
    case ready
    /// It serves and does not do what was asked of it.
    case suspect
    /// It finishes what it has begun.
    case draining
    /// It ended and will be started again.
    case backoff
    /// It ended too often and is left alone for a while.
    case quarantined
    /// It ended and stays so.
    case stopped
}

/// A change of a plugin as a whole.
public struct PluginChange: Hashable, Sendable {
    /// The plugin's name in the mesh.
    public var plugin: String
    /// How it is doing now.
    public var state: PluginState
    /// Why; may be empty.
    public var cause: String
    /// Its generation.
    public var generation: Int
}

/// Something that happened to a plugin or to one of its processes.
public enum HostEvent: Hashable, Sendable {
    /// Which of its two outputs a process wrote to.
    public enum Output: String, Hashable, Sendable, Codable {
        /// Standard output.
        case standardOutput = "stdout"
        /// Standard error.
        case standardError = "stderr"
        /// What the host itself says about the process: what it dialled, why it was ended.
        case host = "host"
    }

    /// A process runs.
    case started(InstanceLabel, process: Int32)
    /// A process serves.
    case ready(InstanceLabel, process: Int32?, after: Duration)
    /// A process was asked to finish.
    case draining(InstanceLabel, process: Int32?, reason: String)
    /// A process ended, or never ran; `isWanted` when the host ended it in the course of things.
    case exited(InstanceLabel, process: Int32?, ExitCause, ranFor: Duration, lastLines: [String], isWanted: Bool)
    /// A plugin's state has changed.
    case changed(PluginChange)
    /// A step of a reload.
    case reload(plugin: String, generation: Int, String)
    /// A process wrote a line.
    case line(InstanceLabel, Output, String)
    /// Something that an operator should know.
    case note(plugin: String, String)
}
