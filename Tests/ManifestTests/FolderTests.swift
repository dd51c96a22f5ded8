// Manifests in folders: where `main` leads once all links are followed.

import ConfigDocument
import FoundationEssentials
import Manifest
import Testing

private struct Folder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "manifest-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: url.appending(path: "plugin/bin"),
            withIntermediateDirectories: true
        )
    }

    var plugin: String { url.appending(path: "plugin").path }

    func write(_ text: String, to path: String, mode: Int = 0o644) throws {
        let file = url.appending(path: path)
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
    }

    func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: url.appending(path: path).path, withDestinationPath: target)
    }

    func manifest(main: String) throws {
        try write("{\"name\": \"p\", \"version\": \"1.0.0\",\n \"main\": \(main)}", to: "plugin/plugin.json")
    }

    func problems(_ check: MainCheck = .location) -> [String] {
        do throws(ConfigErrors) {
            _ = try PluginManifest.load(folder: plugin, source: "plugin.json", checking: check)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }
}

private func withFolder(_ body: (Folder) throws -> Void) throws {
    let folder = try Folder()
    defer { try? FileManager.default.removeItem(at: folder.url) }
    try body(folder)
}

@Test func `a program inside the folder is found, also over a link that stays inside`() throws {
    try withFolder { folder in
        try folder.write("#!/bin/sh\n", to: "plugin/bin/real", mode: 0o755)
        try folder.link("plugin/main", to: "bin/real")
        try folder.manifest(main: "\"main\"")
        #expect(folder.problems(.executable).isEmpty)
        let manifest = try PluginManifest.load(folder: folder.plugin + "/", checking: .executable)
        #expect(try manifest.main.resolve(in: folder.plugin)?.hasSuffix("/plugin/bin/real") == true)
    }
}

@Test func `a folder that is reached over a link is still the folder`() throws {
    try withFolder { folder in
        try folder.write("", to: "plugin/bin/p", mode: 0o755)
        try folder.link("alias", to: "plugin")
        try folder.manifest(main: "\"bin/p\"")
        let manifest = try PluginManifest.load(folder: folder.url.appending(path: "alias").path, checking: .executable)
        #expect(manifest.name == "p")
    }
}

@Test func `a link out of the folder is refused`() throws {
    try withFolder { folder in
        try folder.link("plugin/main", to: "/bin/sh")
        try folder.manifest(main: "\"main\"")
        let found = folder.problems()
        #expect(found.count == 1)
        #expect(
            found.first?.hasPrefix(#"plugin.json:2:10 /main: "main" leads out of the plugin's folder, to "/"#) == true
        )
        #expect(folder.problems(.none).isEmpty)
    }
}

@Test func `a linked folder out of the folder is refused, whether the file is there or not`() throws {
    try withFolder { folder in
        try folder.link("plugin/lib", to: "..")
        try folder.manifest(main: "\"lib/not-yet\"")
        #expect(folder.problems().first?.contains(#""lib/not-yet" leads out of the plugin's folder, to"#) == true)
        try folder.manifest(main: "\"lib/plugin/plugin.json\"")
        #expect(
            folder.problems(.executable) == [
                #"plugin.json:2:10 /main: "lib/plugin/plugin.json" may not be executed; run: chmod +x lib/plugin/plugin.json"#
            ]
        )
    }
}

@Test func `a folder beside it whose name begins the same is not inside`() throws {
    try withFolder { folder in
        try FileManager.default.createDirectory(
            at: folder.url.appending(path: "plugin-evil"),
            withIntermediateDirectories: true
        )
        try folder.write("", to: "plugin-evil/p", mode: 0o755)
        try folder.link("plugin/main", to: "../plugin-evil/p")
        try folder.manifest(main: "\"main\"")
        #expect(folder.problems().count == 1)
    }
}

@Test func `a link that leads nowhere is refused`() throws {
    try withFolder { folder in
        try folder.link("plugin/main", to: "/nowhere/at/all")
        try folder.manifest(main: "\"main\"")
        #expect(folder.problems() == [#"plugin.json:2:10 /main: "main" is a link that leads nowhere"#])
    }
}

@Test func `a program that is not built yet is a problem only when it must run`() throws {
    try withFolder { folder in
        try folder.manifest(main: "\"bin/p\"")
        #expect(folder.problems(.location).isEmpty)
        #expect(
            folder.problems(.executable) == [
                #"plugin.json:2:10 /main: "bin/p" is not there; build the plugin first"#
            ]
        )
    }
}

@Test func `a program must be a file, and executable`() throws {
    try withFolder { folder in
        try folder.manifest(main: "\"bin\"")
        #expect(folder.problems() == [#"plugin.json:2:10 /main: "bin" is not a file"#])
        try folder.write("", to: "plugin/bin/p")
        try folder.manifest(main: "[\"./bin/p\", \"x\"]")
        #expect(folder.problems(.location).isEmpty)
        #expect(
            folder.problems(.executable) == [
                #"plugin.json:2:10 /main: "bin/p" may not be executed; run: chmod +x bin/p"#
            ]
        )
    }
}

@Test func `problems of main are told with all others`() throws {
    try withFolder { folder in
        try folder.link("plugin/main", to: "/bin/sh")
        try folder.write("{\"nam\": \"p\", \"version\": \"1.0.0\", \"main\": \"main\"}", to: "plugin/plugin.json")
        let found = folder.problems()
        #expect(found.count == 3)
        #expect(found.last?.hasPrefix("plugin.json:1:42 /main: ") == true)
    }
}

@Test func `a folder without a manifest is told so, by its path`() throws {
    try withFolder { folder in
        let errors = #expect(throws: ConfigErrors.self) { try PluginManifest.load(folder: folder.plugin) }
        #expect(
            errors?.description
                == "\(folder.plugin)/plugin.json:1:1: the file cannot be opened: No such file or directory"
        )
    }
}
