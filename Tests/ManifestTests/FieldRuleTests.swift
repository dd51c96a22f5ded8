// The rule of each field, with the exact place of its problem. Line 2 of these manifests is what the test gives.

import ConfigDocument
import Manifest
import Testing

private let names = #"expected lower-case words of letters and digits joined by "-", "_" or ".", at most 96 characters"#
private let pluginNames = #"expected lower-case words of letters and digits joined by "-", at most 48 characters"#
private let inside = #"expected a path inside the plugin's folder, such as "bin/plugin""#

@Test(
    arguments: [
        ("a", nil), ("llama-extension", nil), ("a1-2b", nil), (String(repeating: "a", count: 48), nil),
        ("", ""), ("-a", #"; did you mean "a"?"#), ("a-", #"; did you mean "a"?"#), ("a--b", #"; did you mean "a-b"?"#),
        ("1a", ""), ("LlamaExtension", #"; did you mean "llamaextension"?"#),
        ("my_plugin", #"; did you mean "my-plugin"?"#),
        ("a.b", #"; did you mean "a-b"?"#), ("../evil", #"; did you mean "evil"?"#), ("é", ""),
        ("a\\u0000", #"; did you mean "a"?"#),
        (String(repeating: "a", count: 49), ""),
    ] as [(String, String?)]
)
func `a plugin's name follows its rule`(name: String, hint: String?) {
    let found = problems("{\"name\": \"\(name)\", \"version\": \"1.0.0\", \"main\": \"a\"}")
    let expected = hint.map { ["plugin.json:1:10 /name: name \"\(name)\" is not valid; \(pluginNames)\($0)"] }
    #expect(found == expected ?? [])
}

@Test(arguments: [
    ("v1.2.3", #"version "v1.2.3" has something around it; expected a version such as "1.2.3"; did you mean "1.2.3"?"#),
    (" 1.2.3", #"version " 1.2.3" has something around it; expected a version such as "1.2.3"; did you mean "1.2.3"?"#),
])
func `a version stands bare`(version: String, expected: String) {
    let found = problems("{\"name\": \"a\", \"version\": \"\(version)\", \"main\": \"a\"}")
    #expect(found == ["plugin.json:1:26 /version: \(expected)"])
}

@Test(arguments: [
    (#""/bin/sh""#, #"25 /main: "/bin/sh" is not relative to the plugin's folder; "# + inside),
    (#""~/x""#, #"25 /main: "~/x" is not relative to the plugin's folder; "# + inside),
    (#""a/../../b""#, #"25 /main: "a/../../b" leads out of the plugin's folder by ".."; "# + inside),
    (#""bin/""#, #"25 /main: "bin/" is not the path of a file; "# + inside),
    (#"".""#, #"25 /main: "." is not the path of a file; "# + inside),
    (#""a\u0000b""#, #"25 /main: "a\u0000b" is not the path of a file; "# + inside),
    (#""""#, #"25 /main: the string is empty; expected at least one character"#),
    ("7", #"25 /main: found 7; expected a string; did you mean "\"7\""?"#),
    ("[]", "25 /main: the list has 0 items; expected at least 1"),
    (#"["python3", 3]"#, #"37 /main/1: found 3; expected a string; did you mean "\"3\""?"#),
    (#"["", "a"]"#, "26 /main/0: the string is empty; expected at least one character"),
    (#"["../x", "a"]"#, #"26 /main/0: "../x" leads out of the plugin's folder by ".."; "# + inside),
])
func `main is a path inside the folder or a command`(main: String, expected: String) {
    let found = problems("{\"name\": \"a\", \"main\":   \(main), \"version\": \"1.0.0\"}")
    #expect(found == ["plugin.json:1:\(expected)"])
}

@Test func `a command may name a program on the search path`() throws {
    let text = #"{"name": "a", "version": "1.0.0", "main": ["python3", "main.py"]}"#
    #expect(try PluginManifest.load(text: text).main == EntryPoint(program: .onPath("python3"), arguments: ["main.py"]))
}

@Test(arguments: [
    (
        #""manifestVersion": 2"#,
        "2:20 /manifestVersion: manifest version 2 is not known here; expected 1; a newer one needs a newer wiz"
    ),
    (#""$schema": """#, "2:12 /$schema: the string is empty; expected at least one character"),
    (#""description": ["a"]"#, "2:16 /description: found a list; expected a string"),
    (#""engines": {"wizmsh": "1"}"#, #"2:13 /engines/wizmsh: unknown key "wizmsh"; did you mean "wizmesh"?"#),
    (
        #""engines": {"wizmesh": "01"}"#,
        #"2:24 /engines/wizmesh: range "01" is not valid: a number must not start with a needless zero; did you mean "1"?"#
    ),
    (#""build": []"#, "2:10 /build: the list has 0 items; expected at least 1"),
    (#""build": {}"#, "2:10 /build: found a mapping; expected a string"),
    (
        #""restart": "transent""#,
        #"2:12 /restart: found "transent"; expected "permanent", "transient" or "temporary"; did you mean "transient"?"#
    ),
    (#""activation": true"#, #"2:15 /activation: found true; expected "eager" or "lazy""#),
    (#""instances": {"min": 3, "max": 2}"#, "2:22 /instances/min: min 3 is greater than max 2; expected at most 2"),
    (#""instances": {"max": 0}"#, "2:22 /instances/max: found 0; expected a whole number from 1 to 1024"),
    (
        #""limits": {"memoryMB": "512"}"#,
        #"2:24 /limits/memoryMB: found "512"; expected a whole number from 1 to 1048576; did you mean "512"?"#
    ),
    (#""limits": {"memory": 512}"#, #"2:12 /limits/memory: unknown key "memory"; did you mean "memoryMB"?"#),
    (#""limits": {"openFiles": 3}"#, "2:25 /limits/openFiles: found 3; expected a whole number from 16 to 1048576"),
    (
        #""lifecycle": {"initTimeoutMs": 0}"#,
        "2:32 /lifecycle/initTimeoutMs: found 0; expected a whole number from 1 to 3600000"
    ),
    (
        #""lifecycle": {"reload": "Overlap"}"#,
        #"2:25 /lifecycle/reload: found "Overlap"; expected "overlap" or "exclusive"; did you mean "overlap"?"#
    ),
    (#""capabilities": ["llm", "llm"]"#, #"2:25 /capabilities/1: capability "llm" is listed twice"#),
    (
        #""capabilities": ["UI Extension"]"#,
        "2:18 /capabilities/0: capability \"UI Extension\" is not valid; \(names); did you mean \"ui-extension\"?"
    ),
    (#""capabilities": "llm""#, #"2:17 /capabilities: found "llm"; expected a list"#),
])
func `each field's rule is told at its place`(rest: String, expected: String) {
    #expect(problems(rest: rest) == [expected])
}

@Test(arguments: [
    (
        #""required": ["a@"]"#,
        #"31 /dependencies/required/0: the range after "@" is empty; expected a range such as "^2.0.0"; did you mean "a"?"#
    ),
    (
        #""required": ["a@^1", "a@^2"]"#,
        #"39 /dependencies/required/1: service "a" is already listed at /dependencies/required/0"#
    ),
    (
        #""required": ["a"], "optional": ["a"]"#,
        #"50 /dependencies/optional/0: service "a" is already listed at /dependencies/required/0"#
    ),
    (#""required": [7]"#, "31 /dependencies/required/0: found 7; expected a mapping"),
    (#""required": [{"range": "1"}]"#, #"31 /dependencies/required/0: key "service" is missing"#),
    (
        #""required": [{"service": "a", "range": "1.x.5"}]"#,
        #"57 /dependencies/required/0/range: range "1.x.5" is not valid: a number must not follow a wildcard; did you mean "1.x"?"#
    ),
    (#""required": {"a": "1"}"#, "30 /dependencies/required: found a mapping; expected a list"),
])
func `a dependency's rule is told at its place`(inner: String, expected: String) {
    #expect(problems(rest: "\"dependencies\": {\(inner)}") == ["2:\(expected)"])
}

@Test(arguments: [
    (#"["storage", "storage"]"#, #"28 /permissions/1: permission "storage" is already listed at /permissions/0"#),
    (#"["Fs Read"]"#, "17 /permissions/0: permission \"Fs Read\" is not valid; \(names); did you mean \"fs-read\"?"),
    (
        #"[{"reason": "x"}]"#,
        #"17 /permissions/0: no permission is named; expected an object such as {"networking": {}, "reason": "…"}"#
    ),
    (
        #"[{"networking": {}, "storage": {}}]"#,
        #"36 /permissions/0/storage: unknown key "storage"; expected one permission in each object, and "reason""#
    ),
    (
        #"[{"networking": {}, "reson": "x"}]"#,
        #"36 /permissions/0/reson: unknown key "reson"; expected one permission in each object, and "reason"; did you mean "reason"?"#
    ),
    (
        #"[{"networkin": {"hosts": ["a"]}}]"#,
        #"18 /permissions/0/networkin: permission "networkin" is too like "networking"; did you mean "networking"?"#
    ),
    (
        #"[{"networking": {"host": ["a"]}}]"#,
        #"33 /permissions/0/networking/host: unknown key "host"; did you mean "hosts"?"#
    ),
    (#"[{"storage": {"hosts": ["a"]}}]"#, #"30 /permissions/0/storage/hosts: unknown key "hosts"; expected no keys"#),
    (
        #"[{"networking": {"hosts": []}}]"#,
        "42 /permissions/0/networking/hosts: the list has 0 items; expected at least 1"
    ),
    (#"[{"networking": {"hosts": ["a", "A"]}}]"#, #"48 /permissions/0/networking/hosts/1: host "A" is listed twice"#),
    (
        #"[{"networking": {"hosts": ["https://a.b/c"]}}]"#,
        #"43 /permissions/0/networking/hosts/0: host "https://a.b/c" is not valid; expected a host such as "api.example.com:443", "*.example.com" or "[::1]:8080"; did you mean "a.b:443"?"#
    ),
])
func `a permission's rule is told at its place`(list: String, expected: String) {
    #expect(problems(rest: "\"permissions\": \(list)") == ["2:\(expected)"])
}

@Test func `a permission is asked for once, needed or optional`() {
    #expect(
        problems(rest: #""permissions": ["storage"], "optionalPermissions": ["storage"]"#) == [
            #"2:53 /optionalPermissions/0: permission "storage" is already listed at /permissions/0"#
        ]
    )
}

@Test(arguments: [
    (#"{}"#, #"14 /provides/0: key "service" is missing"#),
    (#"{"service": "a"}, {"service": "a"}"#, #"32 /provides/1: service "a@1.0.0" is already listed at /provides/0"#),
    (#"{"service": "A"}"#, "26 /provides/0/service: service name \"A\" is not valid; \(names); did you mean \"a\"?"),
    (
        #"{"service": "a", "methods": {"1x": {}}}"#,
        #"43 /provides/0/methods/1x: method name "1x" is not valid; expected a letter, then letters, digits, "-", "_" and ".", at most 96 characters"#
    ),
    (
        #"{"service": "a", "methods": {"x": {"timeout": 1}}}"#,
        #"49 /provides/0/methods/x/timeout: unknown key "timeout"; did you mean "timeoutMs"?"#
    ),
    (
        #"{"service": "a", "methods": {"x": {"stream": "replies"}}}"#,
        #"59 /provides/0/methods/x/stream: found "replies"; expected "none", "request", "reply" or "both""#
    ),
    (
        #"{"service": "a", "methods": {"x": {"readOnly": true, "destructive": true}}}"#,
        #"82 /provides/0/methods/x/destructive: a method that only reads cannot be destructive; did you mean "false"?"#
    ),
    (
        #"{"service": "a", "methods": {"x": {"permissions": ["storag"]}}}"#,
        #"65 /provides/0/methods/x/permissions/0: permission "storag" is too like "storage"; did you mean "storage"?"#
    ),
    (#"{"service": "a", "attributes": {"m": []}}"#, "51 /provides/0/attributes/m: found a list; expected a string"),
])
func `a provided service's rule is told at its place`(items: String, expected: String) {
    #expect(problems(rest: "\"provides\": [\(items)]") == ["2:\(expected)"])
}

@Test(arguments: [
    ("true", "11 /config: found true; expected a mapping"),
    (
        #"{"type": "array"}"#,
        #"11 /config: the settings of a plugin are an object, not "array"; expected "type": "object""#
    ),
    (
        #"{"properties": {"a": {"type": "strng"}}}"#,
        #"41 /config/properties/a/type: found "strng"; expected "object", "array", "string", "number", "integer", "boolean" or "null"; did you mean "string"?"#
    ),
    (#"{"propertis": {}}"#, #"12 /config/propertis: unknown schema keyword "propertis"; did you mean "properties"?"#),
    (#"{"required": "a"}"#, #"24 /config/required: found "a"; expected a list"#),
    (
        #"{"properties": {"a": {"sensitive": "yes"}}}"#,
        #"46 /config/properties/a/sensitive: found "yes"; expected true or false; did you mean "true"?"#
    ),
    (
        #"{"properties": {"a": {"$ref": "http://x/y"}}}"#,
        ##"41 /config/properties/a/$ref: "http://x/y" refers to another document; expected a reference inside this schema, such as "#/$defs/x""##
    ),
    (
        #"{"properties": {"a": {"minLength": -1}}}"#,
        "46 /config/properties/a/minLength: found -1; expected a whole number from 0 up"
    ),
    (#"{"anyOf": [7]}"#, "22 /config/anyOf/0: found 7; expected a mapping"),
])
func `a settings schema that cannot work is told at its place`(schema: String, expected: String) {
    #expect(problems(rest: "\"config\": \(schema)") == ["2:\(expected)"])
}

@Test func `a settings schema may have notes of its own and boolean schemas`() throws {
    let config =
        #"{"additionalProperties": false, "x-order": 1, "widget": "slider", "properties": {"type": {"type": "string"}}}"#
    #expect(try manifest(rest: "\"config\": \(config)").config?.schema["widget"] == .string("slider"))
}

@Test(arguments: [
    ("{\"min\": 3}", 3, 3), ("{\"max\": 3}", 1, 3), ("{\"min\": 0}", 0, 1), ("{}", 1, 1),
])
func `instances complete each other`(text: String, minimum: Int, maximum: Int) throws {
    let instances = try manifest(rest: "\"instances\": \(text)").instances
    #expect(instances.minimum == minimum && instances.maximum == maximum)
}

@Test(arguments: [
    "localhost", "api.example.com:443", "*.example.com", "*.example.com:8443", "127.0.0.1:80", "[::1]",
    "[2001:db8::7]:443",
    "[1:2:3:4:5:6:7:8]",
])
func `a host pattern is written as it is read`(text: String) {
    #expect(HostPattern(text)?.description == text)
}

@Test(arguments: [
    "", "*", "*.", "a:0", "a:65536", "a:", "a:+1", "a b", "a/b", "-a.b", "a..b", "::1", "[::1", "[a]", "[::1]x",
    "[1::2::3]",
    "[:::]", "[12345::]", "http://a", "*.[::1]", "a:1:2", "*.*.a",
])
func `other texts are not host patterns`(text: String) {
    #expect(HostPattern(text) == nil)
}

@Test func `a host pattern matches what it says and nothing else`() throws {
    let subdomains = try #require(HostPattern("*.example.com:443"))
    #expect(subdomains.matches(host: "API.example.com", port: 443))
    #expect(!subdomains.matches(host: "api.example.com", port: 80))
    #expect(!subdomains.matches(host: "example.com", port: 443))
    #expect(!subdomains.matches(host: "badexample.com", port: 443))
    #expect(!subdomains.matches(host: ".example.com", port: 443))
    let single = try #require(HostPattern("example.com"))
    #expect(single.matches(host: "example.com", port: 1))
    #expect(!single.matches(host: "a.example.com", port: 1))
}
