// The plugin echo as a process of its own: what ends it, and with which code.

import Foundation
import Glibc
import Synchronization
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)), .serialized)
struct ProcessTests {
    static let folder = PluginInfoTests.root + "/plugins/echo"

    @Test func `SIGTERM ends it in good order`() async throws {
        try await withMesh { mesh in
            let process = try PluginProgram(mesh.endpoint, folder: Self.folder)
            try await mesh.awaitService("echo")
            #expect(try await mesh.call("echo", "say", ["a": 1]) == ["a": 1])
            kill(process.id, SIGTERM)
            #expect(await process.end() == 0)
        }
    }

    @Test(arguments: 0..<20)
    func `the broker hears BYE from a process that ends in good order`(_ round: Int) async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("mesh.session.gone")
            let process = try PluginProgram(mesh.endpoint, folder: Self.folder)
            try await mesh.awaitService("echo")
            kill(process.id, SIGTERM)
            #expect(await process.end() == 0)
            for try await event in events {
                let notice = try event.payload.decode(Value.self)
                #expect(notice["fields"]?["cause"] == "left", "\(event.payload.text)")
                break
            }
        }
    }

    @Test func `the end of standard input ends it when it has a host`() async throws {
        try await withMesh { mesh in
            let process = try PluginProgram(mesh.endpoint, folder: Self.folder, variables: ["WIZ_HOST=1"])
            try await mesh.awaitService("echo")
            process.closeInput()
            #expect(await process.end() == 0)
        }
    }

    @Test func `a second signal ends it at once`() async throws {
        try await withMesh { mesh in
            let process = try PluginProgram(mesh.endpoint, folder: Self.folder)
            try await mesh.awaitService("echo")
            let options = CallOptions(deadline: .seconds(30))
            let sleep = Task { try await mesh.call("echo", "sleep", ["milliseconds": 30_000], options: options) }
            var isRunning = false
            while !isRunning {
                let calls = try await mesh.call("mesh", "calls")
                isRunning = calls["items"]?.array?.contains { $0["method"] == "sleep" } ?? false
            }
            kill(process.id, SIGTERM)
            kill(process.id, SIGINT)
            let code = await process.end()
            #expect(code == 128 + SIGTERM || code == 128 + SIGINT)
            await #expect(throws: MeshError.self) { try await sleep.value }
        }
    }

    @Test func `without plugin.json it ends with 78`() async throws {
        let process = try PluginProgram("ipc:///tmp/none/mesh.sock", folder: "/tmp")
        #expect(await process.end() == 78)
    }

    @Test func `a setting of the wrong type ends it with 78`() async throws {
        try await withMesh { mesh in
            let setting = #"WIZ_PLUGIN_CONFIG={"capacity":"many"}"#
            let errors = mesh.folder.path + "/errors"
            let process = try PluginProgram(mesh.endpoint, folder: Self.folder, variables: [setting], errors: errors)
            #expect(await process.end() == 78)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(text.contains(#"the config of echo in the mesh file is not valid: capacity: "many" is no integer"#))
        }
    }
}
