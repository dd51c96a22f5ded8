// When a plugin's process that ended is started again: the policy of its manifest, a delay that doubles, and quarantine for
// those that end too often. Pure: time and jitter come in as arguments.

public import Manifest

/// Decides what happens after a process of a plugin ended.
public struct Supervision: Hashable, Sendable {
    /// What to do.
    public enum Verdict: Hashable, Sendable {
        /// Start another after a delay.
        case restart(after: Duration)
        /// Leave the plugin alone until the probe.
        case quarantine
        /// Leave it ended.
        case leave(Reason)
    }

    /// Why a plugin is left ended.
    public enum Reason: String, Hashable, Sendable {
        /// It ended well and its policy restarts failures only.
        case finished
        /// Its policy never restarts.
        case temporary
        /// It ended with exit 78: its configuration is wrong, and starting again would not mend it.
        case configuration
    }

    /// How a process ended.
    public struct End: Hashable, Sendable {
        /// Its cause.
        public var cause: ExitCause
        /// For how long it ran.
        public var ranFor: Duration
        /// That it said it was not ready, and when to try again.
        public var notReady: NotReady?

        /// An end.
        public init(cause: ExitCause, ranFor: Duration, notReady: NotReady? = nil) {
            self.cause = cause
            self.ranFor = ranFor
            self.notReady = notReady
        }
    }

    /// That a process said it is not ready.
    public struct NotReady: Hashable, Sendable {
        /// Why.
        public var reason: String
        /// When to try again.
        public var retryAfter: Duration?

        /// What it said.
        public init(reason: String, retryAfter: Duration? = nil) {
            self.reason = reason
            self.retryAfter = retryAfter
        }
    }

    /// A quarantine.
    public struct Quarantine: Hashable, Sendable {
        /// When one process tries whether it runs again.
        public var probeAt: Duration
        /// How it last ended.
        public var cause: String
        /// Whether the probe runs.
        public var isProbing: Bool
    }

    /// The exit code that says "my configuration is wrong" (EX_CONFIG).
    public static let configurationExitCode: Int32 = 78
    /// The exit code that says "not ready, try again" (EX_TEMPFAIL).
    public static let notReadyExitCode: Int32 = 75

    /// No process is started before this.
    public private(set) var notBefore = Duration.zero
    /// Why the plugin is left alone.
    public private(set) var quarantine: Quarantine?
    /// How often another process was started in place of one that ended.
    public private(set) var restarts = 0
    private var failures = 0
    private var postponements = 0
    private var crashes: [Duration] = []
    private let timing: HostTiming

    /// A plugin that has never failed.
    public init(timing: HostTiming = HostTiming()) { self.timing = timing }

    /// Takes the end of a process that the host did not want.
    ///
    /// - Parameters:
    ///   - end: How it ended.
    ///   - policy: The manifest's policy.
    ///   - now: The time.
    ///   - jitter: A factor on delays, about 1.
    /// - Returns: what to do.
    public mutating func ended(_ end: End, policy: RestartPolicy, now: Duration, jitter: Double) -> Verdict {
        if end.notReady != nil || end.cause == .exited(Self.notReadyExitCode) {
            if end.ranFor >= timing.healthyAfter { postponements = 0 }
            return postpone(end.notReady?.retryAfter, now: now, jitter: jitter)
        }
        if end.cause == .exited(Self.configurationExitCode) { return .leave(.configuration) }
        switch policy {
        case .temporary: return .leave(.temporary)
        case .transient where end.cause.isSuccess: return .leave(.finished)
        case .transient, .permanent: break
        }
        if end.ranFor >= timing.healthyAfter { failures = 0 }
        failures += 1
        crashes.removeAll { now - $0 >= timing.crashWindow }
        crashes.append(now)
        if quarantine != nil || crashes.count >= timing.crashLimit {
            crashes = []
            quarantine = Quarantine(probeAt: now + timing.probeAfter, cause: "\(end.cause)", isProbing: false)
            return .quarantine
        }
        let delay = Self.doubled(timing.firstBackoff, failures - 1, timing.longestBackoff) * jitter
        notBefore = max(notBefore, now + delay)
        restarts += 1
        return .restart(after: delay)
    }

    private mutating func postpone(_ wish: Duration?, now: Duration, jitter: Double) -> Verdict {
        let own = Self.doubled(timing.notReadyDelay, postponements, timing.longestBackoff) * jitter
        // One that has asked for many short delays gets longer ones, so that it does not keep the host busy for ever.
        let least = postponements < Self.patience ? Duration.milliseconds(50) : own
        let delay = min(max(wish ?? own, least), timing.probeAfter)
        postponements += 1
        notBefore = max(notBefore, now + delay)
        if quarantine != nil { quarantine?.probeAt = max(notBefore, now + delay) }
        quarantine?.isProbing = false
        restarts += 1
        return .restart(after: delay)
    }

    private static func doubled(_ first: Duration, _ times: Int, _ longest: Duration) -> Duration {
        var delay = first
        for _ in 0..<max(0, times) {
            delay = delay * 2
            if delay >= longest { return longest }
        }
        return min(delay, longest)
    }

    /// So often in a row a plugin is tried again as soon as it says.
    private static let patience = 10

    /// The probe is being started.
    public mutating func probe() { quarantine?.isProbing = true }

    /// A process has become ready: a probe has run well so far.
    public mutating func becameReady() { quarantine = nil }

    /// Another program or an operator's word: everything is forgotten but the count of restarts.
    public mutating func reset() {
        let count = restarts
        self = Supervision(timing: timing)
        restarts = count
    }

    /// Waits with the next process without counting a failure.
    public mutating func wait(until time: Duration) { notBefore = max(notBefore, time) }
}
