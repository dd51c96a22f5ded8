// The broker by way of its service `mesh`, over one connection: the only way in which a host reaches it, whether it runs in
// the same process or on another machine.

internal import FoundationEssentials
import Logging
public import Manifest
public import MeshClient
internal import MeshProtocol
import SemanticVersion
import Synchronization

/// The broker of a connection.
public final class MeshControl: HostControl {
    /// The connection.
    public let mesh: MeshConnection
    /// The broker's endpoint, as the plugins reach it.
    public let endpoint: String
    private let serverKey: String?

    private struct Standing {
        var plugin: String
        var services: [ProvidedService]
        /// The broker's number in the present session.
        var id: Int?
    }

    private let standing = Mutex<[ExpectationNumber: Standing]>([:])
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// The broker of a connection that is open.
    ///
    /// - Parameters:
    ///   - mesh: The connection.
    ///   - endpoint: What plugins connect to; nil: what the connection did.
    ///   - serverKey: The broker's public key, if plugins reach it encrypted; each process then gets keys of its own.
    public init(_ mesh: MeshConnection, endpoint: String? = nil, serverKey: String? = nil) {
        self.mesh = mesh
        self.endpoint = endpoint ?? mesh.configuration.endpoint
        self.serverKey = serverKey
    }

    // MARK: - Orders

    /// `mesh.ticket`, with the label, the stage and the public key of a new pair where the process needs one.
    ///
    /// - Throws: ``MeshError`` when the broker refuses or cannot be asked.
    /// - Returns: with what the process presents itself.
    public func admit(_ label: InstanceLabel, stage: LaunchStage) async throws -> Admission {
        struct Order: Encodable {
            var name, principal, instance, stage: String
            var publicKey: String?
        }
        struct Answer: Decodable {
            var ticket: String
        }
        let keys = try serverKey.map { try MeshConfiguration.Keys.ephemeral(server: $0) }
        let order = Order(
            name: label.plugin,
            principal: label.plugin,
            instance: "\(label)",
            stage: stage.rawValue,
            publicKey: keys?.clientPublic
        )
        return Admission(ticket: try await ask("ticket", order, as: Answer.self).ticket, keys: keys)
    }

    /// `mesh.promote`, asked again while the broker cannot be reached.
    public func promote(
        _ instances: [InstanceLabel],
        retire: [InstanceLabel],
        grace: Duration,
        reason: String
    ) async -> String? {
        struct Order: Encodable {
            var instances, retire: [String]
            var graceMilliseconds: Int64
            var reason: String
        }
        let order = Order(
            instances: instances.map(\.description),
            retire: retire.map(\.description),
            graceMilliseconds: max(0, grace.milliseconds),
            reason: reason
        )
        var problem = "the broker did not answer"
        // The order may be given twice: what is in service stays so, and who has been asked to leave leaves.
        for attempt in 1...3 {
            do {
                _ = try await ask("promote", order, as: Nothing.self)
                return nil
            } catch let error as MeshError where error.status == .unavailable || error.status == .deadlineExceeded {
                problem = "\(error)"
                if attempt < 3 { try? await Task.sleep(for: .milliseconds(200)) }
            } catch {
                return "\(error)"
            }
        }
        return problem
    }

    /// `mesh.expect`; repeated by itself in each new session.
    public func expect(_ plugin: String, _ number: ExpectationNumber, _ services: [ProvidedService]) async {
        standing.withLock { $0[number] = Standing(plugin: plugin, services: services) }
        await place(number)
    }

    private func place(_ number: ExpectationNumber) async {
        struct Answer: Decodable {
            var expectation: Int
        }
        guard let order = standing.withLock({ $0[number] }) else { return }
        do {
            let body = ExpectationOrder(order.plugin, order.services)
            let answer = try await ask("expect", body, as: Answer.self)
            let isWanted = standing.withLock { all in
                all[number]?.id = answer.expectation
                return all[number] != nil
            }
            if !isWanted { await take(back: answer.expectation) }
        } catch {
            mesh.configuration.logger.warning("calls will not wait for \(order.plugin) while it is away: \(error)")
        }
    }

    /// `mesh.unexpect`.
    public func unexpect(_ number: ExpectationNumber) async {
        guard let id = standing.withLock({ $0.removeValue(forKey: number) })?.id else { return }
        await take(back: id)
    }

    private func take(back id: Int) async { _ = try? await ask("unexpect", ["expectation": id], as: Nothing.self) }

    /// `mesh.load`, all services of the plugin together.
    public func load(_ plugin: String) async -> PluginLoad? {
        struct Answer: Decodable {
            struct Service: Decodable {
                var waiting, running, capacity: Int
                var calls: Int?
            }
            var services: [Service]
        }
        guard let answer = try? await ask("load", ["principal": plugin], as: Answer.self) else { return nil }
        var load = PluginLoad(waiting: 0, running: 0, capacity: 0)
        for service in answer.services {
            load.waiting += service.waiting
            load.running += service.running
            load.capacity += service.capacity
            if let calls = service.calls { load.total = (load.total ?? 0) + calls }
        }
        return load
    }

    /// `mesh.exited`.
    public func exited(_ label: InstanceLabel, process: Int32?, cause: String) async {
        struct Order: Encodable {
            var instance: String
            var process: Int32?
            var cause: String
        }
        let order = Order(instance: "\(label)", process: process, cause: String(cause.prefix(400)))
        _ = try? await ask("exited", order, as: Nothing.self)
    }

    /// Publishes and keeps the event as its topic's last value.
    public func publish(_ topic: String, json: String) async {
        try? await mesh.publish(
            topic: topic,
            payload: .json(text: json),
            options: PublishOptions(retain: true, acknowledge: false)
        )
    }

    /// `mesh.sessions`, those with a label.
    public func sessions() async -> [InstanceSession]? {
        struct Page: Decodable {
            struct Session: Decodable {
                var instance: String
                var services: Int?
                var ready: Bool?
            }
            var items: [Session]
            var next: String?
        }
        var found: [InstanceSession] = []
        var after: String?
        repeat {
            let arguments = after.map { ["after": $0] } ?? [:]
            guard let page = try? await ask("sessions", arguments, as: Page.self) else { return nil }
            for session in page.items {
                guard let label = InstanceLabel(session.instance) else { continue }
                found.append(
                    InstanceSession(label: label, serviceCount: session.services ?? 0, isReady: session.ready)
                )
            }
            after = page.next
        } while after != nil
        return found
    }

    /// Stops listening and closes the connection.
    public func close() async {
        let running = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in running { task.cancel() }
        await mesh.close()
    }

    // MARK: - Listening

    /// Subscribes to `mesh.session.*` and `mesh.service.demand`, and follows the registry.
    ///
    /// - Throws: ``MeshError`` when the broker refuses.
    public func listen(_ hear: @escaping @Sendable (HostInput) -> Void) async throws {
        let sessions = try await mesh.subscribe("mesh.session.*")
        let demand = try await mesh.subscribe("mesh.service.demand")
        let started: [Task<Void, Never>] = [
            Task { await Self.read(sessions, hear) },
            Task { await Self.read(demand, hear) },
            Task { [mesh] in await RegistryListener(mesh: mesh).listen(hear) },
            Task { [weak self, states = mesh.states] in
                var isFirst = true
                for await state in states {
                    guard case .connected = state else { continue }
                    if !isFirst { await self?.placeAgain() }
                    isFirst = false
                }
            },
        ]
        tasks.withLock { $0 += started }
    }

    /// A new session: the expectations of the one before ended with it.
    private func placeAgain() async {
        for number in standing.withLock({ $0.keys.sorted { $0.value < $1.value } }) { await place(number) }
    }

    private static func read(_ events: Subscription, _ hear: @Sendable (HostInput) -> Void) async {
        do {
            for try await event in events {
                if let notice = try? event.payload.decode(SessionNotice.self), let input = notice.input(event.topic) {
                    hear(input)
                }
            }
        } catch {
            // The connection has ended; so does listening.
        }
    }

    private func ask<Answer: Decodable>(
        _ method: String,
        _ arguments: some Encodable,
        as type: Answer.Type
    ) async throws -> Answer {
        // A host's own work, also what somebody's call to `host.NAME` gave rise to: it must not end with that call.
        let reply = try await CallContext.$current.withValue(nil) {
            try await mesh.call(
                .service("mesh", range: "^1", method: method),
                payload: try .json(arguments),
                options: CallOptions(deadline: .seconds(3))
            )
        }
        return try reply.payload.decode(Answer.self)
    }
}

/// An answer that tells nothing.
private struct Nothing: Decodable {}

/// What the broker tells about a session or a service, as far as hosts care.
private struct SessionNotice: Decodable {
    var fields: [String: String]

    func input(_ topic: String) -> HostInput? {
        if topic == "mesh.service.demand" {
            return .demand(service: fields["service"] ?? "", version: fields["version"] ?? "")
        }
        guard let label = InstanceLabel(fields["instance"] ?? "") else { return nil }
        let reason = fields["reason"] ?? ""
        switch topic {
        case "mesh.session.ready": return .ready(label)
        case "mesh.session.gone": return .sessionGone(label, reason: reason)
        case "mesh.session.notready":
            let delay = fields["retryAfterMilliseconds"].flatMap { Int64($0) }
            return .notReady(label, reason: reason, retryAfter: delay.map { .milliseconds($0) })
        case "mesh.session.suspect":
            // A late heartbeat mends itself or ends the session; work that does not stop ends the process.
            return reason == "cancel ignored" ? .suspect(label, reason: "it ignored a cancel") : nil
        default: return nil
        }
    }
}

/// The arguments of `mesh.expect`.
private struct ExpectationOrder: Encodable {
    struct Method: Encodable {
        var name: String
        var permissions: [String]
        var idempotent: Bool
        var timeoutMilliseconds: Int64?
        var stream: String
    }

    struct Service: Encodable {
        var service, version: String
        var methods: [Method]
        var attributes: [String: String]
        var capabilities: [String]
    }

    var owner: String
    var services: [Service]

    init(_ plugin: String, _ services: [ProvidedService]) {
        owner = plugin
        self.services = services.map { service in
            Service(
                service: service.service,
                version: "\(service.version)",
                methods: service.methods.map { method in
                    Method(
                        name: method.name,
                        permissions: method.permissions,
                        idempotent: method.isIdempotent,
                        timeoutMilliseconds: method.timeout?.milliseconds,
                        stream: method.stream.rawValue
                    )
                },
                attributes: Dictionary(service.attributes.map { ($0.name, $0.value) }) { $1 },
                capabilities: service.capabilities
            )
        }
    }
}

extension Duration {
    /// In whole milliseconds.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
