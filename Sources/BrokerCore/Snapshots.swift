// What the core tells about itself: plain values with the field names that the service `mesh` shows in JSON. Made on
// request, in pages; nothing here is touched by the data path.

/// Whether what a session provides is in service.
public enum Stage: String, Encodable, Sendable, Hashable, CaseIterable {
    /// It takes calls.
    case live
    /// It takes none and is found by nobody until its host promotes it.
    case shadow
}

/// A session, as `mesh.sessions` shows it.
public struct SessionSnapshot: Encodable, Sendable, Hashable {
    /// How a session stands.
    public enum State: String, Encodable, Sendable, Hashable {
        /// Heard from.
        case alive
        /// Silent, or slow to accept or to acknowledge: gets no new work.
        case suspect
        /// Finishes what it has and leaves.
        case draining
    }

    /// The session's number.
    public var session: UInt64
    /// The name from HELLO.
    public var name: String
    /// The version from HELLO; may be empty.
    public var version: String
    /// The label that its host gave it with its ticket, else what HELLO said; may be empty.
    public var instance: String
    /// Whether what it provides is in service.
    public var stage: Stage
    /// It has said that it can work.
    public var ready: Bool
    /// The SDK and its version.
    public var sdk: String
    /// Who the broker found the peer to be.
    public var principal: String
    /// The principal's roles.
    public var roles: [String]
    /// How it stands.
    public var state: State
    /// The process, when the connection is local.
    public var process: Int32?
    /// The user, when the connection is local.
    public var user: UInt32?
    /// Since WELCOME, in milliseconds.
    public var connectedMilliseconds: UInt64
    /// Since anything was heard, in milliseconds.
    public var silentMilliseconds: UInt64
    /// Calls made so far.
    public var callsMade: UInt64
    /// Calls made that have not ended.
    public var callsInFlight: Int
    /// Calls that it works on.
    public var leasesHeld: Int
    /// Calls made that wait in the broker.
    public var callsQueued: Int
    /// Services that it provides.
    public var services: Int
    /// Subscriptions.
    public var subscriptions: Int
    /// Offences so far.
    public var offences: UInt64
}

/// A provider of a service.
public struct ProviderSnapshot: Encodable, Sendable, Hashable {
    /// How a registration stands.
    public enum State: String, Encodable, Sendable, Hashable {
        /// Takes calls.
        case alive
        /// Its session is suspect.
        case suspect
        /// Its session finishes what it has.
        case draining
        /// Its capacity is zero.
        case paused
    }

    /// The session.
    public var session: UInt64
    /// The session's name.
    public var name: String
    /// Calls at a time.
    public var capacity: UInt32
    /// Calls that it works on, cancelled ones that it has not acknowledged included.
    public var inFlight: UInt32
    /// Its share under the weighted policy.
    public var weight: UInt32
    /// How it stands.
    public var state: State
    /// Whether it is in service.
    public var stage: Stage
}

/// A method of a service.
public struct MethodSnapshot: Encodable, Sendable, Hashable {
    /// The name.
    public var name: String
    /// May run twice without harm.
    public var idempotent: Bool
    /// Takes a stream.
    public var requestStream: Bool
    /// Answers with a stream.
    public var replyStream: Bool
    /// Its own total deadline in milliseconds; zero: the broker's default.
    public var deadlineMilliseconds: UInt32
    /// The named permissions that a caller must have.
    public var permissions: [String]
}

/// A service in one version, as `mesh.services` shows it.
public struct ServiceSnapshot: Encodable, Sendable, Hashable {
    /// The name.
    public var service: String
    /// The version.
    public var version: String
    /// Those that provide it.
    public var providers: [ProviderSnapshot]
    /// The methods that providers have.
    public var methods: [MethodSnapshot]
    /// Attributes by name, those of the newest provider.
    public var attributes: [String: String]
    /// Capability tags.
    public var capabilities: [String]
    /// A host can start a provider: calls wait for it rather than fail.
    public var latent: Bool
    /// Calls waiting for it.
    public var queued: Int
    /// Payload bytes waiting for it.
    public var queuedBytes: Int
    /// How its work is spread.
    public var balance: String
    /// Where the next page begins: `service@version`.
    public var cursor: String { service + "@" + version }
}

/// A call, as `mesh.calls` shows it.
public struct CallSnapshot: Encodable, Sendable, Hashable {
    /// The call's name for operators: `index.generation`.
    public var lease: String
    /// The caller's principal.
    public var caller: String
    /// The caller's session.
    public var callerSession: UInt64
    /// The caller's request.
    public var callerRequest: UInt64
    /// The service, or the capability.
    public var service: String
    /// The version that was chosen; empty when the call is by capability and waits.
    public var version: String
    /// The method.
    public var method: String
    /// `queued`, `dispatched`, `accepted`, `streaming`, or `cancelling` when the caller has been answered and the
    /// worker has not acknowledged.
    public var phase: String
    /// Since the CALL, in milliseconds.
    public var ageMilliseconds: UInt64
    /// Until the total clock runs out, in milliseconds; nil when there is none.
    public var remainingMilliseconds: UInt64?
    /// The worker's session.
    public var worker: UInt64?
    /// The worker's name.
    public var workerName: String?
    /// How urgent it is.
    public var band: String
    /// Chunks from the caller so far.
    public var requestChunks: UInt32
    /// Chunks to the caller so far.
    public var replyChunks: UInt32
    /// The call that it is nested in.
    public var parent: String?
}

/// A subscription, as `mesh.subscriptions` shows it.
public struct SubscriptionSnapshot: Encodable, Sendable, Hashable {
    /// The session.
    public var session: UInt64
    /// The session's name.
    public var name: String
    /// The subscriber's id for it.
    public var id: UInt64
    /// The pattern.
    public var pattern: String
    /// Events that may be delivered now.
    public var creditMessages: UInt32
    /// Bytes that may be delivered now; negative when overdrawn.
    public var creditBytes: Int64
    /// Events delivered.
    public var delivered: UInt64
    /// Events dropped for want of credit.
    public var dropped: UInt64
}

/// Where a page of subscriptions goes on.
public struct SubscriptionCursor: Hashable, Sendable {
    /// The session.
    public var session: SessionID
    /// The subscriber's id for the subscription.
    public var id: UInt64
    /// Names the last subscription of a page.
    public init(session: SessionID, id: UInt64) {
        self.session = session
        self.id = id
    }
}

/// One change of the registry.
public struct RegistryChange: Encodable, Sendable, Hashable {
    /// What happened.
    public enum Kind: String, Encodable, Sendable, Hashable {
        /// A provider came.
        case added
        /// A provider changed its description or its capacity.
        case updated
        /// A provider went.
        case removed
        /// A provider became suspect, alive, draining or paused.
        case state
    }

    /// The registry's revision after the change.
    public var revision: UInt64
    /// What happened.
    public var kind: Kind
    /// The provider's session.
    public var session: UInt64
    /// The service after the change; without providers when the last one went.
    public var service: ServiceSnapshot
}

/// What has changed since a revision.
public enum RegistryChanges: Sendable, Hashable {
    /// Every change since, in order.
    case changes([RegistryChange])
    /// The revision is too old or from another epoch: read everything anew.
    case resync
}
