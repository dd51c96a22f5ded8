// The methods of the service `rogue`.

import CLinuxShims
import Glibc
import Synchronization
import WizPlugin

struct Key: Codable, Sendable {
    var key: String
}

struct Answer: Codable, Sendable {
    var key: String
    var count: Int
    var version: String
    var generation: Int
    var instance: String
    var process: Int32
}

struct Span: Codable, Sendable {
    var milliseconds: Int?
}

struct Amount: Codable, Sendable {
    var megabytes: Int?
    var count: Int?
    var output: String?
}

struct End: Codable, Sendable {
    var signal: Int32?
    var code: Int32?
}

extension Rogue {
    func registerRogue(_ registry: ServiceRegistry) async throws {
        let settings = state.withLock { $0.settings }
        let ledger = state.withLock { $0.ledger }
        let ignoresCancel = state.withLock { $0.behaviour?.kind == .ignoreCancel }
        let values = state.withLock { $0.values }
        let instance = registry.mesh.configuration.instance
        let answer = { @Sendable (key: Key, context: PluginContext) in
            let generation = Self.generation
            let line = "\(key.key) \(context.version) \(generation) \(getpid())"
            return Answer(
                key: key.key,
                count: key.key.isEmpty ? 0 : ledger.count(key.key, line),
                version: context.version,
                generation: generation,
                instance: instance,
                process: getpid()
            )
        }
        try await registry.registerService("rogue", version: settings.version, capacity: settings.capacity) { service in
            service.method("count") { (key: Key, context) in answer(key, context) }
            service.method("countOnce") { (key: Key, context) in answer(key, context) }
            service.method("about") { (_: Nothing, context) in answer(Key(key: ""), context) }
            service.method("settings") { (_: Nothing, _) in values }
            service.method("environment") { (_: Nothing, _) in Self.environment }
            service.method("sleep") { (span: Span, _) in
                await Self.hold(span.milliseconds ?? 1000, heedsCancel: !ignoresCancel)
                if !ignoresCancel { try Task.checkCancellation() }
                return span
            }
            service.method("hold") { (span: Span, _) in
                await Self.hold(span.milliseconds ?? 60_000, heedsCancel: false)
                return span
            }
            service.method("spin") { (span: Span, _) in
                spin(milliseconds: span.milliseconds)
                return span
            }
            registerMisdeeds(&service)
        }
    }

    private func registerMisdeeds(_ service: inout ServiceBuilder) {
        service.method("eat") { (amount: Amount, _) in
            guard eat(megabytes: amount.megabytes ?? 64) else {
                throw MeshError(.resourceExhausted, "there is no memory for \(amount.megabytes ?? 64) MB")
            }
            return amount
        }
        service.method("flood") { (amount: Amount, _) in
            flood(amount.output == "stderr" ? STDERR_FILENO : STDOUT_FILENO, megabytes: amount.megabytes ?? 16)
            return amount
        }
        service.method("swarm") { (amount: Amount, _) in swarm(amount.count ?? 10) }
        service.method("end") { (end: End, _) -> Nothing in
            if let code = end.code { exitProcess(code) }
            endBySignal(end.signal ?? SIGKILL)
        }
    }

    private static var generation: Int { getenv("WIZ_GENERATION").flatMap { Int(String(cString: $0)) } ?? 0 }

    private static var environment: Value {
        var variables: [String: Value] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = .string(String(parts[1])) }
            entry += 1
        }
        return ["arguments": .array(CommandLine.arguments.map { .string($0) }), "variables": .object(variables)]
    }

    private static func hold(_ milliseconds: Int, heedsCancel: Bool) async {
        let span = Duration.milliseconds(milliseconds)
        if heedsCancel {
            try? await Task.sleep(for: span)  // allowed: it is told to
        } else {
            await Task.detached { try? await Task.sleep(for: span) }.value  // allowed: it is told to
        }
    }
}
