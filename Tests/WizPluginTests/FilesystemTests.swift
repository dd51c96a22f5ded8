// Paths that try to leave the root of filesystem-access, and what it does with files.

import CLinuxShims
import Glibc
import Testing
import WizPlugin

@testable import filesystem_access

struct FilesystemTests {
    let temporary = TemporaryFolder()
    let root: RootFolder

    init() throws {
        mkdir(temporary.path + "/root", 0o755)
        temporary.write("secret", "outside")
        root = try RootFolder(path: temporary.path + "/root", maximumBytes: 1000)
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test(arguments: ["/etc/passwd", "..", "../secret", "a/../../secret", "./..", "a/.."])
    func `a path that leads out by its words is refused`(_ path: String) {
        #expect { try RelativePath(path) } throws: { ($0 as? MeshError)?.status == .permissionDenied }
    }

    @Test(arguments: ["\0", "a\0b", String(repeating: "x", count: 256), String(repeating: "a/", count: 3000)])
    func `a path that cannot be one is refused`(_ path: String) {
        #expect { try RelativePath(path) } throws: { ($0 as? MeshError)?.status == .invalidArgument }
    }

    @Test func `links are refused, wherever they point, as a file or on the way`() throws {
        symlink(temporary.path + "/secret", temporary.path + "/root/out")
        symlink("../secret", temporary.path + "/root/up")
        symlink(temporary.path, temporary.path + "/root/folder")
        try root.write(RelativePath("inside"), bytes("x"), append: false, makingFolders: false)
        symlink("inside", temporary.path + "/root/in")
        for path in ["out", "up", "folder/secret", "folder", "in"] {
            #expect(throws: MeshError.self) { try root.read(RelativePath(path)) }
            #expect(throws: MeshError.self) {
                try root.write(RelativePath(path), bytes("y"), append: true, makingFolders: true)
            }
        }
        #expect(throws: MeshError.self) {
            try root.write(RelativePath("folder/new"), bytes("y"), append: false, makingFolders: true)
        }
        #expect(throws: MeshError.self) { try root.list(RelativePath("folder"), after: nil, limit: 9) }
        #expect(throws: MeshError.self) { try root.delete(RelativePath("folder/secret")) }
        #expect(access(temporary.path + "/secret", F_OK) == 0)
        #expect(access(temporary.path + "/new", F_OK) != 0)
        #expect(try root.facts(RelativePath("out")).kind == "link")
        try root.delete(RelativePath("out"))
        #expect(access(temporary.path + "/secret", F_OK) == 0)
    }

    @Test func `the walk without openat2 refuses the same`() throws {
        let folder = root.folder.number
        mkdir(temporary.path + "/root/a", 0o755)
        try root.write(RelativePath("a/f"), bytes("x"), append: false, makingFolders: false)
        symlink("a", temporary.path + "/root/link")
        symlink("a/f", temporary.path + "/root/file")
        for path in ["a/f", "a//f", "./a/f", "a", ""] {
            let result = wiz_open_beneath_by_steps(folder, path, O_RDONLY, 0)
            #expect(result >= 0, "\(path)")
            wiz_close(result)
        }
        #expect(wiz_open_beneath_by_steps(folder, "..", O_RDONLY, 0) == -EXDEV)
        #expect(wiz_open_beneath_by_steps(folder, "a/../a/f", O_RDONLY, 0) == -EXDEV)
        #expect(wiz_open_beneath_by_steps(folder, "/etc/passwd", O_RDONLY, 0) == -EXDEV)
        #expect(wiz_open_beneath_by_steps(folder, "link/f", O_RDONLY, 0) < 0)
        #expect(wiz_open_beneath_by_steps(folder, "file", O_RDONLY, 0) == -ELOOP)
        #expect(wiz_open_beneath(folder, "link/f", O_RDONLY, 0) == -ELOOP)
        #expect(wiz_open_beneath(folder, "../secret", O_RDONLY, 0) == -EXDEV)
    }

    @Test func `a file is written, read, extended, listed and deleted`() throws {
        let path = try RelativePath("a/b/./c.txt")
        try root.write(path, bytes("one"), append: false, makingFolders: true)
        try root.write(path, bytes("two"), append: false, makingFolders: true)
        try root.write(path, bytes("!"), append: true, makingFolders: true)
        #expect(try root.read(path) == bytes("two!"))
        let (entries, next) = try root.list(RelativePath("a/b"), after: nil, limit: 10)
        #expect(entries.map(\.path) == ["c.txt"])
        #expect(next == nil)
        #expect(try root.facts(path).bytes == 4)
        #expect { try root.delete(RelativePath("a")) } throws: { ($0 as? MeshError)?.status == .failedPrecondition }
        try root.delete(path)
        try root.delete(RelativePath("a/b"))
        #expect { try root.read(path) } throws: { ($0 as? MeshError)?.status == .notFound }
    }

    @Test func `a long list comes in pages`() throws {
        for number in 10..<15 {
            try root.write(RelativePath("f\(number)"), [], append: false, makingFolders: false)
        }
        var names: [String] = []
        var after: String?
        repeat {
            let (entries, next) = try root.list(RelativePath(""), after: after, limit: 2)
            names += entries.map(\.path)
            after = next
        } while after != nil
        #expect(names == ["f10", "f11", "f12", "f13", "f14"])
    }

    @Test func `what is too large or no file is refused`() throws {
        let path = try RelativePath("big")
        #expect {
            try root.write(path, Array(repeating: 1, count: 1001), append: false, makingFolders: false)
        } throws: {
            ($0 as? MeshError)?.status == .outOfRange
        }
        temporary.write("root/big", String(repeating: "x", count: 1001))
        #expect { try root.read(path) } throws: { ($0 as? MeshError)?.status == .outOfRange }
        mkfifo(temporary.path + "/root/fifo", 0o600)
        #expect { try root.read(RelativePath("fifo")) } throws: { ($0 as? MeshError)?.status == .failedPrecondition }
        #expect(throws: MeshError.self) { try root.read(RelativePath("")) }
    }
}
