// What `wiz up` tells when a mesh is ready: the plugins with their processes and services, the problems of those that are not
// ready, and where the broker listens; for scripts the same as JSON, on standard output and in a file.

import Broker
import ConfigDocument
import Glibc
import Manifest
import PluginHost

/// Tells that a mesh is ready.
struct ReadyReport {
    let run: MeshRun
    let problems: [PluginStatus]
    let leftOut: [LeftOutPlugin]

    /// Prints the report, and writes it to a file if one is named.
    func tell(_ printer: LogPrinter, _ readyFile: String?) async throws {
        let statuses = await run.statuses()
        let offers = await run.offers()
        let endpoint = run.broker.endpoints.first ?? ""
        let document = JSON.object([
            "ready": .boolean(true), "mesh": .string(run.file.mesh),
            "endpoints": .list(run.broker.endpoints.map { .string($0) }), "pid": .integer(Int64(getpid())),
            "publicKey": run.broker.publicKey.map { .string($0) } ?? .null,
            "plugins": .list(statuses.flatMap(processes)),
            "problems": .list(problems.map(problem)),
            "leftOut": .list(
                leftOut.map { .object(["folder": .string($0.folder), "report": $0.problems.reportJSON]) }
            ),
        ])
        if printer.asJSON {
            printer.write(document.json + "\n")
        } else {
            printer.write(
                table(statuses, offers) + problemText(problems) + leftOutText + readyText(run, statuses, endpoint)
            )
        }
        if let readyFile { try write(document.json + "\n", to: readyFile) }
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

    private func table(_ statuses: [PluginStatus], _ offers: [String: [String]]) -> String {
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
    private func problemText(_ problems: [PluginStatus]) -> String {
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

    private func readyText(_ run: MeshRun, _ statuses: [PluginStatus], _ endpoint: String) -> String {
        let style = Terminal.output.style
        let ready = statuses.filter { $0.state == .ready || $0.state == .discovered }.count
        let count = statuses.reduce(0) { $0 + $1.processes.count }
        var text =
            style.green("ready")
            + ": mesh \(run.file.mesh) at \(endpoint), "
            + (ready == statuses.count ? "\(ready)" : "\(ready) of \(statuses.count)")
            + " plugins in \(count) processes\n"
        for other in run.broker.endpoints.dropFirst() { text += "       and at \(other)\n" }
        if let key = run.broker.publicKey { text += "       with the public key \(key)\n" }
        let prefix = endpoint == "ipc://" + BrokerOptions.runFolder + "/mesh.sock" ? "" : "WIZ_ENDPOINT=\(endpoint) "
        return text + style.dim("       In another terminal: \(prefix)wiz services · Ctrl-C stops everything") + "\n\n"
    }

    private func write(_ text: String, to path: String) throws {
        let draft = path + ".new"
        guard let file = fopen(draft, "w") else {
            throw CommandFailure(.failed, "\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        fputs(text, file)
        fclose(file)
        rename(draft, path)
    }
}
