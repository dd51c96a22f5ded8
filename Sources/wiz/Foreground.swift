// A mesh or a host in the foreground of a terminal: starts it, tells when it is ready, serves until a signal, and stops it in
// order. `wiz up`, `wiz dev` and `wiz host` differ in what runs. All that may happen comes by one queue with one reader, so
// that no signal is lost between two stages.

import CLinuxShims
import ConfigDocument
import Glibc
import Manifest
import PluginHost

/// What runs in the foreground: plugins, and what they need.
protocol ForegroundRun: Sendable {
    /// What a stop stops, for people: "the plugins, then the broker".
    static var parts: String { get }
    var host: PluginHost { get }
    /// Starts the plugins; returns those that are not ready, and not just waiting for a call, once none is on its way.
    func startPlugins() async throws -> [PluginStatus]
    /// Reads again what is to run.
    func reload() async
    /// Returns when it has ended by itself, with the reason if that is a failure.
    func ended() async -> (any Error)?
    /// What is told once it is ready.
    func report(problems: [PluginStatus], leftOut: [LeftOutPlugin]) async -> ReadyReport
    /// Stops the plugins in reverse order, then the rest.
    func stop() async
}

/// Runs a mesh or a host until a signal ends it.
struct Foreground: Sendable {
    /// How long an orderly stop may take in all.
    static let stopBound = Duration.seconds(20)

    let printer: LogPrinter
    /// Whether a plugin that is not ready ends everything.
    var isStrict = false
    /// A file that is written when everything is ready, and removed at the end.
    var readyFile: String?
    /// Plugins that were left out, since their manifests have problems.
    var leftOut: [LeftOutPlugin] = []

    private enum Happening: Sendable {
        case signal(Int32)
        /// The plugins were started; those that are not ready.
        case started([PluginStatus])
        case failed(any Error)
        case ended((any Error)?)
    }

    /// What was not read by one stage is read by the next.
    private typealias Happenings = AsyncStream<Happening>

    /// Runs what `begin` makes.
    ///
    /// - Parameters:
    ///   - title: What is started, for people: "3 plugins".
    ///   - begin: Makes what runs, without the plugins; Ctrl-C cancels it.
    ///   - companion: What runs beside it, from ready to its end.
    /// - Throws: why it could not start, or why it ended by itself.
    func run<Run: ForegroundRun>(
        _ title: String,
        begin: @escaping @Sendable () async throws -> Run,
        beside companion: (@Sendable (Run) async -> Void)? = nil
    ) async throws {
        signal(SIGPIPE, SIG_IGN)
        _ = wiz_raise_open_file_limit(1 << 20)
        // One that a killed mesh has left behind would tell scripts that this one is ready.
        if let readyFile { unlink(readyFile) }
        let (happenings, happened) = Happenings.makeStream()
        let beginning = Task { try await begin() }
        let isToEnd = Latch()
        Terminal.begin()
        Interrupts.handle { number in
            // A closed window asks for an end, not for a reload.
            let number = number == SIGHUP && Terminal.hasGone ? SIGTERM : number
            if number != SIGHUP {
                if isToEnd.raise() { _exit(128 + number) }
                beginning.cancel()
            }
            happened.yield(.signal(number))
        }
        defer { Interrupts.handle(nil) }
        let run: Run
        do { run = try await beginning.value } catch { throw isToEnd.isRaised ? Self.interrupted : error }
        Task { happened.yield(.ended(await run.ended())) }
        Task {
            do { happened.yield(.started(try await run.startPlugins())) } catch { happened.yield(.failed(error)) }
        }
        let wasAskedToReload: Bool
        do {
            wasAskedToReload = try await becomeReady(run, title, happenings)
        } catch {
            await stop(run, nil, "stopping what was started")
            throw (error as? ConfigErrors).map { CommandFailure(invalid: $0, "the plugins") } ?? error
        }
        if wasAskedToReload { await run.reload() }
        let beside = companion.map { companion in Task { await companion(run) } }
        let failure = await serve(run, happenings)
        if let readyFile { unlink(readyFile) }
        await stop(run, beside, "stopping \(Run.parts)")
        if let failure { throw failure }
    }

    private static var interrupted: CommandFailure {
        CommandFailure(.interrupted, "interrupted before everything was ready")
    }

    /// Waits for the plugins, and tells how they are.
    ///
    /// - Returns: whether somebody has asked for a reload meanwhile.
    private func becomeReady(
        _ run: some ForegroundRun,
        _ title: String,
        _ happenings: Happenings
    ) async throws -> Bool {
        let progress = Progress("starting \(title)", isQuiet: printer.asJSON)
        printer.setProgress(progress)
        defer {
            progress.finish()
            printer.setProgress(nil)
        }
        var wasAskedToReload = false
        for await happening in happenings {
            switch happening {
            case .signal(SIGHUP): wasAskedToReload = true
            case .signal: throw Self.interrupted
            case .failed(let error): throw error
            case .ended(let error):
                throw error ?? CommandFailure(.failed, "it was stopped before everything was ready")
            case .started(let problems):
                progress.finish()
                printer.setProgress(nil)
                let leftOut = leftOut + (await run.host.leftOut)
                if isStrict, !(problems.isEmpty && leftOut.isEmpty) { throw strictFailure(problems, leftOut) }
                try await run.report(problems: problems, leftOut: leftOut).tell(printer, readyFile)
                return wasAskedToReload
            }
        }
        throw Self.interrupted
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

    /// Returns when it is to end, with the reason if that is a failure.
    private func serve(_ run: some ForegroundRun, _ happenings: Happenings) async -> (any Error)? {
        for await happening in happenings {
            switch happening {
            case .signal(SIGHUP): await run.reload()
            case .ended(let error): return error
            case .signal: return nil
            case .started, .failed: continue
            }
        }
        return nil
    }

    private func stop(_ run: some ForegroundRun, _ beside: Task<Void, Never>?, _ reason: String) async {
        printer.print("wiz", reason)
        beside?.cancel()
        let clock = Task {
            try await Task.sleep(for: Self.stopBound)
            printer.print("wiz", "not everything stopped within \(Units.text(Self.stopBound))", mark: .bad)
            LogPrinter.flush()
            _exit(WizExit.failed.rawValue)
        }
        await run.stop()
        await beside?.value
        clock.cancel()
        printer.print("wiz", "stopped", mark: .good)
    }
}
