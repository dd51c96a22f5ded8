// What a host publishes about its plugins, under `mesh.plugin.<name>.<state>`.

internal import FoundationEssentials

/// An event on the mesh.
struct PluginMessage: Sendable, Hashable {
    let topic: String
    let json: String

    private struct Body: Encodable {
        var plugin: String
        var instance: String?
        var generation: Int
        var state: String
        var cause: String?
        var process: Int32?
        var host: String
    }

    /// Nil for what is not published.
    init?(_ event: HostEvent, host: String) {
        let body: Body
        switch event {
        case .started(let label, let process): body = Self.body(label, .starting, nil, process, host)
        case .ready(let label, let process, _): body = Self.body(label, .ready, nil, process, host)
        case .draining(let label, let process, let reason): body = Self.body(label, .draining, reason, process, host)
        case .exited(let label, let process, let cause, _, _, _):
            body = Self.body(label, .stopped, "\(cause)", process, host)
        case .changed(let change):
            body = Body(
                plugin: change.plugin,
                generation: change.generation,
                state: change.state.rawValue,
                cause: change.cause.isEmpty ? nil : change.cause,
                host: host
            )
        case .reload, .line, .note: return nil
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        guard let data = try? encoder.encode(body) else { return nil }
        topic = "mesh.plugin.\(body.plugin.map { $0 == "." ? "-" : String($0) }.joined()).\(body.state)"
        json = String(decoding: data, as: UTF8.self)
    }

    private static func body(
        _ label: InstanceLabel,
        _ state: PluginState,
        _ cause: String?,
        _ process: Int32?,
        _ host: String
    ) -> Body {
        Body(
            plugin: label.plugin,
            instance: "\(label)",
            generation: label.generation,
            state: state.rawValue,
            cause: cause,
            process: process,
            host: host
        )
    }
}
