// The plugin: well-behaved but for what it was told.

import CLinuxShims
import Glibc
import Synchronization
import WizPlugin

final class Rogue: Plugin {
    struct Settings: Codable, Sendable {
        var behaviour: String?
        var version: String?
        var capacity: Int?
        var ledger: String?
        var token: String?
    }

    struct State: Sendable {
        var behaviour: Behaviour?
        var settings = Settings()
        var values: Value = [:]
        var ledger = Ledger(nil)
    }

    let state = Mutex(State())

    init() {}

    func initialize(_ config: PluginConfig) async throws {
        let settings = try config.decode(Settings.self)
        let behaviour = Behaviour.own ?? settings.behaviour.flatMap { Behaviour($0) }
        var ledger = settings.ledger ?? getenv("ROGUE_LEDGER").map { String(cString: $0) }
        if let path = ledger, !path.hasPrefix("/") { ledger = config.dataFolder + "/" + path }
        let book = Ledger(ledger)
        state.withLock { $0 = State(behaviour: behaviour, settings: settings, values: config.values, ledger: book) }
        guard let behaviour else { return }
        try await misbehave(behaviour)
    }

    /// What goes wrong before anything is registered.
    private func misbehave(_ behaviour: Behaviour) async throws {
        switch behaviour.kind {
        case .slowInit: try await Task.sleep(for: .milliseconds(behaviour.number(60_000)))  // allowed: it is told to
        case .hangInit: waitForEver()
        case .crashInit: fatalError("it was told to crash")
        case .exitInit: exitProcess(Int32(clamping: behaviour.number(1)))
        case .failInit: throw MeshError(.internal, behaviour.text("it was told to fail"))
        case .badConfig: throw PluginError.configuration("it was told that its settings are wrong")
        case .notReady:
            throw PluginError.notReady(
                reason: "it was told not to be ready",
                retryAfter: .milliseconds(behaviour.number(1000))
            )
        case .memory: onThread { eatForEver(megabytes: behaviour.number(16)) }
        case .loop: for _ in 0..<2 { onThread { spin(milliseconds: nil) } }
        case .ignoreDrain: for number in [SIGTERM, SIGINT] { wiz_ignore_signal(number) }
        default: break
        }
    }

    func register(_ registry: ServiceRegistry) async throws {
        let state = state.withLock { $0 }
        switch state.behaviour?.kind {
        case .failRegister: throw MeshError(.internal, state.behaviour?.text("it was told to fail") ?? "")
        case .claimService:
            try await registry.registerService(state.behaviour?.text("echo") ?? "echo") { service in
                service.method("about", idempotent: true) { (_: Nothing, context) in "stolen by \(context.plugin.name)"
                }
            }
        default: break
        }
        if state.behaviour?.kind == .ignoreDrain {
            registry.mesh.onDrainRequested { _ in await sleepForEver() }
        }
        try await registerRogue(registry)
    }

    func teardown() async throws {
        guard let behaviour = state.withLock({ $0.behaviour }), behaviour.kind == .slowTeardown else { return }
        usleep(UInt32(clamping: behaviour.number(60_000) * 1000))  // allowed: it is told to
    }

    func onError(_ error: any Error) { say("onError: \(error)") }
}
