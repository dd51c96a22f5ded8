// Reads `permissions` and `optionalPermissions`: a name, or an object of a name with its conditions and a reason. Any name
// may be asked for, since methods may demand any; but one that is a slip of a known one is a problem.

internal import ConfigDocument

enum PermissionReader {
    static func read(
        _ field: ConfigField,
        optional: ConfigField
    ) -> (required: [PermissionRequest], optional: [PermissionRequest]) {
        var seen: [String: String] = [:]
        let required = list(field, seen: &seen)
        return (required, list(optional, seen: &seen))
    }

    private static func list(_ field: ConfigField, seen: inout [String: String]) -> [PermissionRequest] {
        field.list(atMost: ManifestBounds.permissions).compactMap { item in
            guard let request = request(item) else { return nil }
            if let first = seen[request.name] {
                item.report("permission \(excerpt(request.name)) is already listed at \(first)")
                return nil
            }
            seen[request.name] = item.pointer
            return request
        }
    }

    private static func request(_ item: ConfigField) -> PermissionRequest? {
        switch item.node?.content {
        case .string: return item.permissionName().map { PermissionRequest(name: $0, hosts: nil, reason: nil) }
        case .mapping: return long(item)
        default:
            item.report(
                "this is not a permission",
                expected: #""networking", or {"networking": {"hosts": […]}, "reason": "…"}"#
            )
            return nil
        }
    }

    private static func long(_ item: ConfigField) -> PermissionRequest? {
        var reason: String?
        var permission: ConfigEntry?
        for entry in item.entries() where !entry.key.hasPrefix("x-") {
            if entry.key == "reason" {
                reason = entry.value.sentence()
            } else if permission == nil, nearest(to: entry.key, among: ["reason"]) == nil {
                permission = entry
            } else {
                entry.keyField.report(
                    "unknown key \(excerpt(entry.key))",
                    expected: "one permission in each object, and \"reason\"",
                    suggestion: nearest(to: entry.key, among: ["reason"])
                )
            }
        }
        guard let permission else {
            item.report("no permission is named", expected: #"an object such as {"networking": {}, "reason": "…"}"#)
            return nil
        }
        let name = permission.keyField.permissionName()
        let keys = name == PermissionRequest.networking ? ManifestKeys.networking : []
        let conditions = permission.value.mapping(name == nil ? ManifestKeys.networking : keys)
        let hosts = hosts(conditions["hosts"])
        return name.map { PermissionRequest(name: $0, hosts: hosts, reason: reason) }
    }

    private static func hosts(_ field: ConfigField) -> [HostPattern]? {
        guard field.isPresent else { return nil }
        var seen = Set<HostPattern>()
        return field.list(atLeast: 1, atMost: ManifestBounds.hosts).compactMap { item in
            guard let text = item.string() else { return nil }
            guard let pattern = HostPattern(text) else {
                item.report(
                    "host \(excerpt(text)) is not valid",
                    expected: "a host such as \"api.example.com:443\", \"*.example.com\" or \"[::1]:8080\"",
                    suggestion: HostPattern.suggestion(for: text)
                )
                return nil
            }
            if seen.insert(pattern).inserted { return pattern }
            item.report("host \(excerpt(text)) is listed twice")
            return nil
        }
    }
}

extension ConfigField {
    func permissionName() -> String? {
        guard let text = string() else { return nil }
        if let meant = nearest(to: text, among: PermissionRequest.systemNames) {
            report("permission \(excerpt(text)) is too like \(excerpt(meant))", suggestion: meant)
            return nil
        }
        return checkedName(text, "permission")
    }

    /// Permissions that a method demands of its callers.
    func demandedPermissions() -> [String] {
        var seen = Set<String>()
        return list(atMost: ManifestBounds.methodPermissions).compactMap { item in
            guard let name = item.permissionName() else { return nil }
            if seen.insert(name).inserted { return name }
            item.report("permission \(excerpt(name)) is listed twice")
            return nil
        }
    }
}
