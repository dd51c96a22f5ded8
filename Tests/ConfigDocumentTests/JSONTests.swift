// JSON texts: what they become, and where their mistakes are.

import ConfigDocument
import Testing

private func json(_ text: String, limits: ConfigLimits = ConfigLimits()) throws(ConfigErrors) -> ConfigDocument {
    try ConfigDocument(text: text, source: "a.json", limits: limits)
}

private func problems(_ text: String, limits: ConfigLimits = ConfigLimits()) -> [String] {
    do throws(ConfigErrors) {
        return try json(text, limits: limits).problems.map(\.description)
    } catch {
        return error.problems.map(\.description)
    }
}

@Test func `JSON becomes a tree of values`() throws {
    let text =
        #"{"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x\n\/\"\u00e9\ud83d\ude00"}, "": 9223372036854775807}"#
    let value = try json(text).root.value
    #expect(value.json == #"{"a":[1,-2.5,1000.0,true,false,null],"b":{"c":"x\n/\"é😀"},"":9223372036854775807}"#)
}

@Test func `values and keys remember where they stood, in Unicode scalars`() throws {
    let root = try json("\u{FEFF}{\r\n  \"ä😀\": 1,\n\t\"b\": [true]\r}").root
    guard case .mapping(let entries) = root.content else {
        Issue.record("not a mapping")
        return
    }
    #expect(root.position == ConfigPosition(line: 1, column: 1))
    #expect(entries.map(\.keyPosition.description) == ["2:3", "3:2"])
    #expect(entries.map(\.value.position.description) == ["2:9", "3:7"])
}

@Test func `a key given twice is told with both lines, and reading goes on`() throws {
    let found = problems("{\"a\": 1,\n \"b\": {\"x\": 1, \"x\": 2},\n \"a\": 3}")
    #expect(
        found == [
            #"a.json:2:16 /b/x: key "x" is given twice, first on line 2"#,
            #"a.json:3:2 /a: key "a" is given twice, first on line 1"#,
        ]
    )
    let root = try json("{\"a\": 1, \"a\": 2}").root.value
    #expect(root["a"] == .integer(1))
}

@Test(arguments: [
    ("", #"a.json:1:1: unexpected end of the file; expected a value"#),
    ("{\n  \"a\": 1,\n}", #"a.json:3:1: a comma before "}"; expected a key in double quotes"#),
    ("[1,\n 2,]", #"a.json:2:4 /2: a comma before "]"; expected a value"#),
    ("{\"a\" 1}", #"a.json:1:6 /a: unexpected "1" after a key; expected ":""#),
    ("{\"a\": 1 \"b\": 2}", #"a.json:1:9: unexpected "\""; expected "," or "}""#),
    ("{'a': 1}", #"a.json:1:2: unexpected "'"; expected a key in double quotes"#),
    ("{\"a\": 'b'}", #"a.json:1:7 /a: strings stand in double quotes in JSON; expected a value"#),
    ("{\n// no\n}", #"a.json:2:1: comments are not allowed in JSON; expected a key in double quotes"#),
    ("{\"a\": True}", #"a.json:1:7 /a: "True" is not JSON; expected true, false, null, or a string in double quotes"#),
    ("[01]", #"a.json:1:2 /0: "01" is not a number that JSON allows; expected a number such as 12 or 0.5"#),
    ("[1.]", #"a.json:1:2 /0: "1." is not a number that JSON allows; expected a number such as 12 or 0.5"#),
    ("[1e999]", #"a.json:1:2 /0: "1e999" is not a number that JSON allows; expected a number such as 12 or 0.5"#),
    ("[\"a\nb\"]", #"a.json:1:4 /0: character U+000A inside a string; write it as an escape such as \n"#),
    ("[\"abc", #"a.json:1:2 /0: a string that begins here never ends; expected a closing ""#),
    (#"["\x"]"#, #"a.json:1:3 /0: "\" before "x" is not an escape; expected one of \" \\ \/ \b \f \n \r \t \u"#),
    (#"["\ud800"]"#, "a.json:1:3 /0: half of a surrogate pair"),
    (#"["\ud800\u0041"]"#, "a.json:1:3 /0: half of a surrogate pair"),
    (#"["\u12g4"]"#, #"a.json:1:3 /0: \u needs four hexadecimal digits"#),
    ("{} {}", #"a.json:1:4: unexpected "{" after the value; expected the end of the file"#),
    ("[1", #"a.json:1:3: unexpected end of the file; expected "," or "]""#),
    ("nul", #"a.json:1:1: "nul" is not JSON; expected true, false, null, or a string in double quotes"#),
    ("{\u{0}}", "a.json:1:2: unexpected character U+0000; expected a key in double quotes"),
])
func `a mistake in the grammar is told where it is`(text: String, expected: String) {
    #expect(problems(text) == [expected])
}

@Test func `lists and mappings may nest as deep as the limit`() {
    let limits = ConfigLimits(depth: 3)
    #expect(problems("[[[1]]]", limits: limits).isEmpty)
    let expected = "a.json:1:4 /0/0/0: too many lists and mappings inside each other; expected at most 3 levels"
    #expect(problems("[[[[1]]]]", limits: limits) == [expected])
    #expect(problems(String(repeating: "[", count: 1_000_000)).count == 1)
}

@Test func `a text over the limit is refused before it is read`() {
    let text = "\"" + String(repeating: "a", count: 1 << 20) + "\""
    #expect(problems(text) == ["a.json:1:1: the file is too large: 1048578 bytes; expected at most 1MiB"])
}

@Test func `bytes that are not UTF-8 are refused with their place`() {
    let errors = #expect(throws: ConfigErrors.self) {
        try ConfigDocument(bytes: Array("{\"é\":\n \"".utf8) + [0xFF, 0x22, 0x7D], source: "a.json")
    }
    #expect(errors?.description == "a.json:2:3: the byte 0xFF is not valid UTF-8 here; expected a UTF-8 text")
    let truncated = #expect(throws: ConfigErrors.self) { try ConfigDocument(bytes: [0x22, 0xC3], source: "a.json") }
    #expect(truncated?.problems.first?.position == ConfigPosition(line: 1, column: 2))
}

@Test func `random damage to a text never traps the reader`() {
    var generator = SystemRandomNumberGenerator()
    let original = Array(#"{"a": [1, -2.5e3, true, null], "b": {"c": "x\né\ud83d\ude00"}}"#.utf8)
    for _ in 0..<2000 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: place)
            default: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: place)
            }
        }
        _ = try? ConfigDocument(bytes: bytes, source: "a.json")
        _ = try? ConfigDocument(bytes: bytes, source: "a.yaml")
    }
}
