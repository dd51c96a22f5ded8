// A program that is kept stays as it was, also where its name is a link.

import Glibc
import Testing

@testable import PluginHost

struct KeptProgramTests {
    @Test func `of a link, the program that it leads to is kept`() throws {
        let place = try Place()
        let folder = place.path + "/other"
        let names = ["old", "new", "program", "kept/7/program", "kept/8/program"].map { folder + "/" + $0 }
        defer {
            for name in names { unlink(name) }
            for name in ["kept/7", "kept/8", "kept"] { rmdir(folder + "/" + name) }
        }
        let elf: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]
        #expect(writeFile(names[0], elf + [1], mode: 0o755) && writeFile(names[1], elf + [2, 2], mode: 0o755))
        #expect(symlink("old", names[2]) == 0)
        let program = KeptProgram(names[2], in: folder + "/kept", revision: 7)
        let again = KeptProgram(program, in: folder + "/kept", revision: 8)
        #expect(program.path == names[2])
        unlink(names[2])
        #expect(symlink("new", names[2]) == 0)
        #expect(program.path == names[3] && readText(program.path)?.utf8.count == 5)
        #expect(again.path == names[4] && readText(again.path)?.utf8.count == 5)
        program.forget()
        again.forget()
        #expect(access(folder + "/kept/7", F_OK) != 0)
    }

    @Test func `the manifest stays with the program, and goes with it or with the next host`() throws {
        let place = try Place()
        let folder = place.path + "/other/kept"
        defer { rmdir(folder) }
        let first = KeptProgram("on-the-path", manifest: "{}", in: folder, revision: 1)
        let second = KeptProgram(first, in: folder, revision: 2)
        #expect(first.manifest == folder + "/1.json")
        first.forget()
        #expect(access(folder + "/1.json", F_OK) != 0)
        #expect(second.manifest.flatMap { readText($0) } == "{}")
        KeptProgram.sweep(folder)
        #expect(access(folder + "/2.json", F_OK) != 0)
        #expect(KeptProgram("on-the-path", in: folder, revision: 3).manifest == nil)
    }

    @Test func `what is kept runs in the place of what lies there now, or by itself where nothing does`() throws {
        let place = try Place()
        let (now, kept) = (place.path + "/plugin/main", place.path + "/other/main")
        defer { for path in [now, kept] { unlink(path) } }
        #expect(writeFile(kept, [1], mode: 0o755))
        let alone = try ProgramLayout(now, kept: kept, folder: place.path + "/plugin", searchPath: "")
        #expect(alone.inside == "/program/main")
        #expect(writeFile(now, [2], mode: 0o755))
        let layout = try ProgramLayout(now, kept: kept, folder: place.path + "/plugin", searchPath: "")
        #expect(layout.inside == "/plugin/main" && layout.host == kept)
        #expect(layout.bindings == [Binding(source: kept, destination: "/plugin/main")])
    }

    @Test(.enabled(if: sandboxWorks)) func `a kept program finds what lies beside it in a sandbox`() async throws {
        let place = try Place()
        let path = place.path + "/plugin/main"
        defer { unlink(path) }
        #expect(writeFile(path, [1], mode: 0o755))
        let heard = Heard()
        var order = place.order(["probe", "--", "read:/plugin/main", "folder"], program: path)
        order.keptProgram = fixture("wizmesh-launch")
        _ = await (try await testLauncher().launch(order, line: heard.hear)).end()
        #expect(heard.texts(.standardOutput) == ["read:/plugin/main=ok", "folder=/plugin"])
    }

    @Test func `a FIFO in a program's place keeps nobody waiting`() throws {
        let place = try Place()
        let pipe = place.path + "/other/pipe"
        #expect(mkfifo(pipe, 0o700) == 0)
        defer { unlink(pipe) }
        #expect(KeptProgram(pipe, in: place.path + "/other/kept", revision: 1).path == pipe)
        let layout = try ProgramLayout(pipe, folder: place.path + "/plugin", searchPath: "")
        #expect(layout.bindings.map(\.source) == [pipe])
    }
}
