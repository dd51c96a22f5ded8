// Starts plugin processes as they are, each in a process group of its own, with nothing around them. `SystemLauncher` is the
// launcher that holds a plugin in.

import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// Starts processes without a sandbox and without limits.
public struct PlainLauncher: ProcessLauncher {
    /// The last lines of standard error that are kept.
    static let tailCount = 20

    /// A launcher.
    public init() {}

    /// Starts the program; its limits and permissions do not matter.
    ///
    /// - Throws: that it could not be started.
    /// - Returns: the process.
    public func launch(
        _ order: LaunchOrder,
        line: @escaping @Sendable (HostEvent.Output, String) -> Void
    ) async throws(LaunchFailure) -> any RunningProcess {
        let process = PlainProcess(order)
        let failure: LaunchFailure? = await withCheckedContinuation { started in
            let once = Once(started)
            Task {
                let end = await process.run(line: line) { once.tell(nil) }
                once.tell(LaunchFailure(.program, "\(end.cause)", lastLines: end.lastLines))
            }
        }
        if let failure { throw failure }
        return process
    }
}

/// Resumes a continuation once.
private final class Once: Sendable {
    private let waiter: Mutex<CheckedContinuation<LaunchFailure?, Never>?>

    init(_ waiter: CheckedContinuation<LaunchFailure?, Never>) { self.waiter = Mutex(waiter) }

    func tell(_ failure: LaunchFailure?) {
        let waiter = waiter.withLock { waiter in
            defer { waiter = nil }
            return waiter
        }
        waiter?.resume(returning: failure)
    }
}

/// A process without anything around it.
private final class PlainProcess: RunningProcess {
    private struct State {
        var process: Int32 = 0
        var end: ProcessEnd?
        var waiters: [CheckedContinuation<ProcessEnd, Never>] = []
    }

    let isolation = IsolationReport()
    private let order: LaunchOrder
    private let state = Mutex(State())

    init(_ order: LaunchOrder) { self.order = order }

    var process: Int32 { state.withLock { $0.process } }

    func terminate() { signal(SIGTERM) }

    func kill() { signal(SIGKILL) }

    private func signal(_ number: Int32) {
        state.withLock { state in
            if state.end == nil, state.process > 0 { _ = Glibc.kill(-state.process, number) }
        }
    }

    func end() async -> ProcessEnd {
        await withCheckedContinuation { continuation in
            let end = state.withLock { state in
                if state.end == nil { state.waiters.append(continuation) }
                return state.end
            }
            if let end { continuation.resume(returning: end) }
        }
    }

    func run(
        line: @escaping @Sendable (HostEvent.Output, String) -> Void,
        started: @escaping @Sendable () -> Void
    ) async -> ProcessEnd {
        let end = await runProcess(line: line, started: started)
        let waiters = state.withLock { state in
            state.end = end
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: end) }
        return end
    }

    private func runProcess(
        line: @escaping @Sendable (HostEvent.Output, String) -> Void,
        started: @escaping @Sendable () -> Void
    ) async -> ProcessEnd {
        let tail = Tail(PlainLauncher.tailCount)
        do {
            var options = PlatformOptions()
            options.processGroupID = 0
            let result = try await Subprocess.run(
                order.program.contains("/") ? .path(FilePath(order.program)) : .name(order.program),
                arguments: Arguments(order.arguments),
                environment: .custom(variables),
                workingDirectory: FilePath(order.folder),
                platformOptions: options,
                input: .inputWriter,
                output: .sequence,
                error: .sequence
            ) { execution in
                self.state.withLock { $0.process = execution.processIdentifier.value }
                started()
                if let input = self.order.input {
                    _ = try? await execution.standardInputWriter.write(Array((input + "\n").utf8))
                }
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
            return ProcessEnd(cause: Self.cause(result.terminationStatus), lastLines: tail.lines)
        } catch {
            return ProcessEnd(cause: .notStarted(Self.explain(error, program: order.program)), lastLines: tail.lines)
        }
    }

    private var variables: [Environment.Key: String] {
        var variables: [Environment.Key: String] = [:]
        for name in ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"] {
            if let value = getenv(name) { variables[Environment.Key(stringLiteral: name)] = String(cString: value) }
        }
        for (name, value) in order.environment { variables[Environment.Key(stringLiteral: name)] = value }
        return variables
    }

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
