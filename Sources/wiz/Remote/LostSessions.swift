// Which processes the broker does not know any more: their network was away for longer than their tickets are good, or the
// broker was started anew. They cannot come back, so their plugins are started again. Pure: the time is an argument.

import PluginHost

/// Watches for processes that have lost their sessions for good.
struct LostSessions {
    /// How long a process may take to come back by itself.
    let patience: Duration
    private var missing: [InstanceLabel: Duration] = [:]

    init(patience: Duration = .seconds(12)) { self.patience = patience }

    /// Looks at what there is.
    ///
    /// - Parameters:
    ///   - serving: The processes that should have sessions.
    ///   - sessions: Those that have.
    ///   - isNewBroker: The broker has been started anew since the last look and knows no tickets.
    ///   - now: The time.
    /// - Returns: the plugins that have lost a process, in the order of `serving`.
    mutating func look(
        serving: [InstanceLabel],
        sessions: Set<InstanceLabel>,
        isNewBroker: Bool,
        now: Duration
    ) -> [String] {
        let gone = serving.filter { !sessions.contains($0) }
        missing = missing.filter { gone.contains($0.key) }
        var plugins: [String] = []
        for label in gone {
            let since = isNewBroker ? now - patience : missing[label] ?? now
            missing[label] = since
            guard now - since >= patience, !plugins.contains(label.plugin) else { continue }
            plugins.append(label.plugin)
        }
        return plugins
    }
}
