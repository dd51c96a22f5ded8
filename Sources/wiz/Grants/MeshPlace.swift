// A mesh file seen from the command line without a running mesh: its plugins with their manifests, its grants file, what
// comes of both, and who could start.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc
import Manifest
import MeshClient
import MeshProtocol
import SemanticVersion

/// A mesh file with its plugins and grants.
struct MeshPlace {
    /// A plugin of the mesh file.
    struct Plugin {
        let name: String
        let folder: String
        /// Nil when the manifest has problems, or is on another machine.
        let manifest: PluginManifest?
        let grant: PluginGrant

        var permissions: EffectivePermissions? { manifest.map { EffectivePermissions($0, grant: grant) } }
    }

    let path: String
    let grantsPath: String
    let plugins: [Plugin]
    /// Listed plugins whose manifests cannot be used.
    let leftOut: [LeftOutPlugin]
    /// What the files say that is hardly meant.
    let warnings: [String]

    /// The mesh file of this folder, if there is one.
    static var fileHere: String? { access("mesh.yaml", R_OK) == 0 ? "mesh.yaml" : nil }

    /// Reads a mesh file and what it names.
    init(reading path: String) throws(CommandFailure) {
        self.path = path
        try demandMeshFile(path, hint: "Name one with --mesh FILE.")
        do {
            let file = try MeshFile(reading: path, after: nil)
            grantsPath = absolutePath(file.grantsPath)
            leftOut = file.leftOut
            warnings = file.warnings
            plugins = file.plugins.map { entry in
                Plugin(
                    name: entry.name,
                    folder: entry.folder,
                    manifest: entry.folder.isEmpty ? nil : try? PluginManifest.load(folder: entry.folder),
                    grant: entry.grant
                )
            }
        } catch {
            throw CommandFailure(invalid: error, path)
        }
    }

    /// The plugin of a name.
    ///
    /// - Throws: that there is none, or that its manifest cannot be used.
    func required(_ name: String) throws(CommandFailure) -> Plugin {
        if let plugin = plugins.first(where: { $0.name == name }) { return plugin }
        if let broken = leftOut.first(where: { $0.folder.split(separator: "/").last.map(String.init) == name }) {
            throw CommandFailure(invalid: broken.problems, broken.folder)
        }
        let names = plugins.map(\.name)
        throw CommandFailure(
            .notFound,
            "\(path) lists no plugin \(name)",
            hint: nearest(to: name, among: names).map { "Did you mean \($0)?" }
                ?? (names.isEmpty ? "It lists none." : "It lists: \(names.sorted().joined(separator: ", ")).")
        )
    }

    /// Who could start, and why not.
    func resolution(elsewhere: [ServiceOffer]) -> Resolution {
        let resolvable = plugins.compactMap { plugin -> ResolvablePlugin? in
            guard let manifest = plugin.manifest, let permissions = plugin.permissions else { return nil }
            return ResolvablePlugin(
                name: plugin.name,
                manifest: manifest,
                hold: permissions.missing.isEmpty ? nil : .grant(permissions.missingNames)
            )
        }
        return Resolution(resolvable, elsewhere: elsewhere, mesh: try? SemanticVersion(WizmeshVersion.current))
    }
}

/// Which mesh a command about grants means.
struct MeshPlaceOptions: ParsableArguments {
    @Option(
        help: "The mesh file. Default: that of the running broker, else mesh.yaml.",
        completion: .meshFile
    )
    var mesh: String?
    @OptionGroup var broker: BrokerOptions

    /// The mesh file and what it names.
    func place() async throws -> MeshPlace {
        if let mesh { return try MeshPlace(reading: mesh) }
        if broker.isThere {
            let info = try await broker.withMesh { try await $0.ask("info") }
            // Another file that lies here is not the one that counts.
            guard broker.resolvedEndpoint.hasPrefix("ipc://"), let path = info["meshFile"]?.string,
                access(path, R_OK) == 0
            else {
                throw CommandFailure(
                    .notFound,
                    "the mesh file of the broker at \(broker.resolvedEndpoint) is not on this machine, or it has none",
                    hint: "Name the file that counts: --mesh FILE.\n"
                        + "Plugins that were started by their folders are granted with: wiz up --grant-requested FOLDER"
                )
            }
            return try MeshPlace(reading: path)
        }
        if let path = MeshPlace.fileHere { return try MeshPlace(reading: path) }
        throw CommandFailure(
            .notFound,
            "no mesh file: no broker tells one, and there is no mesh.yaml in this folder",
            hint: "Name it with --mesh FILE."
        )
    }
}

/// Refuses a mesh file that is not there.
func demandMeshFile(_ path: String, hint: String) throws(CommandFailure) {
    guard access(path, R_OK) != 0 else { return }
    throw CommandFailure(
        .notFound,
        "the mesh file \(path) cannot be read: \(String(cString: strerror(errno)))",
        hint: hint
    )
}

extension CompletionKind {
    /// A mesh file.
    static var meshFile: CompletionKind { .file(extensions: ["yaml", "yml", "json"]) }
}

extension CommandFailure {
    /// Problems of a file.
    init(invalid errors: ConfigErrors, _ what: String) {
        self.init(
            .invalidArgument,
            "\(what) cannot be used:\n" + errors.problems.map { "    \($0)" }.joined(separator: "\n"),
            details: [.init(key: "report", value: errors.reportJSON)]
        )
    }
}

extension BrokerOptions {
    /// Whether somebody listens at the endpoint; one that is not a local socket is taken to be there when it was named.
    var isThere: Bool {
        guard resolvedEndpoint.hasPrefix("ipc://") else { return true }
        return (try? Self.lookFor(resolvedEndpoint)) != nil
    }
}

extension MeshConnection {
    /// Why a plugin is left out of the mesh that runs, if its mesh file is on this machine and lists it.
    func leftOut(_ name: String) async -> CommandFailure? {
        guard let path = try? await ask("info")["meshFile"]?.string, access(path, R_OK) == 0,
            let place = try? MeshPlace(reading: path), !place.plugins.contains(where: { $0.name == name })
        else { return nil }
        do throws(CommandFailure) {
            _ = try place.required(name)
            return nil
        } catch {
            return error.exit == .invalidArgument ? error : nil
        }
    }
}
