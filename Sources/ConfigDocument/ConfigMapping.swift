// Lists and mappings of a document: mappings whose keys are known (others are problems, `x-…` is free) and mappings whose
// keys are names.

/// A mapping whose keys are known.
public struct ConfigMapping {
    private let fields: [String: ConfigField]
    private let absent: (String) -> ConfigField
    /// The entries under keys that begin with `x-`, in written order.
    public let extensions: [ConfigValue.Entry]

    init(fields: [String: ConfigField], extensions: [ConfigValue.Entry], absent: @escaping (String) -> ConfigField) {
        self.fields = fields
        self.extensions = extensions
        self.absent = absent
    }

    /// The value under a key; an absent field if there is none.
    public subscript(key: String) -> ConfigField { fields[key] ?? absent(key) }
}

/// One entry of a mapping whose keys are names.
public struct ConfigEntry {
    /// The key.
    public let key: String
    /// The key as a field: its string is the key, its place the key's place.
    public let keyField: ConfigField
    /// The value.
    public let value: ConfigField
}

extension ConfigField {
    /// A mapping with these keys; any other key is a problem unless it begins with `x-`.
    ///
    /// A value of the wrong type is a problem and then looks like an empty mapping whose fields report nothing. Nothing
    /// at all in YAML is an empty mapping.
    public func mapping(_ knownKeys: [String]) -> ConfigMapping {
        guard let entries = nodes(expected: "a mapping") else {
            let state: State = if case .absent = self.state { .absent } else { .broken }
            return ConfigMapping(fields: [:], extensions: []) { child($0, state) }
        }
        var fields: [String: ConfigField] = [:]
        var extensions: [ConfigValue.Entry] = []
        let known = Set(knownKeys)
        for entry in entries {
            if known.contains(entry.key) {
                fields[entry.key] = child(entry.key, .present(entry.value))
            } else if entry.key.hasPrefix("x-"), entry.key.utf8.count > 2 {
                extensions.append(ConfigValue.Entry(key: entry.key, value: entry.value.value))
            } else {
                unknown(entry, knownKeys)
            }
        }
        return ConfigMapping(fields: fields, extensions: extensions) { child($0, .absent) }
    }

    private func unknown(_ entry: ConfigNode.Entry, _ knownKeys: [String]) {
        let suggestion = nearest(to: entry.key, among: knownKeys)
        let expected = knownKeys.isEmpty ? "no keys" : "one of \(knownKeys.sorted().joined(separator: ", "))"
        collector.add(
            "unknown key \(shown(entry.key))",
            at: entry.keyPosition,
            pointer: pointerStep(pointer, entry.key),
            expected: suggestion == nil ? expected : nil,
            suggestion: suggestion
        )
    }

    /// The entries of a mapping whose keys are names, in written order; empty if it is absent or of the wrong type.
    public func entries() -> [ConfigEntry] {
        guard let entries = nodes(expected: "a mapping") else { return [] }
        return entries.map { entry in
            let key = ConfigNode(.string(entry.key), at: entry.keyPosition)
            return ConfigEntry(
                key: entry.key,
                keyField: child(entry.key, .present(key)),
                value: child(entry.key, .present(entry.value))
            )
        }
    }

    /// The items of a list; empty if it is absent or of the wrong type.
    public func list(atLeast minimum: Int = 0, atMost maximum: Int = Int.max) -> [ConfigField] {
        guard let node else { return [] }
        let items: [ConfigNode]
        switch node.content {
        case .list(let nodes): items = nodes
        case .null where document.format == .yaml: items = []
        default:
            mismatch(node, expected: "a list")
            return []
        }
        if items.count < minimum {
            report("the list has \(items.count) items", expected: "at least \(minimum)")
        } else if items.count > maximum {
            report("the list has \(items.count) items", expected: "at most \(maximum)")
        }
        return items.prefix(maximum).enumerated().map { child(String($0.offset), .present($0.element)) }
    }

    /// A list of strings, each once.
    public func strings(atMost maximum: Int = Int.max) -> [String] {
        var seen = Set<String>()
        return list(atMost: maximum).compactMap { item in
            guard let text = item.string(allowsEmpty: false) else { return nil }
            guard seen.insert(text).inserted else {
                item.report("\(shown(text)) is listed twice")
                return nil
            }
            return text
        }
    }

    private func nodes(expected: String) -> [ConfigNode.Entry]? {
        guard let node else { return nil }
        switch node.content {
        case .mapping(let entries): return entries
        case .null where document.format == .yaml: return []
        default:
            mismatch(node, expected: expected)
            return nil
        }
    }

    private func child(_ step: String, _ state: State) -> ConfigField {
        ConfigField(
            state: state,
            pointer: pointerStep(pointer, step),
            place: position,
            document: document,
            collector
        )
    }
}
