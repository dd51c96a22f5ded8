// One process of the plugin that is looked at, started as a host starts it, with its settings over standard input.

import Manifest
import PluginHost
import Synchronization

/// A process of a plugin.
final class PluginJob: Sendable {
    private struct State {
        var running: (any RunningProcess)?
        var end: ProcessEnd?
        var lines: [String] = []
    }

    private let state = Mutex(State())

    /// The process; zero when it could not be started.
    var process: Int32 { state.withLock { $0.running?.process ?? 0 } }
    /// How it ended; nil while it runs.
    var end: ExitCause? { state.withLock { $0.end?.cause } }
    /// What it last wrote, in a sentence.
    var lastWords: String {
        let lines = state.withLock { $0.lines }
        return lines.isEmpty ? "It wrote nothing." : "It last wrote: " + lines.joined(separator: " | ")
    }

    private static let lineCount = 5

    /// Starts it; that it cannot be started shows as its end.
    init(_ order: LaunchOrder, _ launcher: any ProcessLauncher) async {
        do {
            let running = try await launcher.launch(order) { [self] _, line in keep(line) }
            state.withLock { $0.running = running }
            Task { [self] in
                let end = await running.end()
                state.withLock { $0.end = end }
            }
        } catch {
            state.withLock { $0.end = ProcessEnd(cause: .notStarted(error.reason)) }
        }
    }

    private func keep(_ line: String) {
        state.withLock { state in
            state.lines.append(line)
            if state.lines.count > Self.lineCount { state.lines.removeFirst() }
        }
    }

    /// Asks it to end.
    func terminate() { state.withLock { $0.running }?.terminate() }

    /// Ends it, and what it started.
    func kill() { state.withLock { $0.running }?.kill() }
}
