// Another process of the plugin takes over while callers go on calling: what a host does at a reload, step by step through
// the service `mesh`. Also a call that stays under way until somebody ends it.

import ConfigDocument
import Manifest
import MeshClient
import MeshProtocol
import PluginHost
import Synchronization

/// Reloads a plugin under load.
struct ConformanceReload: Sendable {
    let subject: ConformanceSubject
    let mesh: ConformanceMesh
    /// What the callers call.
    let probe: ConformanceProbe?

    private static let rounds = 3
    private static let callers = 4

    func run() async throws -> String {
        guard let probe else { throw ConformanceEnd.skipped("no method answered its sample with OK") }
        guard subject.manifest.lifecycle.reload == .overlap else {
            throw ConformanceEnd.skipped("it reloads exclusively: the old process ends before the new one starts")
        }
        let jobs = Mutex<[PluginJob]>([])
        defer { for job in jobs.withLock({ $0 }) { job.kill() } }
        var current = try await start(generation: 1, asShadow: false)
        jobs.withLock { $0.append(current) }
        let tally = Tally()
        let load = Task { await Self.load(probe, mesh.client, tally) }
        defer { load.cancel() }
        for round in 1...Self.rounds {
            let before = tally.count
            let next = try await start(generation: round + 1, asShadow: true)
            jobs.withLock { $0.append(next) }
            try await promote(round + 1)
            guard try await holds(within: subject.stopBound, { [current] in current.end != nil }) else {
                throw ConformanceEnd.failed(
                    "it still runs \(Units.text(subject.stopBound)) after it was asked to drain",
                    advice: "On DRAIN take no new calls, answer those in flight, say BYE and exit with 0."
                )
            }
            guard current.end == .exited(0) else {
                throw ConformanceEnd.failed(
                    "when it was asked to drain it ended with \(current.end.map { "\($0)" } ?? "")",
                    advice: "Exit with 0."
                )
            }
            _ = try await holds(within: .seconds(5)) { tally.count > before + 20 }
            current = next
        }
        load.cancel()
        await load.value
        if let failure = tally.failure {
            throw ConformanceEnd.failed(
                "\(tally.failureCount) of \(tally.count + tally.failureCount) calls were lost: \(failure)",
                advice: "On DRAIN answer the calls that you hold before you leave, and take what is still on its way."
            )
        }
        return "\(tally.count) calls of \(probe.title) through \(Self.rounds) reloads, none lost"
    }

    private func label(_ generation: Int) -> String { "\(subject.manifest.name)#1@\(generation)" }

    private func start(generation: Int, asShadow: Bool) async throws -> PluginJob {
        let ticket: String
        do {
            ticket = try await mesh.ticket(
                for: subject.manifest.name,
                shadow: asShadow ? label(generation) : nil,
                instance: label(generation)
            )
        } catch let error as MeshError where error.status == .invalidArgument {
            throw ConformanceEnd.skipped("this broker knows no shadow sessions")
        }
        let job = await subject.start(in: mesh, ticket: ticket, generation: generation)
        do {
            _ = try await ConformanceChecks(subject: subject, mesh: mesh, job: job).readyInTime()
        } catch {
            job.kill()
            throw error
        }
        return job
    }

    private func promote(_ generation: Int) async throws {
        _ = try await mesh.client.ask(
            "promote",
            .object([
                "instances": .list([.string(label(generation))]), "retire": .list([.string(label(generation - 1))]),
                "reason": .string("the next generation takes over"),
            ])
        )
    }

    private static func load(_ probe: ConformanceProbe, _ client: MeshConnection, _ tally: Tally) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<callers {
                group.addTask {
                    while !Task.isCancelled {
                        do {
                            // Not cancelled with the load: each call that was made counts.
                            try await Task { try await probe.call(on: client) }.value
                            tally.succeeded()
                        } catch {
                            tally.failed("\(error)")
                        }
                        try? await Task.sleep(for: .milliseconds(2))
                    }
                }
            }
        }
    }
}

/// Counts what became of calls.
private final class Tally: Sendable {
    private let state = Mutex<(good: Int, bad: Int, first: String?)>((0, 0, nil))

    var count: Int { state.withLock { $0.good } }
    var failureCount: Int { state.withLock { $0.bad } }
    var failure: String? { state.withLock { $0.first } }

    func succeeded() { state.withLock { $0.good += 1 } }

    func failed(_ error: String) {
        state.withLock { state in
            state.bad += 1
            if state.first == nil { state.first = error }
        }
    }
}

/// A call that stays under way: one that takes long, or a stream that nobody reads.
final class LastingCall: Sendable {
    private let task: Task<MeshError?, Never>
    private let ended = Latch()

    init(_ probe: ConformanceProbe, _ mesh: MeshConnection, deadline: Duration) {
        task = Task { [ended] in
            defer { _ = ended.raise() }
            let window = Credit(messages: 1, bytes: 1 << 20)
            let options = CallOptions(deadline: deadline, window: window)
            do {
                guard !probe.directions.isEmpty else {
                    _ = try await mesh.call(probe.target, payload: probe.input, options: options)
                    return nil
                }
                let stream = try await mesh.openStream(
                    probe.target,
                    payload: probe.input,
                    directions: probe.directions,
                    options: options
                )
                // The first chunk is not read, so the worker gets no credit beyond it.
                try await withTaskCancellationHandler {
                    _ = try await stream.reply()
                } onCancel: {
                    stream.cancel()
                }
                return nil
            } catch {
                return error as? MeshError
            }
        }
    }

    var hasEnded: Bool { ended.isRaised }

    func cancel() { task.cancel() }

    /// What it failed with; nil when it did not.
    func failure() async -> MeshError? { await task.value }
}
