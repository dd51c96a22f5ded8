// Tables, colours, numbers and JSON as people see them.

import Testing

@testable import wiz

struct TerminalTests {
    @Test func `a table is as wide as it needs, and cut to a terminal's width`() {
        var table = Table([.text("NAME"), .number("N"), .text("TEXT")])
        table.add(["echo", "12", "a long text that goes on"])
        table.add(["x", "3", "short"])
        let free = """
            NAME   N  TEXT
            echo  12  a long text that goes on
            x      3  short

            """
        #expect(table.text(width: nil, style: .plain) == free)
        let narrow = table.text(width: 24, style: .plain)
        #expect(narrow.split(separator: "\n").allSatisfy { $0.count <= 24 })
        #expect(narrow.contains("a long text t…"))
    }

    @Test func `cells lose their control characters`() {
        var table = Table([.text("A")])
        table.add(["\u{1B}[31mred\u{7}\nline"])
        #expect(table.text(width: nil, style: .plain) == "A\n[31mredline\n")
    }

    @Test func `colour only on a terminal and without NO_COLOR`() {
        func wants(_ isTerminal: Bool, _ environment: [String: String]) -> Bool {
            Terminal.wantsColour(isTerminal: isTerminal) { environment[$0] }
        }
        #expect(wants(true, [:]))
        #expect(!wants(false, [:]))
        #expect(!wants(true, ["NO_COLOR": "1"]))
        #expect(wants(true, ["NO_COLOR": ""]))
        #expect(!wants(true, ["TERM": "dumb"]))
        #expect(wants(false, ["CLICOLOR_FORCE": "1"]))
        #expect(!wants(false, ["CLICOLOR_FORCE": "1", "NO_COLOR": "1"]))
    }

    @Test(arguments: [
        (Int64(0), "0 µs"), (999, "999 µs"), (1250, "1.25 ms"), (250_000, "250 ms"), (2_000_000, "2.00 s"),
        (61_000_000, "1 min 1 s"), (7_260_000_000, "2 h 1 min"),
    ])
    func `durations are short`(_ microseconds: Int64, _ text: String) {
        #expect(Units.text(microseconds: microseconds) == text)
    }

    @Test func `numbers are grouped and fixed`() {
        #expect(Units.grouped(1_234_567) == "1 234 567")
        #expect(Units.grouped(12) == "12")
        #expect(Units.fixed(1.005, 1) == "1.0")
        #expect(Units.fixed(0.07, 2) == "0.07")
        #expect(Units.fixed(-0.5, 1) == "-0.5")
    }

    @Test func `JSON is indented without touching its numbers and strings`() {
        let text = #"{"a":1.0,"b":[],"c":{"d":"x, {y}: \" z"},"e":[1e400,null]}"#
        let pretty = #"""
            {
              "a": 1.0,
              "b": [],
              "c": {
                "d": "x, {y}: \" z"
              },
              "e": [
                1e400,
                null
              ]
            }
            """#
        #expect(prettyJSON(text, .plain) == pretty)
        #expect(prettyJSON("7", .plain) == "7")
        #expect(prettyJSON("{ }", .plain) == "{}")
    }

    @Test func `times of day are in UTC with milliseconds`() {
        #expect(clockText(nanosecondsSince1970: 1_767_225_600_012_345_678) == "00:00:00.012")
    }
}
