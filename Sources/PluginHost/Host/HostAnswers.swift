// What `host.<name>` answers: plain values with the names that go over the wire.

internal import FoundationEssentials
internal import Glibc
import Manifest

/// A plugin, as `host.<name>.plugins` tells it.
struct PluginAnswer: Encodable, Sendable {
    struct Process: Encodable, Sendable {
        struct Isolation: Encodable, Sendable {
            var subject, rule: String
            var mechanism, reason: String?
        }

        var instance: String
        var process: Int32?
        var state: String
        var version: String
        var shadow: Bool
        var ageMilliseconds: Int64
        var isolation: [Isolation]
    }

    struct Last: Encodable, Sendable {
        var instance, cause: String
        var lastLines: [String]
    }

    struct Permissions: Encodable, Sendable {
        var requested: [String]
        var optional: [String]
        var granted: [String]
        var missing: [String]
        var networking: String
    }

    var plugin, version, state, reason: String
    var generation, target: Int
    var instances: [String: Int]
    var activation, reload, restart, enforcement, folder: String
    var services: [String]
    var processes: [Process]
    var restarts: Int
    var last: Last?
    var underway: String?
    var permissions: Permissions
}

/// What a host tells of itself.
struct HostInfo: Encodable, Sendable {
    var host: String
    var process: Int32
    var uptimeMilliseconds: Int64
    var plugins, ready: Int
    var endpoint: String
}

/// A step of a reload.
struct ReloadStep: Encodable, Sendable {
    var plugin: String
    var generation: Int
    var text: String
}

/// The outcome of a reload or a restart.
struct ReloadAnswer: Encodable, Sendable {
    var plugin: String
    var outcome: String
    var text: String
    var generation: Int?
    var version: String?
    var milliseconds: Int64?
    var lastLines: [String]?
}

/// A line of `host.<name>.logs`.
struct LogAnswer: Encodable, Sendable {
    var time: Int64
    var plugin: String
    var instance: String
    var output: String
    var text: String

    /// How many of the first lines fit into so many bytes of JSON; one always does.
    static func count(_ lines: [LogAnswer], _ bound: Int) -> Int {
        var left = bound
        var count = 0
        for line in lines {
            left -= line.byteCount
            if left < 0 { break }
            count += 1
        }
        return max(count, min(1, lines.count))
    }

    /// About as many bytes as it takes in JSON, rather more.
    private var byteCount: Int {
        let text = text.utf8.reduce(0) {
            $0 + ($1 < 0x20 || $1 == 0x7F ? 6 : $1 == 0x22 || $1 == 0x5C || $1 == 0x2F ? 2 : 1)
        }
        return text + plugin.utf8.count + instance.utf8.count + 128
    }

    init(_ line: LogLine) {
        time = line.time
        plugin = line.label.plugin
        instance = "\(line.label)"
        output = line.output.rawValue
        text = line.text
    }

    /// What happens to a plugin is among its lines, said by the host; nil for what is not.
    init?(_ event: HostEvent, host: String) {
        switch event {
        case .line(let label, let output, let text):
            self.init(
                time: wallClock(),
                plugin: label.plugin,
                instance: "\(label)",
                output: output.rawValue,
                text: text
            )
        case .exited(let label, _, let cause, _, _, _):
            self.init(
                time: wallClock(),
                plugin: label.plugin,
                instance: "\(label)",
                output: "host",
                text: "ended: \(cause)"
            )
        case .changed(let change):
            let text = change.state.rawValue + (change.cause.isEmpty ? "" : ": \(change.cause)")
            self.init(time: wallClock(), plugin: change.plugin, instance: "", output: "host", text: text)
        case .reload(let plugin, _, let text), .note(let plugin, let text):
            self.init(time: wallClock(), plugin: plugin, instance: "", output: "host", text: text)
        case .started, .ready, .draining: return nil
        }
    }

    private init(time: Int64, plugin: String, instance: String, output: String, text: String) {
        self.time = time
        self.plugin = plugin
        self.instance = instance
        self.output = output
        self.text = text
    }
}

/// Milliseconds since 1970.
func wallClock() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

extension PluginHost {
    /// Every plugin.
    func answers() -> [PluginAnswer] { statuses.map(answer) }

    /// One plugin; nil when it is not there.
    func answer(_ plugin: String) -> PluginAnswer? { core.status(plugin).map(answer) }

    private func answer(_ status: PluginStatus) -> PluginAnswer {
        let plugin = revisions[status.revision]?.specification
        let plan = core.records[status.plugin]?.plan
        return PluginAnswer(
            plugin: status.plugin,
            version: status.version,
            state: status.state.rawValue,
            reason: status.cause,
            generation: status.generation,
            target: status.target,
            instances: ["min": plan?.instances.lowerBound ?? 1, "max": plan?.instances.upperBound ?? 1],
            activation: plan?.activation.rawValue ?? "",
            reload: plan?.reload.rawValue ?? "",
            restart: plan?.restart.rawValue ?? "",
            enforcement: plugin?.source.enforcement.rawValue ?? "",
            folder: plugin?.folder ?? "",
            services: plan?.provides.map { "\($0.service)@\($0.version)" } ?? [],
            processes: status.processes.map(answer),
            restarts: status.restarts,
            last: status.lastEnd.map { .init(instance: "\($0.label)", cause: $0.cause, lastLines: $0.lastLines) },
            underway: status.reload,
            permissions: .init(
                requested: plugin?.manifest.permissions.map(\.name) ?? [],
                optional: plugin?.manifest.optionalPermissions.map(\.name) ?? [],
                granted: plugin?.permissions.names ?? [],
                missing: plugin?.permissions.missingNames ?? [],
                networking: plugin?.permissions.networking.description ?? "none"
            )
        )
    }

    private func answer(_ process: ProcessStatus) -> PluginAnswer.Process {
        let lines = isolation(process.label)?.lines ?? []
        return PluginAnswer.Process(
            instance: "\(process.label)",
            process: process.process,
            state: process.state.rawValue,
            version: revisions[process.revision].map { "\($0.specification.manifest.version)" } ?? "",
            shadow: process.isShadow,
            ageMilliseconds: process.age.milliseconds,
            isolation: lines.map {
                .init(subject: $0.subject, rule: $0.rule, mechanism: $0.mechanism, reason: $0.reason)
            }
        )
    }

    /// What the host tells of itself.
    func info() -> HostInfo {
        let statuses = statuses
        return HostInfo(
            host: options.name,
            process: getpid(),
            uptimeMilliseconds: uptime.milliseconds,
            plugins: statuses.count,
            ready: statuses.filter { $0.state == .ready }.count,
            endpoint: control.endpoint
        )
    }
}
