// The watcher: what is told when files change, and what is not.

import Glibc
import Manifest
import Testing

@testable import wiz

@Suite(.timeLimit(.minutes(1)))
struct WatchTests {
    private static let timing = WatchTiming(quiet: .milliseconds(20), longest: .milliseconds(500))

    /// The batches until one names a file.
    private func paths(_ watcher: FileWatcher<some WatchPlan>, until last: String) async throws -> Set<String> {
        try await withThrowingTaskGroup(of: Set<String>.self) { group in
            group.addTask {
                var all: Set<String> = []
                for await batch in watcher.batches {
                    all.formUnion(batch.paths)
                    if all.contains(last) { return all }
                }
                throw NotSeen(description: "the watcher has ended; it told \(all)")
            }
            group.addTask {
                try await Task.sleep(for: .seconds(10))  // allowed: the clock of a bounded wait
                throw NotSeen(description: "\(last) was not told")
            }
            defer {
                group.cancelAll()
                watcher.stop()
            }
            return try await group.next() ?? []
        }
    }

    @Test func `a tree tells of files below it, in new folders too, and not of what tools leave`() async throws {
        let folder = try TestFolder()
        try folder.write("Sources/old", "1")
        let watcher = try FileWatcher(TreePlan(root: folder.path), timing: Self.timing)
        for name in [".build/debug/x", ".git/index", "Sources/a~", "Sources/.a.swp", "Sources/.#a"] {
            try writeFile([1], to: folder.at(name))
        }
        try writeFile([1], to: folder.at("New/Deep/file"))
        try writeFile([2], to: folder.at("Sources/old"))
        try writeFile([3], to: folder.at("last"))
        let told = try await paths(watcher, until: folder.at("last"))
        #expect(told == Set(["New/Deep/file", "Sources/old", "last"].map { folder.path + "/" + $0 }))
    }

    @Test func `a tree tells of files that vanish, and of a folder that moves in`() async throws {
        let folder = try TestFolder()
        try writeFile([1], to: folder.at("tree/gone"))
        try writeFile([1], to: folder.at("beside/inside/file"))
        let watcher = try FileWatcher(TreePlan(root: folder.path + "/tree"), timing: Self.timing)
        unlink(folder.at("tree/gone"))
        rename(folder.path + "/beside/inside", folder.path + "/tree/inside")
        try writeFile([1], to: folder.at("tree/inside/last"))
        let told = try await paths(watcher, until: folder.at("tree/inside/last"))
        #expect(told.contains(folder.at("tree/gone")))
        #expect(told.contains(folder.at("tree/inside/file")))
    }

    @Test func `changes within a moment come together`() async throws {
        let folder = try TestFolder()
        let watcher = try FileWatcher(
            TreePlan(root: folder.path),
            timing: WatchTiming(quiet: .milliseconds(300), longest: .seconds(5))
        )
        defer { watcher.stop() }
        for number in 0..<20 { try writeFile([1], to: folder.at("file-\(number)")) }
        var batches = watcher.batches.makeAsyncIterator()
        let batch = await batches.next()
        #expect(batch?.paths.count == 20)
        #expect(batch?.isComplete == true)
    }

    @Test func `single files are told when they are other ones, wherever they are or will be`() async throws {
        let folder = try TestFolder()
        try folder.write("plain", "1")
        try folder.write("same", "1")
        try folder.write("real/program", "1")
        try #require(symlink("real", folder.path + "/link") == 0)
        let files = ["plain", "same", "link/program", "later/deep/file", "gone"].map { folder.path + "/" + $0 }
        try folder.write("gone", "1")
        let watcher = try FileWatcher(FilesPlan(Set(files)), timing: Self.timing)
        try folder.write("unwatched", "1")
        unlink(folder.at("gone"))
        try folder.write("plain", "22")
        try folder.write("real/program", "22")
        try folder.write("later/deep/file", "1")
        var told = try await paths(watcher, until: files[3])
        told.remove(files[3])
        // What was written in time is in the same batches.
        #expect(told == Set([files[0], files[2]]))
    }

    @Test func `it ends when it is stopped`() async throws {
        let folder = try TestFolder()
        let watcher = try FileWatcher(TreePlan(root: folder.path), timing: Self.timing)
        watcher.stop()
        for await _ in watcher.batches { Issue.record("nothing has changed") }
    }

    @Test func `the files of a program are those that main names`() throws {
        let folder = try TestFolder()
        try folder.plugin("echo")
        let manifest = try PluginManifest.load(folder: folder.path + "/plugins/echo", checking: .executable)
        #expect(manifest.programFiles(in: "/x") == ["/x/bin/echo"])
    }
}
