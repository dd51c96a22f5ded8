// `wiz reload`: lets the broker and the hosts read the mesh file again, or a host bring up the next generation of a plugin.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reload plugins; without a name read the mesh file again.",
        discussion: """
            With names: the next generation starts beside the present one, takes over in one step when it is ready, and
            the old one finishes its calls and ends. If anything fails before that, the old one goes on serving.

            Without: limits, rules, principals and keys are put into force together, then the hosts start plugins that are
            newly listed and stop those that no longer are; a file with problems changes nothing.
            """
    )

    @Argument(help: "The plugins' names.", completion: .pluginNames)
    var plugins: [String] = []
    @Option(help: "How long a plugin's reload may take.")
    var timeout = DurationArgument(.seconds(120))
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        if plugins.isEmpty { return try await reloadMeshFile() }
        try await broker.withMesh { [self] mesh in
            let hosts = try await mesh.hosts()
            let hosted = try plugins.map { try hosts.required($0) }
            for plugin in hosted { try await reload(plugin, mesh) }
        }
    }

    private func reloadMeshFile() async throws {
        let (settings, plugins) = try await broker.withMesh { mesh in
            do { return try await mesh.reloadMesh() } catch let error as MeshError
                where error.status == .failedPrecondition && error.hint.isEmpty
            {
                throw CommandFailure(error, hint: "Plugins are reloaded by their names: wiz reload NAME.")
            }
        }
        let answer = JSON.object([
            "changed": .list(settings.map { .string($0) }), "plugins": .list(plugins.map { .string($0) }),
        ])
        let changed = settings + (plugins.isEmpty ? [] : ["plugins \(plugins.joined(separator: " "))"])
        output.done(answer, changed.isEmpty ? "Nothing has changed." : "In force: \(changed.joined(separator: ", ")).")
    }

    private func reload(_ plugin: HostedPlugin, _ mesh: MeshConnection) async throws {
        let progress = Progress("reloading \(plugin.name)", isQuiet: output.json)
        defer { progress.finish() }
        let outcome: JSON
        do {
            outcome = try await mesh.reloadPlugin(plugin.service, plugin.name, bound: timeout.duration) { step in
                let text = step.text("text")
                progress.update("\(plugin.name): \(text.isEmpty ? step.text("step") : text)")
            }
        } catch let error as MeshError {
            throw CommandFailure(
                error,
                hint: error.hint.isEmpty
                    ? "Its state: `wiz why \(plugin.name)`, its output: `wiz logs \(plugin.name)`." : error.hint
            )
        }
        progress.finish()
        output.done(outcome, outcomeSentence(plugin.name, "reloaded", outcome))
    }
}

extension CompletionKind {
    /// The names of the plugins of the running mesh.
    static var pluginNames: CompletionKind {
        .shellCommand("wiz plugins --names 2>/dev/null")
    }
}
