// The decoding cursor: each getter's good and bad values, every problem at once and in order.

import ConfigDocument
import Testing

private enum Mode: String, CaseIterable {
    case eager
    case lazy
}

private func problems(
    _ text: String,
    source: String = "a.json",
    _ read: (ConfigField) -> Void
) -> [String] {
    do throws(ConfigErrors) {
        let document = try ConfigDocument(text: text, source: source)
        try document.decode { root in read(root) }
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

@Test func `a decoder reads every kind of value`() throws {
    let text = """
        name: broker
        threads: 4
        ratio: 0.5
        on: true
        wait: 1.5s
        grace: 250
        size: 64KiB
        limit: 4096
        mode: lazy
        tags: [a, b]
        x-note: {free: form}
        """
    let keys = ["name", "threads", "ratio", "on", "wait", "grace", "size", "limit", "mode", "tags", "absent"]
    try ConfigDocument(text: text, source: "mesh.yaml").decode { root in
        let mapping = root.mapping(keys)
        #expect(mapping["name"].required().string() == "broker")
        #expect(mapping["threads"].integer(in: 1...8) == 4)
        #expect(mapping["ratio"].number(in: 0...1) == 0.5)
        #expect(mapping["on"].boolean() == true)
        #expect(mapping["wait"].duration() == .milliseconds(1500))
        #expect(mapping["grace"].duration(bareUnit: .milliseconds) == .milliseconds(250))
        #expect(mapping["size"].byteCount() == 65536)
        #expect(mapping["limit"].byteCount() == 4096)
        #expect(mapping["mode"].oneOf(Mode.self) == .lazy)
        #expect(mapping["tags"].strings() == ["a", "b"])
        #expect(mapping["absent"].string() == nil)
        #expect(mapping["absent"].mapping(["inner"])["inner"].string() == nil)
        #expect(mapping.extensions.map(\.key) == ["x-note"])
    }
}

@Test func `every problem is told at once, in the order of the text`() {
    let text = """
        {
          "nmae": "x",
          "threads": 99,
          "mode": "lazi",
          "on": "yes",
          "inner": {"deep": [1, "two"]},
          "zebra": 1,
          "threads": 3
        }
        """
    let found = problems(text) { root in
        let mapping = root.mapping(["name", "threads", "mode", "on", "inner"])
        _ = mapping["name"].required().string()
        _ = mapping["on"].boolean()
        _ = mapping["mode"].oneOf(Mode.self)
        _ = mapping["threads"].integer(in: 1...8)
        for item in mapping["inner"].mapping(["deep"])["deep"].list() { _ = item.string() }
    }
    #expect(
        found == [
            #"a.json:1:1: key "name" is missing"#,
            #"a.json:2:3 /nmae: unknown key "nmae"; did you mean "name"?"#,
            #"a.json:3:14 /threads: found 99; expected a whole number from 1 to 8"#,
            #"a.json:4:11 /mode: found "lazi"; expected "eager" or "lazy"; did you mean "lazy"?"#,
            #"a.json:5:9 /on: found "yes"; expected true or false; did you mean "true"?"#,
            #"a.json:6:22 /inner/deep/0: found 1; expected a string; did you mean "\"1\""?"#,
            #"a.json:7:3 /zebra: unknown key "zebra"; expected one of inner, mode, name, on, threads"#,
            #"a.json:8:3 /threads: key "threads" is given twice, first on line 3"#,
        ]
    )
}

@Test(arguments: [
    (#""5""#, #"found "5"; expected a duration such as "5s" or "250ms"; did you mean "5ms"?"#),
    ("5", #"found 5; expected a duration such as "5s" or "250ms"; did you mean "\"5ms\""?"#),
    (#""5 parsecs""#, #"found "5 parsecs"; expected a duration such as "5s" or "250ms""#),
    (#""-1s""#, #"found "-1s"; expected a duration such as "5s" or "250ms""#),
    (#""2h""#, #"found "2h"; expected a duration from 0s to 1h"#),
    ("null", #"found null; expected a duration such as "5s" or "250ms""#),
])
func `a wrong duration is explained`(value: String, expected: String) {
    #expect(problems(value) { _ = $0.duration(in: .zero ... .seconds(3600)) } == ["a.json:1:1: " + expected])
}

@Test(arguments: [
    (#""1kb""#, #"found "1kb"; expected a number of bytes such as 4096 or "64KiB""#),
    ("-1", #"found -1; expected a number of bytes such as 4096 or "64KiB""#),
    (#""2MiB""#, #"found "2MiB"; expected from 1KiB to 1MiB"#),
    ("[]", #"found a list; expected a number of bytes such as 4096 or "64KiB""#),
])
func `a wrong byte count is explained`(value: String, expected: String) {
    #expect(problems(value) { _ = $0.byteCount(in: 1024...1_048_576) } == ["a.json:1:1: " + expected])
}

@Test(arguments: [
    ("1.0", "found 1.0; expected a whole number from 1 to 8"),
    (#""4""#, #"found "4"; expected a whole number from 1 to 8; did you mean "4"?"#),
    ("99999999999999999999", "found 99999999999999999999; expected a whole number from 1 to 8"),
])
func `a wrong whole number is explained`(value: String, expected: String) {
    #expect(problems(value) { _ = $0.integer(in: 1...8) } == ["a.json:1:1: " + expected])
}

@Test func `below a value of the wrong type nothing more is reported`() {
    let found = problems(#"{"inner": 7}"#) { root in
        let inner = root.mapping(["inner"])["inner"].mapping(["a"])
        _ = inner["a"].required().string()
        _ = inner["a"].required().mapping(["b"])["b"].required().integer()
    }
    #expect(found == ["a.json:1:11 /inner: found 7; expected a mapping"])
}

@Test func `nothing at all is an empty mapping or list in YAML, not in JSON`() {
    let read: (ConfigField) -> Void = { root in
        let mapping = root.mapping(["a", "b"])
        _ = mapping["a"].mapping(["c"])
        _ = mapping["b"].list()
    }
    #expect(problems("a:\nb:\n", source: "a.yaml", read).isEmpty)
    #expect(
        problems(#"{"a": null, "b": null}"#, read) == [
            "a.json:1:7 /a: found null; expected a mapping", "a.json:1:18 /b: found null; expected a list",
        ]
    )
    #expect(
        problems("a:", source: "a.yaml") { _ = $0.mapping(["a"])["a"].string() } == [
            "a.yaml:1:3 /a: found nothing; expected a string"
        ]
    )
}

@Test func `pointers escape what RFC 6901 says`() {
    let found = problems(#"{"a/b": {"c~d": 1}}"#) { root in
        for outer in root.entries() {
            for inner in outer.value.entries() { _ = inner.value.string() }
        }
        _ = root.mapping(["a/b", "e/f"])["e/f"].required()
    }
    #expect(
        found == [
            #"a.json:1:1: key "e/f" is missing"#,
            #"a.json:1:17 /a~1b/c~0d: found 1; expected a string; did you mean "\"1\""?"#,
        ]
    )
}

@Test func `lists know their bounds and repetitions`() {
    #expect(problems("[]") { _ = $0.list(atLeast: 1) } == ["a.json:1:1: the list has 0 items; expected at least 1"])
    #expect(problems("[1, 2]") { _ = $0.list(atMost: 1) } == ["a.json:1:1: the list has 2 items; expected at most 1"])
    #expect(
        problems(#"["a", "a", ""]"#) { _ = $0.strings() } == [
            #"a.json:1:7 /1: "a" is listed twice"#,
            "a.json:1:12 /2: the string is empty; expected at least one character",
        ]
    )
}

@Test func `more problems than are kept are counted`() throws {
    let text = "[" + Array(repeating: "1", count: 300).joined(separator: ",") + "]"
    let document = try ConfigDocument(text: text, source: "a.json")
    let errors = #expect(throws: ConfigErrors.self) {
        try document.decode { root in root.list().forEach { _ = $0.string() } }
    }
    #expect(errors?.problems.count == ConfigErrors.limit)
    #expect(errors?.omitted == 100)
    #expect(errors?.description.hasSuffix("… and 100 more") == true)
}

@Test func `the report for editors names each thing apart`() throws {
    let document = try ConfigDocument(text: #"{"nmae": 1}"#, source: "a.json")
    let errors = #expect(throws: ConfigErrors.self) { try document.decode { root in _ = root.mapping(["name"]) } }
    let problem = try #require(errors?.report.problems.first)
    #expect(errors?.report.valid == false)
    #expect(problem.file == "a.json")
    #expect(problem.line == 1)
    #expect(problem.column == 2)
    #expect(problem.pointer == "/nmae")
    #expect(problem.message == #"unknown key "nmae""#)
    #expect(problem.expected == nil)
    #expect(problem.suggestion == "name")
}

@Test(arguments: [
    ("5s", Duration.seconds(5)), ("250ms", .milliseconds(250)), ("1.5h", .seconds(5400)), ("2 m", .seconds(120)),
    ("10us", .microseconds(10)), ("1d", .seconds(86400)), ("0.25s", .milliseconds(250)), ("0s", .zero),
])
func `durations are read and written exactly`(text: String, duration: Duration) {
    #expect(parseDuration(text) == duration)
    #expect(parseDuration(formatDuration(duration)) == duration)
}

@Test(arguments: [
    "", "s", "5", "5S", "1.s", ".5s", "1e3s", "-1s", "99999999999999999999s", "9999999999999d", "1.0000000001s",
])
func `other texts are not durations`(text: String) {
    #expect(parseDuration(text) == nil)
}

@Test(arguments: [
    ("512B", 512), ("64KiB", 65536), ("1.5GiB", 1_610_612_736), ("10MB", 10_000_000), ("1 kB", 1000), ("0B", 0),
])
func `byte counts are read and written exactly`(text: String, bytes: Int) {
    #expect(parseByteCount(text) == bytes)
    #expect(parseByteCount(formatByteCount(bytes)) == bytes)
}

@Test func `the nearest word is at most two edits away`() {
    let words = ["networking", "storage", "name", "main"]
    #expect(nearest(to: "netwroking", among: words) == "networking")
    #expect(nearest(to: "Storage", among: words) == "storage")
    #expect(nearest(to: "nmae", among: words) == "name")
    #expect(nearest(to: "completely-else", among: words) == nil)
    #expect(nearest(to: "x", among: ["ab"]) == nil)
}
