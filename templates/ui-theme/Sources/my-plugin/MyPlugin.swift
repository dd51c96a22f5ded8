import WizPlugin

@main
struct MyPlugin: Plugin {
    static let theme = Theme(
        name: "my-plugin",
        title: "My Plugin",
        dark: true,
        colors: ["background": "#10141c", "foreground": "#d7dae0", "accent": "#8ab4f8"]
    )

    func register(_ registry: ServiceRegistry) async throws {
        let ui = registry.handle("ui", range: "^1.0.0")
        Task { await bring(to: ui, registry.logger) }
    }

    /// Brings the theme whenever the user interface comes, or comes back; ends with the connection.
    private func bring(to ui: ServiceHandle, _ logger: Logger) async {
        for await state in ui.updates where state.isAvailable {
            do {
                try await ui.call("registerTheme", Self.theme)
                logger.info("the theme \(Self.theme.name) is registered")
            } catch {
                logger.warning("the theme was not registered: \(error)")
            }
        }
    }
}

struct Theme: Codable, Equatable, Sendable {
    var name: String
    var title: String
    var dark: Bool
    var colors: [String: String]
}
