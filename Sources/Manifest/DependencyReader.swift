// Reads `dependencies`: "service@range", "service", or an object with a reason. A service is named once.

internal import ConfigDocument
internal import SemanticVersion

enum DependencyReader {
    static func read(_ fields: ConfigMapping) -> (required: [ServiceDependency], optional: [ServiceDependency]) {
        var seen: [String: String] = [:]
        let required = list(fields["required"], seen: &seen)
        let optional = list(fields["optional"], seen: &seen)
        return (required, optional)
    }

    private static func list(_ field: ConfigField, seen: inout [String: String]) -> [ServiceDependency] {
        var result: [ServiceDependency] = []
        for item in field.list(atMost: ManifestBounds.dependencies) {
            guard let (service, dependency) = dependency(item) else { continue }
            if let first = seen[service] {
                item.report("service \(excerpt(service)) is already listed at \(first)")
            } else {
                seen[service] = item.pointer
                if let dependency { result.append(dependency) }
            }
        }
        return result
    }

    /// The service's name, and the dependency if its range is good too.
    private static func dependency(_ item: ConfigField) -> (String, ServiceDependency?)? {
        switch item.node?.content {
        case .string(let text): return short(text, item)
        case .mapping: return long(item)
        default:
            _ = item.mapping([])
            return nil
        }
    }

    private static func short(_ text: String, _ item: ConfigField) -> (String, ServiceDependency?)? {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let service = parts.first.flatMap({ item.checkedName($0, "service name") }) else { return nil }
        if parts.count == 2, parts[1].allSatisfy(\.isWhitespace) {
            item.report("the range after \"@\" is empty", expected: "a range such as \"^2.0.0\"", suggestion: service)
            return (service, nil)
        }
        let text = parts.count == 2 ? parts[1] : "*"
        let range = item.checkedRange(text)
        return (service, range.map { ServiceDependency(service: service, range: $0, rangeText: text) })
    }

    private static func long(_ item: ConfigField) -> (String, ServiceDependency?)? {
        let fields = item.mapping(ManifestKeys.dependency)
        let service = fields["service"].required().name("service name")
        let reason = fields["reason"].sentence()
        let field = fields["range"]
        let range = field.isPresent ? field.range() : VersionRange.any
        let text = range == nil || !field.isPresent ? "*" : field.string()
        guard let service else { return nil }
        return (
            service, range.map { ServiceDependency(service: service, range: $0, rangeText: text, reason: reason) }
        )
    }
}
