// The plugin that brings a theme: it needs `ui`, waits for it, and brings its theme again whenever `ui` has restarted.

import Synchronization
import WizPlugin

/// The service `ui`, as this plugin uses it.
struct UIClient: ServiceClient {
    static let service = "ui"
    static let range = "^1.0.0"
    let handle: ServiceHandle

    init(_ handle: ServiceHandle) { self.handle = handle }

    func registerTheme(_ theme: Theme) async throws { try await handle.call("registerTheme", theme) }
    func registerPanel(_ panel: Panel) async throws { try await handle.call("registerPanel", panel) }
}

struct Theme: Encodable, Sendable {
    var name = "midnight"
    var title = "Midnight"
    var dark = true
    var colors = [
        "background": "#0b1021", "foreground": "#d7dae0", "accent": "#8ab4f8", "muted": "#5c6370", "error": "#ff6b6b",
    ]
}

struct Panel: Encodable, Sendable {
    var id = "midnight-clock"
    var title = "The hour"
    var place = "right"
    var content = "It is always midnight somewhere."
}

@main
final class MidnightTheme: Plugin {
    private let following = Mutex<Task<Void, Never>?>(nil)

    func register(_ registry: ServiceRegistry) async throws {
        let ui = try await registry.requireService(UIClient.self)
        var known = try await Self.sessions(ui.handle.state())
        do {
            try await Self.bring(to: ui, registry.logger)
        } catch let error as MeshError where error.status == .unavailable || error.status == .notFound {
            registry.logger.warning("ui has gone again: \(error)")
            known = []
        }
        let task = Task { [known] in await Self.follow(ui, known: known, registry.logger) }
        following.withLock { $0 = task }
    }

    func teardown() async throws { following.withLock { $0 }?.cancel() }

    private static func bring(to ui: UIClient, _ logger: Logger) async throws {
        try await ui.registerTheme(Theme())
        do {
            try await ui.registerPanel(Panel())
        } catch let error as MeshError where error.status == .permissionDenied {
            logger.warning("the panel was not registered: \(error)")
        }
        logger.info("the theme midnight is registered")
    }

    private static func sessions(_ state: ServiceState) -> Set<UInt64> { Set(state.providers.flatMap(\.sessions)) }

    /// Brings the theme to each provider of `ui` that was not there before.
    private static func follow(_ ui: UIClient, known: Set<UInt64>, _ logger: Logger) async {
        var known = known
        for await state in ui.handle.updates {
            let present = sessions(state)
            let isNew = !present.isSubset(of: known)
            known.formIntersection(present)
            guard isNew else { continue }
            do {
                try await bring(to: ui, logger)
                known = present
            } catch {
                logger.warning("the theme could not be registered again: \(error)")
            }
        }
    }
}
