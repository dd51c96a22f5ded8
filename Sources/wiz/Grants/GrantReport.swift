// What plugins ask for against what they are granted, as rows for people and JSON for programs.

import ConfigDocument
import Manifest

/// One permission of one plugin.
struct GrantRow {
    enum Verdict: String {
        case granted
        case narrowed
        case missing
        case refused
        case unused
    }

    let plugin: String
    let permission: String
    let request: PermissionRequest?
    let isOptional: Bool
    let verdict: Verdict
    /// What it reaches, for `networking`.
    let reach: String

    var asked: String {
        guard let request else { return "no" }
        let kind = isOptional ? "optional" : "needed"
        return request.hosts.map { "\(kind): " + $0.map(\.description).joined(separator: " ") } ?? kind
    }

    var json: JSON {
        .object([
            "permission": .string(permission),
            "requested": .string(request == nil ? "no" : isOptional ? "optional" : "needed"),
            "hosts": request?.hosts.map { .list($0.map { .string($0.description) }) } ?? .null,
            "reason": request?.reason.map { .string($0) } ?? .null,
            "verdict": .string(verdict.rawValue),
            "reach": reach.isEmpty ? .null : .string(reach),
        ])
    }
}

extension MeshPlace.Plugin {
    /// Every permission that is asked for or granted.
    var grantRows: [GrantRow] {
        guard let manifest, let permissions else {
            return grant.permissions.sorted().map {
                GrantRow(plugin: name, permission: $0, request: nil, isOptional: false, verdict: .granted, reach: "")
            }
        }
        let needed = manifest.permissions.map { row($0, permissions, isOptional: false) }
        let optional = manifest.optionalPermissions.map { row($0, permissions, isOptional: true) }
        let unused = permissions.unused.map {
            GrantRow(plugin: name, permission: $0, request: nil, isOptional: false, verdict: .unused, reach: "")
        }
        return needed + optional + unused
    }

    private func row(_ request: PermissionRequest, _ permissions: EffectivePermissions, isOptional: Bool) -> GrantRow {
        let isNetwork = request.name == PermissionRequest.networking
        let verdict: GrantRow.Verdict =
            if !permissions.names.contains(request.name) {
                isOptional ? .refused : .missing
            } else {
                isNetwork && (!permissions.unreachable.isEmpty || isNarrowed(request)) ? .narrowed : .granted
            }
        return GrantRow(
            plugin: name,
            permission: request.name,
            request: request,
            isOptional: isOptional,
            verdict: verdict,
            reach: isNetwork ? permissions.networking.description : ""
        )
    }

    private func isNarrowed(_ request: PermissionRequest) -> Bool { grant.hosts != nil && request.hosts == nil }

    /// The plugin with its permissions as JSON.
    var grantJSON: JSON {
        .object([
            "plugin": .string(name), "permissions": .list(grantRows.map(\.json)),
            "granted": .list(grant.permissions.sorted().map { .string($0) }),
            "grantedHosts": grant.hosts.map { .list($0.map { .string($0.description) }) } ?? .null,
            "missing": .list((permissions?.missingNames ?? []).map { .string($0) }),
        ])
    }
}

extension Style {
    /// The colour of a verdict.
    func verdict(_ word: String) -> String {
        switch GrantRow.Verdict(rawValue: word) {
        case .granted: green(word)
        case .narrowed: yellow(word)
        case .missing: red(word)
        default: dim(word)
        }
    }
}
