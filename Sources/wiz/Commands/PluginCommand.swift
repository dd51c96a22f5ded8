// `wiz plugin reset|restart|stop|start NAME`: steers the processes of plugins through their hosts.

import ArgumentParser
import ConfigDocument
import MeshClient

struct PluginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugin",
        abstract: "Start, stop and restart plugins, and take them out of quarantine.",
        subcommands: [Start.self, Stop.self, Restart.self, Reset.self]
    )

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Start plugins that were stopped.")
        @OptionGroup var order: PluginOrder
        func run() async throws { try await order.run("start") }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop plugins: they finish their calls and are not started again.",
            discussion: "`wiz plugin start NAME` starts one again."
        )
        @OptionGroup var order: PluginOrder
        func run() async throws { try await order.run("stop") }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace plugins' processes by new ones of the same program.",
            discussion: """
                The new ones start beside the old ones and take over when they are ready, so no call is lost, unless the
                plugin says `"reload": "exclusive"`: then the old ones stop first. What is built anew since, `wiz reload NAME`
                brings up.
                """
        )
        @OptionGroup var order: PluginOrder
        func run() async throws { try await order.run("restart", "restarted") }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take plugins out of quarantine: their crashes are forgotten and they start again."
        )
        @OptionGroup var order: PluginOrder
        func run() async throws { try await order.run("reset", "reset") }
    }
}

/// What the four have in common.
struct PluginOrder: ParsableArguments {
    @Argument(help: "The plugins' names.", completion: .pluginNames)
    var plugins: [String]
    @Option(help: "How long it may take.")
    var timeout = DurationArgument(.seconds(60))
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    /// Gives the order to the host of each plugin.
    ///
    /// - Parameters:
    ///   - method: The host's method.
    ///   - done: What was done to the plugin, where its state does not tell.
    /// - Throws: what a host did not do.
    func run(_ method: String, _ done: String? = nil) async throws {
        try await broker.withMesh { [self] mesh in
            let hosts = try await mesh.hosts()
            let hosted = try plugins.map { try hosts.required($0) }
            for plugin in hosted {
                let progress = Progress("\(method) \(plugin.name)", isQuiet: output.json)
                defer { progress.finish() }
                let answer = try await mesh.askHost(
                    plugin.service,
                    method,
                    .object(["plugin": .string(plugin.name)]),
                    bound: timeout.duration
                )
                progress.finish()
                output.done(answer, sentence(plugin.name, answer, done))
            }
        }
    }

    private func sentence(_ plugin: String, _ answer: JSON, _ done: String?) -> String {
        if !answer.text("outcome").isEmpty { return outcomeSentence(plugin, done ?? "", answer) }
        let state = answer.text("state")
        return "\(plugin): " + [done, state.isEmpty ? nil : "now \(state)"].compactMap(\.self).joined(separator: ", ")
            + "."
    }
}
