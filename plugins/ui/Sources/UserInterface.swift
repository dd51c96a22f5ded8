// The plugin that serves `ui`: themes and panels by name, events when they change, and a clean-up when an owner is gone.

import Synchronization
import WizPlugin

@main
final class UserInterface: Plugin {
    private struct Name: Decodable { var name: String }
    private struct OptionalName: Decodable { var name: String? }
    private struct Identifier: Decodable { var id: String }

    private struct Settings: Decodable { var forgetsOwners: Bool? }

    private let tasks = Mutex<[Task<Void, Never>]>([])
    private let forgetsOwners = Mutex(false)

    func initialize(_ config: PluginConfig) async throws {
        let settings = try config.decode(Settings.self)
        forgetsOwners.withLock { $0 = settings.forgetsOwners ?? false }
    }

    func register(_ registry: ServiceRegistry) async throws {
        let (changes, continuation) = AsyncStream<Change>.makeStream()
        let owner = registry.mesh.session?.principal ?? registry.plugin.name
        let desk = Desk(owner: owner) { continuation.yield($0) }
        let publisher = Task { await Self.publish(changes, registry) }
        tasks.withLock { $0.append(publisher) }
        if forgetsOwners.withLock({ $0 }) {
            let janitor = Task { await Self.followOwners(desk, registry) }
            tasks.withLock { $0.append(janitor) }
        }
        try await registry.registerService("ui") { service in
            service.method("registerTheme") { (theme: Theme, context) in
                try await desk.add(theme, by: context.caller)
                return Nothing()
            }
            service.method("themes") { (_: Nothing, _) in await desk.themeRows() }
            service.method("theme") { (request: OptionalName, _) in try await desk.theme(request.name) }
            service.method("selectTheme") { (request: Name, context) in
                try await desk.select(request.name, by: context.caller)
            }
            service.method("removeTheme") { (request: Name, context) in
                try await desk.removeTheme(request.name, by: context.caller)
                return Nothing()
            }
            service.method("registerPanel") { (panel: Panel, context) in
                try await desk.add(panel, by: context.caller)
                return Nothing()
            }
            service.method("panels") { (_: Nothing, _) in await desk.panelRows() }
            service.method("removePanel") { (request: Identifier, context) in
                try await desk.removePanel(request.id, by: context.caller)
                return Nothing()
            }
        }
        await desk.announceSelection(by: owner)
    }

    func teardown() async throws {
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }

    /// Publishes the changes in their order; without a grant nobody hears of them, and the service works all the same.
    private static func publish(_ changes: AsyncStream<Change>, _ registry: ServiceRegistry) async {
        var isRefused = false
        for await change in changes {
            do {
                try await registry.mesh.publish(
                    topic: change.topic,
                    payload: change.payload,
                    options: PublishOptions(retain: change.isRetained)
                )
            } catch {
                if !isRefused { registry.logger.warning("changes are not published: \(error)") }
                isRefused = true
            }
        }
    }

    private struct SessionNotice: Decodable {
        struct Fields: Decodable { var principal: String? }
        var fields: Fields
    }

    /// Removes what belongs to a plugin that has gone, where the mesh file lets this plugin hear of it.
    private static func followOwners(_ desk: Desk, _ registry: ServiceRegistry) async {
        do {
            for try await event in try await registry.mesh.subscribe("mesh.session.gone") {
                guard let principal = try? event.payload.decode(SessionNotice.self).fields.principal,
                    await desk.owns(principal)
                else { continue }
                // One that is only restarted registers again by itself; another instance may still be there.
                try await Task.sleep(for: .seconds(2))
                if await !isThere(principal, registry) { await desk.forget(principal) }
            }
        } catch is CancellationError {
            return
        } catch {
            registry.logger.warning("what belongs to plugins that are gone stays: \(error)")
        }
    }

    private struct SessionRow: Decodable { var principal: String }
    private struct SessionPage: Decodable {
        var items: [SessionRow]
        var next: Value?
    }
    private struct PageRequest: Encodable { var after: Value? }

    /// Whether a session of a principal is there; false when the mesh file does not let this plugin see.
    private static func isThere(_ principal: String, _ registry: ServiceRegistry) async -> Bool {
        let mesh = registry.handle("mesh")
        var after: Value?
        repeat {
            let answer: SessionPage? = try? await mesh.call("sessions", PageRequest(after: after))
            guard let page = answer else { return false }
            if page.items.contains(where: { $0.principal == principal }) { return true }
            after = page.next
        } while after != nil && after != .null
        return false
    }
}
