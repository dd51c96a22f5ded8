// Whole manifests: the seed's example, every field, and many mistakes at once.

import ConfigDocument
import Manifest
import SemanticVersion
import Testing

@Test func `the seed's example is valid as written`() throws {
    let manifest = try PluginManifest.load(text: seedExample)
    #expect(manifest.name == "llama-extension")
    #expect(manifest.version == (try SemanticVersion("1.0.0")))
    #expect(manifest.main == EntryPoint(program: .inFolder("dist/index.js"), arguments: []))
    #expect(manifest.requiredDependencies.map(\.service) == ["llm-service", "filesystem-access"])
    #expect(manifest.requiredDependencies[0].range.contains(try SemanticVersion("2.9.0")))
    #expect(!manifest.requiredDependencies[0].range.contains(try SemanticVersion("3.0.0")))
    #expect(manifest.requiredDependencies[1].range.contains(try SemanticVersion("0.1.0")))
    #expect(manifest.optionalDependencies.isEmpty)
    #expect(manifest.permissions.map(\.name) == ["networking", "storage"])
    #expect(manifest.capabilities == ["llm", "ui-extension"])
}

@Test func `the smallest manifest has usual values for everything else`() throws {
    let manifest = try PluginManifest.load(text: #"{"name": "a", "version": "0.1.0", "main": "a"}"#)
    #expect(manifest.manifestVersion == 1)
    #expect(manifest.schema == nil)
    #expect(manifest.description == nil)
    #expect(manifest.engine == nil)
    #expect(manifest.build == nil)
    #expect(manifest.provides.isEmpty && manifest.dependencies.isEmpty && manifest.permissions.isEmpty)
    #expect(manifest.config == nil)
    #expect(manifest.limits.memoryBytes == nil && manifest.limits.queueLength == nil)
    #expect(manifest.lifecycle.initTimeout == nil && manifest.lifecycle.reload == .overlap)
    #expect(manifest.restart == .permanent)
    #expect(manifest.activation == .eager)
    #expect(manifest.instances.minimum == 1 && manifest.instances.maximum == 1)
}

let fullExample = #"""
    {
      "$schema": "../plugin.schema.json",
      "manifestVersion": 1,
      "name": "tiny-llm",
      "version": "2.1.0-beta.1+build.7",
      "description": "A small model.",
      "main": ["./bin//tiny", "--port", ""],
      "build": "swift build -c release",
      "engines": {"wizmesh": "^1.0.0"},
      "provides": [
        {
          "service": "llm-service",
          "version": "2.0.0",
          "description": "Completes text.",
          "methods": {
            "complete": {
              "description": "Completes a prompt.",
              "input": {"type": "object", "properties": {"prompt": {"type": "string"}}},
              "output": {"type": "object"},
              "timeoutMs": 30000,
              "idempotent": true,
              "readOnly": true,
              "destructive": false,
              "stream": true,
              "permissions": ["llm.use"]
            },
            "embed_v2": {"stream": "both"}
          },
          "attributes": {"model": "tiny", "contextLength": 8192, "quantised": true},
          "capabilities": ["llm"]
        },
        {"service": "tokens"}
      ],
      "dependencies": {
        "required": [{"service": "storage-service", "range": "1.x || 2.x", "reason": "keeps the cache"}],
        "optional": [{"service": "metrics"}]
      },
      "permissions": [
        {"networking": {"hosts": ["api.example.com:443", "*.Example.org", "[::1]:8080"]}, "reason": "fetches weights"}
      ],
      "optionalPermissions": [{"storage": {}, "x-note": 1}, "audit.read"],
      "capabilities": ["llm", "text-generation"],
      "config": {
        "type": "object",
        "properties": {"apiKey": {"type": "string", "sensitive": true}, "a/b": {"properties": {"c": {"sensitive": true}}}}
      },
      "limits": {"memoryMB": 512, "cpuPercent": 150, "pids": 64, "openFiles": 256, "concurrency": 4, "queue": 0},
      "lifecycle": {"initTimeoutMs": 20000, "drainTimeoutMs": 5000, "reload": "exclusive"},
      "restart": "transient",
      "activation": "lazy",
      "instances": {"min": 0, "max": 4},
      "x-team": {"owner": "us"}
    }
    """#

@Test func `every field is read`() throws {
    let manifest = try PluginManifest.load(text: fullExample)
    #expect(manifest.schema == "../plugin.schema.json")
    #expect(manifest.version.description == "2.1.0-beta.1+build.7")
    #expect(manifest.description == "A small model.")
    #expect(manifest.main == EntryPoint(program: .inFolder("bin/tiny"), arguments: ["--port", ""]))
    #expect(manifest.build?.arguments == ["/bin/sh", "-c", "swift build -c release"])
    #expect(manifest.engine?.contains(try SemanticVersion("1.4.0")) == true)
    #expect(manifest.dependency(on: "storage-service")?.reason == "keeps the cache")
    #expect(manifest.dependency(on: "storage-service")?.range.contains(try SemanticVersion("2.3.0")) == true)
    #expect(manifest.optionalDependencies.map(\.service) == ["metrics"])
    let networking = try #require(manifest.permissionRequest("networking"))
    #expect(networking.hosts?.map(\.description) == ["api.example.com:443", "*.example.org", "[::1]:8080"])
    #expect(networking.reason == "fetches weights")
    #expect(manifest.optionalPermissions.map(\.name) == ["storage", "audit.read"])
    #expect(manifest.config?.sensitivePointers == ["/apiKey", "/a~1b/c"])
    #expect(manifest.limits.memoryBytes == 512 << 20)
    #expect(manifest.limits.cpuPercent == 150)
    #expect(manifest.limits.processCount == 64)
    #expect(manifest.limits.openFileCount == 256)
    #expect(manifest.limits.concurrency == 4)
    #expect(manifest.limits.queueLength == 0)
    #expect(manifest.lifecycle.initTimeout == .seconds(20))
    #expect(manifest.lifecycle.drainTimeout == .seconds(5))
    #expect(manifest.lifecycle.reload == .exclusive)
    #expect(manifest.restart == .transient)
    #expect(manifest.activation == .lazy)
    #expect(manifest.instances.minimum == 0 && manifest.instances.maximum == 4)
    #expect(manifest.extensions.map(\.key) == ["x-team"])
}

@Test func `provided services are read with their methods`() throws {
    let manifest = try PluginManifest.load(text: fullExample)
    let service = try #require(manifest.provides.first)
    #expect(service.service == "llm-service")
    #expect(service.version.description == "2.0.0")
    #expect(
        service.attributes.map { "\($0.name)=\($0.value)" } == ["model=tiny", "contextLength=8192", "quantised=true"]
    )
    #expect(service.capabilities == ["llm"])
    #expect(service.methods.map(\.name) == ["complete", "embed_v2"])
    let method = service.methods[0]
    #expect(method.timeout == .seconds(30))
    #expect(method.isIdempotent && method.isReadOnly && !method.isDestructive)
    #expect(method.stream == .reply)
    #expect(method.permissions == ["llm.use"])
    #expect(method.input?["type"] == .string("object"))
    #expect(service.methods[1].stream == .both)
    #expect(manifest.provides[1].version == manifest.version)
}

@Test func `many mistakes are told at once, in the order of the text`() {
    let text = """
        {
          "nmae": "Llama_Extension",
          "version": "1.0",
          "main": "../index.js",
          "dependencies": {
            "required": [
              "filesystem-access",
              "llm service@^2.0.0",
              "llm-service@^2.0.x.1"
            ],
            "optinal": []
          },
          "permissions": ["netwroking", 7],
          "restart": "always",
          "version": "1.0.0"
        }
        """
    #expect(
        problems(text) == [
            #"plugin.json:1:1: key "name" is missing"#,
            #"plugin.json:2:3 /nmae: unknown key "nmae"; did you mean "name"?"#,
            #"plugin.json:3:14 /version: version "1.0" is not valid: expected "." and the patch number; expected a version such as "1.2.3"; did you mean "1.0.0"?"#,
            #"plugin.json:4:11 /main: "../index.js" leads out of the plugin's folder by ".."; expected a path inside the plugin's folder, such as "bin/plugin""#,
            #"plugin.json:8:7 /dependencies/required/1: service name "llm service" is not valid; expected lower-case words of letters and digits joined by "-", "_" or ".", at most 96 characters; did you mean "llm-service"?"#,
            #"plugin.json:9:7 /dependencies/required/2: range "^2.0.x.1" is not valid: a version has three numbers, not four; did you mean "^2.0.1"?"#,
            #"plugin.json:11:5 /dependencies/optinal: unknown key "optinal"; did you mean "optional"?"#,
            #"plugin.json:13:19 /permissions/0: permission "netwroking" is too like "networking"; did you mean "networking"?"#,
            #"plugin.json:13:33 /permissions/1: this is not a permission; expected "networking", or {"networking": {"hosts": […]}, "reason": "…"}"#,
            #"plugin.json:14:14 /restart: found "always"; expected "permanent", "transient" or "temporary""#,
            #"plugin.json:15:3 /version: key "version" is given twice, first on line 3"#,
        ]
    )
}

@Test func `what is missing is told`() {
    #expect(
        problems("{}") == [
            #"plugin.json:1:1: key "main" is missing"#, #"plugin.json:1:1: key "name" is missing"#,
            #"plugin.json:1:1: key "version" is missing"#,
        ]
    )
    #expect(problems("[]") == ["plugin.json:1:1: found a list; expected a mapping"])
}

@Test func `a manifest that is too large or too deep is refused`() {
    let large = withRest(#""x-big": ""# + String(repeating: "a", count: 65_536) + "\"")
    #expect(problems(large).map { $0.suffix(26) } == ["bytes; expected at most 64KiB"].map { $0.suffix(26) })
    let deep = #""x-deep": "# + String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
    let found = problems(rest: deep)
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("2:42 /x-deep/0/0/0") == true)
    #expect(found.first?.hasSuffix("too many lists and mappings inside each other; expected at most 32 levels") == true)
}

@Test func `comments and trailing commas are no JSON`() {
    #expect(
        problems("{\n  // name\n}") == [
            "plugin.json:2:3: comments are not allowed in JSON; expected a key in double quotes"
        ]
    )
}
