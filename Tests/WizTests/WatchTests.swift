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

    @Test func `what is watched may be changed, and nothing is lost of what was watched before`() async throws {
        let folder = try TestFolder()
        let files = ["old", "new", "last"].map { folder.path + "/" + $0 }
        let watcher = try FileWatcher(FilesPlan([files[0]]), timing: Self.timing)
        for round in 0..<50 {
            try folder.write("old", "\(round)")
            try folder.write("new", "before it is watched \(round)")
            try watcher.change { $0.files = [files[0], files[1]] }
            try watcher.change { $0.files = [files[0], files[2]] }
        }
        try folder.write("last", "1")
        let told = try await paths(watcher, until: files[2])
        #expect(told.subtracting([files[1]]) == [files[0], files[2]])
    }

    @Test func `a watcher that was stopped leaves the others alone`() async throws {
        let folder = try TestFolder()
        // Each lets go of its descriptors, which the next one gets.
        for _ in 0..<20 {
            let watcher = try FileWatcher(TreePlan(root: folder.path), timing: Self.timing)
            watcher.stop()
            for await _ in watcher.batches {}
            let other = try FileWatcher(TreePlan(root: folder.path), timing: Self.timing)
            withExtendedLifetime(watcher) {}
            try writeFile([1], to: folder.at("file"))
            #expect(try await paths(other, until: folder.at("file")) == [folder.path + "/file"])
        }
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

/// What an author changed, and what builds wrote.
struct BuildTracesTests {
    @Test func `what each build writes calls for no build any more, and what an author saves always does`() {
        var traces = BuildTraces()
        traces.programs = ["bin"]
        var times: [String: Duration] = [:]
        func changes(_ paths: Set<String>) -> Set<String> { traces.changes(paths) { times[$0] } }
        #expect(changes(["a", "bin"]) == ["a"])
        for build in 1...5 {
            let begin = Duration.seconds(10 * build)
            traces.buildBegins(at: begin)
            traces.buildEnds(at: begin + .seconds(2))
            times["made"] = begin + .seconds(1)
            #expect(changes(["made", "bin"]) == (build < BuildTraces.proof ? ["made"] : []))
            #expect(traces.newlyIgnored == (build == BuildTraces.proof ? ["made"] : []))
            // The same once more, in another batch of the same build.
            #expect(changes(["made"]) == (build < BuildTraces.proof ? ["made"] : []))
            // What an author saves right after the build counts, as often as it happens.
            times["a"] = begin + .seconds(2) + .milliseconds(1)
            #expect(changes(["a"]) == ["a"])
        }
        // What is saved after a build is an author's, even where builds wrote it.
        times["made"] = .seconds(53)
        #expect(changes(["made"]) == ["made"])
        traces.buildBegins(at: .seconds(60))
        traces.buildEnds(at: .seconds(61))
        times["made"] = .seconds(61)
        #expect(changes(["made"]) == ["made"])
    }

    @Test func `a file that is saved in two builds on end is the author's`() {
        var traces = BuildTraces()
        func build(at second: Int) {
            traces.buildBegins(at: .seconds(second))
            traces.buildEnds(at: .seconds(second))
        }
        for second in [1, 2, 4, 5] {
            if second == 4 { build(at: 3) }
            build(at: second)
            #expect(traces.changes(["a"]) { _ in nil } == ["a"])
        }
    }
}
