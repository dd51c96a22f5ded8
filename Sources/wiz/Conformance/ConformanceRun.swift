// A conformance run from start to end: which check comes when, what each is bounded by, and what depends on what.

import ConfigDocument
import Glibc
import Manifest
import MeshClient
import MeshProtocol
import PluginHost
import Synchronization

/// Looks at one plugin.
struct ConformanceRun: Sendable {
    let subject: ConformanceSubject
    /// Plugins that run beside it, since it needs their services.
    let companions: [ConformanceSubject]
    /// Hears each result when it is there.
    let tell: @Sendable (ConformanceResult) -> Void

    /// No check takes longer, whatever the plugin does.
    static let bound = Duration.seconds(60)

    /// Runs the checks after the one of the manifest.
    func run() async throws -> [ConformanceResult] {
        // A process may end before it has read its settings.
        signal(SIGPIPE, SIG_IGN)
        let mesh = try await ConformanceMesh.start(manifests)
        let results: [ConformanceResult]
        do {
            results = try await run(in: mesh)
        } catch {
            await mesh.stop()
            throw error
        }
        await mesh.stop()
        return results
    }

    private var manifests: [PluginManifest] { [subject.manifest] + companions.map(\.manifest) }

    private func run(in mesh: ConformanceMesh) async throws -> [ConformanceResult] {
        var jobs: [PluginJob] = []
        defer { for job in jobs { job.kill() } }
        for companion in companions {
            let job = await companion.start(in: mesh, ticket: try await mesh.ticket(for: companion.manifest.name))
            jobs.append(job)
            try await Self.awaitCompanion(companion, job, mesh)
        }
        let job = await subject.start(in: mesh, ticket: try await mesh.ticket(for: subject.manifest.name))
        jobs.append(job)
        let first = ConformanceChecks(subject: subject, mesh: mesh, job: job)
        var results = [await check(.readyInTime) { try await first.readyInTime() }]
        let isReady = results[0].outcome == .passed
        let steps: [(ConformanceCheck, @Sendable () async throws -> String)] = [
            (.registration, { try await first.registration() }), (.answers, { try await first.answers() }),
            (.unknownMethod, { try await first.unknownMethod() }),
            (.malformedInput, { try await first.malformedInput() }), (.cancel, { try await first.cancel() }),
            (.deadline, { try await first.deadline() }), (.stop, { try await first.stop() }),
            (.lifecycle, { try await first.lifecycle() }),
        ]
        for (name, step) in steps { results.append(await check(name, when: isReady, step)) }
        job.kill()

        let again = await subject.start(in: mesh, ticket: nil)
        jobs.append(again)
        let second = ConformanceChecks(subject: subject, mesh: mesh, job: again)
        // Those beside it came with tickets, which a new broker does not know: the check is for plugins that stand alone.
        let stands = companions.isEmpty
        results.append(
            await check(.brokerRestart, when: isReady) {
                guard stands else {
                    throw ConformanceEnd.skipped("it runs beside other plugins, which would end with the broker")
                }
                return try await second.brokerRestart(manifests)
            }
        )
        again.kill()
        _ = try await holds(within: .seconds(5)) { again.end != nil }
        let sample = first.bestSample
        results.append(
            await check(.reloadUnderLoad, when: isReady) {
                try await ConformanceReload(subject: subject, mesh: mesh, probe: sample).run()
            }
        )
        return results
    }

    private static func awaitCompanion(
        _ companion: ConformanceSubject,
        _ job: PluginJob,
        _ mesh: ConformanceMesh
    ) async throws {
        do {
            _ = try await ConformanceChecks(subject: companion, mesh: mesh, job: job).readyInTime()
        } catch ConformanceEnd.failed(let sentence, _) {
            throw CommandFailure(
                .pluginFailed,
                "\(companion.manifest.name), which runs beside it, is not ready: \(sentence)"
            )
        }
    }

    /// Runs a check within the bound.
    private func check(
        _ check: ConformanceCheck,
        when isReady: Bool = true,
        _ body: @escaping @Sendable () async throws -> String
    ) async -> ConformanceResult {
        var result = ConformanceResult(check: check, outcome: .passed, sentence: "", advice: "", duration: .zero)
        let begin = ContinuousClock.now
        do {
            guard isReady else { throw ConformanceEnd.skipped("it is not ready") }
            result.sentence = try await Self.bounded(body)
        } catch ConformanceEnd.failed(let sentence, let advice) {
            (result.outcome, result.sentence, result.advice) = (.failed, sentence, advice)
        } catch ConformanceEnd.skipped(let sentence) {
            (result.outcome, result.sentence) = (.skipped, sentence)
        } catch {
            (result.outcome, result.sentence) = (.failed, "\(error)")
        }
        result.duration = begin.duration(to: .now)
        tell(result)
        return result
    }

    private static func bounded(_ body: @escaping @Sendable () async throws -> String) async throws -> String {
        try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: bound)
                throw ConformanceEnd.failed(
                    "it was not through after \(Units.text(bound))",
                    advice: "Some call of it, or its end, takes too long."
                )
            }
            defer { group.cancelAll() }
            return try await group.next() ?? ""
        }
    }
}
