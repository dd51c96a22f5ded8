// One run of one plugin process: its environment, its own process group, its output by lines, and its end. The process
// lives inside `run`; cancelling the task that runs it sends SIGTERM to its group, and SIGKILL after the grace.

import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// One run of a plugin process.
struct PluginProcess: Sendable {
    let instance: InstanceID
    let specification: PluginSpecification
    let endpoint: String
    let ticket: String
    let grace: Duration

    /// The last lines of standard error that are kept.
    static let tailCount = 20

    /// Runs the process until it ends.
    ///
    /// - Parameters:
    ///   - started: Hears the process id once it runs.
    ///   - line: Hears each line.
    /// - Returns: how it ended and what it last wrote to standard error.
    func run(
        started: @escaping @Sendable (Int32) -> Void,
        line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async -> (cause: ExitCause, lastLines: [String]) {
        let tail = Tail(Self.tailCount)
        do {
            var options = PlatformOptions()
            options.processGroupID = 0
            options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: grace)]
            let program = specification.program
            let result = try await Subprocess.run(
                program.path.contains("/") ? .path(FilePath(program.path)) : .name(program.path),
                arguments: Arguments(program.arguments),
                environment: .custom(variables),
                workingDirectory: FilePath(specification.folder),
                platformOptions: options,
                input: .inputWriter,
                output: .sequence,
                error: .sequence
            ) { execution in
                started(execution.processIdentifier.value)
                // Tasks of their own, so that what the process writes while it is being stopped is still read.
                let output = execution.standardOutput
                let error = execution.standardError
                let reading = Task { await Self.read(output) { line(.standardOutput, $0) } }
                let readingErrors = Task {
                    await Self.read(error) {
                        tail.add($0)
                        line(.standardError, $0)
                    }
                }
                await reading.value
                await readingErrors.value
            }
            return (Self.cause(result.terminationStatus), tail.lines)
        } catch {
            return (.notStarted(Self.explain(error, program: specification.program.path)), tail.lines)
        }
    }

    /// The plugin's variables: a small part of the host's, what the mesh file adds, and what the mesh needs.
    private var variables: [Environment.Key: String] {
        var variables: [Environment.Key: String] = [:]
        for name in ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"] {
            if let value = getenv(name) { variables[key(name)] = String(cString: value) }
        }
        for (name, value) in specification.environment { variables[key(name)] = value }
        variables["WIZ_HOST"] = "1"
        variables["WIZ_ENDPOINT"] = endpoint
        variables["WIZ_TICKET"] = ticket
        variables["WIZ_PLUGIN_FOLDER"] = specification.folder
        variables["WIZ_PLUGIN_NAME"] = specification.name
        variables["WIZ_INSTANCE"] = String(instance.number)
        if let config = specification.config { variables["WIZ_PLUGIN_CONFIG"] = config }
        return variables
    }

    private func key(_ name: String) -> Environment.Key { Environment.Key(stringLiteral: name) }

    private static func read(_ sequence: SubprocessOutputSequence, _ line: @escaping @Sendable (String) -> Void) async {
        var splitter = LineSplitter()
        var meter = LineMeter()
        let start = ContinuousClock.now
        let show = { (text: String) in
            switch meter.line(at: start.duration(to: .now)) {
            case .leaveOut: return
            case .show(let leftOut):
                if leftOut > 0 { line("… \(leftOut) lines were left out: more than \(meter.perSecond) in a second") }
                line(text)
            }
        }
        do {
            for try await buffer in sequence { buffer.withUnsafeBytes { splitter.feed($0, show) } }
        } catch {
            // Reading ends with the process; what was read is kept.
        }
        splitter.finish(show)
    }

    private static func cause(_ status: TerminationStatus) -> ExitCause {
        switch status {
        case .exited(let code): .exited(code)
        case .signaled(let signal): .signalled(signal)
        }
    }

    private static func explain(_ error: any Error, program: String) -> String {
        guard let error = error as? SubprocessError else { return "\(error)" }
        switch error.code {
        case .executableNotFound: return "the program \(program) was not found; build the plugin first"
        default: return "\(error)"
        }
    }
}

/// The last lines that somebody wrote.
final class Tail: Sendable {
    private let count: Int
    private let kept = Mutex<[String]>([])

    init(_ count: Int) { self.count = count }

    func add(_ line: String) {
        kept.withLock { kept in
            if kept.count == count { kept.removeFirst() }
            kept.append(line)
        }
    }

    var lines: [String] { kept.withLock { $0 } }
}
