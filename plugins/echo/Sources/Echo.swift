// The plugin that gives back what it is given: each kind of method in its smallest form.

import Glibc
import WizPlugin

@main
final class Echo: Plugin {
    struct Settings: Codable, Sendable {
        var version: String?
        var capacity: Int?
    }

    private let settings = Once<Settings>()

    func initialize(_ config: PluginConfig) async throws {
        var settings = try config.decode(Settings.self)
        if let version = getenv("WIZ_ECHO_VERSION") { settings.version = String(cString: version) }
        self.settings.set(settings)
    }

    func register(_ registry: ServiceRegistry) async throws {
        let instance = registry.mesh.configuration.instance
        try await registry.registerService(
            "echo",
            version: settings.value?.version,
            capacity: settings.value?.capacity ?? 64
        ) { service in
            service.raw("say") { payload, _ in payload }
            service.method("about") { (_: Nothing, context) in
                About(
                    name: context.plugin.name,
                    version: context.version,
                    instance: instance,
                    process: getpid(),
                    caller: context.caller
                )
            }
            service.method("sleep", sleep)
            service.method("fail", fail)
            service.stream("count", count)
            service.collect("sum") { (numbers: RequestReader<Double>, _) in
                try await numbers.reduce(0, +)
            }
            service.duplex("upper") { (texts: RequestReader<String>, _, replies) in
                for try await text in texts { try await replies.send(text.uppercased()) }
            }
        }
    }
}
