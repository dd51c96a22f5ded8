// `wiz revoke`: takes permissions from a plugin, in the grants file and in the running mesh.

import ArgumentParser
import ConfigDocument
import Manifest

struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take permissions from a plugin.",
        discussion: """
            Examples:
              wiz revoke chat storage
              wiz revoke chat --host api.example.org:443   leaves networking to the other hosts
              wiz revoke chat --all

            It takes effect on the running plugin: one that can do without is reloaded with less, one that cannot is stopped
            and waits for the grant.
            """
    )

    @Argument(help: "The plugin.", completion: .pluginNames)
    var plugin: String
    @Argument(help: "The permissions.", completion: .list(["networking", "storage"]))
    var permissions: [String] = []
    @Flag(help: "All that it is granted.")
    var all = false
    @Option(
        name: .customLong("host"),
        help: ArgumentHelp("A host that it may reach no longer; again for more.", valueName: "host")
    )
    var hosts: [String] = []
    @OptionGroup var place: MeshPlaceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if all ? !(permissions.isEmpty && hosts.isEmpty) : permissions.isEmpty && hosts.isEmpty {
            throw ValidationError("name permissions or --host, or --all")
        }
        try demandHosts(hosts)
    }

    func run() async throws {
        let place = try await place.place()
        if all, try revokeStray(place) { return }
        let change = try GrantChange(plugin, in: place)
        try check(change.plugin)
        let patterns = Set(hosts.compactMap { HostPattern($0) })
        let outcome = try await change.apply(self.place.broker) { grant in
            if all { grant.permissions = [] } else { grant.permissions.subtract(permissions) }
            if !patterns.isEmpty { grant.hosts = grantedHosts(change.plugin).filter { !patterns.contains($0) } }
            if !grant.permissions.contains(PermissionRequest.networking) { grant.hosts = nil }
        }
        output.done(outcome.json, outcome.sentence("Revoked:"))
    }

    /// Takes out what is granted to a name that no plugin has.
    ///
    /// - Returns: whether it is such a name.
    private func revokeStray(_ place: MeshPlace) throws -> Bool {
        guard !place.plugins.contains(where: { $0.name == plugin }),
            (try? GrantsFile(reading: place.grantsPath))?.plugins[plugin] != nil
        else { return false }
        try GrantsFile.change(place.grantsPath) { $0.plugins[plugin] = nil }
        output.done(
            .object(["changed": .boolean(true), "file": .string(place.grantsPath)]),
            "Revoked: \(place.grantsPath) no longer names \(plugin), which is no plugin here."
        )
        return true
    }

    /// The hosts by which the grant stands: those granted, else those asked for.
    private func grantedHosts(_ plugin: MeshPlace.Plugin) -> [HostPattern] {
        plugin.grant.hosts ?? plugin.manifest?.permissionRequest(PermissionRequest.networking)?.hosts ?? []
    }

    /// Refuses what is not granted, so that a slip is not taken for a revocation.
    private func check(_ plugin: MeshPlace.Plugin) throws(CommandFailure) {
        let granted = plugin.grant.permissions
        if let name = permissions.first(where: { !granted.contains($0) }) {
            throw CommandFailure(
                .invalidArgument,
                "\(plugin.name) is not granted \(name)",
                hint: (nearest(to: name, among: granted).map { "Did you mean \($0)?\n" } ?? "")
                    + "It is granted: \(granted.isEmpty ? "nothing" : granted.sorted().joined(separator: ", "))."
            )
        }
        let reach = grantedHosts(plugin)
        if let host = hosts.compactMap({ HostPattern($0) }).first(where: { !reach.contains($0) }) {
            throw CommandFailure(
                .invalidArgument,
                reach.isEmpty
                    ? "\(plugin.name) is granted all hosts, so none can be taken out"
                    : "\(plugin.name) is not granted the host \(host)",
                hint: reach.isEmpty
                    ? "Grant those that it may reach: wiz grant \(plugin.name) networking --host HOST"
                    : "It is granted: \(reach.map(\.description).joined(separator: ", "))."
            )
        }
    }
}
