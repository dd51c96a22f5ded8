// What is told when a mesh or a host is ready: the plugins with their processes and services, the problems of those that are
// not ready, and where the broker is; for scripts the same as JSON, on standard output and in a file.

import Broker
import ConfigDocument
import Glibc
import Manifest
import PluginHost

/// That everything is ready, as far as it can be.
struct ReadyReport: Sendable {
    /// For scripts.
    let document: JSON
    /// For people.
    let text: String

    /// Prints the report, and writes it to a file if one is named.
    func tell(_ printer: LogPrinter, _ readyFile: String?) throws(CommandFailure) {
        printer.write(printer.asJSON ? document.json + "\n" : text)
        if let readyFile { try write(document.json + "\n", to: readyFile) }
    }

    private func write(_ text: String, to path: String) throws(CommandFailure) {
        let draft = path + ".new"
        guard let file = fopen(draft, "w") else {
            throw CommandFailure(.failed, "\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        fputs(text, file)
        fclose(file)
        rename(draft, path)
    }
}

/// How plugins are when everything was started, in words and as JSON.
struct PluginsReport {
    let statuses: [PluginStatus]
    /// What each process offers, as `service@version`, by its label.
    let offers: [String: [String]]
    let problems: [PluginStatus]
    let leftOut: [LeftOutPlugin]

    /// Fields of the document.
    var fields: [JSON.Entry] {
        [
            .init(key: "plugins", value: .list(statuses.flatMap(processes))),
            .init(key: "problems", value: .list(problems.map(problem))),
            .init(
                key: "leftOut",
                value: .list(
                    leftOut.map { .object(["folder": .string($0.folder), "report": $0.problems.reportJSON]) }
                )
            ),
        ]
    }

    /// A table, and what keeps plugins from being ready.
    var text: String { table + problemText + leftOutText }

    /// Such as "2 of 3 plugins in 4 processes".
    var countText: String {
        let ready = statuses.filter { $0.state == .ready || $0.state == .discovered }.count
        let processes = statuses.reduce(0) { $0 + $1.processes.count }
        let plugins = count(statuses.count, "plugin")
        return (ready == statuses.count ? plugins : "\(ready) of \(plugins)") + " in " + count(processes, "process")
    }

    private var leftOutText: String {
        let style = Terminal.output.style
        var text = ""
        for plugin in leftOut {
            text += style.red("✗ \(clean(plugin.folder)) is left out: its manifest has problems") + "\n"
            for problem in plugin.problems.problems.prefix(10) {
                text += style.dim("    │ ") + clean("\(problem)") + "\n"
            }
            text += style.dim("    wiz validate \(clean(plugin.folder))") + "\n"
        }
        return text.isEmpty ? "" : text + "\n"
    }

    private func processes(_ status: PluginStatus) -> [JSON] {
        status.processes.map { process in
            .object([
                "plugin": .string(status.plugin), "instance": .integer(Int64(process.label.number)),
                "label": .string("\(process.label)"), "state": .string(process.state.rawValue),
                "process": process.process.map { .integer(Int64($0)) } ?? .null,
            ])
        }
    }

    private func problem(_ status: PluginStatus) -> JSON {
        .object([
            "plugin": .string(status.plugin), "state": .string(status.state.rawValue),
            "reason": .string(status.cause),
            "lastLines": .list(status.lastEnd?.lastLines.map { .string($0) } ?? []),
        ])
    }

    private var table: String {
        var table = Table([
            .text("PLUGIN") { $0.bold($1) }, .text("STATE") { $0.state($1) }, .number("PID"), .text("SERVICES"),
        ])
        for status in statuses {
            for process in status.processes {
                let label = "\(process.label)"
                table.add([
                    label, process.state.rawValue, process.process.map { "\($0)" } ?? "-",
                    offers[label]?.joined(separator: " ") ?? "",
                ])
            }
            if status.processes.isEmpty { table.add([status.plugin, status.state.rawValue, "-", status.cause]) }
        }
        guard !table.rows.isEmpty else { return "" }
        return "\n" + table.text(width: Terminal.output.width, style: Terminal.output.style) + "\n"
    }

    /// What keeps plugins from being ready, with what they last wrote.
    private var problemText: String {
        let style = Terminal.output.style
        var text = ""
        for status in problems {
            text += style.red("✗ \(status.plugin) is \(status.state.rawValue)")
            text += (status.cause.isEmpty ? "" : ": \(status.cause)") + "\n"
            for line in status.lastEnd?.lastLines.suffix(5) ?? [] { text += style.dim("    │ \(line)") + "\n" }
            text += style.dim("    wiz why \(status.plugin) · wiz logs \(status.plugin)") + "\n"
        }
        return text.isEmpty ? "" : text + "\n"
    }
}
