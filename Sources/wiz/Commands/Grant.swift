// `wiz grant`: grants permissions to a plugin, in the grants file and in the running mesh.

import ArgumentParser
import ConfigDocument
import Manifest

struct Grant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Grant permissions to a plugin.",
        discussion: """
            Examples:
              wiz grant chat storage
              wiz grant chat networking --host api.example.org:443
              wiz grant chat --all                 everything that it asks for

            A plugin that waited for the grant starts at once; one that runs with less is reloaded.
            """
    )

    @Argument(help: "The plugin.", completion: .pluginNames)
    var plugin: String
    @Argument(help: "The permissions.", completion: .list(["networking", "storage"]))
    var permissions: [String] = []
    @Flag(help: "Everything that it asks for.")
    var all = false
    @Option(
        name: .customLong("host"),
        help: ArgumentHelp(
            "With networking: a host that it may reach; again for more. None: all it asks for.",
            valueName: "host"
        )
    )
    var hosts: [String] = []
    @Flag(help: "Also what it does not ask for.")
    var anyway = false
    @OptionGroup var place: MeshPlaceOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if permissions.isEmpty == !all { throw ValidationError("name permissions, or --all") }
        try demandHosts(hosts)
        if !hosts.isEmpty, !all, !permissions.contains(PermissionRequest.networking) {
            throw ValidationError("--host goes with the permission networking")
        }
    }

    func run() async throws {
        let place = try await place.place()
        let change = try GrantChange(plugin, in: place)
        try change.demandRequested(permissions, orMeant: anyway)
        let manifest = change.plugin.manifest
        let asked = all ? ((manifest?.permissions ?? []) + (manifest?.optionalPermissions ?? [])).map(\.name) : []
        let patterns = hosts.compactMap { HostPattern($0) }
        let outcome = try await change.apply(self.place.broker) { grant in
            let isNew = !grant.permissions.contains(PermissionRequest.networking)
            grant.permissions.formUnion(permissions + asked)
            guard grant.permissions.contains(PermissionRequest.networking), isNew || !patterns.isEmpty else { return }
            // With hosts they are added to those before; without, a new grant is for all that is asked for.
            let before = isNew ? [] : grant.hosts ?? []
            grant.hosts = patterns.isEmpty ? nil : before + patterns.filter { !before.contains($0) }
        }
        output.done(outcome.json, outcome.sentence("Granted:"))
    }
}
