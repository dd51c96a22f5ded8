// Runs the plugins of a mesh, each instance in a process of its own: starts them in the order of their dependencies, starts
// them again by their manifest's policy, tells of their ends at once, and stops them in reverse within a bound.

import Manifest
import Synchronization

/// Runs plugin processes.
public actor PluginHost {
    /// The bounds of a host.
    public struct Bounds: Sendable {
        /// From a process's start until it must be registered, where its manifest says nothing.
        public var ready: Duration
        /// From SIGTERM to SIGKILL, where its manifest says nothing.
        public var grace: Duration
        /// The delays before a process is started again.
        public var restart: RestartMachine.Timing

        /// Bounds; the defaults are 10 s to register and 5 s to end.
        public init(
            ready: Duration = .seconds(10),
            grace: Duration = .seconds(5),
            restart: RestartMachine.Timing = RestartMachine.Timing()
        ) {
            self.ready = ready
            self.grace = grace
            self.restart = restart
        }
    }

    /// What a host knows about one of its processes.
    public struct Status: Sendable, Hashable {
        /// How a process is doing.
        public enum State: String, Sendable {
            /// It runs but is not registered yet.
            case starting
            /// It is registered.
            case ready
            /// It ended and will be started again.
            case backoff
            /// It ended and stays ended.
            case stopped
        }

        /// Which process.
        public let instance: InstanceID
        /// How it is doing.
        public var state: State
        /// Its process id while it runs.
        public var process: Int32?
        /// How often it was started again.
        public var restarts: Int
    }

    private struct Entry {
        let specification: PluginSpecification
        let task: Task<Void, Never>
        var status: Status
    }

    private let hooks: HostHooks
    private let bounds: Bounds
    private var waves: [[InstanceID]] = []
    private var entries: [InstanceID: Entry] = [:]
    private var isStopping = false

    /// A host that runs nothing yet.
    public init(hooks: HostHooks, bounds: Bounds = Bounds()) {
        self.hooks = hooks
        self.bounds = bounds
    }

    /// How each process is doing, in the order in which they were started.
    public var statuses: [Status] { waves.flatMap { $0 }.compactMap { entries[$0]?.status } }

    /// Starts plugins wave by wave, and returns when all are registered.
    ///
    /// - Throws: the first failure; the processes that run by then go on until ``stop()``.
    public func start(_ plugins: [PluginSpecification]) async throws {
        for wave in startWaves(plugins) {
            guard !isStopping else { return }
            var firsts: [FirstStart] = []
            var ids: [InstanceID] = []
            for plugin in wave {
                for number in 1...plugin.instances {
                    let id = InstanceID(plugin: plugin.name, number: number)
                    ids.append(id)
                    firsts.append(launch(id, plugin))
                }
            }
            waves.append(ids)
            var failure: PluginStartFailure?
            for first in firsts {
                if let failed = await first.outcome() { failure = failure ?? failed }
            }
            if let failure { throw failure }
        }
    }

    /// Stops every process, those that started last first: SIGTERM, and SIGKILL after the grace.
    public func stop() async {
        isStopping = true
        for wave in waves.reversed() {
            let tasks = wave.compactMap { entries[$0]?.task }
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
        }
    }

    private func launch(_ id: InstanceID, _ plugin: PluginSpecification) -> FirstStart {
        let first = FirstStart()
        let task = Task { await supervise(id, plugin, first) }
        entries[id] = Entry(
            specification: plugin,
            task: task,
            status: Status(instance: id, state: .starting, process: nil, restarts: 0)
        )
        return first
    }

    private func supervise(_ id: InstanceID, _ plugin: PluginSpecification, _ first: FirstStart) async {
        var machine = RestartMachine(plugin.manifest.restart, timing: bounds.restart)
        while true {
            let begin = ContinuousClock.now
            let end = await runOnce(id, plugin, first)
            update(id) { status in
                status.state = .stopped
                status.process = nil
            }
            if first.fail(PluginStartFailure(instance: id, reason: reason(end.cause), lastLines: end.lastLines)) {
                return
            }
            let decision = machine.ended(
                end.cause,
                ranFor: begin.duration(to: .now),
                isStopping: isStopping || Task.isCancelled
            )
            guard case .restart(let delay) = decision else {
                if case .leave(let reason) = decision { hooks.event(.left(id, reason)) }
                return
            }
            let jittered = delay * Double.random(in: 0.8...1.2)
            update(id) { status in
                status.state = .backoff
                status.restarts = machine.restarts
            }
            hooks.event(.restarting(id, after: jittered))
            do {
                try await Task.sleep(for: jittered)
            } catch {
                update(id) { $0.state = .stopped }
                return
            }
        }
    }

    private func runOnce(
        _ id: InstanceID,
        _ plugin: PluginSpecification,
        _ first: FirstStart
    ) async -> (cause: ExitCause, lastLines: [String]) {
        let ticket: String
        do {
            ticket = try await hooks.ticket(id)
        } catch {
            return (.notStarted("the broker gave no ticket: \(error)"), [])
        }
        let process = PluginProcess(
            instance: id,
            specification: plugin,
            endpoint: hooks.endpoint,
            ticket: ticket,
            grace: plugin.manifest.lifecycle.drainTimeout ?? bounds.grace
        )
        let run = Mutex<(process: Int32, watch: Task<Void, Never>?)>((0, nil))
        let begin = ContinuousClock.now
        let event = hooks.event
        let end = await process.run { number in
            event(.started(id, process: number))
            let watch = Task { await self.watch(id, number, plugin, since: begin, first) }
            run.withLock { $0 = (number, watch) }
        } line: { output, text in
            event(.line(id, output, text))
        }
        let (number, watch) = run.withLock { $0 }
        watch?.cancel()
        if number != 0 {
            await uncancelled { [hooks] in await hooks.ended(number, end.cause) }
            event(
                .exited(id, process: number, end.cause, ranFor: begin.duration(to: .now), lastLines: end.lastLines)
            )
        }
        return end
    }

    /// Waits until a process is registered, within the bound; a first start that is late is given up.
    private func watch(
        _ id: InstanceID,
        _ number: Int32,
        _ plugin: PluginSpecification,
        since begin: ContinuousClock.Instant,
        _ first: FirstStart
    ) async {
        update(id) { status in
            status.state = .starting
            status.process = number
        }
        let bound = plugin.manifest.lifecycle.initTimeout ?? bounds.ready
        let hooks = hooks
        do {
            try await within(bound) { try await hooks.awaitReady(id, number) }
            guard entries[id]?.status.process == number else { return }
            update(id) { $0.state = .ready }
            hooks.event(.ready(id, process: number, after: begin.duration(to: .now)))
            first.succeed()
        } catch is CancellationError {
            return
        } catch {
            let reason = "\(error)"
            hooks.event(.late(id, reason))
            if first.give(up: reason) { entries[id]?.task.cancel() }
        }
    }

    private func update(_ id: InstanceID, _ change: (inout Status) -> Void) {
        if var entry = entries[id] {
            change(&entry.status)
            entries[id] = entry
        }
    }

    private func reason(_ cause: ExitCause) -> String {
        switch cause {
        case .notStarted(let reason), .launch(let reason): reason
        case .exited, .signalled, .outOfMemory, .watchdog: "it ended with \(cause) before it was registered"
        }
    }
}

/// How the first start of a process went; told once.
final class FirstStart: Sendable {
    private struct State {
        var isDecided = false
        var failure: PluginStartFailure?
        var givenUp: String?
        var waiter: CheckedContinuation<PluginStartFailure?, Never>?
    }

    private let state = Mutex(State())

    /// It is registered.
    func succeed() { decide(nil) }

    /// It did not register in time: its end, which follows, is the failure, with this reason.
    ///
    /// - Returns: whether this was its first start.
    func give(up reason: String) -> Bool {
        state.withLock { state in
            guard !state.isDecided else { return false }
            state.givenUp = reason
            return true
        }
    }

    /// It ended; if that was before it was registered, this is the failure.
    ///
    /// - Returns: whether it was.
    func fail(_ failure: PluginStartFailure) -> Bool {
        let reason = state.withLock { $0.givenUp }
        return decide(
            reason.map { PluginStartFailure(instance: failure.instance, reason: $0, lastLines: failure.lastLines) }
                ?? failure
        )
    }

    /// Waits for the outcome; nil is success.
    func outcome() async -> PluginStartFailure? {
        await withCheckedContinuation { continuation in
            let isDecided = state.withLock { state in
                if !state.isDecided { state.waiter = continuation }
                return state.isDecided
            }
            if isDecided { continuation.resume(returning: state.withLock { $0.failure }) }
        }
    }

    @discardableResult
    private func decide(_ failure: PluginStartFailure?) -> Bool {
        let (isFirst, waiter) = state.withLock { state in
            guard !state.isDecided else { return (false, CheckedContinuation<PluginStartFailure?, Never>?.none) }
            state.isDecided = true
            state.failure = failure
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume(returning: failure)
        return isFirst
    }
}

/// Something took longer than it may.
struct TimedOut: Error, CustomStringConvertible {
    let bound: Duration
    var description: String { "it did not register with the broker within \(bound)" }
}

/// Runs something within a bound.
func within(_ bound: Duration, _ body: @escaping @Sendable () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: bound)
            throw TimedOut(bound: bound)
        }
        defer { group.cancelAll() }
        try await group.next()
    }
}

/// Runs something in a task of its own, which a cancellation of the present one does not reach.
func uncancelled(_ body: @escaping @Sendable () async -> Void) async { await Task { await body() }.value }
