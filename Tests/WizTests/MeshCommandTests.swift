// The commands that steer a mesh, each against a mesh of real processes: `wiz up` with a mesh file in a folder of its own.

import ConfigDocument
import Glibc
import Testing

@testable import wiz

@Suite(.serialized, .timeLimit(.minutes(2)))
struct MeshCommandTests {
    private static let comment = """
        # What plugins are granted: the permissions of a plugin that is listed here count in place of those in the mesh file.
        # Written by `wiz grant` and `wiz revoke`, which keep no comments.

        """

    /// A folder with a mesh file and its plugins.
    private func mesh(_ names: String..., more: String = "") throws -> TestFolder {
        let folder = try TestFolder()
        for name in names { try folder.plugin(name) }
        try folder.write("mesh.yaml", meshFile(names, more))
        return folder
    }

    private func meshFile(_ names: [String], _ more: String = "") -> String {
        let plugins = names.map { "  - path: plugins/\($0)\n    enforcement: \"off\"\n" }.joined()
        return "mesh: tests\nplugins:\n\(plugins)\(more)"
    }

    // MARK: Grants

    @Test func `a grant is written, sorted, and is in force at once; a revocation too`() async throws {
        let folder = try mesh("echo", "filesystem-access")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            #expect(up.output.contains("✗ filesystem-access is blocked: waits for the grant of storage"))
            let asked = try await WizProcess.run("grants", in: folder)
            #expect(asked.output.contains("missing") && asked.output.contains("wiz grant filesystem-access storage"))

            let why = try await WizProcess.run("why", "filesystem-access", in: folder)
            #expect(why.code == 1 && why.output.contains("→ wiz grant filesystem-access storage"))

            let granted = try await WizProcess.run("grant", "filesystem-access", "storage", in: folder)
            #expect(granted == ("✓ Granted: filesystem-access has storage. It is in force.\n", 0))
            try await up.see("filesystem-access#1@1")
            try await up.see("ready after")
            // What a call to the host gave rise to is not ended with that call.
            #expect(!up.output.contains("CANCELLED"))
            let host = ["grant", "echo", "networking", "--host", "api.example.org:443", "--anyway"]
            let other = try WizProcess(host, in: folder)
            #expect(try await other.end() == 0)
            #expect(other.output.contains("it does not ask for networking"))
            #expect(
                try folder.text("grants.yaml") == Self.comment + """
                    plugins:
                      echo:
                        permissions: [networking]
                        hosts: ["api.example.org:443"]
                      filesystem-access:
                        permissions: [storage]

                    """
            )
            let again = try await WizProcess.run("grant", "filesystem-access", "--all", in: folder)
            #expect(again == ("✓ Nothing has changed: filesystem-access has storage.\n", 0))

            let revoked = try await WizProcess.run("revoke", "filesystem-access", "storage", in: folder)
            #expect(revoked.code == 0 && revoked.output.contains("still waits for storage. It is in force."))
            try await up.see("blocked: waits for the grant of storage")
            #expect(try folder.text("grants.yaml").contains("  filesystem-access:\n    permissions: []\n"))
        }
    }

    @Test func `the grants that count are those beside the mesh file of the mesh that runs`() async throws {
        let folder = try mesh("echo", "filesystem-access")
        try folder.write("other/mesh.yaml", meshFile([]) + "  - path: ../plugins/filesystem-access\n")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            let other = folder.path + "/other"
            let granted = try await WizProcess.run("grant", "filesystem-access", "storage", in: folder, at: other)
            #expect(granted.code == 0 && granted.output.contains("It is in force."))
            #expect(access(folder.path + "/grants.yaml", F_OK) == 0)
            #expect(access(other + "/grants.yaml", F_OK) != 0)
        }
    }

    @Test func `without a mesh that runs a grant is written and takes effect later`() async throws {
        let folder = try TestFolder()
        try folder.plugin("filesystem-access")
        let grant = "  - path: plugins/filesystem-access\n    grant: { permissions: [storage] }\n"
        try folder.write("mesh.yaml", "plugins:\n" + grant)
        // One that is not listed yet begins with what the mesh file grants: that is what is taken away.
        let revoked = try await WizProcess.run("revoke", "filesystem-access", "storage", in: folder)
        #expect(revoked.code == 0 && revoked.output.contains("It takes effect when the mesh runs."))
        #expect(try folder.text("grants.yaml").hasSuffix("  filesystem-access:\n    permissions: []\n"))
        let why = try await WizProcess.run("why", "filesystem-access", "--mesh", "mesh.yaml", in: folder)
        #expect(why.code == 1 && why.output.contains("wiz grant filesystem-access storage"))
        let wrong = try await WizProcess.run("grant", "filesystem-acess", "storage", in: folder)
        #expect(wrong.code == 4 && wrong.output.contains("Did you mean filesystem-access?"))
        let unasked = try await WizProcess.run("grant", "filesystem-access", "networking", in: folder)
        #expect(unasked.code == 8 && unasked.output.contains("--anyway"))
        let missing = try await WizProcess.run("revoke", "filesystem-access", "storage", in: folder)
        #expect(missing.code == 8 && missing.output.contains("It is granted: nothing."))
    }

    @Test func `a grant for a name that no plugin has is told`() async throws {
        let folder = try mesh("echo")
        try folder.write("grants.yaml", "plugins:\n  ehco: { permissions: [storage] }\n")
        let words = "grants.yaml grants something to ehco, but no plugin is called so; did you mean echo?"
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see(words)
            try await up.see("ready: mesh tests")
            #expect(try await WizProcess.run("grants", in: folder).output.contains(words))
            #expect(try await WizProcess.run("reload", in: folder).code == 0)
            try await up.see(words)
        }
        let valid = try await WizProcess.run("validate", "mesh.yaml", in: folder)
        #expect(valid.code == 0 && valid.output.contains(words))
        #expect(try await WizProcess.run("doctor", in: folder).output.contains(words))
        #expect(try await WizProcess.run("revoke", "ehco", "--all", in: folder).output.contains("no longer names ehco"))
        #expect(try folder.text("grants.yaml") == Self.comment + "plugins: {}\n")
    }

    // MARK: Plugins

    @Test func `plugins are stopped, started, restarted, reset and reloaded, and told of`() async throws {
        let folder = try mesh("echo")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            let log = try WizProcess(["logs", "echo", "--follow"], in: folder)
            try await log.see("ready: echo 1.0.0")

            #expect(try await WizProcess.run("plugin", "stop", "echo", in: folder).output.contains("now stopped"))
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 4)
            let why = try await WizProcess.run("why", "echo", in: folder)
            #expect(why.code == 1 && why.output.contains("→ wiz plugin start echo"))
            #expect(try await WizProcess.run("plugin", "start", "echo", in: folder).output.contains("now ready"))
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
            try await log.see("ready: echo 1.0.0")

            #expect(try await WizProcess.run("plugin", "restart", "echo", in: folder).code == 0)
            try await log.see("@2")
            try await log.see("ready: echo 1.0.0")
            #expect(try await WizProcess.run("plugin", "reset", "echo", in: folder).code == 0)
            let reloaded = try await WizProcess.run("reload", "echo", in: folder)
            #expect(reloaded.code == 0)
            #expect(reloaded.output.contains("✓ echo 1.0.0 reloaded: generation 3 serves, after"))
            try await log.see("echo#1@3")
            log.signal(SIGINT)
            #expect(try await log.end() == 130)

            let lines = try await WizProcess.run("logs", "echo", "--json", "-n", "2", in: folder)
            #expect(lines.code == 0 && lines.output.split(separator: "\n").count == 2)
            let nobody = try await WizProcess.run("plugin", "stop", "ehco", in: folder)
            #expect(nobody.code == 4 && nobody.output.contains("Did you mean echo?"))
            #expect(!up.output.contains("(wiz) is gone"), "a command left without a BYE:\n\(up.output)")
        }
    }

    @Test func `wiz reload takes up plugins that are newly listed, and lets go of others`() async throws {
        let folder = try mesh("echo")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            #expect(try await WizProcess.run("reload", in: folder).output == "✓ Nothing has changed.\n")
            try folder.plugin("ui")
            try folder.write("mesh.yaml", meshFile(["ui"]))
            let reloaded = try await WizProcess.run("reload", in: folder)
            #expect(reloaded == ("✓ In force: policy, plugins echo ui.\n", 0))
            try await up.see("ui#1@1")
            try await up.see("ready after")
            #expect(try await WizProcess.run("plugins", "--names", in: folder).output.contains("ui\n"))
        }
    }

    @Test func `wiz reload gives a plugin that runs other settings, and starts one that had wrong ones`() async throws {
        let folder = try mesh("echo")
        let entry = "  - path: plugins/echo\n    name: other\n    enforcement: \"off\"\n    config: { version: "
        try folder.write("mesh.yaml", meshFile(["echo"], entry + "2.1.0 }\n"))
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            try folder.write("mesh.yaml", meshFile(["echo"], entry + "wrong }\n"))
            #expect(try await WizProcess.run("reload", in: folder).output == "✓ In force: plugins other.\n")
            try await up.see("other@2")
            #expect(try await WizProcess.run("call", "echo@^2.about", in: folder).code == 0)
            try folder.write("mesh.yaml", meshFile(["echo"], entry + "2.2.0 }\n"))
            #expect(try await WizProcess.run("reload", in: folder).code == 0)
            try await up.see("provides echo@2.2.0")
            try await up.see("is in service")
            #expect(try await WizProcess.run("call", "echo@~2.2.about", in: folder).code == 0)
        }
    }

    // MARK: Manifests that cannot be used

    @Test func `a broken manifest costs nobody else anything, and is taken in once it is mended`() async throws {
        let folder = try mesh("echo", "ui", "filesystem-access")
        try folder.write("plugins/ui/plugin.json", #"{ "name": "ui", "#)
        try folder.write("plugins/filesystem-access/plugin.json", #"{ "name": "filesystem-access", "bad": 1 }"#)
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("plugins/ui is left out: its manifest has problems")
            try await up.see("plugins/filesystem-access is left out: its manifest has problems")
            try await up.see("ready: mesh tests")
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
            let grants = try await WizProcess.run("grants", in: folder)
            #expect(grants.code == 0 && grants.output.contains("plugins/ui is left out"))
            let why = try await WizProcess.run("why", "ui", in: folder)
            #expect(why.code == 8 && why.output.contains("plugins/ui cannot be used"))

            // A manifest that breaks later stops neither its plugin nor what others want.
            try folder.write("plugins/echo/plugin.json", "{")
            try folder.plugin("ui")
            #expect(try await WizProcess.run("reload", in: folder).output.contains("plugins ui"))
            try await up.see("ui#1@1")
            try await up.see("ready after")
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
            #expect(try await WizProcess.run("reload", "echo", in: folder).code != 0)
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
        }
        let strict = try await WizProcess.run("up", "--strict", in: folder)
        #expect(strict.code == 8 && strict.output.contains("plugins/echo cannot be used"))
        let valid = try await WizProcess.run("validate", "mesh.yaml", in: folder)
        #expect(valid.code == 8)
    }

    @Test func `with --strict a plugin that is not ready ends it all`() async throws {
        let folder = try mesh("echo", "filesystem-access")
        let (output, code) = try await WizProcess.run("up", "--strict", in: folder)
        #expect(code == 9 && output.contains("filesystem-access is blocked: waits for the grant of storage"))
        #expect(output.contains("✓ stopped"))
    }

    @Test func `folders of plugins run without a mesh file, with what they ask for if that is said`() async throws {
        let folder = try mesh("echo", "filesystem-access")
        try folder.write("plugins/bad/plugin.json", "{}")
        let bounds = ["up", "--folder", "plugins"]
        try await WizProcess.beside(bounds, in: folder) { up in
            try await up.see("plugins/bad is left out")
            try await up.see("ready: mesh wizmesh")
            let grant = try await WizProcess.run("grant", "filesystem-access", "storage", in: folder)
            #expect(grant.code == 4 && grant.output.contains("--grant-requested"))
        }
        let strict = try WizProcess(bounds + ["--strict"], in: folder)
        #expect(try await strict.end() == 8)
        #expect(try await WizProcess.run("up", "--grant-requested", in: folder).code == 2)
        let none = try await WizProcess.run("up", "--folder", "plugins/echo", in: folder)
        #expect(none.code == 4 && none.output.contains("no folder in plugins/echo has a plugin.json"))
        let asked = ["up", "--grant-requested", "plugins/filesystem-access"]
        try await WizProcess.beside(asked, in: folder) { up in
            try await up.see("1 plugin in 1 process")
        }
    }

    // MARK: Watching

    @Test func `wiz up --watch reloads what changes, and keeps what runs when it is wrong`() async throws {
        let folder = try mesh("echo")
        try await WizProcess.beside(["up", "--watch"], in: folder) { up in
            try await up.see("ready: mesh tests")
            let program = folder.at("plugins/echo/bin/echo")
            try writeFile(try readFile(program), to: program + ".new")
            chmod(program + ".new", 0o755)
            try #require(rename(program + ".new", program) == 0)
            try await up.see("✓ echo 1.0.0 reloaded: generation 2 serves")
            try folder.write("plugins/echo/plugin.json", "{")
            try await up.see("✗ echo was not reloaded, the old one serves on")
            try folder.write("plugins/echo/plugin.json", try TestFolder.manifest("echo", version: "1.0.1"))
            try await up.see("✓ echo 1.0.1 reloaded: generation")
            try folder.plugin("ui")
            try folder.write("mesh.yaml", meshFile(["echo", "ui"]))
            try await up.see("✓ in force: policy, plugins ui")
            try folder.write("mesh.yaml", meshFile(["echo", "ui"]) + "oops: 1\nops: 2\n")
            try await up.see("✗ the mesh file has problems; everything stays as it was")
            #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
        }
    }

    @Test func `what changes while plugins start is taken up, and one that was left out comes in`() async throws {
        let folder = try mesh("echo", "ui")
        try folder.write("plugins/ui/plugin.json", "{")
        try await WizProcess.beside(["up", "--watch"], in: folder) { up in
            try await up.see("plugins/ui is left out")
            try folder.plugin("ui")
            try await up.see("ready: mesh tests")
            try await up.see("in force: ")
            try await up.see("ui#1@1")
            for generation in 2...4 {
                try folder.write(
                    "plugins/echo/plugin.json",
                    try TestFolder.manifest("echo", version: "1.0.\(generation)")
                )
                try await up.see("echo 1.0.\(generation) reloaded: generation \(generation) serves")
            }
        }
    }

    // MARK: Exit codes

    @Test func `each end is told by the exit code`() async throws {
        let folder = try mesh("echo")
        try await WizProcess.beside(["up"], in: folder) { up in
            try await up.see("ready: mesh tests")
            for (command, words) in [
                (["events"], "watching mesh.>"), (["sub", "a.>"], "listening to a.>"), (["logs", "-f"], "ready: echo"),
            ] {
                try await WizProcess.beside(command, in: folder, code: 130) { process in
                    try await process.see(words)
                }
            }
            let stream = try await WizProcess.run("call", "echo.count", #"{"to":2}"#, in: folder)
            #expect(stream.code == 1 && stream.output.contains("add --stream"))
            for command in ["services", "cancel", "drain", "kick", "describe", "reload"] {
                let (output, code) = try await WizProcess.run(command, "99", in: folder)
                #expect(code == 4 && output.contains("→"), "\(command): \(output)")
            }
            #expect(try await WizProcess.run("drain", "echo#1", in: folder).code == 0)
        }
    }

    @Test func `a mesh goes on when nobody reads what it prints`() async throws {
        let folder = try mesh("echo")
        // What is printed goes into a pipe that holds one page, and nobody reads it.
        let script =
            "import fcntl, os, sys, subprocess\n"
            + "r, w = os.pipe(); fcntl.fcntl(w, 1031, 4096)\n"
            + "print(subprocess.Popen(sys.argv[1:], stdout=w, stderr=w).wait(), flush=True)\n"
        try folder.write("stuck.py", script)
        let ready = folder.path + "/ready.json"
        let up = try WizProcess(
            program: "python3",
            ["stuck.py", try Built.program("wiz"), "up", "--ready-file", ready],
            in: folder
        )
        try await wait(for: ready, beside: up)
        for _ in 0..<40 { #expect(try await WizProcess.run("plugin", "reset", "echo", in: folder).code == 0) }
        for _ in 0..<8 { #expect(try await WizProcess.run("reload", "echo", in: folder).code == 0) }
        #expect(try await WizProcess.run("call", "echo.about", in: folder).code == 0)
        let process = try JSON(parsing: try folder.text("ready.json")).number("pid")
        kill(pid_t(process), SIGTERM)
        #expect(try await up.end() == 0)
        #expect(up.output == "0\n")
    }

    /// Waits for a file.
    private func wait(for path: String, beside process: WizProcess) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while access(path, F_OK) != 0 {
            try #require(ContinuousClock.now < end, "\(path) did not come:\n\(process.output)")
            try await Task.sleep(for: .milliseconds(10))  // allowed: looks for a file within a bound
        }
    }

    @Test func `without a mesh file there is nothing to read again`() async throws {
        let folder = try TestFolder()
        try folder.plugin("echo")
        try await WizProcess.beside(["up", "plugins/echo"], in: folder) { up in
            try await up.see("1 plugin in 1 process")
            let reload = try await WizProcess.run("reload", in: folder)
            #expect(reload.code == 1 && reload.output.contains("started without a mesh file"))
            #expect(reload.output.contains("wiz reload NAME"))
            up.signal(SIGHUP)
            try await up.see("there is no mesh file to read again")
            #expect(try await WizProcess.run("reload", "echo", in: folder).code == 0)
        }
    }

    @Test func `a broker in the run folder that the mesh file names is hinted at`() async throws {
        let folder = try mesh("echo", more: "broker: { run: own }\n")
        let variables = ["XDG_RUNTIME_DIR=\(folder.path)"]
        let up = try WizProcess(["up"], in: folder, environment: variables)
        try await up.see("WIZ_ENDPOINT=ipc://\(folder.path)/own/mesh.sock wiz services")
        let services = try WizProcess(["services"], in: folder, environment: variables)
        #expect(try await services.end() == 3)
        #expect(services.output.contains("export WIZ_RUN=\(folder.path)/own"))
        up.signal(SIGTERM)
        #expect(try await up.end() == 0)
    }

    @Test func `Ctrl-C before everything is ready is told by the exit code`() async throws {
        let folder = try TestFolder()
        try folder.write("plugins/slow/plugin.json", #"{ "name": "slow", "version": "1.0.0", "main": "run" }"#)
        try folder.write("plugins/slow/run", "#!/bin/sh\nread line; echo begun; exec sleep 60\n", mode: 0o755)
        try folder.write("mesh.yaml", meshFile(["slow"]))
        try await WizProcess.beside(["up"], in: folder, code: 130) { up in
            try await up.see("begun")
        }
    }
}
