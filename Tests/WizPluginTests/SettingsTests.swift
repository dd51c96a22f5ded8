// How settings and secrets reach a plugin: over standard input, where nobody else can read them.

import CLinuxShims
import Foundation
import Glibc
import Testing

@testable import WizPlugin

@Suite(.timeLimit(.minutes(1)))
struct SettingsTests {
    static let rogue = PluginInfoTests.root + "/Tests/Fixtures/rogue-plugin"

    private func pipes() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        let isOpen = pipe(&ends) == 0
        try #require(isOpen)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private func put(_ text: String, to descriptor: Int32) {
        _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    @Test func `the line is read up to its end, and no further piece is waited for`() throws {
        let (input, signals) = (try pipes(), try pipes())
        put("{\"config\": {}}\nmore", to: input.write)
        let outcome = try SettingsLine.read(from: input.read, signals: signals.read, within: .seconds(5))
        #expect(outcome == .line(Array("{\"config\": {}}".utf8)))
    }

    @Test func `a host that goes, a signal and a host that says nothing end the wait`() throws {
        let (input, signals) = (try pipes(), try pipes())
        #expect(throws: PluginError.self) {
            try SettingsLine.read(from: input.read, signals: signals.read, within: .milliseconds(20))
        }
        put(String(UnicodeScalar(UInt8(SIGTERM))), to: signals.write)
        #expect(
            try SettingsLine.read(from: input.read, signals: signals.read, within: .seconds(5)) == .stopped(SIGTERM)
        )
        put("half a line", to: input.write)
        close(input.write)
        #expect(try SettingsLine.read(from: input.read, signals: signals.read, within: .seconds(5)) == .ended)
    }

    @Test func `a line without an end is given up`() throws {
        let (input, signals) = (try pipes(), try pipes())
        let writer = Thread {
            let piece = [UInt8](repeating: 65, count: 64 << 10)
            while piece.withUnsafeBytes({ write(input.write, $0.baseAddress, $0.count) }) > 0 {}
        }
        signal(SIGPIPE, SIG_IGN)
        writer.start()
        let error = #expect(throws: PluginError.self) {
            try SettingsLine.read(from: input.read, signals: signals.read, within: .seconds(20))
        }
        #expect("\(String(describing: error))".contains("longer than"))
        close(input.read)
    }

    @Test func `what the line says wins over the environment`() throws {
        var environment = PluginEnvironment(variables: ["WIZ_TICKET": "old", "WIZ_PLUGIN_CONFIG": #"{"a": 1}"#])
        #expect(try environment.config() == ["a": 1])
        try environment.take(Array(#"{"config": {"a": 2}, "variables": {"WIZ_TICKET": "new"}}"#.utf8))
        #expect(try environment.config() == ["a": 2])
        #expect(environment["WIZ_TICKET"] == "new")
        #expect(PluginEnvironment(variables: ["WIZ_EGRESS": "/run/proxy.sock"]).egressProxy == "/run/proxy.sock")
        try environment.take(Array("{}".utf8))
        #expect(environment["WIZ_TICKET"] == "new")
    }

    @Test(arguments: [
        "hush", "[]", #"{"config": "hush"}"#, #"{"variables": {"WIZ_TICKET": 7, "A": "hush"}}"#,
        #"{"config": {"token": "hush"}, "other": "hush"}"#, #"{"config": {"token": "hush"}"#,
    ])
    func `a line that makes no sense is refused without being quoted`(_ line: String) {
        var environment = PluginEnvironment(variables: [:])
        let error = #expect(throws: PluginError.self) { try environment.take(Array(line.utf8)) }
        #expect(!"\(String(describing: error))".contains("hush"))
    }

    @Test func `a secret reaches the plugin, and neither its variables nor its arguments`() async throws {
        try await withMesh { mesh in
            let line = #"{"config": {"token": "hush", "capacity": 3}}"#
            let process = try PluginProgram(
                mesh.endpoint,
                "rogue-plugin",
                folder: Self.rogue,
                variables: ["WIZ_HOST=1", "WIZ_SETTINGS=stdin", "WIZ_GENERATION=7"],
                line: line
            )
            try await mesh.awaitService("rogue")
            #expect(try await mesh.call("rogue", "settings") == ["token": "hush", "capacity": 3])
            for file in ["environ", "cmdline"] {
                let data = try #require(FileManager.default.contents(atPath: "/proc/\(process.id)/\(file)"))
                #expect(!String(decoding: data, as: UTF8.self).contains("hush"))
            }
            #expect(try await mesh.call("rogue", "about")["generation"] == 7)
            process.closeInput()
            #expect(await process.end() == 0)
        }
    }

    @Test func `a setting that the schema does not allow ends the plugin with 78 and a list of all that is wrong`()
        async throws
    {
        try await withMesh { mesh in
            let errors = mesh.folder.path + "/errors"
            let process = try PluginProgram(
                mesh.endpoint,
                "rogue-plugin",
                folder: Self.rogue,
                variables: ["WIZ_SETTINGS=stdin"],
                line: #"{"config": {"token": 5, "capacity": 0, "behavior": "serve"}}"#,
                errors: errors
            )
            #expect(await process.end() == 78)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(text.contains("behavior: there is no such setting, did you mean behaviour?"))
            #expect(text.contains("capacity: 0 is less than 1"))
            #expect(text.contains("token: the value is no string"))
        }
    }

    @Test func `without the line that was promised it ends when its host goes`() async throws {
        let process = try PluginProgram(
            "ipc:///tmp/none/mesh.sock",
            "rogue-plugin",
            folder: Self.rogue,
            variables: ["WIZ_SETTINGS=stdin"]
        )
        process.closeInput()
        #expect(await process.end() == 0)
    }
}
