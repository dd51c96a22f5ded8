// plugin.json as the SDK reads it, and the manifests of the plugins in this repository as the host reads them.

import Manifest
import SemanticVersion
import Testing
import WizPlugin

struct PluginInfoTests {
    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let plugins = ["echo", "ngram-llm", "ui", "midnight-theme", "filesystem-access"]

    @Test(arguments: plugins) func `the manifest of each plugin is valid and names its program`(_ name: String) throws {
        let folder = Self.root + "/plugins/" + name
        let strict = try PluginManifest.load(folder: folder)
        let info = try PluginInfo(folder: folder)
        #expect(strict.name == name)
        #expect(strict.main.program == .inFolder("bin/" + name))
        #expect(strict.description?.isEmpty == false)
        #expect(info.name == strict.name)
        #expect(info.version == strict.version.description)
        #expect(info.services.map(\.name) == strict.provides.map(\.service))
        for (own, declared) in zip(info.services, strict.provides) {
            #expect(own.version == declared.version.description)
            #expect(Set(own.methods.map(\.name)) == Set(declared.methods.map(\.name)))
            #expect(own.methods.filter(\.isIdempotent).count == declared.methods.filter(\.isIdempotent).count)
        }
    }

    @Test func `what is not given has its default`() throws {
        let info = try PluginInfo(["name": "a", "version": "1.2.3", "provides": [["service": "s"]]])
        #expect(info.drainTimeout == .seconds(5))
        #expect(info.services.first?.version == "1.2.3")
        #expect(info.service("s")?.methods.isEmpty == true)
        #expect(info.service("t") == nil)
    }

    @Test func `a folder without plugin.json is a configuration error that says what to do`() {
        #expect(throws: PluginError.self) { try PluginInfo(folder: "/nowhere") }
        do {
            _ = try PluginInfo(folder: "/nowhere")
        } catch {
            #expect("\(error)".contains("WIZ_PLUGIN_FOLDER"))
        }
    }

    @Test func `settings of the wrong type are a configuration error that names the key`() throws {
        struct Settings: Decodable { var slots: Int }
        let config = PluginConfig(plugin: try PluginInfo(["name": "a", "version": "1.0.0"]), values: ["slots": "two"])
        do {
            _ = try config.decode(Settings.self)
            Issue.record("it was taken")
        } catch {
            #expect("\(error)".contains("/slots"))
            #expect(PluginExit.code(for: error) == PluginExit.configuration)
        }
        #expect(config["slots"] == "two")
    }
}
