// `wiz up`: a mesh in the foreground: the broker in this process, each plugin in a process of its own.

import ArgumentParser
import Broker
import CLinuxShims
import ConfigDocument
import Glibc
import PluginHost

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a mesh: the broker and the plugins of a mesh file.",
        discussion: """
            Examples:
              wiz up                          the mesh.yaml of this folder
              wiz up --mesh demo/mesh.yaml
              wiz up plugins/echo plugins/ui  plugins without a mesh file

            When all plugins are ready it prints a line that begins with "ready" and, with --ready-file, writes that file:
            scripts wait for either. Ctrl-C stops the plugins in reverse order, then the broker; a second Ctrl-C ends at
            once. SIGHUP reads the mesh file again.
            """
    )

    @Argument(help: "Folders of plugins, in place of a mesh file.", completion: .directory)
    var folders: [String] = []
    @Option(help: "The mesh file. Default: mesh.yaml.", completion: .file(extensions: ["yaml", "yml", "json"]))
    var mesh: String?
    @Option(
        help: ArgumentHelp(
            "Write this file, as JSON, once everything is ready; it is removed at the end.",
            valueName: "file"
        )
    )
    var readyFile: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if mesh != nil, !folders.isEmpty { throw ValidationError("name a mesh file or folders of plugins, not both") }
    }

    func run() async throws {
        let file = try readFile()
        let printer = LogPrinter(asJSON: output.json)
        signal(SIGPIPE, SIG_IGN)
        _ = wiz_raise_open_file_limit(1 << 20)
        let signals = SignalStream()
        defer { Interrupts.handle(nil) }
        let run = try await MeshRun.begin(file, printer: printer)
        let starting = Task { try await run.startPlugins() }
        Interrupts.handle { number in
            if number != SIGHUP { starting.cancel() }
            signals.take(number)
        }
        let progress = Progress("starting \(file.plugins.count) plugins", isQuiet: output.json)
        printer.setProgress(progress)
        let outcome = await race(starting, signals)
        progress.finish()
        printer.setProgress(nil)
        switch outcome {
        case .failed(let error):
            await stop(run, printer, reason: "stopping what was started")
            throw error
        case .interrupted: break
        case .ready(let problems):
            try await tellReady(run, problems, printer)
            await serve(run, signals)
        }
        if let readyFile { unlink(readyFile) }
        await stop(run, printer, reason: "stopping the plugins, then the broker")
    }

    private enum Outcome {
        /// With the plugins that are not.
        case ready([PluginStatus])
        case failed(any Error)
        case interrupted
    }

    private func race(_ starting: Task<[PluginStatus], any Error>, _ signals: SignalStream) async -> Outcome {
        await withTaskGroup(of: Outcome.self) { group in
            group.addTask {
                do {
                    return .ready(try await starting.value)
                } catch let errors as ConfigErrors {
                    return .failed(problems(errors, "the plugins"))
                } catch {
                    return .failed(error)
                }
            }
            group.addTask {
                for await number in signals.stream where number != SIGHUP { return .interrupted }
                return .interrupted
            }
            defer { group.cancelAll() }
            return await group.next() ?? .interrupted
        }
    }

    private func serve(_ run: MeshRun, _ signals: SignalStream) async {
        let stopped = Task {
            await run.broker.waitUntilStopped(); signals.take(SIGTERM)
        }
        defer { stopped.cancel() }
        for await number in signals.again() {
            if number == SIGHUP { await run.reload() } else { return }
        }
    }

    private func stop(_ run: MeshRun, _ printer: LogPrinter, reason: String) async {
        printer.print("wiz", reason)
        Interrupts.handle { number in _exit(128 + number) }
        let clock = Task {
            try await Task.sleep(for: MeshRun.stopBound)
            printer.print("wiz", "not everything stopped within \(Units.text(MeshRun.stopBound))", mark: .bad)
            _exit(WizExit.failed.rawValue)
        }
        await run.stop()
        clock.cancel()
        printer.print("wiz", "stopped", mark: .good)
    }

    private func tellReady(_ run: MeshRun, _ problems: [PluginStatus], _ printer: LogPrinter) async throws {
        let statuses = await run.statuses()
        let offers = await run.offers()
        let endpoint = run.broker.endpoints.first ?? ""
        let document = JSON.object([
            "ready": .boolean(true), "mesh": .string(run.file.mesh),
            "endpoints": .list(run.broker.endpoints.map { .string($0) }), "pid": .integer(Int64(getpid())),
            "publicKey": run.broker.publicKey.map { .string($0) } ?? .null,
            "plugins": .list(statuses.flatMap(processes)),
            "problems": .list(problems.map(problem)),
        ])
        if output.json {
            printer.write(document.json + "\n")
        } else {
            printer.write(table(statuses, offers) + problemText(problems) + readyText(run, statuses, endpoint))
        }
        if let readyFile { try write(document.json + "\n", to: readyFile) }
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

    private func readFile() throws -> MeshFile {
        do {
            if !folders.isEmpty { return try MeshFile(text: meshText(), path: "./mesh.yaml") }
            let path = mesh ?? "mesh.yaml"
            guard access(path, R_OK) == 0 else {
                throw CommandFailure(
                    .notFound,
                    "the mesh file \(path) cannot be read: \(String(cString: strerror(errno)))",
                    hint: "Name one with --mesh FILE, or start plugins without one: wiz up plugins/echo."
                )
            }
            return try MeshFile(reading: path)
        } catch let errors as ConfigErrors {
            throw problems(errors, mesh ?? "mesh.yaml")
        }
    }

    /// A mesh file for folders that were named on the command line.
    private func meshText() -> String {
        JSON.object([
            "plugins": .list(folders.map { .object(["path": .string($0)]) })
        ]).json
    }

    private func problems(_ errors: ConfigErrors, _ what: String) -> CommandFailure {
        CommandFailure(
            .invalidArgument,
            "\(what) cannot be used:\n" + errors.problems.map { "    \($0)" }.joined(separator: "\n"),
            details: [.init(key: "report", value: errors.reportJSON)]
        )
    }
}
