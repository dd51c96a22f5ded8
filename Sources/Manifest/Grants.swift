// What a plugin asks for against what an operator granted, and what comes of it: the permissions that it runs with, and
// those that it still waits for. Pure; the grants file is read elsewhere.

/// What an operator granted to a plugin.
public struct PluginGrant: Hashable, Sendable {
    /// The names of the granted permissions.
    public var permissions: Set<String>
    /// With `networking`: the only hosts that it may reach; nil means all that it asks for.
    public var hosts: [HostPattern]?

    /// A grant; nothing unless given.
    public init(permissions: some Sequence<String> = [], hosts: [HostPattern]? = nil) {
        self.permissions = Set(permissions)
        self.hosts = hosts
    }
}

/// How far a plugin reaches into the network.
public enum NetworkAccess: Hashable, Sendable, CustomStringConvertible {
    /// Not at all.
    case none
    /// Only to these hosts.
    case hosts([HostPattern])
    /// Everywhere.
    case all

    /// "none", "api.example.com:443, *.example.org" or "all".
    public var description: String {
        switch self {
        case .none: "none"
        case .hosts(let hosts): hosts.map(\.description).joined(separator: ", ")
        case .all: "all"
        }
    }
}

/// The permissions that a plugin runs with: what it asks for and was granted.
public struct EffectivePermissions: Hashable, Sendable {
    /// How far it reaches into the network.
    public let networking: NetworkAccess
    /// Whether it has a private writable folder.
    public let storage: Bool
    /// The names of all permissions that it has, sorted.
    public let names: [String]
    /// What it needs and was not granted: it does not start without.
    public let missing: [PermissionRequest]
    /// What it would like and was not granted.
    public let refused: [PermissionRequest]
    /// The hosts that it asks for and may not reach, though it may reach others.
    public let unreachable: [HostPattern]
    /// The granted permissions that it does not ask for, sorted: of no effect.
    public let unused: [String]

    /// The names of what is missing, in the manifest's order.
    public var missingNames: [String] { missing.map(\.name) }

    /// What a plugin with that manifest has under a grant.
    public init(_ manifest: PluginManifest, grant: PluginGrant) {
        self.init(required: manifest.permissions, optional: manifest.optionalPermissions, grant: grant)
    }

    /// What a plugin with those requests has under a grant.
    public init(required: [PermissionRequest], optional: [PermissionRequest] = [], grant: PluginGrant) {
        let requests = required + optional
        let network = Self.network(requests.first { $0.name == PermissionRequest.networking }, grant)
        func has(_ request: PermissionRequest) -> Bool {
            guard grant.permissions.contains(request.name) else { return false }
            return request.name != PermissionRequest.networking || network.access != .none
        }
        networking = network.access
        unreachable = network.unreachable
        names = requests.filter(has).map(\.name).sorted()
        storage = names.contains(PermissionRequest.storage)
        missing = required.filter { !has($0) }
        refused = optional.filter { !has($0) }
        unused = grant.permissions.subtracting(requests.map(\.name)).sorted()
    }

    /// The hosts that both the request and the grant allow.
    private static func network(
        _ request: PermissionRequest?,
        _ grant: PluginGrant
    ) -> (access: NetworkAccess, unreachable: [HostPattern]) {
        guard let request, grant.permissions.contains(PermissionRequest.networking) else { return (.none, []) }
        guard let asked = request.hosts else { return (grant.hosts.map(access) ?? .all, []) }
        guard let granted = grant.hosts else { return (access(asked), []) }
        var both: [HostPattern] = []
        for host in asked.flatMap({ host in granted.compactMap { host.intersection($0) } }) where !both.contains(host) {
            both.append(host)
        }
        let reach = access(both)
        if reach == .none { return (.none, []) }
        return (reach, asked.filter { host in !granted.contains { host.intersection($0) != nil } })
    }

    private static func access(_ hosts: [HostPattern]) -> NetworkAccess { hosts.isEmpty ? .none : .hosts(hosts) }
}

extension HostPattern {
    /// What both patterns match, as a pattern; nil if nothing.
    public func intersection(_ other: HostPattern) -> HostPattern? {
        guard port == nil || other.port == nil || port == other.port else { return nil }
        let narrower: HostPattern
        switch (matchesSubdomains, other.matchesSubdomains) {
        case (false, false):
            guard host == other.host else { return nil }
            narrower = self
        case (true, false):
            guard isAbove(other.host) else { return nil }
            narrower = other
        case (false, true):
            guard other.isAbove(host) else { return nil }
            narrower = self
        case (true, true):
            if host == other.host || other.isAbove(host) {
                narrower = self
            } else if isAbove(other.host) {
                narrower = other
            } else {
                return nil
            }
        }
        return HostPattern(narrower, port: port ?? other.port)
    }

    /// Whether a name is below this pattern's domain.
    private func isAbove(_ name: String) -> Bool {
        name.hasSuffix("." + host) && name.utf8.count > host.utf8.count + 1
    }

    private init(_ pattern: HostPattern, port: UInt16?) {
        host = pattern.host
        matchesSubdomains = pattern.matchesSubdomains
        self.port = port
    }
}
