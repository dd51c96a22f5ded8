// What operators ask of a host. The service `host.<name>` is a thin layer over these.

public import Manifest

extension PluginHost {
    /// Why something could not be done.
    public struct UnknownPlugin: Error, CustomStringConvertible {
        /// The name.
        public let name: String
        /// What is there.
        public let known: [String]
        /// What happened and what there is.
        public var description: String {
            "this host has no plugin \(name)" + (known.isEmpty ? "" : "; it has \(known.joined(separator: ", "))")
        }
    }

    /// Replaces a plugin's processes by those of what lies in its folder now; returns with the outcome.
    public func reload(_ plugin: String) async throws(UnknownPlugin) -> ReloadOutcome {
        try check(plugin)
        return await request { .reload(plugin: plugin, $0) }
    }

    /// Replaces a plugin's processes by new ones of the same program; returns with the outcome.
    public func restart(_ plugin: String) async throws(UnknownPlugin) -> ReloadOutcome {
        try check(plugin)
        return await request { .restart(plugin: plugin, $0) }
    }

    /// Forgets a plugin's crashes and its quarantine, and starts it if it can start.
    public func reset(_ plugin: String) throws(UnknownPlugin) {
        try check(plugin)
        feed(.reset(plugin: plugin))
    }

    /// Stops a plugin until somebody starts it; returns when its processes are gone.
    public func stop(_ plugin: String) async throws(UnknownPlugin) {
        try check(plugin)
        feed(.stop(plugin: plugin))
        await wait { $0.status(plugin)?.processes.isEmpty ?? true }
    }

    /// Starts a plugin that was stopped; returns when it is ready or cannot be.
    public func start(_ plugin: String) async throws(UnknownPlugin) {
        try check(plugin)
        feed(.start(plugin: plugin))
        await wait { core in
            guard let status = core.status(plugin) else { return true }
            return status.state != .starting
        }
    }

    /// Why a plugin can or cannot start.
    public func why(_ plugin: String) throws(UnknownPlugin) -> Explanation {
        try check(plugin)
        guard let explanation = core.currentResolution().explanation(of: plugin) else {
            throw UnknownPlugin(name: plugin, known: core.order)
        }
        return explanation
    }

    /// Reads again which plugins there are and what is granted to them, and lets that take effect.
    ///
    /// - Throws: every problem of what was read; then everything stays as it was.
    /// - Returns: the names of the plugins for which something has changed.
    public func regrant() async throws -> [String] {
        let plugins = try await read()
        let names = Set(plugins.map(\.name))
        let present = core.statuses()
        var changed: [String] = []
        if names != Set(present.map(\.plugin)) {
            changed = names.symmetricDifference(present.map(\.plugin)).sorted()
            feed(.plugins(plugins.map { currentPlan($0) ?? keep($0) }))
        }
        var plans: [PluginPlan] = []
        for plugin in plugins {
            guard let status = present.first(where: { $0.plugin == plugin.name }),
                let old = revisions[status.revision]?.specification,
                old.source != plugin.source
            else { continue }
            // The manifest that runs stays; only what operators say is new.
            guard let specification = try? PluginSpecification(old, source: plugin.source) else { continue }
            changed.append(plugin.name)
            plans.append(keep(specification, like: status.revision))
        }
        if !plans.isEmpty { feed(.regranted(plans)) }
        return changed
    }

    /// The last lines of a plugin, or of all.
    public nonisolated func lines(of plugin: String?, last count: Int) -> [LogLine] { book.last(count, of: plugin) }

    /// Everything that happens from here on; ends with the host.
    public nonisolated func events() -> AsyncStream<HostEvent> { book.events() }

    private func check(_ plugin: String) throws(UnknownPlugin) {
        guard core.records[plugin] != nil else { throw UnknownPlugin(name: plugin, known: core.order) }
    }

    private func currentPlan(_ specification: PluginSpecification) -> PluginPlan? {
        core.records[specification.name]?.plan
    }
}

extension PluginHost {
    /// Ends the host's connection, after ``PluginHost/stop()``.
    public nonisolated func closeControl() async { await control.close() }
}
