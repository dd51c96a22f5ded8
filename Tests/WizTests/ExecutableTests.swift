// The built executable: standard input and output, and exit codes.

import ArgumentParser
import Glibc
import Testing

@testable import wiz

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

    @Test func `a file or a folder that is not there is exit code 4`() throws {
        for command in [
            "validate /nowhere", "validate /tmp", "conformance /tmp", "dev /tmp", "keys show /nowhere",
            "up --mesh /nowhere", "up /nowhere", "host /nowhere", "host --mesh /nowhere", "grants --mesh /nowhere",
        ] {
            let (output, code) = try run(command)
            #expect(code == 4, "\(command): \(output)")
            #expect(output.hasPrefix("error: "), "\(output)")
        }
    }

    @Test func `a broker that is not there is exit code 3 and told with what to type`() throws {
        let (output, code) = try run("services --endpoint ipc:///tmp/wiz-nobody-here/mesh.sock")
        #expect(code == 3)
        #expect(output.contains("no broker at ipc:///tmp/wiz-nobody-here/mesh.sock"))
        #expect(output.contains("wiz up"))
        let json = try run("services --json --endpoint ipc:///tmp/wiz-nobody-here/mesh.sock")
        #expect(json.output.hasPrefix(#"{"error":{"exit":3,"#))
    }

    @Test func `a command that there is not is told with the one that may be meant`() throws {
        let (output, code) = try run("servces")
        #expect(
            code == 2 && output.contains("wiz has no command servces")
                && output.contains("Did you mean `wiz services`?")
        )
        let inner = try run("plugin stp echo")
        #expect(inner.code == 2 && inner.output.contains("Did you mean `wiz plugin stop`?"))
        #expect(try run("ls --help").code == 0)
        #expect(try run("help services").code == 0)
        let json = try run("grant --json")
        #expect(json.code == 2 && json.output.hasPrefix(#"{"error":{"exit":2,"#))
    }

    @Test func `the help lists every command in one of its groups`() throws {
        let configuration = Wiz.configuration
        #expect(configuration.ungroupedSubcommands.isEmpty)
        let help = try run("--help").output
        for command in configuration.subcommands {
            #expect(help.contains("\n  \(command._commandName)"), "\(command._commandName)")
            #expect(command.configuration.abstract.hasSuffix("."))
        }
        let grouped = configuration.groupedSubcommands.flatMap(\.subcommands).map { $0._commandName }
        #expect(Set(grouped).count == grouped.count)
    }

    @Test func `the exit codes are those of the documentation`() throws {
        let text = String(decoding: try readFile(Built.root + "/docs/OPERATIONS.md"), as: UTF8.self)
        for exit in WizExit.allCases {
            #expect(text.contains("\n| \(exit.rawValue) | \(exit.meaning) |\n"), "\(exit)")
        }
    }

    @Test func `every command prints its help`() throws {
        let commands = Wiz.configuration.subcommands.flatMap { command in
            [command._commandName]
                + command.configuration.subcommands.map { command._commandName + " " + $0._commandName }
        }
        for command in commands {
            let (output, code) = try run("\(command) --help")
            #expect(code == 0 && output.contains("USAGE: wiz \(command)"), "\(command)")
        }
    }
}
