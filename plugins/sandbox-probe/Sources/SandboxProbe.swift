// A plugin that shows from inside what its sandbox lets through: what it tries is in Attempts.swift.

import WizPlugin

@main
struct SandboxProbe: Plugin {
    func register(_ registry: ServiceRegistry) async throws {
        try await registry.registerService("sandbox-probe") { service in
            service.method("about") { (_: Nothing, _) in About() }
            service.method("connect") { (target: Target, _) in Attempt.connect(target) }
            service.method("open") { (file: File, _) in Attempt.open(file) }
            service.method("hog") { (amount: Amount, _) in try await hog(amount) }
            service.method("crash") { (_: Nothing, _) -> Nothing in crash() }
        }
    }
}
