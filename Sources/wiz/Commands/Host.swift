// `wiz host`: the plugins of this machine, for a broker on another one.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc
import Manifest
import MeshProtocol

struct Host: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the plugins of this machine against a broker elsewhere.",
        discussion: """
            Examples:
              export WIZ_ENDPOINT=tcp://192.0.2.10:7400 WIZ_SERVER_KEY=… WIZ_KEY_FILE=host.json
              wiz host --name machine-b plugins/ngram-llm
              wiz host --name machine-b --mesh machine-b.yaml

            The broker's mesh file knows the host as a principal with the role `host` and lists its plugins; the list here, or
            the file's `plugins:`, says what runs on this machine, and how. Plugins are supervised and sandboxed as by
            `wiz up`; they need no network, and get keys of their own for each process. SIGHUP reads the file again.
            Its service is `host.NAME`: without --name that of the principal, which is the only one that it may provide, but
            for those that the mesh file lists under the principal's `names:`.
            """
    )

    @Argument(help: "Folders of plugins, in place of a file.", completion: .directory)
    var folders: [String] = []
    @Option(
        help: "A file with `plugins:` as in a mesh file. Default: mesh.yaml.",
        completion: .file(extensions: ["yaml", "yml", "json"])
    )
    var mesh: String?
    @Option(
        help: ArgumentHelp(
            "Write this file, as JSON, once everything is ready; it is removed at the end.",
            valueName: "file"
        )
    )
    var readyFile: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if mesh != nil, !folders.isEmpty { throw ValidationError("name a file or folders of plugins, not both") }
        if broker.name == "local" {
            throw ValidationError("\"local\" is the host beside the broker; name this one otherwise")
        }
        if let name = broker.name, !Names.isName(name) {
            throw ValidationError("\"\(name)\" is no good name for a host: lower-case words joined by -, _ or .")
        }
    }

    func run() async throws {
        let file = try readFile()
        let printer = LogPrinter(asJSON: output.json)
        let foreground = Foreground(printer: printer, readyFile: readyFile, leftOut: file.leftOut)
        try await foreground.run(count(file.plugins.count, "plugin")) { [self] in
            try await HostRun.begin(file, name: broker.name ?? variable("WIZ_NAME"), broker: broker, printer: printer)
        }
    }

    private func readFile() throws(CommandFailure) -> MeshFile {
        guard folders.isEmpty else {
            var draft = MeshDraft(grantsRequested: false)
            for folder in folders { try draft.add(folder) }
            if let first = draft.leftOut.first { throw CommandFailure(invalid: first.problems, first.folder) }
            return try draft.file(at: "./.wiz-host.yaml")
        }
        let path = mesh ?? "mesh.yaml"
        try demandMeshFile(path, hint: "Name one with --mesh FILE, or name folders of plugins: wiz host plugins/echo.")
        do { return try MeshFile(reading: path, after: nil) } catch { throw CommandFailure(invalid: error, path) }
    }
}
