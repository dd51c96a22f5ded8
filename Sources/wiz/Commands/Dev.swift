// `wiz dev`: the inner loop of a plugin's author: a mesh with the plugin, its sources watched, built, checked and reloaded. It
// joins a mesh that runs the plugin already, and starts one of its own otherwise.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc
import Manifest
import MeshClient
import PluginHost

struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a plugin and reload it whenever its sources change.",
        discussion: """
            Examples:
              wiz dev                           the plugin of this folder
              wiz dev my-plugin --with ../llm   with another one that it needs
              wiz dev my-plugin --alone         in a mesh of its own, beside one that runs

            It runs the `build` of plugin.json, checks the manifest and the program, and reloads: calls in flight finish on the
            old generation. A failed build or check shows its errors, and the old generation serves on. If a mesh is running
            that lists the plugin, that one reloads it; otherwise a mesh is started here, and the plugin is granted all that it
            asks for. Ctrl-C ends.
            """
    )

    @Argument(help: "The plugin's folder.", completion: .directory)
    var folder = "."
    @Option(
        name: .customLong("with"),
        help: "The folder of another plugin to run; again for more.",
        completion: .directory
    )
    var others: [String] = []
    @Flag(help: "Start a mesh in a run folder of its own, whatever runs already.")
    var alone = false
    @Option(
        help: ArgumentHelp("Write this file, as JSON, once everything is ready.", valueName: "file")
    )
    var readyFile: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try demandPlugin(in: folder)
        let path = resolved(folder) ?? absolutePath(folder)
        let printer = LogPrinter(asJSON: output.json)
        let loop: DevLoop
        do { loop = try DevLoop(folder: path, printer: printer) } catch {
            throw CommandFailure(.failed, error.description)
        }
        if !alone, broker.isThere {
            try await join(path, loop, printer)
        } else {
            try await start(path, loop, printer)
        }
    }

    // MARK: - A mesh of its own

    private func start(_ path: String, _ loop: DevLoop, _ printer: LogPrinter) async throws {
        let manifest = try await Interrupts.cancelling { try await loop.firstBuild() }
        var draft = MeshDraft(grantsRequested: true)
        for name in [path] + others { try draft.add(name) }
        if let first = draft.leftOut.first { throw CommandFailure(invalid: first.problems, first.folder) }
        let asked = (manifest.permissions + manifest.optionalPermissions).map(\.name)
        if !asked.isEmpty {
            printer.print("dev", "granted here, since it is asked for: \(asked.joined(separator: ", "))")
        }
        let file = try draft.file(at: path + "/.wiz-dev.yaml")
        let foreground = Foreground(printer: printer, readyFile: readyFile)
        try await foreground.run(count(file.plugins.count, "plugin")) { [alone] in
            try await MeshRun.begin(file, isAlone: alone, printer: printer)
        } beside: { run in
            await loop.follow {
                await tellReload(of: manifest.name, printer: printer) { try await run.host.reload(manifest.name) }
            }
        }
    }

    // MARK: - A mesh that runs

    private func join(_ path: String, _ loop: DevLoop, _ printer: LogPrinter) async throws {
        try await broker.withMesh { [self] mesh in
            let plugin = try await running(path, mesh)
            let reload: @Sendable () async -> Void = { await self.reload(plugin, mesh, printer) }
            _ = try await loop.firstBuild()
            await reload()
            printer.print("dev", "watching \(folder); Ctrl-C ends", mark: .good)
            await loop.follow(reload)
        }
    }

    /// The plugin as a running host has it.
    private func running(_ path: String, _ mesh: MeshConnection) async throws -> HostedPlugin {
        let hosts = try await mesh.hosts()
        let own = hosts.plugins.first { resolved($0.item.text("folder")) == path }
        if let own { return own }
        let name = (try? PluginManifest.load(folder: path, checking: .none))?.name
        let same = hosts.plugins.first { $0.name == name }
        throw CommandFailure(
            .notFound,
            same.map { "the running mesh has \($0.name) from another folder, \($0.item.text("folder"))" }
                ?? "the mesh that runs at \(broker.resolvedEndpoint) does not list the plugin of \(folder)",
            hint: "For a mesh of its own beside it, add --alone."
                + "\nTo have it there, list its folder under `plugins:` of the mesh file and type: wiz reload"
        )
    }

    private func reload(_ plugin: HostedPlugin, _ mesh: MeshConnection, _ printer: LogPrinter) async {
        do {
            let outcome = try await mesh.reloadPlugin(plugin.service, plugin.name, bound: .seconds(300)) { step in
                printer.print(plugin.name, step.text("text"))
            }
            printer.print("dev", outcomeSentence(plugin.name, "reloaded", outcome), mark: .good)
        } catch let error as MeshError {
            printer.print("dev", "\(error.message)", mark: .bad)
            if !error.hint.isEmpty { printer.print("dev", error.hint) }
        } catch {
            printer.print("dev", "\(plugin.name) was not reloaded: \(error)", mark: .bad)
        }
    }
}
