// What `wiz dev` does over and over: check the manifest, run the build, check the program, reload. Whatever fails is shown, and
// the generation that serves goes on serving.

import ConfigDocument
import Manifest
import PluginHost
import Synchronization

/// Builds and reloads one plugin as its sources change.
actor DevLoop {
    /// How many lines of a failed build are shown at most.
    static let shownLines = 200

    let folder: String
    private let printer: LogPrinter
    private let watcher: FileWatcher
    /// Files that builds write: a change of one of them calls for nothing.
    private var outputs: Set<String> = []
    /// What changed while the last build ran.
    private var changedInBuild: Set<String> = []
    /// Until when changes may be the last build's own.
    private var buildEnd: ContinuousClock.Instant?
    private static let settling = Duration.milliseconds(400)

    /// Watches the sources from now on.
    init(folder: String, printer: LogPrinter) throws(WatchFailure) {
        self.folder = folder
        self.printer = printer
        watcher = try FileWatcher(TreePlan(root: folder))
    }

    /// Builds until it goes well, each time that something changes.
    ///
    /// - Throws: `CancellationError`.
    func firstBuild() async throws -> PluginManifest {
        if let manifest = await build(because: nil) { return manifest }
        printer.print("dev", "waiting for a change", mark: .warning)
        for await batch in watcher.batches where isChange(batch) {
            if let manifest = await build(because: batch) { return manifest }
            printer.print("dev", "waiting for a change", mark: .warning)
        }
        throw CancellationError()
    }

    /// Builds and reloads at each change, until the task is cancelled.
    func follow(_ reload: @Sendable () async -> Void) async {
        for await batch in watcher.batches {
            if Task.isCancelled { break }
            guard isChange(batch) else { continue }
            if await build(because: batch) != nil { await reload() }
        }
        watcher.stop()
    }

    /// Ends watching.
    func stop() { watcher.stop() }

    /// Whether a batch calls for a build.
    ///
    /// Files that change during two builds one after the other are what the build writes. So one that writes into its own
    /// sources is run once more than needed, and never again for that.
    private func isChange(_ batch: FileWatcher.Batch) -> Bool {
        let paths = batch.paths.subtracting(outputs)
        guard let buildEnd, ContinuousClock.now < buildEnd + Self.settling else {
            changedInBuild = []
            return !paths.isEmpty || !batch.isComplete
        }
        let again = paths.intersection(changedInBuild)
        outputs.formUnion(again)
        changedInBuild = paths.subtracting(again)
        return !changedInBuild.isEmpty || !batch.isComplete
    }

    /// The manifest, once the plugin is right and built; nil when it is not, which was told.
    private func build(because batch: FileWatcher.Batch?) async -> PluginManifest? {
        if let batch { printer.print("dev", sentence(batch)) }
        guard let manifest = checked(.location) else { return nil }
        if let command = manifest.build {
            for path in manifest.programFiles(in: folder) {
                outputs.insert(path)
                if let real = resolved(path) { outputs.insert(real) }
            }
            let went = await run(command)
            buildEnd = .now
            guard went else { return nil }
        }
        return checked(.executable)
    }

    private func sentence(_ batch: FileWatcher.Batch) -> String {
        let names = batch.paths.subtracting(outputs).sorted().map { path in
            path.hasPrefix(folder + "/") ? String(path.dropFirst(folder.count + 1)) : path
        }
        let shown = names.prefix(3).joined(separator: ", ")
        return "changed: " + (names.isEmpty ? "much at once" : shown)
            + (names.count > 3 ? " and \(names.count - 3) more" : "")
    }

    private func checked(_ check: MainCheck) -> PluginManifest? {
        do throws(ConfigErrors) {
            return try PluginManifest.load(folder: folder, source: PluginManifest.fileName, checking: check)
        } catch {
            for problem in error.problems { printer.print("dev", "\(problem)", mark: .bad) }
            if error.omitted > 0 { printer.print("dev", "… and \(error.omitted) more problems", mark: .bad) }
            return nil
        }
    }

    private func run(_ command: BuildCommand) async -> Bool {
        let begin = ContinuousClock.now
        let lines = Tail(Self.shownLines)
        let words = command.arguments.first == "/bin/sh" ? command.arguments.suffix(1) : command.arguments[...]
        let progress = Progress("building: \(words.joined(separator: " "))", isQuiet: printer.asJSON)
        printer.setProgress(progress)
        let outcome = await PluginBuild.run(command, in: folder) { line in
            lines.add(line)
            progress.update("building: \(clean(line))")
        }
        progress.finish()
        printer.setProgress(nil)
        let time = Units.text(begin.duration(to: .now))
        switch outcome {
        case .succeeded:
            printer.print("build", "built in \(time)", mark: .good)
            return true
        case .failed(let cause):
            for line in lines.lines { printer.print("build", line) }
            printer.print("build", "failed after \(time): \(cause)", mark: .bad)
            return false
        }
    }
}

/// The last lines of something that writes many.
private final class Tail: Sendable {
    private let count: Int
    private let kept = Mutex<[String]>([])

    init(_ count: Int) { self.count = count }

    func add(_ line: String) {
        kept.withLock { kept in
            if kept.count >= 2 * count { kept.removeFirst(count) }
            kept.append(line)
        }
    }

    var lines: [String] { kept.withLock { Array($0.suffix(count)) } }
}
