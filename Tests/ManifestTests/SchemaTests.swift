// The published JSON Schema says what the validator does: the same keys everywhere, the same words and bounds.

import ConfigDocument
import Testing

@testable import Manifest

private func schema() throws -> ConfigValue {
    try ConfigDocument(text: PluginManifest.jsonSchema, source: "schema.json").root.value
}

private func keys(_ value: ConfigValue?) -> [String] {
    guard case .mapping(let entries) = value?["properties"] else { return [] }
    return entries.map(\.key).sorted()
}

private func words(_ value: ConfigValue?) -> [String] {
    guard case .list(let items) = value?["enum"] else { return [] }
    return items.compactMap { if case .string(let text) = $0 { text } else { nil } }
}

private func bounds(_ value: ConfigValue?) -> ClosedRange<Int>? {
    guard case .integer(let low) = value?["minimum"], case .integer(let high) = value?["maximum"] else { return nil }
    return Int(low)...Int(high)
}

@Test func `the schema is JSON without repeated keys`() throws {
    let document = try ConfigDocument(text: PluginManifest.jsonSchema, source: "schema.json")
    #expect(document.problems.isEmpty)
    #expect(document.root.value["$schema"] == .string("https://json-schema.org/draft/2020-12/schema"))
}

@Test func `the schema's keys are the validator's`() throws {
    let schema = try schema()
    let properties = schema["properties"]
    let definitions = schema["$defs"]
    #expect(keys(schema) == ManifestKeys.root.sorted())
    #expect(keys(properties?["engines"]) == ManifestKeys.engines.sorted())
    #expect(keys(properties?["dependencies"]) == ManifestKeys.dependencies.sorted())
    #expect(keys(properties?["limits"]) == ManifestKeys.limits.sorted())
    #expect(keys(properties?["lifecycle"]) == ManifestKeys.lifecycle.sorted())
    #expect(keys(properties?["instances"]) == ManifestKeys.instances.sorted())
    #expect(keys(definitions?["service"]) == ManifestKeys.service.sorted())
    #expect(keys(definitions?["method"]) == ManifestKeys.method.sorted())
    guard case .list(let dependency) = definitions?["dependency"]?["oneOf"],
        case .list(let permission) = definitions?["permission"]?["oneOf"]
    else {
        Issue.record("the short and long forms are gone")
        return
    }
    #expect(keys(dependency.last) == ManifestKeys.dependency.sorted())
    #expect(keys(permission.last?["properties"]?["networking"]) == ManifestKeys.networking.sorted())
}

@Test func `the schema's words, patterns and bounds are the validator's`() throws {
    let schema = try schema()
    let properties = schema["properties"]
    #expect(words(properties?["restart"]) == RestartPolicy.allCases.map(\.rawValue))
    #expect(words(properties?["activation"]) == Activation.allCases.map(\.rawValue))
    #expect(words(properties?["lifecycle"]?["properties"]?["reload"]) == ReloadMode.allCases.map(\.rawValue))
    let method = schema["$defs"]?["method"]?["properties"]
    #expect(words(method?["stream"]) == MethodStream.allCases.map(\.rawValue))
    #expect(properties?["name"]?["pattern"] == .string(ManifestNames.pluginPattern))
    #expect(properties?["name"]?["maxLength"] == .integer(Int64(ManifestNames.pluginByteCount)))
    #expect(schema["$defs"]?["name"]?["pattern"] == .string(ManifestNames.namePattern))
    let limits = properties?["limits"]?["properties"]
    #expect(bounds(limits?["memoryMB"]) == ManifestBounds.memoryMB)
    #expect(bounds(limits?["cpuPercent"]) == ManifestBounds.cpuPercent)
    #expect(bounds(limits?["pids"]) == ManifestBounds.pids)
    #expect(bounds(limits?["openFiles"]) == ManifestBounds.openFiles)
    #expect(bounds(limits?["concurrency"]) == ManifestBounds.concurrency)
    #expect(bounds(limits?["queue"]) == ManifestBounds.queue)
    #expect(bounds(schema["$defs"]?["milliseconds"]) == ManifestBounds.milliseconds)
}

@Test func `the schema passes the check that settings schemas get`() throws {
    let document = try ConfigDocument(text: PluginManifest.jsonSchema, source: "schema.json")
    let errors = #expect(throws: ConfigErrors.self) {
        try document.decode { root in ConfigSchema.checked(root) }
    }
    // Settings schemas refer to nothing outside; this one refers to JSON Schema itself, and to nothing else.
    #expect(errors?.problems.map(\.pointer) == ["/properties/config/$ref"])
}
