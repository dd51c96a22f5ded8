// `wiz up`: a mesh in the foreground: the broker in this process, each plugin in a process of its own.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc
import Manifest

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a mesh: the broker and the plugins of a mesh file.",
        discussion: """
            Examples:
              wiz up                          the mesh.yaml of this folder
              wiz up --mesh demo/mesh.yaml
              wiz up plugins/echo plugins/ui  plugins without a mesh file
              wiz up --folder plugins --watch every plugin in a folder, reloaded when it is built anew

            When all plugins are ready, or it is known why they are not, it prints a line that begins with "ready" and, with
            --ready-file, writes that file: scripts wait for either. Ctrl-C stops the plugins in reverse order, then the
            broker; a second Ctrl-C ends at once. SIGHUP reads the mesh file again. A plugin whose manifest has problems is
            left out and told of.

            The exit code is 0 when a mesh that was ready was stopped, by Ctrl-C or otherwise.
            """
    )

    @Argument(help: "Folders of plugins, in place of a mesh file.", completion: .directory)
    var folders: [String] = []
    @Option(help: "The mesh file. Default: mesh.yaml.", completion: .meshFile)
    var mesh: String?
    @Option(help: "A folder of plugins: every folder in it that has a plugin.json.", completion: .directory)
    var folder: [String] = []
    @Flag(help: "Reload a plugin when its plugin.json or its program changes, and the mesh when its file does.")
    var watch = false
    @Flag(help: "End when a plugin is not ready or its manifest has problems, instead of running the others.")
    var strict = false
    @Flag(help: "With folders: grant plugins all that they ask for.")
    var grantRequested = false
    @Option(
        help: ArgumentHelp(
            "Write this file, as JSON, once everything is ready; it is removed at the end.",
            valueName: "file"
        )
    )
    var readyFile: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let hasFolders = !folders.isEmpty || !folder.isEmpty
        if mesh != nil, hasFolders { throw ValidationError("name a mesh file or folders of plugins, not both") }
        if grantRequested, !hasFolders { throw ValidationError("--grant-requested goes with folders of plugins") }
    }

    func run() async throws {
        let printer = LogPrinter(asJSON: output.json)
        var (file, leftOut) = try readFile()
        var watch: MeshWatch?
        if self.watch {
            do { watch = try MeshWatch(file) } catch { throw CommandFailure(.failed, error.description) }
            // What has changed before it was watched is in what is read now.
            (file, leftOut) = try readFile()
        }
        let foreground = Foreground(printer: printer, isStrict: strict, readyFile: readyFile, leftOut: leftOut)
        try await foreground.run(count(file.plugins.count, "plugin")) { [file] in
            try await MeshRun.begin(file, printer: printer)
        } beside: { [watch] run in
            await watch?.follow(run)
        }
    }

    private func readFile() throws -> (MeshFile, [LeftOutPlugin]) {
        guard folders.isEmpty, folder.isEmpty else { return try readFolders() }
        let path = mesh ?? "mesh.yaml"
        try demandMeshFile(path, hint: "Name one with --mesh FILE, or start plugins without one: wiz up plugins/echo.")
        do {
            let file = strict ? try MeshFile(reading: path) : try MeshFile(reading: path, after: nil)
            return (file, file.leftOut)
        } catch {
            throw CommandFailure(invalid: error, path)
        }
    }

    private func readFolders() throws -> (MeshFile, [LeftOutPlugin]) {
        var draft = MeshDraft(grantsRequested: grantRequested)
        for name in folders { try draft.add(name) }
        for name in folder { try draft.addAll(in: name) }
        if strict || folder.isEmpty, let first = draft.leftOut.first {
            throw CommandFailure(invalid: first.problems, first.folder)
        }
        return (try draft.file(at: "./.wiz-up.yaml"), draft.leftOut)
    }
}
