// What the user interface is made of, who owns it, and what is told when it changes.

import WizPlugin

/// Something with an owner, as lists show it.
struct Owned<Item: Codable & Sendable>: Codable, Sendable {
    var item: Item
    /// The principal that brought it.
    var owner: String
}

/// A change, to be published.
struct Change: Sendable {
    var topic: String
    var payload: Payload
    var isRetained: Bool
}

/// Themes and panels. Changes are told in the order in which they happen.
actor Desk {
    static let limit = 256

    struct ThemeRow: Encodable, Sendable {
        var name: String
        var title: String?
        var dark: Bool?
        var owner: String
        var selected: Bool
    }

    struct PanelRow: Encodable, Sendable {
        var panel: Panel
        var owner: String
    }

    private struct Notice: Encodable {
        var name: String
        var owner: String
    }

    private struct Selection: Encodable {
        var theme: Theme
        var by: String
    }

    private var themes: [String: Owned<Theme>]
    private var panels: [String: Owned<Panel>] = [:]
    private var selected = Theme.daylight.name
    private let tell: @Sendable (Change) -> Void

    init(owner: String, tell: @escaping @Sendable (Change) -> Void) {
        themes = [Theme.daylight.name: Owned(item: .daylight, owner: owner)]
        self.tell = tell
    }

    func add(_ theme: Theme, by owner: String) throws {
        try theme.validate()
        try check(themes[theme.name]?.owner, owner, "theme \(theme.name)", count: themes.count)
        themes[theme.name] = Owned(item: theme, owner: owner)
        announce("ui.theme.registered", Notice(name: theme.name, owner: owner))
        if theme.name == selected { announceSelection(by: owner) }
    }

    func add(_ panel: Panel, by owner: String) throws {
        try panel.validate()
        try check(panels[panel.id]?.owner, owner, "panel \(panel.id)", count: panels.count)
        panels[panel.id] = Owned(item: panel, owner: owner)
        announce("ui.panel.registered", Notice(name: panel.id, owner: owner))
    }

    private func check(_ present: String?, _ owner: String, _ what: String, count: Int) throws {
        guard let present else {
            guard count < Self.limit else {
                throw MeshError(.resourceExhausted, "there are \(count) already, which is the most")
            }
            return
        }
        guard present == owner else {
            throw MeshError(
                .alreadyExists,
                "\(what) belongs to \(present)",
                hint: "Choose another name, or let \(present) remove it."
            )
        }
    }

    func select(_ name: String, by caller: String) throws -> Theme {
        let theme = try theme(name)
        guard name != selected else { return theme }
        selected = name
        announceSelection(by: caller)
        return theme
    }

    /// A theme; the selected one when none is named.
    func theme(_ name: String?) throws -> Theme {
        if let theme = themes[name ?? selected]?.item { return theme }
        throw MeshError(
            .notFound,
            "there is no theme \(name ?? selected)",
            hint: "There are \(themes.keys.sorted().joined(separator: ", "))."
        )
    }

    func themeRows() -> [ThemeRow] {
        themes.values.sorted { $0.item.name < $1.item.name }.map {
            ThemeRow(
                name: $0.item.name,
                title: $0.item.title,
                dark: $0.item.dark,
                owner: $0.owner,
                selected: $0.item.name == selected
            )
        }
    }

    func panelRows() -> [PanelRow] {
        panels.values.sorted { $0.item.id < $1.item.id }.map { PanelRow(panel: $0.item, owner: $0.owner) }
    }

    func removeTheme(_ name: String, by owner: String) throws {
        try checkOwner(themes[name]?.owner, owner, "theme \(name)")
        drop(theme: name)
    }

    func removePanel(_ id: String, by owner: String) throws {
        try checkOwner(panels[id]?.owner, owner, "panel \(id)")
        drop(panel: id)
    }

    private func checkOwner(_ present: String?, _ owner: String, _ what: String) throws {
        guard let present else { throw MeshError(.notFound, "there is no \(what)") }
        guard present == owner else {
            throw MeshError(.permissionDenied, "\(what) belongs to \(present), and \(owner) may not remove it")
        }
    }

    /// Removes what a principal brought.
    func forget(_ owner: String) {
        for (name, theme) in themes where theme.owner == owner { drop(theme: name) }
        for (id, panel) in panels where panel.owner == owner { drop(panel: id) }
    }

    /// Whether a principal owns anything here.
    func owns(_ owner: String) -> Bool {
        themes.values.contains { $0.owner == owner } || panels.values.contains { $0.owner == owner }
    }

    private func drop(theme name: String) {
        guard let theme = themes.removeValue(forKey: name) else { return }
        announce("ui.theme.removed", Notice(name: name, owner: theme.owner))
        guard name == selected else { return }
        selected = Theme.daylight.name
        // Daylight stays for as long as the plugin owns it; if even that was removed it comes back.
        if themes[selected] == nil { themes[selected] = Owned(item: .daylight, owner: theme.owner) }
        announceSelection(by: theme.owner)
    }

    private func drop(panel id: String) {
        guard let panel = panels.removeValue(forKey: id) else { return }
        announce("ui.panel.removed", Notice(name: id, owner: panel.owner))
    }

    /// Tells which theme is selected, and keeps it for those who come later.
    func announceSelection(by caller: String) {
        guard let theme = themes[selected]?.item else { return }
        announce("ui.theme.selected", Selection(theme: theme, by: caller), isRetained: true)
    }

    private func announce(_ topic: String, _ event: some Encodable, isRetained: Bool = false) {
        guard let payload = try? Payload.json(event) else { return }
        tell(Change(topic: topic, payload: payload, isRetained: isRetained))
    }
}
