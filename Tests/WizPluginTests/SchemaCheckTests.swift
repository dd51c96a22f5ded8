// The check of settings against a schema, keyword by keyword.

import Testing

@testable import WizPlugin

struct SchemaCheckTests {
    static let schema: Value = [
        "type": "object",
        "required": ["model"],
        "additionalProperties": false,
        "properties": [
            "model": ["type": "string", "enum": ["tiny", "large"], "description": "which one"],
            "port": ["type": "integer", "minimum": 1, "maximum": 65535, "default": 8080],
            "ratio": ["type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.25],
            "key": ["type": "string", "sensitive": true, "minLength": 8, "pattern": "^[a-z]+$"],
            "tags": ["type": "array", "items": ["$ref": "#/$defs/tag"], "maxItems": 2, "uniqueItems": true],
            "limits": [
                "type": "object", "properties": ["rate": ["type": "integer", "default": 5]],
                "additionalProperties": ["type": "string"],
            ],
            "mode": ["oneOf": [["const": "fast"], ["type": "integer"]]],
        ],
        "$defs": ["tag": ["type": "string", "maxLength": 3]],
        "dependentRequired": ["ratio": ["port"]],
    ]

    private func problems(_ value: Value) -> [String] { SchemaCheck(Self.schema).problems(of: value) }

    @Test func `settings that are right have no problems`() {
        #expect(
            problems([
                "model": "tiny", "port": 80, "ratio": 0.5, "key": "abcdefgh", "tags": ["a", "b"],
                "limits": ["rate": 5, "other": "x"], "mode": 7,
            ]).isEmpty
        )
        #expect(problems(["model": "large", "port": 80.0]).isEmpty)
    }

    @Test(
        arguments: [
            ([:], ["model: it is missing (which one)"]),
            (["model": "huge"], [#"model: "huge" is not one of "tiny", "large""#]),
            (["model": 7], ["model: 7 is no string"]),
            (["model": "tiny", "port": 0], ["port: 0 is less than 1"]),
            (["model": "tiny", "port": 1.5], ["port: 1.5 is no integer"]),
            (["model": "tiny", "port": 70000], ["port: 70000 is more than 65535"]),
            (["model": "tiny", "port": 1, "ratio": 1], ["ratio: 1 is not less than 1"]),
            (["model": "tiny", "port": 1, "ratio": 0.3], ["ratio: 0.3 is no multiple of 0.25"]),
            (["model": "tiny", "ratio": 0.5], ["port: it is missing, and ratio needs it"]),
            (["model": "tiny", "tags": ["a", "a"]], ["tags: an entry is there twice"]),
            (["model": "tiny", "tags": ["long"]], [#"tags[0]: "long" has more than 3 characters"#]),
            (["model": "tiny", "tags": ["a", "b", "c"]], ["tags: there are 3 entries, at most 2 are taken"]),
            (["model": "tiny", "limits": ["other": 1]], ["limits.other: 1 is no string"]),
            (["model": "tiny", "mode": "slow"], [#"mode: "slow" fits 0 of the allowed forms, where one is due"#]),
            (["model": "tiny", "prot": 1], ["prot: there is no such setting, did you mean port?"]),
            (
                ["model": "tiny", "zebra": 1],
                ["zebra: there is no such setting; there are: key, limits, mode, model, port, ratio, tags"]
            ),
        ] as [(Value, [String])]
    )
    func `each problem is a sentence with its place`(_ value: Value, _ expected: [String]) {
        #expect(problems(value) == expected)
    }

    @Test func `a sensitive value is never shown`() {
        let found = problems(["model": "tiny", "key": "HUSH"])
        #expect(found == ["key: the value has fewer than 8 characters", "key: the value does not match ^[a-z]+$"])
        #expect(problems(["model": "tiny", "key": 12_345]) == ["key: the value is no string"])
        var manifest = LifeTests.manifest
        manifest["config"] = Self.schema
        let info = try? PluginInfo(manifest)
        let config = info.map { PluginConfig(plugin: $0, values: ["model": "tiny", "key": "HUSHHUSH"]) }
        var dumped = ""
        dump(config, to: &dumped)
        #expect(!"\(String(describing: config))".contains("HUSH") && !dumped.contains("HUSH"))
        #expect(dumped.contains("tiny"))
    }

    @Test func `all problems are told at once`() {
        #expect(problems(["model": 1, "port": "a", "tags": 2]).count == 3)
    }

    @Test func `what is not set gets its default`() {
        let completed = SchemaCheck(Self.schema).completed(["model": "tiny", "limits": ["a": "b"]])
        #expect(completed == ["model": "tiny", "port": 8080, "limits": ["rate": 5, "a": "b"]])
    }

    @Test func `a schema that refers to itself does not end in a loop`() {
        let schema: Value = ["properties": ["a": ["$ref": "#"]], "additionalProperties": false]
        #expect(SchemaCheck(schema).problems(of: ["a": ["a": ["a": [:]]]]).isEmpty)
        #expect(SchemaCheck(["$ref": "#"]).problems(of: 1) == ["the schema nests too deeply"])
    }
}
