// Manifests that mean harm or are damaged: each costs a clear sentence, and never more than the limits allow.

import ConfigDocument
import FoundationEssentials
import Glibc
import Manifest
import Testing

private func problems(bytes: [UInt8]) -> [String] {
    do throws(ConfigErrors) {
        _ = try ConfigDocument(
            bytes: bytes,
            source: "plugin.json",
            format: .json,
            limits: PluginManifest.fileLimits
        )
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

private func withPluginFolder(_ body: (String) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "manifest-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(url.path)
}

private func folderProblems(_ folder: String) -> [String] {
    do throws(ConfigErrors) {
        _ = try PluginManifest.load(folder: folder, source: "plugin.json")
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

@Test(
    arguments: [
        ([0xFF], "0xFF"), ([0xC0, 0xAF], "0xC0"), ([0xED, 0xA0, 0x80], "0xED"), ([0xF4, 0x90, 0x80, 0x80], "0xF4"),
        ([0xE2, 0x82], "0xE2"),
    ] as [([UInt8], String)]
)
func `bytes that are no UTF-8 are refused with their place`(bytes: [UInt8], shown: String) {
    let text = Array("{\n \"name\": \"a".utf8) + bytes + Array("\"}".utf8)
    #expect(
        problems(bytes: text) == ["plugin.json:2:12: the byte \(shown) is not valid UTF-8 here; expected a UTF-8 text"]
    )
}

@Test(arguments: [
    "../evil", "a/b", "/etc", "..", ".", "a\\\\b", "a%2fb", "a\\u0000b", "a\\u202Eb", "\\uFEFFa", "\\uFF45cho",
    "e\\u0301cho", "a b", "a\\nb", "con\\u200Bsole", "~", "$HOME", "-rf",
])
func `a name with path parts or hidden characters is refused`(name: String) {
    let found = problems("{\"name\": \"\(name)\", \"version\": \"1.0.0\", \"main\": \"a\"}")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("plugin.json:1:10 /name: name ") == true)
}

@Test func `keys given twice are told at every level`() {
    let text = #"""
        {"name": "p", "version": "1.0.0", "main": "p",
        "limits": {"pids": 1, "pids": 2}, "dependencies": {"required": [], "required": []},
        "provides": [{"service": "s", "methods": {"m": {}, "m": {}}}], "name": "q"}
        """#
    #expect(
        problems(text) == [
            #"plugin.json:2:23 /limits/pids: key "pids" is given twice, first on line 2"#,
            #"plugin.json:2:68 /dependencies/required: key "required" is given twice, first on line 2"#,
            #"plugin.json:3:52 /provides/0/methods/m: key "m" is given twice, first on line 3"#,
            #"plugin.json:3:64 /name: key "name" is given twice, first on line 1"#,
        ]
    )
}

@Test func `brackets without end are refused at the depth limit`() {
    for open in ["[", "{\"a\":"] {
        let text = String(repeating: open, count: PluginManifest.fileLimits.bytes / open.utf8.count)
        let found = problems(bytes: Array(text.utf8))
        #expect(found.count == 1)
        #expect(found.first?.hasSuffix("expected at most 32 levels") == true)
    }
}

@Test func `thousands of mistakes are told up to a bound, and the rest is counted`() {
    let keys = (0..<3000).map { "\"k\($0)\":0" }.joined(separator: ",")
    let errors = #expect(throws: ConfigErrors.self) { try PluginManifest.load(text: "{\(keys)}") }
    #expect(errors?.problems.count == ConfigErrors.limit)
    #expect((errors?.omitted ?? 0) + ConfigErrors.limit == 3003)
}

@Test func `what is no file cannot hold the reader`() throws {
    try withPluginFolder { folder in
        #expect(mkfifo(folder + "/plugin.json", 0o600) == 0)
        #expect(folderProblems(folder) == ["plugin.json:1:1: this is not a regular file; expected a file"])
        unlink(folder + "/plugin.json")
        #expect(symlink("/dev/zero", folder + "/plugin.json") == 0)
        #expect(folderProblems(folder) == ["plugin.json:1:1: this is not a regular file; expected a file"])
        unlink(folder + "/plugin.json")
        #expect(mkdir(folder + "/plugin.json", 0o700) == 0)
        #expect(folderProblems(folder) == ["plugin.json:1:1: this is not a regular file; expected a file"])
    }
}

@Test func `a huge sparse file is refused before it is read`() throws {
    try withPluginFolder { folder in
        let file = open(folder + "/plugin.json", O_CREAT | O_WRONLY, 0o600)
        #expect(ftruncate(file, 1 << 40) == 0)
        close(file)
        #expect(
            folderProblems(folder) == [
                "plugin.json:1:1: the file is too large: 1099511627776 bytes; expected at most 64KiB"
            ]
        )
    }
}

@Test func `a main that is a pipe or a device is refused`() throws {
    try withPluginFolder { folder in
        try Data(#"{"name": "p", "version": "1.0.0", "main": "main"}"#.utf8).write(
            to: URL(filePath: folder + "/plugin.json")
        )
        #expect(mkfifo(folder + "/main", 0o700) == 0)
        #expect(folderProblems(folder) == [#"plugin.json:1:43 /main: "main" is not a file"#])
        unlink(folder + "/main")
        #expect(symlink("main", folder + "/main") == 0)
        #expect(folderProblems(folder) == [#"plugin.json:1:43 /main: "main" is a link that leads nowhere"#])
    }
}

@Test func `random damage to a manifest never traps, and every problem has its place in the text`() {
    var generator = SystemRandomNumberGenerator()
    let original = Array(fullExample.utf8)
    for _ in 0..<400 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            let place = Int.random(in: bytes.indices, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(Array(#"{}[]",:\0-"#.utf8).randomElement(using: &generator) ?? 0x22, at: place)
            default: bytes.insert(contentsOf: bytes[place..<min(place + 40, bytes.count)], at: place)
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { continue }
        do throws(ConfigErrors) {
            _ = try PluginManifest.load(text: text)
        } catch {
            let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.count
            #expect(error.problems.allSatisfy { $0.line >= 1 && $0.line <= lines + 1 && $0.column >= 1 })
        }
    }
}
