// The plugin hosts of a mesh, as the command line sees them: each is a service `host.<name>`, asked like any other.

import ConfigDocument
import MeshClient
import MeshProtocol

/// A plugin that a host runs, as the host tells it.
struct HostedPlugin: Sendable {
    /// The host's service: `host.local`.
    let service: String
    /// What the host tells.
    let item: JSON

    var name: String { item.text("plugin") }
    var host: String { String(service.dropFirst(Hosts.prefix.count)) }
    var state: String { item.text("state") }
    var reason: String { item.text("reason") }
}

/// What is known of the hosts.
struct Hosts: Sendable {
    static let prefix = "host."
    /// A host that is busy or stuck must not hold up the others.
    static let bound = Duration.seconds(3)

    /// Their services, sorted.
    var services: [String] = []
    /// Their plugins, by name.
    var plugins: [HostedPlugin] = []
    /// Hosts that did not answer, with the reason.
    var silent: [(service: String, reason: String)] = []

    /// The plugin of a name.
    func plugin(_ name: String) -> HostedPlugin? { plugins.first { $0.name == name } }

    /// The plugin of a name.
    ///
    /// - Throws: that there is none, with what may have been meant.
    func required(_ name: String) throws(CommandFailure) -> HostedPlugin {
        // "echo#1@3" names a process of it.
        let plain = name.prefix { $0 != "#" }
        if let plugin = plugin(String(plain)) { return plugin }
        throw Hosts.unknown(name, among: plugins.map(\.name), silent: silent, hasHosts: !services.isEmpty)
    }

    static func unknown(
        _ name: String,
        among names: [String],
        silent: [(service: String, reason: String)] = [],
        hasHosts: Bool = true
    ) -> CommandFailure {
        var hint: String
        if !hasHosts {
            hint =
                "No plugin host is connected: start one with `wiz up`, or with `wiz host` for a broker that runs already."
        } else if let near = nearest(to: name, among: names) {
            hint = "Did you mean \(near)?"
        } else if names.isEmpty {
            hint = "The hosts run no plugins; `wiz services` shows who is connected otherwise."
        } else {
            hint = "`wiz plugins` lists what there is: \(names.sorted().prefix(8).joined(separator: ", "))."
        }
        for host in silent { hint += "\n\(host.service) did not answer: \(host.reason)" }
        return CommandFailure(.notFound, "no host runs a plugin \(name)", hint: hint)
    }
}

extension MeshConnection {
    /// Asks every host for its plugins.
    func hosts() async throws -> Hosts {
        let services = Set(try await list("services").map { $0.text("service") }).filter {
            $0.hasPrefix(Hosts.prefix)
        }.sorted()
        return await withTaskGroup(of: (String, Result<[JSON], any Error>).self) { group in
            for service in services {
                group.addTask {
                    do {
                        let answer = try await self.askHost(service, "plugins", bound: Hosts.bound)
                        return (service, .success(answer["plugins"]?.items ?? []))
                    } catch {
                        return (service, .failure(error))
                    }
                }
            }
            var hosts = Hosts(services: services)
            for await (service, result) in group {
                switch result {
                case .success(let items): hosts.plugins += items.map { HostedPlugin(service: service, item: $0) }
                case .failure(let error):
                    hosts.silent.append((service, (error as? MeshError).map { $0.message } ?? "\(error)"))
                }
            }
            hosts.plugins.sort { ($0.name, $0.service) < ($1.name, $1.service) }
            hosts.silent.sort { $0.service < $1.service }
            return hosts
        }
    }

    /// Lets the broker read its mesh file again, then every host its list of plugins.
    ///
    /// - Returns: what has changed: parts of the broker's settings, then plugins.
    func reloadMesh() async throws -> (settings: [String], plugins: [String]) {
        let settings = try await ask("reload").texts("changed")
        var plugins: Set<String> = []
        for service in try await hosts().services {
            plugins.formUnion(try await askHost(service, "regrant").texts("changed"))
        }
        return (settings, plugins.sorted())
    }

    /// Calls a method of a host.
    func askHost(
        _ service: String,
        _ method: String,
        _ arguments: JSON = .mapping([]),
        bound: Duration = .seconds(30)
    ) async throws -> JSON {
        let reply = try await call(
            .service(service, method: method),
            payload: .json(text: arguments.json),
            options: CallOptions(deadline: bound)
        )
        guard !reply.payload.isEmpty else { return .null }
        return try JSON(parsing: reply.payload.text, source: "\(service).\(method)")
    }

    /// Lets the host of a plugin reload it.
    ///
    /// - Parameters:
    ///   - service: The host.
    ///   - plugin: The plugin.
    ///   - bound: How long it may take.
    ///   - step: Hears what the host is doing.
    /// - Returns: the outcome.
    /// - Throws: why the old one goes on serving.
    func reloadPlugin(
        _ service: String,
        _ plugin: String,
        bound: Duration,
        step: @Sendable (JSON) -> Void
    ) async throws -> JSON {
        let stream = try await openStream(
            .service(service, method: "reload"),
            payload: .json(text: JSON.object(["plugin": .string(plugin)]).json),
            options: CallOptions(deadline: bound, idle: bound)
        )
        var last = JSON.null
        for try await chunk in stream {
            last = chunk.value
            step(last)
        }
        let end = try await stream.reply().payload
        return end.isNothing ? last : end.value
    }
}

/// The one sentence that tells what came of a reload, or of a restart.
func outcomeSentence(_ plugin: String, _ done: String, _ outcome: JSON) -> String {
    guard outcome.text("outcome") == "promoted" else { return "\(plugin): \(outcome.text("text"))" }
    let version = outcome["version"]?.string.map { " \($0)" } ?? ""
    let time = outcome["milliseconds"]?.integer.map { ", after \(Units.text(.milliseconds($0)))" } ?? ""
    return "\(plugin)\(version) \(done): generation \(outcome.number("generation")) serves\(time)."
}
