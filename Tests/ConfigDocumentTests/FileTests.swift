// Configuration files on disk: what is read and what is refused.

import ConfigDocument
import FoundationEssentials
import Testing

private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "config-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

private func failure(_ path: String, limits: ConfigLimits = ConfigLimits()) -> String? {
    do throws(ConfigErrors) {
        _ = try ConfigDocument(path: path, source: "file", limits: limits)
        return nil
    } catch {
        return error.description
    }
}

@Test func `a file is read in the language of its name`() throws {
    try withFolder { folder in
        let file = folder.appending(path: "mesh.yaml")
        try Data("a: yes".utf8).write(to: file)
        let document = try ConfigDocument(path: file.path, source: "mesh.yaml")
        #expect(document.format == .yaml)
        #expect(document.root.value["a"] == .string("yes"))
    }
}

@Test func `what is missing, too large or no file is refused`() throws {
    try withFolder { folder in
        let large = folder.appending(path: "large.json")
        try Data(repeating: 0x20, count: 100).write(to: large)
        #expect(
            failure(folder.appending(path: "none").path)
                == "file:1:1: the file cannot be opened: No such file or directory"
        )
        #expect(failure(folder.path) == "file:1:1: this is not a regular file; expected a file")
        #expect(failure("/dev/zero") == "file:1:1: this is not a regular file; expected a file")
        #expect(
            failure(large.path, limits: ConfigLimits(bytes: 64))
                == "file:1:1: the file is too large: 100 bytes; expected at most 64B"
        )
    }
}
