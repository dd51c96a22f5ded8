// Follows the broker's registry through `mesh.watch`: one stream for a connection, begun when somebody asks, resumed by
// revision, read anew after a restart of the broker.

internal import SemanticVersion
import Synchronization

/// The one watch of a connection.
final class RegistryWatch: Sendable {
    private struct Observer {
        var name: String
        var range: VersionRange
        var last: ServiceState?
        var continuation: AsyncStream<ServiceState>.Continuation
    }

    private struct State {
        var mirror = RegistryMirror()
        var observers: [Int: Observer] = [:]
        var nextObserver = 0
        var task: Task<Void, Never>?
        var isStopped = false
    }

    private let state = Mutex(State())
    private let mesh: MeshConnection
    private let logger: Logger

    init(_ mesh: MeshConnection, logger: Logger) {
        self.mesh = mesh
        self.logger = logger
    }

    /// Reads a range; empty stands for any release.
    func checkedRange(_ range: String) throws(MeshError) -> VersionRange {
        guard !range.isEmpty else { return .any }
        do {
            return try VersionRange(range)
        } catch {
            throw MeshError(.invalidArgument, "\"\(range)\" is no version range: \(error)")
        }
    }

    /// Who provides a service now; waits for the first snapshot.
    func state(_ name: String, range: String) async throws -> ServiceState {
        _ = try checkedRange(range)
        let updates = updates(name, range: range)
        let first = await withTimeout(.seconds(5)) {
            for await state in updates { return Optional(state) }
            return nil
        }
        try Task.checkCancellation()
        guard let found = first ?? nil else {
            throw MeshError(.unavailable, "the registry could not be read within 5 s", subject: name)
        }
        return found
    }

    /// What there is of a service, for an error's sentence.
    func explain(_ name: String) -> String { state.withLock { $0.mirror.explain(name) } }

    /// The state of a service now, as soon as it is known, and after each change.
    func updates(_ name: String, range: String) -> AsyncStream<ServiceState> {
        let (stream, continuation) = AsyncStream<ServiceState>.makeStream(bufferingPolicy: .bufferingNewest(1))
        guard let range = try? checkedRange(range) else {
            continuation.finish()
            return stream
        }
        let key: Int? = state.withLock { state in
            guard !state.isStopped else { return nil }
            let key = state.nextObserver
            state.nextObserver += 1
            var observer = Observer(name: name, range: range, last: nil, continuation: continuation)
            if state.mirror.revision != nil {
                let now = state.mirror.state(name, range)
                observer.last = now
                continuation.yield(now)
            }
            state.observers[key] = observer
            if state.task == nil { state.task = Task { [weak self] in await self?.follow() } }
            return key
        }
        guard let key else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.observers.removeValue(forKey: key) }
        }
        return stream
    }

    /// Ends the watch and every stream of updates.
    func stop() {
        let (task, observers) = state.withLock { state in
            state.isStopped = true
            defer {
                state.task = nil
                state.observers = [:]
            }
            return (state.task, state.observers.values.map(\.continuation))
        }
        task?.cancel()
        for observer in observers { observer.finish() }
    }

    private struct Since: Encodable {
        var since: UInt64?
    }

    private func follow() async {
        var epoch: UInt64?
        var delay = Duration.milliseconds(100)
        while !Task.isCancelled {
            do {
                let current = mesh.session?.epoch
                let since = state.withLock { state in
                    if epoch != current { state.mirror.forgetRevision() }
                    return state.mirror.revision
                }
                epoch = current
                let stream = try await mesh.openStream(
                    .service("mesh", method: "watch"),
                    payload: .json(Since(since: since)),
                    options: CallOptions(deadline: CallOptions.unbounded, idle: CallOptions.unbounded)
                )
                for try await chunk in stream {
                    // Another broker, which came in between, counts its revisions anew.
                    guard mesh.session?.epoch == epoch else { break }
                    take(try chunk.decode(WatchPiece.self))
                    delay = .milliseconds(100)
                }
            } catch is CancellationError {
                return
            } catch {
                logger.debug("the registry watch begins anew: \(error)")
            }
            state.withLock { $0.mirror.interrupted() }
            if case .closed = mesh.state { return stop() }
            try? await Task.sleep(for: delay * Double.random(in: 0.5...1.5))
            delay = min(delay * 2, .seconds(5))
        }
    }

    private func take(_ piece: WatchPiece) {
        state.withLock { state in
            guard state.mirror.apply(piece), state.mirror.revision != nil else { return }
            for (key, observer) in state.observers {
                let now = state.mirror.state(observer.name, observer.range)
                guard now != observer.last else { continue }
                state.observers[key]?.last = now
                observer.continuation.yield(now)
            }
        }
    }
}
