// When a plugin process that ended is started again: the policy of its manifest, a delay that doubles, and a reset after
// it has run well for a while. Pure: the time that it ran comes in as an argument.

public import Manifest

/// Decides what happens after a plugin process ended.
public struct RestartMachine: Hashable, Sendable {
    /// The bounds of the delays.
    public struct Timing: Hashable, Sendable {
        /// The delay after the first failure.
        public var first: Duration
        /// The longest delay.
        public var longest: Duration
        /// After running for so long, the next failure counts as the first.
        public var healthyAfter: Duration

        /// Delays; the defaults are 250 ms doubling to 30 s, forgotten after 60 s.
        public init(
            first: Duration = .milliseconds(250),
            longest: Duration = .seconds(30),
            healthyAfter: Duration = .seconds(60)
        ) {
            self.first = first
            self.longest = longest
            self.healthyAfter = healthyAfter
        }
    }

    /// What to do.
    public enum Decision: Hashable, Sendable {
        /// Start it again after a delay.
        case restart(after: Duration)
        /// Leave it ended.
        case leave(Reason)
    }

    /// Why a process is left ended.
    public enum Reason: String, Hashable, Sendable {
        /// It ended well and its policy restarts failures only.
        case finished
        /// Its policy never restarts.
        case temporary
        /// It ended with exit 78: its configuration is wrong, and starting again would not mend it.
        case configuration
        /// The host is stopping it.
        case stopping
    }

    /// The exit code that says "my configuration is wrong" (EX_CONFIG).
    public static let configurationExitCode: Int32 = 78

    private let policy: RestartPolicy
    private let timing: Timing
    private var failures = 0
    /// How often it was started again.
    public private(set) var restarts = 0

    /// A machine for one process, by its manifest's policy.
    public init(_ policy: RestartPolicy, timing: Timing = Timing()) {
        self.policy = policy
        self.timing = timing
    }

    /// Tells that the process ended, and asks what to do.
    ///
    /// - Parameters:
    ///   - cause: How it ended.
    ///   - ranFor: For how long it ran.
    ///   - isStopping: Whether the host wanted it to end.
    /// - Returns: whether and when to start it again.
    public mutating func ended(_ cause: ExitCause, ranFor: Duration, isStopping: Bool = false) -> Decision {
        guard !isStopping else { return .leave(.stopping) }
        if cause == .exited(Self.configurationExitCode) { return .leave(.configuration) }
        switch policy {
        case .temporary: return .leave(.temporary)
        case .transient where cause.isSuccess: return .leave(.finished)
        case .transient, .permanent: break
        }
        if ranFor >= timing.healthyAfter { failures = 0 }
        failures += 1
        restarts += 1
        return .restart(after: delay)
    }

    private var delay: Duration {
        var delay = timing.first
        for _ in 1..<max(2, failures) where failures > 1 {
            delay = delay * 2
            if delay >= timing.longest { return timing.longest }
        }
        return min(delay, timing.longest)
    }
}
