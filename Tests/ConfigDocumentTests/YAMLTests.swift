// YAML texts: the core schema, places, and what is refused.

import ConfigDocument
import Testing

private func yaml(_ text: String, limits: ConfigLimits = ConfigLimits()) throws(ConfigErrors) -> ConfigDocument {
    try ConfigDocument(text: text, source: "mesh.yaml", limits: limits)
}

private func problems(_ text: String, limits: ConfigLimits = ConfigLimits()) -> [String] {
    do throws(ConfigErrors) {
        return try yaml(text, limits: limits).problems.map(\.description)
    } catch {
        return error.problems.map(\.description)
    }
}

@Test func `plain scalars follow YAML 1.2's core schema`() throws {
    let text = """
        # a comment
        words: [yes, no, on, a b, 1.2.3, 2026-01-01, .inf, ~x, "5", 'true', -]
        flags: [true, False]
        nothing: [~, null, ]
        numbers: [0, -7, +8, 0x1F, 0o17, 1.5, 1e3, 12345678901234567890]
        block: |
          line
        empty:
        """
    let expected =
        #"{"words":["yes","no","on","a b","1.2.3","2026-01-01",".inf","~x","5","true","-"],"flags":[true,false],"#
        + #""nothing":[null,null],"numbers":[0,-7,8,31,15,1.5,1000.0,1.2345678901234567e+19],"block":"line\n","empty":null}"#
    #expect(try yaml(text).root.value.json == expected)
}

@Test func `YAML reads JSON too`() throws {
    #expect(try yaml(#"{"a": [1, {"b": null}], "c":"d"}"#).root.value.json == #"{"a":[1,{"b":null}],"c":"d"}"#)
}

@Test func `a text without a value is null`() throws {
    #expect(try yaml("# nothing\n").root.value == .null)
    #expect(try yaml("").root.value == .null)
}

@Test func `places are those of keys and values`() throws {
    let root = try yaml("a:\n  - x\n  -   yä: {z: 1}\n").root
    guard case .mapping(let top) = root.content, case .list(let items) = top[0].value.content,
        case .mapping(let inner) = items[1].content, case .mapping(let flow) = inner[0].value.content
    else {
        Issue.record("another shape")
        return
    }
    #expect(top[0].keyPosition == ConfigPosition(line: 1, column: 1))
    #expect(items[0].position == ConfigPosition(line: 2, column: 5))
    #expect(inner[0].keyPosition == ConfigPosition(line: 3, column: 7))
    #expect(flow[0].value.position == ConfigPosition(line: 3, column: 15))
}

@Test(arguments: [
    ("a: &x 1\nb: *x\n", ["mesh.yaml:1:4 /a: anchors and aliases are not allowed; expected values written out"]),
    ("a: !!str 1\n", [#"mesh.yaml:1:4 /a: tags such as "tag:yaml.org,2002:str" are not allowed"#]),
    ("a: !x [1]\n", [#"mesh.yaml:1:4 /a: tags such as "!x" are not allowed"#]),
    ("? [a]\n: 1\n", ["mesh.yaml:1:3: this key is not a plain string; expected a string as key"]),
    ("a: 1\nb: 2\na: 3\n", [#"mesh.yaml:1:1: key "a" is given more than once in one mapping"#]),
    ("a: 1\n---\nb: 2\n", ["mesh.yaml:2:1: expected a single document in the stream, but found another document"]),
    ("a: [1,\nb: 2\n", []),
    ("\ta: 1", []),
    ("a: \u{1}", []),
    ("a: *x", []),
])
func `what is not plain YAML is refused`(text: String, expected: [String]) {
    let found = problems(text)
    #expect(!found.isEmpty)
    if !expected.isEmpty {
        // The alias repeats the anchored node, and its problem names the same place.
        #expect(found.prefix(expected.count).elementsEqual(expected))
    }
}

@Test(.timeLimit(.minutes(1)))
func `nested aliases cannot make the tree explode`() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
        let items = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
        text += "a\(level): &a\(level) [\(items)]\n"
    }
    text += "? *a9\n: 1\n"
    #expect(
        problems(text) == [
            "mesh.yaml:1:1: anchors (&name) and aliases (*name) are not allowed; expected values written out"
        ]
    )
}

@Test func `YAML may nest as deep as the limit`() {
    let limits = ConfigLimits(depth: 2)
    #expect(problems("a: [1]", limits: limits).isEmpty)
    #expect(
        problems("a: [[1]]", limits: limits) == [
            "mesh.yaml:1:5 /a/0: too many lists and mappings inside each other; expected at most 2 levels"
        ]
    )
    #expect(problems(String(repeating: "[", count: 1_000_000)).count == 1)
}
