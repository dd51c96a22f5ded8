// What the host core keeps of a plugin and of each of its processes. Values only; what happens to them is in the files of
// HostCore, by subject.

import Manifest

/// A process of a plugin.
struct ProcessRecord: Hashable {
    enum Role: Hashable {
        /// One of those that serve, or will.
        case member
        /// One of the next generation, not promoted yet.
        case candidate
        /// One that is to end.
        case leaving
    }

    enum Stage: Int, Hashable, Comparable {
        case launching, starting, ready, draining, terminating, killing

        static func < (lhs: Stage, rhs: Stage) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    let label: InstanceLabel
    let revision: Int
    var role: Role
    var stage = Stage.launching
    var process: Int32?
    let launchedAt: Duration
    /// When something must have happened.
    var deadline: Duration?
    /// From ``HostCore`` ending it: why.
    var endReason: String?
    /// Whether its end, although the host brought it about, is its own fault.
    var isFault = false
    var notReady: Supervision.NotReady?
    var suspicion: String?
    /// Whether it has registered everything and not said that it is ready.
    var isSilent = false
    /// Why the broker has no session of it any more.
    var sessionEnd: String?
    var drainTimeout: Duration

    var isReady: Bool { stage == .ready }
}

/// A reload, from its request to its outcome.
struct Reload: Hashable {
    enum Kind: Int, Hashable, Comparable {
        /// New processes of the present revision.
        case restart
        /// The grants have changed.
        case grants
        /// What lies in the folder now.
        case files

        static func < (lhs: Kind, rhs: Kind) -> Bool { lhs.rawValue < rhs.rawValue }
    }

    enum Phase: Hashable {
        /// The shell reads the plugin's folder.
        case preparing
        /// The candidates start in the shadow.
        case starting
        /// The broker flips the route.
        case promoting
        /// Exclusive: the old processes finish.
        case emptying
        /// Exclusive, or nothing ran: the new ones start.
        case replacing
        /// Exclusive: the new ones end, since they could not start.
        case clearing
        /// Exclusive: the old revision starts again.
        case rollingBack
    }

    var kind: Kind
    var requests: [RequestNumber]
    var phase: Phase
    /// Whether the old processes end before the new ones start.
    var isExclusive = false
    /// Those that the broker was asked to retire with the flip.
    var retired: [InstanceLabel] = []
    let startedAt: Duration
    var deadline: Duration?
    var plan: PluginPlan?
    var generation = 0
    var old: PluginPlan?
    /// Why it failed, once it did.
    var failure: String?
    var lastLines: [String] = []
    var expectation: Expectation?
    /// A candidate that ended while the route was being flipped.
    var lost: [Supervision.End] = []
}

/// A wish for a reload that waits until the present one is over.
struct ReloadWish: Hashable {
    var kind: Reload.Kind
    var requests: [RequestNumber]
    var plan: PluginPlan?
}

/// What the broker was told to let calls wait for.
struct Expectation: Hashable {
    var number: ExpectationNumber
    var services: [ProvidedService]
}

/// What the last process that ended left behind.
public struct LastEnd: Hashable, Sendable {
    /// Which one.
    public var label: InstanceLabel
    /// How it ended.
    public var cause: String
    /// What it last wrote to standard error.
    public var lastLines: [String]
}

/// A plugin of the host.
struct PluginRecord: Hashable {
    var plan: PluginPlan
    /// The generation of its members.
    var generation = 1
    var lastGeneration = 1
    /// False after an operator stopped it.
    var isWanted = true
    /// Whether it is still among the host's plugins.
    var isListed = true
    /// For lazy ones: whether somebody needs it.
    var isAwake: Bool
    /// How many processes it should have.
    var target: Int
    var processes: [ProcessRecord] = []
    var supervision: Supervision
    /// Why it is left ended.
    var left: Supervision.Reason?
    /// Why it cannot be launched until somebody changes something.
    var refusal: String?
    var hasBeenReady = false
    /// Whether a process of the present plan has been ready.
    var planHasServed = false
    var lastEnd: LastEnd?
    var reload: Reload?
    var wish: ReloadWish?
    /// A plan that waits for grants while the old one serves.
    var held: PluginPlan?
    var expectation: Expectation?
    var scale = ScaleRecord()
    var shown: PluginChange?

    init(_ plan: PluginPlan, timing: HostTiming) {
        self.plan = plan
        isAwake = !plan.isLazy
        target = plan.initialTarget
        supervision = Supervision(timing: timing)
    }

    var members: [ProcessRecord] { processes.filter { $0.role == .member } }
    var readyMembers: [ProcessRecord] { processes.filter { $0.role == .member && $0.isReady } }
    var candidates: [ProcessRecord] { processes.filter { $0.role == .candidate } }
    var hasReady: Bool { processes.contains { $0.role == .member && $0.isReady } }
    /// Whether its plan is known to work: it serves, or it has served and will again in a moment.
    var isSound: Bool {
        hasReady || (planHasServed && supervision.quarantine == nil && left == nil && refusal == nil)
    }

    func index(_ label: InstanceLabel) -> Int? { processes.firstIndex { $0.label == label } }

    /// The lowest number that no process of a generation has.
    func freeNumber(_ generation: Int) -> Int {
        let taken = Set(processes.filter { $0.label.generation == generation }.map(\.label.number))
        var number = 1
        while taken.contains(number) { number += 1 }
        return number
    }
}

/// What scaling and idling remember.
struct ScaleRecord: Hashable {
    var nextAsk: Duration?
    var isAsked = false
    var busySince: Duration?
    var calmSince: Duration?
    var idleSince: Duration?
    var lastTotal: Int?
    var last: PluginLoad?
}
