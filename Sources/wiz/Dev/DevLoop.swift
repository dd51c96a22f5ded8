// What `wiz dev` does over and over: check the manifest, run the build, check the program, reload. Whatever fails is shown, and
// the generation that serves goes on serving.

import ConfigDocument
import Glibc
import Manifest
import PluginHost
import Synchronization

/// Builds and reloads one plugin as its sources change.
actor DevLoop {
    /// How many lines of a failed build are shown at most.
    static let shownLines = 200

    let folder: String
    private let printer: LogPrinter
    private let watcher: FileWatcher<TreePlan>
    private var traces = BuildTraces()

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
        try tellWaiting()
        for await batch in watcher.batches {
            guard let changes = changes(batch) else { continue }
            if let manifest = await build(because: changes) { return manifest }
            try tellWaiting()
        }
        throw CancellationError()
    }

    private func tellWaiting() throws {
        try Task.checkCancellation()
        printer.print("dev", "waiting for a change", mark: .warning)
    }

    /// Builds and reloads at each change, until the task is cancelled.
    func follow(_ reload: @Sendable () async -> Void) async {
        for await batch in watcher.batches {
            guard let changes = changes(batch) else { continue }
            if await build(because: changes) != nil, !Task.isCancelled { await reload() }
        }
    }

    /// The files whose changes call for a build, none where much has changed at once; nil when there is nothing to do.
    private func changes(_ batch: WatchBatch) -> Set<String>? {
        let paths = traces.changes(batch.paths, changedAt: changeTime)
        for path in traces.newlyIgnored {
            printer.print("dev", "each build writes \(short(path)): that calls for no further one", mark: .warning)
        }
        return paths.isEmpty && batch.isComplete ? nil : batch.isComplete ? paths : []
    }

    /// The manifest, once the plugin is right and built; nil when it is not, which was told.
    private func build(because changes: Set<String>?) async -> PluginManifest? {
        if let changes { printer.print("dev", sentence(changes)) }
        guard let manifest = checked(.location) else { return nil }
        if let command = manifest.build {
            for path in manifest.programFiles(in: folder) { traces.programs.formUnion([path, resolved(path) ?? path]) }
            traces.buildBegins(at: fileTime())
            let went = await run(command)
            traces.buildEnds(at: fileTime())
            guard went else { return nil }
        }
        return checked(.executable)
    }

    private func sentence(_ changes: Set<String>) -> String {
        let names = changes.sorted().map(short)
        return "changed: " + (names.isEmpty ? "much at once" : names.prefix(3).joined(separator: ", "))
            + (names.count > 3 ? " and \(names.count - 3) more" : "")
    }

    private func short(_ path: String) -> String {
        path.hasPrefix(folder + "/") ? String(path.dropFirst(folder.count + 1)) : path
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
        // Who ends the loop ends the build: that is no failure of the build.
        if Task.isCancelled { return false }
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

/// The clock by which files are stamped.
private func fileTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return Duration(time)
}

/// When a file was last changed; nil when it is not there.
private func changeTime(_ path: String) -> Duration? {
    var status = stat()
    return lstat(path, &status) == 0 ? Duration(status.st_ctim) : nil
}

extension Duration {
    fileprivate init(_ time: timespec) { self = .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec) }
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
