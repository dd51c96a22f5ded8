// A mesh without a mesh file: the plugins of some folders. A folder whose manifest has problems is left out and told of.

import Broker
import ConfigDocument
import Glibc
import Manifest

/// A mesh file in the making.
struct MeshDraft {
    /// Whether plugins are granted all that they ask for.
    let grantsRequested: Bool
    private var plugins: [JSON] = []
    /// The folders whose manifests have problems.
    private(set) var leftOut: [LeftOutPlugin] = []

    init(grantsRequested: Bool) { self.grantsRequested = grantsRequested }

    /// Adds the plugin of a folder.
    ///
    /// - Throws: that the folder is not there.
    mutating func add(_ folder: String) throws(CommandFailure) {
        guard let path = resolved(folder) else {
            throw CommandFailure(
                .notFound,
                "the folder \(folder) cannot be read: \(String(cString: strerror(errno)))",
                hint: "Name folders that have a plugin.json."
            )
        }
        do throws(ConfigErrors) {
            let manifest = try PluginManifest.load(folder: path, source: folder + "/" + PluginManifest.fileName)
            plugins.append(entry(path, manifest))
        } catch {
            leftOut.append(LeftOutPlugin(folder: folder, problems: error))
        }
    }

    /// Adds every folder in a folder that has a manifest.
    ///
    /// - Throws: that there is none.
    mutating func addAll(in folder: String) throws(CommandFailure) {
        let names = entries(of: folder).map(\.name).sorted().filter { name in
            !name.hasPrefix(".") && access("\(folder)/\(name)/\(PluginManifest.fileName)", F_OK) == 0
        }
        guard !names.isEmpty else {
            throw CommandFailure(
                .notFound,
                "no folder in \(folder) has a \(PluginManifest.fileName)",
                hint: "Make a plugin with `wiz new NAME`, or name its folder itself: wiz up FOLDER."
            )
        }
        for name in names { try add("\(folder)/\(name)") }
    }

    /// The mesh file; `path` is where it would stand.
    func file(at path: String) throws(CommandFailure) -> MeshFile {
        do { return try MeshFile(text: JSON.object(["plugins": .list(plugins)]).json, path: path) } catch {
            throw CommandFailure(invalid: error, "the plugins")
        }
    }

    private func entry(_ folder: String, _ manifest: PluginManifest) -> JSON {
        guard grantsRequested else { return .object(["path": .string(folder)]) }
        let permissions = (manifest.permissions + manifest.optionalPermissions).map(\.name)
        let calls = manifest.dependencies.map { $0.service + ".>" }
        return .object([
            "path": .string(folder),
            "grant": .object([
                "permissions": .list(permissions.map { .string($0) }), "call": .list(calls.map { .string($0) }),
                "publish": .list([.string(manifest.name + ".>")]), "subscribe": .list([.string(">")]),
            ]),
        ])
    }
}
