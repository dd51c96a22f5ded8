// Input for a method, made from its JSON Schema: the least that is valid, so that any plugin can be called without knowing
// what it does. Pure.

import ConfigDocument

/// Makes values that a schema allows.
enum SampleInput {
    /// Schemas nest; what lies deeper is left out.
    private static let depth = 8

    /// A value that the schema allows, as far as this can tell; an empty object without a schema.
    static func value(for schema: JSON?) -> JSON {
        guard let schema else { return .mapping([]) }
        return value(schema, depth: 0)
    }

    private static func value(_ schema: JSON, depth: Int) -> JSON {
        if let constant = schema["const"] { return constant }
        if let example = schema["examples"]?.items.first { return example }
        if let choice = schema["enum"]?.items.first { return choice }
        if let usual = schema["default"] { return usual }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let first = schema[key]?.items.first, depth < Self.depth { return value(first, depth: depth + 1) }
        }
        switch type(of: schema) {
        case "object": return object(schema, depth: depth)
        case "array": return array(schema, depth: depth)
        case "string": return .string(text(schema))
        case "integer", "number": return .integer(number(schema))
        case "boolean": return .boolean(false)
        case "null": return .null
        default: return .mapping([])
        }
    }

    private static func type(of schema: JSON) -> String {
        if let type = schema["type"]?.string ?? schema["type"]?.items.first?.string { return type }
        if schema["properties"] != nil { return "object" }
        if schema["items"] != nil { return "array" }
        return ""
    }

    private static func object(_ schema: JSON, depth: Int) -> JSON {
        guard depth < Self.depth else { return .mapping([]) }
        let properties = schema["properties"]
        var entries: [JSON.Entry] = []
        for name in schema.texts("required") {
            let inner = properties?[name] ?? schema["additionalProperties"] ?? .mapping([])
            entries.append(.init(key: name, value: value(inner, depth: depth + 1)))
        }
        return .mapping(entries)
    }

    private static func array(_ schema: JSON, depth: Int) -> JSON {
        guard depth < Self.depth, let items = schema["items"] else { return .list([]) }
        let count = Int(clamping: max(0, min(schema.number("minItems"), 16)))
        return .list((0..<max(count, 1)).map { _ in value(items, depth: depth + 1) })
    }

    private static func text(_ schema: JSON) -> String {
        let least = Int(clamping: max(0, min(schema.number("minLength"), 4_096)))
        let most = schema["maxLength"]?.integer ?? Int64.max
        let text = String(repeating: "x", count: max(least, 1))
        return most < 1 ? "" : text
    }

    private static func number(_ schema: JSON) -> Int64 {
        if let least = schema["minimum"]?.integer { return least }
        if let least = schema["exclusiveMinimum"]?.integer { return least + 1 }
        if let most = schema["maximum"]?.integer, most < 1 { return most }
        if let most = schema["exclusiveMaximum"]?.integer, most < 2 { return most - 1 }
        return 1
    }
}
