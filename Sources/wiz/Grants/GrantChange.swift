// What `wiz grant` and `wiz revoke` do: change the grants file, then let a running mesh take it up.

import ArgumentParser
import ConfigDocument
import Manifest
import MeshClient

/// A change of a plugin's grant.
struct GrantChange {
    let place: MeshPlace
    let plugin: MeshPlace.Plugin

    /// Finds the plugin in the mesh file.
    init(_ name: String, in place: MeshPlace) throws(CommandFailure) {
        self.place = place
        plugin = try place.required(name)
    }

    /// Refuses permissions that the plugin does not ask for, unless that is meant.
    func demandRequested(_ permissions: [String], orMeant isMeant: Bool) throws(CommandFailure) {
        guard !isMeant, let manifest = plugin.manifest else { return }
        let asked = (manifest.permissions + manifest.optionalPermissions).map(\.name)
        for name in permissions where !asked.contains(name) {
            var hint = nearest(to: name, among: asked).map { "Did you mean \($0)?\n" } ?? ""
            hint += asked.isEmpty ? "It asks for nothing." : "It asks for: \(asked.joined(separator: ", "))."
            throw CommandFailure(
                .invalidArgument,
                "\(plugin.name) does not ask for \(name)",
                hint: hint + "\nTo grant it all the same, add --anyway."
            )
        }
    }

    /// Writes the new grant.
    ///
    /// - Returns: the plugin with it, and whether anything is otherwise than before.
    private func write(_ change: (inout PluginGrant) -> Void) throws -> (plugin: MeshPlace.Plugin, hasChanged: Bool) {
        do {
            let (grant, hasChanged) = try GrantsFile.change(place.grantsPath) { file in
                // One that is not listed yet begins with what the mesh file grants.
                let before = file.plugins[plugin.name] ?? plugin.grant
                var grant = before
                change(&grant)
                if grant != before { file.plugins[plugin.name] = grant }
                return (grant, grant != before)
            }
            let changed = MeshPlace.Plugin(
                name: plugin.name,
                folder: plugin.folder,
                manifest: plugin.manifest,
                grant: grant
            )
            return (changed, hasChanged)
        } catch let errors as ConfigErrors {
            throw CommandFailure(invalid: errors, place.grantsPath)
        }
    }

    /// Lets a running mesh that has the plugin take it up: the broker first, then every host.
    ///
    /// - Returns: whether one runs.
    private func tellMesh(_ broker: BrokerOptions) async throws -> Bool {
        guard broker.isThere else { return false }
        do {
            let plugin = plugin
            return try await broker.withMesh { mesh in
                // Another mesh may run than the one whose file was named.
                let hosted = try await mesh.hosts().plugin(plugin.name)
                let folder = resolved(hosted?.item.text("folder") ?? "")
                guard hosted != nil, plugin.folder.isEmpty || resolved(plugin.folder) == folder else { return false }
                _ = try await mesh.reloadMesh()
                return true
            }
        } catch let failure as CommandFailure {
            throw CommandFailure(
                failure.exit,
                "\(place.grantsPath) is written, but the running mesh did not take it up: \(failure.message)",
                hint: failure.hint.isEmpty ? "When that is mended, type: wiz reload" : failure.hint,
                details: failure.details
            )
        }
    }
}

/// Refuses what is no host.
func demandHosts(_ texts: [String]) throws(ValidationError) {
    guard let bad = texts.first(where: { HostPattern($0) == nil }) else { return }
    throw ValidationError("\(bad) is no host; write api.example.com:443, *.example.com or [::1]:8080")
}

extension GrantChange {
    /// Changes the grant, and lets a running mesh take it up.
    func apply(_ broker: BrokerOptions, _ change: (inout PluginGrant) -> Void) async throws -> GrantOutcome {
        let (changed, hasChanged) = try write(change)
        let isInForce = try await tellMesh(broker)
        return GrantOutcome(plugin: changed, hasChanged: hasChanged, isInForce: isInForce, path: place.grantsPath)
    }
}

/// What grant and revoke print.
struct GrantOutcome {
    let plugin: MeshPlace.Plugin
    let hasChanged: Bool
    let isInForce: Bool
    let path: String

    var json: JSON {
        .object([
            "changed": .boolean(hasChanged), "inForce": .boolean(isInForce), "file": .string(path),
            "plugin": plugin.grantJSON,
        ])
    }

    func sentence(_ done: String) -> String {
        guard hasChanged else { return "Nothing has changed: \(state)" }
        return "\(done) \(state)" + (isInForce ? " It is in force." : " It takes effect when the mesh runs.")
    }

    private var state: String {
        let names = plugin.permissions?.names ?? plugin.grant.permissions.sorted()
        var text = "\(plugin.name) has \(names.isEmpty ? "no permission" : names.joined(separator: ", "))"
        let missing = plugin.permissions?.missingNames ?? []
        if !missing.isEmpty { text += " and still waits for \(missing.joined(separator: ", "))" }
        let unused = plugin.permissions?.unused ?? []
        if !unused.isEmpty { text += "; it does not ask for \(unused.joined(separator: ", "))" }
        return text + "."
    }
}
