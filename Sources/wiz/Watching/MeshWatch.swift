// `wiz up --watch`: a plugin whose manifest or program has changed is reloaded; when the mesh file or the grants file has, the
// mesh takes it up.

import Broker
import Manifest
import PluginHost

/// Watches the files of a mesh that runs in this process.
struct MeshWatch: Sendable {
    private let run: MeshRun
    private var printer: LogPrinter { run.printer }

    init(_ run: MeshRun) { self.run = run }

    /// Watches until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            let targets = targets(leftOut: await run.host.leftOut)
            do throws(WatchFailure) {
                let watcher = try FileWatcher(
                    FilesPlan(Array(targets.keys).sorted()),
                    timing: .init(quiet: .milliseconds(200))
                )
                defer { watcher.stop() }
                await follow(watcher, targets)
            } catch {
                printer.print("wiz", "\(error)", mark: .bad)
                return
            }
        }
    }

    private enum Target: Hashable {
        case plugin(String)
        case mesh
    }

    /// Each file with whom it belongs to.
    private func targets(leftOut: [LeftOutPlugin]) -> [String: Set<Target>] {
        var targets: [String: Set<Target>] = [:]
        func add(_ path: String, _ target: Target) { targets[absolutePath(path), default: []].insert(target) }
        let file = (try? run.reader.read()) ?? run.file
        for plugin in file.plugins where !plugin.folder.isEmpty {
            add(plugin.folder + "/" + PluginManifest.fileName, .plugin(plugin.name))
            if let executable = plugin.executable {
                add(executable, .plugin(plugin.name))
            } else if let manifest = try? PluginManifest.load(folder: plugin.folder, checking: .none) {
                for path in manifest.programFiles(in: plugin.folder) { add(path, .plugin(plugin.name)) }
            }
        }
        // One that is left out comes in with its mended manifest.
        for plugin in file.leftOut + leftOut { add(plugin.folder + "/" + PluginManifest.fileName, .mesh) }
        if resolved(file.path) != nil {
            add(file.path, .mesh)
            add(file.grantsPath, .mesh)
        }
        return targets
    }

    /// Handles changes; returns when what is to be watched may be different.
    private func follow(_ watcher: FileWatcher, _ targets: [String: Set<Target>]) async {
        for await batch in watcher.batches {
            let changed = Set(batch.paths.flatMap { targets[$0] ?? [] })
            if changed.contains(.mesh) {
                await run.reload()
                return
            }
            let isManifest = batch.paths.contains { $0.hasSuffix("/" + PluginManifest.fileName) }
            await withTaskGroup(of: Void.self) { group in
                for case .plugin(let name) in changed { group.addTask { await reload(name) } }
            }
            if isManifest { return }
        }
    }

    private func reload(_ name: String) async {
        await tellReload(of: name, printer: printer) { try await run.host.reload(name) }
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
