// Who may do what: the model that the mesh file fills in. Evaluation is in PolicyEngine.swift.

/// The policy of a mesh: roles, principals and rules.
///
/// Deny wins; what no rule allows is denied.
public struct Policy: Sendable, Hashable {
    /// What a rule speaks about.
    public enum Action: String, Sendable, Hashable, CaseIterable {
        /// CALL; the target is `service.method`.
        case call
        /// PROVIDE; the target is the service, and `capability.TAG` for each tag.
        case provide
        /// PUBLISH; the target is the topic.
        case publish
        /// SUBSCRIBE; the target is the pattern, which must lie within the rule's.
        case subscribe
    }

    /// What a rule does.
    public enum Effect: String, Sendable, Hashable {
        /// Lets pass, unless another rule denies.
        case allow
        /// Denies, whatever else allows.
        case deny
    }

    /// One rule.
    public struct Rule: Sendable, Hashable {
        /// Allow or deny.
        public var effect: Effect
        /// Who: a principal's name, `role:name`, or `*`.
        public var subject: String
        /// What.
        public var action: Action
        /// On what: words joined by dots, `*` for one word, `>` for the rest.
        ///
        /// Words of a service's name that hold dots count as words.
        public var target: String
        /// Where the rule stands, for refusals and `wiz explain`: `mesh.yaml:12`.
        public var origin: String

        /// Makes a rule.
        public init(effect: Effect, subject: String, action: Action, target: String, origin: String) {
            self.effect = effect
            self.subject = subject
            self.action = action
            self.target = target
            self.origin = origin
        }
    }

    /// What is known of a principal.
    public struct Principal: Sendable, Hashable {
        /// The roles it has.
        public var roles: Set<String>
        /// The named permissions granted to it, `storage` for example.
        public var permissions: Set<String>
        /// Names by which it may say HELLO besides its own, and a host provide its service.
        public var names: Set<String>
        /// The host that alone may start it, besides operators; empty: none may, nil: any may.
        public var host: String?
        /// Where it stands, for messages.
        public var origin: String

        /// Describes a principal.
        public init(
            roles: Set<String> = [],
            permissions: Set<String> = [],
            names: Set<String> = [],
            host: String? = nil,
            origin: String = ""
        ) {
            self.roles = roles
            self.permissions = permissions
            self.names = names
            self.host = host
            self.origin = origin
        }
    }

    /// The rules, in the order of the file.
    public var rules: [Rule] = []
    /// The principals by name.
    public var principals: [String: Principal] = [:]
    /// The principal of a local user who comes without a ticket, by uid.
    ///
    /// Users that are not listed are not taken in.
    public var localUsers: [UInt32: String] = [:]
    /// The role whose principals may do everything: `operator`.
    public var operatorRole = "operator"
    /// The role of plugin hosts: `host`.
    ///
    /// They manage the sessions that they gave tickets to, provide the service `host.` and their name, and give tickets for
    /// principals of the role ``pluginRole`` alone, of which they publish under `mesh.plugin.`.
    public var hostRole = "host"
    /// The role of plugins: `plugin`.
    public var pluginRole = "plugin"

    /// What a rule for PROVIDE names to allow a capability tag.
    public static func capabilityTarget(_ tag: String) -> String { "capability." + tag }

    /// An empty policy: nobody may do anything.
    public init() {}
}
