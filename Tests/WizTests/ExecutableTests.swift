// The built executable: standard input and output, and exit codes.

import Glibc
import Testing

struct ExecutableTests {
    private func run(_ arguments: String, input: String = "") throws -> (output: String, code: Int32) {
        var template = Array("/tmp/wiz-test-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        try #require(file >= 0)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        _ = input.withCString { write(file, $0, strlen($0)) }
        close(file)
        let pipe = try #require(popen("'\(try Built.program("wiz"))' \(arguments) < \(path) 2>&1", "r"))
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            guard count > 0 else { break }
            output += buffer[..<count]
        }
        let status = pclose(pipe)
        return (String(decoding: output, as: UTF8.self), (status >> 8) & 0xFF)
    }

    @Test func `semver answers with its exit code`() throws {
        #expect(try run("semver '^1.2' 1.4.0") == ("yes\n", 0))
        #expect(try run("semver '^1.2' 2.0.0 --json") == ("{\"satisfies\":false}\n", 1))
        #expect(try run("semver '^1.2' 1.x --quiet").code == 8)
        #expect(try run("semver --canonical '1.x || >=2.5.0' --json").code == 0)
    }

    @Test func `semver answers every line in order`() throws {
        let count = 20_000
        let lines = (0..<count).map { #"{"range":"^\#($0 % 50)","version":"\#($0 % 100).1.0"}"# }
        let (output, code) = try run("semver", input: lines.joined(separator: "\n") + "\nbad\n")
        #expect(code == 0)
        let answers = output.split(separator: "\n")
        #expect(answers.count == count + 1)
        for index in 0..<count {
            #expect(answers[index] == (index % 50 == index % 100 ? #"{"satisfies":true}"# : #"{"satisfies":false}"#))
        }
        #expect(answers[count].hasPrefix(#"{"error":"#))
    }

    @Test func `a wrong command line is exit code 2`() throws {
        #expect(try run("semver '^1'").code == 2)
        #expect(try run("no-such-command").code == 2)
        #expect(try run("call").code == 2)
        #expect(try run("call echo.say '{oops' --endpoint ipc:///nowhere").code == 2)
        #expect(try run("--help").code == 0)
    }

    @Test func `a broker that is not there is exit code 3 and told with what to type`() throws {
        let (output, code) = try run("services --endpoint ipc:///tmp/wiz-nobody-here/mesh.sock")
        #expect(code == 3)
        #expect(output.contains("no broker at ipc:///tmp/wiz-nobody-here/mesh.sock"))
        #expect(output.contains("wiz up"))
        let json = try run("services --json --endpoint ipc:///tmp/wiz-nobody-here/mesh.sock")
        #expect(json.output.hasPrefix(#"{"error":{"exit":3,"#))
    }

    @Test func `every command prints its help`() throws {
        for command in [
            "up", "call", "services", "plugins", "sessions", "calls", "cancel", "sub", "pub", "events", "explain",
            "drain", "kick", "reload", "keys", "bench", "semver", "doctor", "metrics", "info", "version",
            "completions", "ticket", "describe", "validate", "schema", "exit-codes", "new", "dev", "host", "logs",
            "why",
            "conformance", "grants", "grant", "revoke", "plugin", "plugin start", "plugin stop", "plugin restart",
            "plugin reset",
        ] {
            let (output, code) = try run("\(command) --help")
            #expect(code == 0 && output.contains("USAGE: wiz \(command)"), "\(command)")
        }
    }
}
