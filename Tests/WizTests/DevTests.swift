// `wiz dev`: builds, checks, runs and reloads a plugin as its author saves, in a mesh of its own or in one that runs.

import Glibc
import Testing

@testable import wiz

@Suite(.serialized, .timeLimit(.minutes(2)))
struct DevTests {
    /// A plugin whose build puts the program of echo in place, unless the source says that it cannot.
    private func plugin() throws -> TestFolder {
        let folder = try TestFolder()
        let manifest = try TestFolder.manifest("echo").replacingAll(
            #""build": ["swift", "build", "-c", "release", "--product", "echo"]"#,
            with: #""build": ["sh", "build.sh"]"#
        )
        try folder.write("mine/plugin.json", manifest)
        try folder.write("mine/source", "good\n")
        try folder.write(
            "mine/build.sh",
            """
            grep -q good source || { echo "source:1: error: not good" >&2; exit 1; }
            mkdir -p bin && rm -f bin/echo && cp '\(try Built.program("echo"))' bin/echo

            """
        )
        return folder
    }

    @Test func `a save builds and reloads; a build that fails keeps the old one`() async throws {
        let folder = try plugin()
        try folder.plugin("ui")
        try await WizProcess.beside(["dev", "mine", "--with", "plugins/ui"], in: folder) { dev in
            try await dev.see("built in")
            try await dev.see("ready: mesh")
            #expect(dev.output.contains("ui#1@1"))
            try folder.write("mine/source", "bad\n")
            try await dev.see("changed: source")
            try await dev.see("source:1: error: not good")
            try await dev.see("failed after")
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
            try folder.write("mine/source", "good again\n")
            try await dev.see("changed: source")
            try await dev.see("echo 1.0.0 reloaded: generation 2 serves")
            try folder.write("mine/plugin.json", "{")
            try await dev.see("plugin.json:")
            try folder.write("mine/plugin.json", try TestFolder.manifest("echo", version: "1.1.0"))
        }
    }

    @Test func `a first build that fails waits for a change`() async throws {
        let folder = try plugin()
        try folder.write("mine/source", "bad\n")
        try await WizProcess.beside(["dev", "mine"], in: folder) { dev in
            try await dev.see("waiting for a change")
            try folder.write("mine/source", "good\n")
            try await dev.see("ready: mesh")
        }
    }

    @Test func `it joins a mesh that lists the plugin, and starts one beside it when that is said`() async throws {
        let folder = try plugin()
        try copyProgram(Built.program("echo"), to: folder.at("mine/bin/echo"))
        try folder.write("mesh.yaml", "mesh: joined\nplugins:\n  - path: mine\n    enforcement: \"off\"\n")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh joined")
            try await WizProcess.beside(["dev", "mine"], in: folder) { dev in
                try await dev.see("echo 1.0.0 reloaded: generation 2 serves")
                try await dev.see("watching mine")
                try folder.write("mine/source", "good again\n")
                try await dev.see("echo 1.0.0 reloaded: generation 3 serves")
            }
            try folder.plugin("ui")
            let other = try await WizProcess.run("dev", "plugins/ui", in: folder)
            #expect(other.code == 4 && other.output.contains("--alone"))
            try await WizProcess.beside(["dev", "mine", "--alone"], in: folder) { dev in
                try await dev.see("ready: mesh")
                #expect(dev.output.contains("/tmp/wizmesh-dev-"))
            }
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
        }
    }

    @Test func `a folder that holds no plugin is told with what to type`() async throws {
        let folder = try TestFolder()
        let (output, code) = try await WizProcess.run("dev", in: folder)
        #expect(code == 4 && output.contains("wiz new NAME"))
    }
}
