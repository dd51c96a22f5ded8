// What a host tells about its plugin processes, and what it asks of whoever runs it.

/// Something that happened to a plugin process.
public enum HostEvent: Sendable {
    /// Which of its two outputs a process wrote to.
    public enum Output: String, Sendable {
        /// Standard output.
        case standardOutput = "stdout"
        /// Standard error.
        case standardError = "stderr"
        /// What the host itself says about the process: what it dialled, why it was ended.
        case host = "host"
    }

    /// It runs.
    case started(InstanceID, process: Int32)
    /// It is registered with the broker.
    case ready(InstanceID, process: Int32, after: Duration)
    /// It wrote a line.
    case line(InstanceID, Output, String)
    /// It ended.
    case exited(InstanceID, process: Int32, ExitCause, ranFor: Duration, lastLines: [String])
    /// It will be started again.
    case restarting(InstanceID, after: Duration)
    /// It will not be started again.
    case left(InstanceID, RestartMachine.Reason)
    /// It runs but did not register in time, or will not be able to.
    case late(InstanceID, String)
}

/// What a host needs from outside.
public struct HostHooks: Sendable {
    /// The broker's endpoint, for the processes.
    public var endpoint: String
    /// Makes a one-time ticket for a process of a plugin.
    public var ticket: @Sendable (InstanceID) async throws -> String
    /// Returns once a process is registered with the broker.
    public var awaitReady: @Sendable (InstanceID, Int32) async throws -> Void
    /// Tells the broker at once that a process ended.
    public var ended: @Sendable (Int32, ExitCause) async -> Void
    /// Hears everything; called from several tasks, one event at a time for each process.
    public var event: @Sendable (HostEvent) -> Void

    /// Puts the hooks together.
    public init(
        endpoint: String,
        ticket: @escaping @Sendable (InstanceID) async throws -> String,
        awaitReady: @escaping @Sendable (InstanceID, Int32) async throws -> Void,
        ended: @escaping @Sendable (Int32, ExitCause) async -> Void,
        event: @escaping @Sendable (HostEvent) -> Void
    ) {
        self.endpoint = endpoint
        self.ticket = ticket
        self.awaitReady = awaitReady
        self.ended = ended
        self.event = event
    }
}

/// Why a plugin could not be started.
public struct PluginStartFailure: Error, Sendable, CustomStringConvertible {
    /// Which process.
    public let instance: InstanceID
    /// What happened.
    public let reason: String
    /// What it last wrote to standard error.
    public let lastLines: [String]

    /// What happened and what it last wrote.
    public var description: String {
        var text = "\(instance) could not start: \(reason)"
        if !lastLines.isEmpty { text += "\n" + lastLines.map { "    | " + $0 }.joined(separator: "\n") }
        return text
    }
}
