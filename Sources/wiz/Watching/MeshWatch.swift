// `wiz up --watch`: a plugin whose manifest or program has changed is reloaded; when the mesh file or the grants file has, the
// mesh takes it up. Files are watched before they are read, so that whatever changes after it was read is told.

import Broker
import Manifest
import PluginHost

/// Watches the files of a mesh that runs in this process.
final class MeshWatch: Sendable {
    private let reader: MeshFileReader
    /// Whether there is a mesh file, and not only folders of plugins.
    private let hasFile: Bool
    private let watcher: FileWatcher<FilesPlan>

    /// Watches from now on: what the mesh runs is to be read after this.
    ///
    /// - Throws: why files cannot be watched.
    init(_ file: MeshFile) throws(WatchFailure) {
        reader = MeshFileReader(file)
        hasFile = resolved(file.path) != nil
        watcher = try FileWatcher(FilesPlan([]), timing: WatchTiming(quiet: .milliseconds(200)))
        _ = try targets()
    }

    /// Lets changes take effect until the task is cancelled.
    func follow(_ run: MeshRun) async {
        do throws(WatchFailure) {
            for await batch in watcher.batches {
                let targets = try targets()
                let changed = Set(batch.paths.flatMap { targets[$0] ?? [] })
                let names = changed.compactMap(\.plugin)
                let known = Set(await run.statuses().map(\.plugin))
                // One that was left out comes in with its mended manifest.
                if changed.contains(.mesh) || !known.isSuperset(of: names) { await run.reload() }
                await withTaskGroup(of: Void.self) { group in
                    for name in known.intersection(names) {
                        group.addTask {
                            await tellReload(of: name, printer: run.printer) { try await run.host.reload(name) }
                        }
                    }
                }
            }
        } catch {
            run.printer.print("wiz", "nothing is watched any more: \(error)", mark: .bad)
        }
    }

    private enum Target: Hashable {
        case plugin(String)
        case mesh

        var plugin: String? { if case .plugin(let name) = self { name } else { nil } }
    }

    /// Each file with whom it belongs to, as files say it now; all of them are watched.
    ///
    /// They are read again until none comes up that was not watched when it was read.
    private func targets() throws(WatchFailure) -> [String: Set<Target>] {
        var watched: Set<String> = []
        while true {
            let targets = read()
            let files = Set(targets.keys)
            if files.isSubset(of: watched) { return targets }
            try watcher.change { $0.files = files }
            watched = files
        }
    }

    private func read() -> [String: Set<Target>] {
        var targets: [String: Set<Target>] = [:]
        func add(_ path: String, _ target: Target) { targets[absolutePath(path), default: []].insert(target) }
        // Where the file has problems, that which was good counts on.
        let file = (try? reader.read()) ?? reader.latest
        for plugin in file.plugins where plugin.isRun && !plugin.folder.isEmpty {
            add(plugin.folder + "/" + PluginManifest.fileName, .plugin(plugin.name))
            if let executable = plugin.executable {
                add(executable, .plugin(plugin.name))
            } else if let manifest = try? PluginManifest.load(folder: plugin.folder, checking: .none) {
                for path in manifest.programFiles(in: plugin.folder) { add(path, .plugin(plugin.name)) }
            }
        }
        for plugin in file.leftOut { add(plugin.folder + "/" + PluginManifest.fileName, .mesh) }
        if hasFile {
            add(file.path, .mesh)
            add(file.grantsPath, .mesh)
        }
        return targets
    }
}

/// Reloads a plugin of this process, and prints what came of it.
func tellReload(
    of name: String,
    printer: LogPrinter,
    _ reload: () async throws -> ReloadOutcome
) async {
    do {
        switch try await reload() {
        case .promoted(let generation, let version, let time):
            printer.print(
                "wiz",
                "\(name) \(version) reloaded: generation \(generation) serves, after \(Units.text(time))",
                mark: .good
            )
        case .deferred(let text): printer.print("wiz", "\(name): \(text)")
        case .held(let names):
            printer.print(
                "wiz",
                "\(name): the new one waits for a grant; type: wiz grant \(name) \(names.joined(separator: " "))",
                mark: .warning
            )
        case .failed(let reason, let lines):
            printer.print("wiz", "\(name) was not reloaded, the old one serves on: \(reason)", mark: .bad)
            for line in lines.suffix(10) { printer.print(name, line) }
        }
    } catch {
        printer.print("wiz", "\(name) was not reloaded: \(error)", mark: .bad)
    }
}

extension PluginManifest {
    /// The files inside the folder of which the program is made, as far as `main` names them.
    func programFiles(in folder: String) -> [String] {
        let words: [String]
        switch main.program {
        case .inFolder(let path): words = [path]
        case .onPath: words = main.arguments.filter { !$0.hasPrefix("-") }
        }
        return words.map { $0.hasPrefix("/") ? $0 : folder + "/" + $0 }
    }
}
