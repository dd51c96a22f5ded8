// Many questions about versions as JSON lines: each line is answered with one line, whatever it holds.

import ConfigDocument
import Glibc
import Testing

@testable import wiz

struct SemverLinesTests {
    private func answer(_ line: String) -> String {
        var lines = SemverLines()
        return lines.answer(line: line)
    }

    @Test(arguments: [
        (#"{"range":"^1.2.0","version":"1.9.0"}"#, #"{"satisfies":true}"#),
        (#"{"version":"2.0.0","range":"^1.2.0"}"#, #"{"satisfies":false}"#),
        (#" { "range" : "*" , "version" : "1.0.0-beta" } "#, #"{"satisfies":false}"#),
        (#"{"range":"\u005e1","version":"1.0.0"}"#, #"{"satisfies":true}"#),
        (#"{"range":"","version":"1.0.0"}"#, #"{"satisfies":true}"#),
    ])
    func `a question is answered`(_ question: String, _ expected: String) { #expect(answer(question) == expected) }

    @Test(arguments: [
        "nonsense", "{}", #"{"range":"^1"}"#, #"{"range":1,"version":"1.0.0"}"#, #"{"range":"^1","version":"1"}"#,
        #"{"range":"not a range","version":"1.0.0"}"#, #"{"range":"^1","version":"1.0.0","more":1}"#,
        #"{"range":"^1","range":"^2"}"#, #"["^1","1.0.0"]"#,
    ])
    func `what is no question gets an error in one line of JSON`(_ line: String) throws {
        let text = answer(line)
        let json = try JSON(parsing: text)
        #expect(json.entries.map(\.key) == ["error"])
        #expect(!json.text("error").isEmpty)
        #expect(!text.contains("\n"))
    }

    @Test func `the quick way and the long way agree`() {
        for range in ["^1", "~2.3", "1.x || >=2.5.0", ">1 <3", "bad range"] {
            for version in ["1.0.0", "2.3.4", "2.5.0", "3.0.0-rc.1", "x"] {
                let quick = answer(#"{"range":"\#(range)","version":"\#(version)"}"#)
                let long = answer(#"{"range":"\#(range)","vers\u0069on":"\#(version)"}"#)
                #expect(quick == long)
            }
        }
    }
}
