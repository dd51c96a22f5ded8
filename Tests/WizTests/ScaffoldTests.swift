// `wiz new`: names, what the templates become, and what it refuses to overwrite.

import ConfigDocument
import Glibc
import Manifest
import MeshProtocol
import Testing

@testable import wiz

@Suite struct ScaffoldTests {
    /// A folder of its own for a test's body.
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try TestFolder()
        try withExtendedLifetime(folder) { try body(folder.path) }
    }

    private func scaffold(_ template: Template, in folder: String, name: String = "night-owl") throws -> Scaffold {
        Scaffold(
            template: template,
            names: try PluginNames(name),
            description: "Says \"hoo\" \\ at night.",
            folder: folder + "/" + name,
            package: .folder("/opt/wiz \"mesh\"")
        )
    }

    private func read(_ path: String) throws -> String { String(decoding: try readFile(path), as: UTF8.self) }

    @Test(arguments: [
        ("night-owl", "NightOwl", "night_owl", "Night Owl"), ("value", "ValuePlugin", "value", "Value"),
        ("my-plugin", "MyPlugin", "my_plugin", "My Plugin"), ("a-1b", "A1b", "a_1b", "A 1b"),
    ])
    func `a name gives a type, a module and a title`(
        _ name: String,
        _ type: String,
        _ module: String,
        _ title: String
    ) throws {
        let names = try PluginNames(name)
        #expect((names.type, names.module, names.title) == (type, module, title))
    }

    @Test(arguments: [
        "Night Owl", "../up", "a/b", "", "-x", "x-", "class", "echo", "swift-x", "wiz", "plugin", "a_b", "\u{1B}[1m",
        String(repeating: "a", count: 49),
    ])
    func `a name that would not build is refused with another`(_ name: String) {
        let failure = #expect(throws: CommandFailure.self) { try PluginNames(name) }
        #expect(failure?.exit == .usage)
        #expect(failure?.hint.isEmpty == false)
    }

    @Test(arguments: Template.all.map(\.name))
    func `what is made has the author's words and none of the template's`(_ name: String) throws {
        let template = try Template.named(name)
        try withFolder { folder in
            let scaffold = try scaffold(template, in: folder)
            try scaffold.make()
            for file in scaffold.files {
                let text = try read(scaffold.folder + "/" + file.path)
                #expect(text == file.text)
                for word in ["my-plugin", "MyPlugin", "my_plugin", "My Plugin", "../.."] {
                    #expect(!text.contains(word), "\(file.path) holds \(word)")
                    #expect(!file.path.contains(word))
                }
            }
            let manifest = try PluginManifest.load(folder: scaffold.folder)
            #expect(manifest.name == "night-owl")
            #expect(manifest.description == scaffold.description)
            #expect(manifest.build != nil)
            #expect(manifest.schema == "plugin.schema.json")
            let origin = try #require(manifest.extensions.first { $0.key == "x-template" }?.value)
            #expect(origin.text("name") == name)
            #expect(origin.number("version") == Int64(Template.version))
            #expect(origin.text("wizmesh") == WizmeshVersion.current)
            #expect(try read(scaffold.folder + "/Package.swift").contains(#"path: "/opt/wiz \"mesh\"")"#))
        }
    }

    @Test func `a plugin can depend on a repository`() throws {
        let package = WizmeshPackage.repository(url: "https://example.org/wizmesh", version: "1.2.0")
        let files = try Template.named("service").files(
            for: PluginNames("night-owl"),
            description: "x",
            package: package
        )
        let text = try #require(files.first { $0.path == "Package.swift" }?.text)
        #expect(text.contains(#".package(url: "https://example.org/wizmesh", from: "1.2.0")"#))
    }

    @Test func `the smallest plugin has less than twenty lines`() throws {
        let source = try Template.named("service").files.first { $0.path.hasPrefix("Sources/") }
        #expect(try #require(source).text.split(separator: "\n").count < 20)
    }

    @Test func `nothing is overwritten, and nothing is left behind`() throws {
        try withFolder { folder in
            let scaffold = try scaffold(Template.named("service"), in: folder)
            try scaffold.make()
            #expect(throws: CommandFailure.self) { try scaffold.make() }
            #expect(listing(folder) == ["night-owl"])
            let file = folder + "/owl"
            if let stream = fopen(file, "w") { fclose(stream) }
            let other = Scaffold(
                template: scaffold.template,
                names: scaffold.names,
                description: scaffold.description,
                folder: file,
                package: scaffold.package
            )
            #expect(throws: CommandFailure.self) { try other.make() }
            #expect(try read(file).isEmpty)
        }
    }

    @Test func `a place where no folder can be made is told`() throws {
        let failure = #expect(throws: CommandFailure.self) {
            try scaffold(Template.named("service"), in: "/proc/nowhere").make()
        }
        #expect(failure?.exit == .failed)
    }

    @Test func `a template that there is not is told with those that there are`() {
        let failure = #expect(throws: CommandFailure.self) { try Template.named("servce") }
        #expect(failure?.hint.contains("ui-theme") == true)
    }

    private func listing(_ folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
