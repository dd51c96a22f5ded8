// The JSON Schemas inside a manifest (`config`, a method's `input` and `output`): kept as they are, but checked for what
// would make them useless: a slip in a keyword or type, a reference to somewhere else. Not a validator of values.

public import ConfigDocument

/// The JSON Schema (2020-12) of a plugin's settings.
public struct ConfigSchema: Hashable, Sendable {
    /// The schema as written.
    public let schema: ConfigValue
    /// The JSON pointers, within the settings, of what is marked `"sensitive": true`.
    public let sensitivePointers: [String]

    /// Reads `config`; nil if it is absent or wrong.
    init?(_ field: ConfigField) {
        guard let value = Self.checked(field) else { return nil }
        if let type = value["type"], type != .string("object") {
            field.report("the settings of a plugin are an object, not \(type.json)", expected: #""type": "object""#)
        }
        schema = value
        sensitivePointers = Self.sensitive(value, at: "")
    }

    /// A schema whose keywords make sense; nil if the field is absent or no schema at all.
    static func checked(_ field: ConfigField) -> ConfigValue? {
        guard let node = field.node else { return nil }
        check(field, isRoot: true)
        guard case .mapping = node.content else { return nil }
        return node.value
    }

    private static let types = ["object", "array", "string", "number", "integer", "boolean", "null"]
    private static let schemaKeywords: Set = [
        "items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames", "unevaluatedItems",
        "unevaluatedProperties", "contentSchema",
    ]
    private static let schemaListKeywords: Set = ["allOf", "anyOf", "oneOf", "prefixItems"]
    private static let schemaMapKeywords: Set = ["properties", "patternProperties", "$defs", "dependentSchemas"]
    private static let countKeywords: Set = [
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
        "maxContains",
    ]
    private static let numberKeywords: Set = [
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    ]
    private static let textKeywords: Set = [
        "title", "description", "format", "pattern", "$comment", "$id", "$schema", "$anchor", "contentEncoding",
        "contentMediaType",
    ]
    private static let flagKeywords: Set = ["sensitive", "uniqueItems", "deprecated", "readOnly", "writeOnly"]
    private static let otherKeywords: Set = [
        "type", "enum", "const", "default", "examples", "required", "dependentRequired", "$ref", "$dynamicRef",
        "$dynamicAnchor", "$vocabulary",
    ]
    private static let keywords = schemaKeywords.union(schemaListKeywords).union(schemaMapKeywords).union(countKeywords)
        .union(numberKeywords).union(textKeywords).union(flagKeywords).union(otherKeywords).sorted()

    private static func check(_ field: ConfigField, isRoot: Bool = false) {
        if !isRoot, case .boolean = field.node?.content { return }
        for entry in field.entries() { checkKeyword(entry) }
    }

    private static func checkKeyword(_ entry: ConfigEntry) {
        let value = entry.value
        switch entry.key {
        case "type": checkType(value)
        case "required": _ = value.strings()
        case "enum": _ = value.list(atLeast: 1)
        case "$ref", "$dynamicRef": checkReference(value)
        case let key where schemaKeywords.contains(key): check(value)
        case let key where schemaListKeywords.contains(key): value.list(atLeast: 1).forEach { check($0) }
        case let key where schemaMapKeywords.contains(key): value.entries().forEach { check($0.value) }
        case let key where countKeywords.contains(key): _ = value.integer(in: 0...Int.max)
        case let key where numberKeywords.contains(key): _ = value.number()
        case let key where textKeywords.contains(key): _ = value.string()
        case let key where flagKeywords.contains(key): _ = value.boolean()
        default: checkUnknown(entry)
        }
    }

    /// JSON Schema allows any other keyword as a note; one that is nearly a keyword is a slip.
    private static func checkUnknown(_ entry: ConfigEntry) {
        guard !keywords.contains(entry.key), entry.key.count > 3, let meant = nearest(to: entry.key, among: keywords)
        else { return }
        entry.keyField.report("unknown schema keyword \(excerpt(entry.key))", suggestion: meant)
    }

    private static func checkType(_ field: ConfigField) {
        if case .list = field.node?.content {
            field.list(atLeast: 1).forEach { _ = $0.oneOf(types) }
        } else {
            _ = field.oneOf(types)
        }
    }

    private static func checkReference(_ field: ConfigField) {
        guard let text = field.string(), !text.hasPrefix("#") else { return }
        field.report(
            "\(excerpt(text)) refers to another document",
            expected: "a reference inside this schema, such as \"#/$defs/x\""
        )
    }

    private static func sensitive(_ schema: ConfigValue, at pointer: String) -> [String] {
        var result = schema["sensitive"] == .boolean(true) ? [pointer] : []
        guard case .mapping(let properties) = schema["properties"] else { return result }
        for property in properties {
            let step = property.key.replacing("~", with: "~0").replacing("/", with: "~1")
            result += sensitive(property.value, at: "\(pointer)/\(step)")
        }
        return result
    }
}
