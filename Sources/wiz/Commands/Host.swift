// `wiz host`: the plugins of this machine, for a broker on another one.

import ArgumentParser
import Broker
import CLinuxShims
import ConfigDocument
import Glibc
import MeshClient
import MeshProtocol
import PluginHost

struct Host: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the plugins of this machine against a broker elsewhere.",
        discussion: """
            Examples:
              export WIZ_ENDPOINT=tcp://192.0.2.10:7400 WIZ_SERVER_KEY=… WIZ_KEY_FILE=host.json
              wiz host --name machine-b plugins/ngram-llm
              wiz host --name machine-b --mesh machine-b.yaml

            The broker's mesh file knows the host as a principal with the role `host` and lists its plugins; the list here, or
            the file's `plugins:`, says what runs on this machine, and how. Plugins are supervised and sandboxed as by
            `wiz up`; they need no network, and get keys of their own for each process. SIGHUP reads the file again.
            """
    )

    @Argument(help: "Folders of plugins, in place of a file.", completion: .directory)
    var folders: [String] = []
    @Option(
        help: "A file with `plugins:` as in a mesh file. Default: mesh.yaml.",
        completion: .file(extensions: ["yaml", "yml", "json"])
    )
    var mesh: String?
    @Option(
        help: ArgumentHelp(
            "Write this file, as JSON, once everything is ready; it is removed at the end.",
            valueName: "file"
        )
    )
    var readyFile: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if mesh != nil, !folders.isEmpty { throw ValidationError("name a file or folders of plugins, not both") }
        if let name = broker.name, !Names.isName(name) {
            throw ValidationError("\"\(name)\" is no good name for a host: lower-case words joined by -, _ or .")
        }
    }

    func run() async throws {
        let file = try readFile()
        let printer = LogPrinter(asJSON: output.json)
        signal(SIGPIPE, SIG_IGN)
        _ = wiz_raise_open_file_limit(1 << 20)
        let signals = SignalStream()
        defer { Interrupts.handle(nil) }
        for plugin in file.leftOut { printer.print("wiz", "\(plugin)", mark: .bad) }
        let run = try await HostRun.begin(file, name: hostName, broker: broker, printer: printer)
        let lost = Task {
            let error = await run.waitUntilLost()
            if !Task.isCancelled { signals.take(SIGTERM) }
            return error
        }
        let starting = Task { try await run.startPlugins() }
        Interrupts.handle { number in
            if number != SIGHUP { starting.cancel() }
            signals.take(number)
        }
        do {
            try await tellReady(run, try await starting.value, printer)
            await serve(run, signals)
        } catch {
            await stop(run, printer)
            throw error is CancellationError ? CommandFailure(.interrupted, "interrupted") : told(error)
        }
        if let readyFile { unlink(readyFile) }
        var failure: MeshError?
        if case .closed(let error) = run.mesh.state { failure = error }
        lost.cancel()
        await stop(run, printer)
        if let failure { throw CommandFailure(failure) }
    }

    private var hostName: String {
        if let name = broker.name ?? variable("WIZ_NAME") { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let name = text.lowercased().prefix { $0 != "." }
        return Names.isName(name) ? String(name) : "remote"
    }

    private func serve(_ run: HostRun, _ signals: SignalStream) async {
        for await number in signals.again() {
            if number == SIGHUP { await run.reload() } else { return }
        }
    }

    private func stop(_ run: HostRun, _ printer: LogPrinter) async {
        printer.print("wiz", "stopping the plugins")
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

    private func tellReady(_ run: HostRun, _ problems: [PluginStatus], _ printer: LogPrinter) async throws {
        let statuses = await run.host.statuses
        let document = JSON.object([
            "ready": .boolean(true), "host": .string(run.name), "endpoint": .string(broker.resolvedEndpoint),
            "pid": .integer(Int64(getpid())),
            "plugins": .list(
                statuses.map { .object(["plugin": .string($0.plugin), "state": .string($0.state.rawValue)]) }
            ),
        ])
        for problem in problems {
            printer.print(problem.plugin, "is \(problem.state.rawValue): \(problem.cause)", mark: .bad)
        }
        if output.json {
            printer.write(document.json + "\n")
        } else {
            let count = statuses.reduce(0) { $0 + $1.processes.count }
            printer.print(
                "wiz",
                "ready: host \(run.name) runs \(statuses.count - problems.count) of \(statuses.count) plugins in \(count)"
                    + " processes for \(broker.resolvedEndpoint)",
                mark: .good
            )
        }
        guard let readyFile else { return }
        let draft = readyFile + ".new"
        guard let file = fopen(draft, "w") else {
            throw CommandFailure(.failed, "\(readyFile) cannot be written: \(String(cString: strerror(errno)))")
        }
        fputs(document.json + "\n", file)
        fclose(file)
        rename(draft, readyFile)
    }

    private func readFile() throws -> MeshFile {
        do {
            if !folders.isEmpty {
                let plugins = JSON.list(folders.map { .object(["path": .string($0)]) })
                return try MeshFile(text: JSON.object(["plugins": plugins]).json, path: "./command-line")
            }
            let path = mesh ?? "mesh.yaml"
            guard access(path, R_OK) == 0 else {
                throw CommandFailure(
                    .notFound,
                    "the file \(path) cannot be read: \(String(cString: strerror(errno)))",
                    hint: "Name one with --mesh FILE, or name folders of plugins: wiz host plugins/echo."
                )
            }
            return try MeshFile(reading: path, after: nil)
        } catch let errors as ConfigErrors {
            throw told(errors)
        }
    }

    private func told(_ error: any Error) -> any Error {
        if let error = error as? MeshError { return CommandFailure(error) }
        guard let errors = error as? ConfigErrors else { return error }
        return CommandFailure(
            .invalidArgument,
            "the plugins cannot be used:\n" + errors.problems.map { "    \($0)" }.joined(separator: "\n"),
            details: [.init(key: "report", value: errors.reportJSON)]
        )
    }
}
