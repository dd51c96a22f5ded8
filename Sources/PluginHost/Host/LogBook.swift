// The last lines of each plugin, bounded, and everybody who wants to hear of what happens as it happens.

import Synchronization

/// A line that a process of a plugin wrote.
public struct LogLine: Hashable, Sendable {
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// Which process.
    public var label: InstanceLabel
    /// Where it wrote it.
    public var output: HostEvent.Output
    /// What it wrote.
    public var text: String
}

/// Keeps lines and hands on events.
final class LogBook: Sendable {
    /// How many lines of each plugin are kept.
    static let capacity = 1000
    /// A listener that is so far behind misses what comes.
    private static let window = 10_000

    private struct State {
        var lines: [String: Ring] = [:]
        var listeners: [Int: AsyncStream<HostEvent>.Continuation] = [:]
        var lastListener = 0
    }

    /// The last lines of a plugin.
    private struct Ring {
        var lines: [LogLine] = []
        var next = 0

        mutating func add(_ line: LogLine) {
            if lines.count < LogBook.capacity {
                lines.append(line)
            } else {
                lines[next] = line
                next = (next + 1) % lines.count
            }
        }

        var inOrder: [LogLine] { Array(lines[next...] + lines[..<next]) }
    }

    private let state = Mutex(State())

    /// Keeps a line.
    func add(_ line: LogLine) { state.withLock { $0.lines[line.label.plugin, default: Ring()].add(line) } }

    /// Hands an event to everybody who listens.
    func tell(_ event: HostEvent) {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.yield(event) }
    }

    /// The last lines of a plugin, or of all in the order of their time.
    func last(_ count: Int, of plugin: String?) -> [LogLine] {
        let lines = state.withLock { state in
            if let plugin { return state.lines[plugin]?.inOrder ?? [] }
            return state.lines.values.flatMap(\.inOrder).sorted { $0.time < $1.time }
        }
        return Array(lines.suffix(max(0, count)))
    }

    /// Everything that happens from here on.
    func events() -> AsyncStream<HostEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: HostEvent.self,
            bufferingPolicy: .bufferingOldest(Self.window)
        )
        let id = state.withLock { state in
            state.lastListener += 1
            state.listeners[state.lastListener] = continuation
            return state.lastListener
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[id] = nil } }
        return stream
    }

    /// Nothing happens any more.
    func finish() {
        let listeners = state.withLock { state in
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
