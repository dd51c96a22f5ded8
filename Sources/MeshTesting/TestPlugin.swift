// A plugin that lives in the test's process: the same life as in a process of its own, but for signals and the exit.

import Synchronization
public import WizPlugin

/// A plugin that runs in a test.
public final class TestPlugin: Sendable {
    /// What its `plugin.json` says.
    public let info: PluginInfo

    private enum Stage: Sendable {
        case ready
        case ended(Int32)
    }

    private let life: PluginRun
    private let bound: Duration
    private let task: Task<Int32, Never>
    private let stages: AsyncStream<Stage>
    private let failures: Failures

    init(_ plugin: any Plugin, info: PluginInfo, config: Value, variables: [String: String], bound: Duration) {
        self.info = info
        self.bound = bound
        let (stages, continuation) = AsyncStream<Stage>.makeStream()
        let failures = Failures()
        let life = PluginRun(plugin, info: info, config: config, variables: variables) {
            continuation.yield(.ready)
        } whenFailed: { error in
            failures.keep(error)
        }
        self.life = life
        self.stages = stages
        self.failures = failures
        task = Task {
            let code = await life.run()
            continuation.yield(.ended(code))
            continuation.finish()
            return code
        }
    }

    /// Why it did not start, or ended by itself; nil when nothing went wrong.
    public var failure: (any Error)? { failures.first }

    /// Stops it as SIGTERM does: calls in flight are answered, then comes its teardown.
    ///
    /// - Returns: the code with which its process would exit; 0 is good, see ``PluginExit``.
    /// - Throws: ``TestFailure`` when it has not ended within the bound.
    @discardableResult
    public func stop() async throws -> Int32 {
        life.terminate()
        return try await end()
    }

    /// Waits for its end.
    ///
    /// - Returns: the code with which its process would exit.
    /// - Throws: ``TestFailure`` when it has not ended within the bound.
    public func end() async throws -> Int32 {
        let task = task
        guard let code = await withBound(bound, { await task.value }) else {
            throw TestFailure("\(info.name) has not ended within \(bound)")
        }
        return code
    }

    func awaitReady() async throws {
        let stages = stages
        let stage = await withBound(bound) { () -> Stage? in
            for await stage in stages { return stage }
            return nil
        }
        switch stage {
        case .some(.ready): return
        case .some(.ended(let code)):
            if let failure { throw failure }
            throw TestFailure("\(info.name) ended with \(code) before it was ready")
        default:
            throw TestFailure("\(info.name) was not ready within \(bound): initialize or register has not returned")
        }
    }
}

/// Keeps the first failure of a life.
private final class Failures: Sendable {
    private let kept = Mutex<(any Error)?>(nil)

    var first: (any Error)? { kept.withLock { $0 } }

    func keep(_ error: any Error) { kept.withLock { $0 = $0 ?? error } }
}
