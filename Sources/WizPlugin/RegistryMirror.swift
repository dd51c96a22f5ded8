// What this process knows of the broker's registry: a pure value that takes the pieces of `mesh.watch` in their order.

import SemanticVersion

/// Who provides a service.
public struct ServiceState: Sendable, Hashable {
    /// A version of the service.
    public struct Offer: Sendable, Hashable {
        /// The version.
        public var version: String
        /// The sessions that provide it and can be called; none while a host has yet to start one for the first call.
        public var sessions: [UInt64]
        /// Its methods.
        public var methods: [String]
    }

    /// The versions in the range that can be called, the highest first.
    public var providers: [Offer]

    /// Whether a call would find a provider, or wait for one that a host can start.
    public var isAvailable: Bool { !providers.isEmpty }
    /// The version that a call would be given.
    public var version: String? { providers.first?.version }
}

/// A service as `mesh.watch` shows it.
struct WatchedService: Decodable, Sendable, Hashable {
    struct Provider: Decodable, Sendable, Hashable {
        var session: UInt64
        var state: String
    }

    struct Method: Decodable, Sendable, Hashable {
        var name: String
    }

    var service: String
    var version: String
    var providers: [Provider]
    var methods: [Method]?
    /// A host can start a provider: calls wait for it rather than fail.
    var latent: Bool?

    /// Providers that take calls, now or when they are heard of again.
    var live: [UInt64] { providers.filter { $0.state != "draining" }.map(\.session).sorted() }
    /// Whether anybody provides it or can be started for it.
    var isThere: Bool { !providers.isEmpty || isLatent }
    /// Whether a call would be taken or held back, rather than fail.
    var isCallable: Bool { !live.isEmpty || isLatent }
    private var isLatent: Bool { latent ?? false }
}

/// A piece of the stream.
struct WatchPiece: Decodable, Sendable {
    struct Change: Decodable, Sendable {
        var kind: String
        var service: WatchedService
    }

    var revision: UInt64
    var services: [WatchedService]?
    var more: Bool?
    var changes: [Change]?
}

/// The registry, as far as it was told.
struct RegistryMirror: Sendable {
    /// By name, then by version.
    private var services: [String: [String: WatchedService]] = [:]
    /// Where to go on; nil before the first snapshot is complete.
    private(set) var revision: UInt64?
    private var incoming: [String: [String: WatchedService]]?

    /// Takes a piece; true when something that can be seen may have changed.
    mutating func apply(_ piece: WatchPiece) -> Bool {
        if let page = piece.services {
            var all = incoming ?? [:]
            for service in page where service.isThere { all[service.service, default: [:]][service.version] = service }
            guard piece.more != true else {
                incoming = all
                return false
            }
            services = all
            incoming = nil
            revision = piece.revision
            return true
        }
        for change in piece.changes ?? [] {
            let service = change.service
            services[service.service, default: [:]][service.version] = service.isThere ? service : nil
            if services[service.service]?.isEmpty == true { services[service.service] = nil }
        }
        if revision != nil { revision = piece.revision }
        return true
    }

    /// The stream has ended: a snapshot that was not finished is worth nothing.
    mutating func interrupted() { incoming = nil }

    /// The broker's numbers begin anew.
    mutating func forgetRevision() {
        incoming = nil
        revision = nil
    }

    /// Who provides a service in a range.
    func state(_ name: String, _ range: VersionRange) -> ServiceState {
        let offers = (services[name] ?? [:]).values.compactMap { service -> (SemanticVersion, ServiceState.Offer)? in
            guard service.isCallable, let version = try? SemanticVersion(service.version), range.contains(version)
            else { return nil }
            let methods = (service.methods ?? []).map(\.name).sorted()
            return (version, .init(version: service.version, sessions: service.live, methods: methods))
        }
        return ServiceState(providers: offers.sorted { $1.0 < $0.0 }.map(\.1))
    }

    /// What there is of a service, for an error's sentence.
    func explain(_ name: String) -> String {
        guard revision != nil else { return "the registry could not be read" }
        let versions = (services[name] ?? [:]).keys.sorted()
        return versions.isEmpty ? "no service of that name is there" : "there is " + versions.joined(separator: ", ")
    }
}
