// A mesh in the foreground of a terminal: starts it, tells when it is ready, serves until a signal, and stops it in order.
// `wiz up` and `wiz dev` differ in what runs beside it.

import Broker
import CLinuxShims
import ConfigDocument
import Glibc
import Manifest
import PluginHost

/// Runs a mesh until a signal ends it.
struct Foreground: Sendable {
    let printer: LogPrinter
    /// Whether a plugin that is not ready ends everything.
    var isStrict = false
    /// A file that is written when everything is ready, and removed at the end.
    var readyFile: String?
    /// Plugins that were left out, since their manifests have problems.
    var leftOut: [LeftOutPlugin] = []
    /// What runs beside the mesh, from ready to its end.
    var companion: (@Sendable (MeshRun) async -> Void)?

    /// Runs the mesh of a file.
    ///
    /// - Throws: why it could not start.
    func run(_ file: MeshFile) async throws {
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
        let progress = Progress("starting \(file.plugins.count) plugins", isQuiet: printer.asJSON)
        printer.setProgress(progress)
        let outcome = await race(starting, signals)
        progress.finish()
        printer.setProgress(nil)
        switch outcome {
        case .failed(let error):
            await stop(run, reason: "stopping what was started")
            throw error
        case .interrupted:
            await stop(run, reason: "stopping what was started")
            throw CommandFailure(.interrupted, "interrupted before everything was ready")
        case .ready(let problems):
            let leftOut = leftOut + (await run.host.leftOut)
            if isStrict, !(problems.isEmpty && leftOut.isEmpty) {
                await stop(run, reason: "stopping what was started, since not every plugin is ready")
                throw strictFailure(problems, leftOut)
            }
            try await ReadyReport(run: run, problems: problems, leftOut: leftOut).tell(printer, readyFile)
            let beside = companion.map { companion in Task { await companion(run) } }
            await serve(run, signals)
            beside?.cancel()
            await beside?.value
        }
        if let readyFile { unlink(readyFile) }
        await stop(run, reason: "stopping the plugins, then the broker")
    }

    private func strictFailure(_ problems: [PluginStatus], _ leftOut: [LeftOutPlugin]) -> CommandFailure {
        var text = "not every plugin is ready:"
        for plugin in leftOut { text += "\n    \(plugin)" }
        for status in problems {
            text +=
                "\n    \(status.plugin) is \(status.state.rawValue)"
                + (status.cause.isEmpty ? "" : ": \(status.cause)")
            for line in status.lastEnd?.lastLines.suffix(5) ?? [] { text += "\n        \(line)" }
        }
        return CommandFailure(
            .pluginFailed,
            text,
            hint: "Without --strict the others run all the same, and `wiz why NAME` tells more.",
            details: [.init(key: "plugins", value: .list(problems.map { .string($0.plugin) }))]
        )
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
                    return .failed(CommandFailure(invalid: errors, "the plugins"))
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

    private func stop(_ run: MeshRun, reason: String) async {
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
}
