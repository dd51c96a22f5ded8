// `wiz grants`: what plugins ask for against what they are granted.

import ArgumentParser
import ConfigDocument
import Manifest
import MeshClient

struct Grants: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what plugins ask for against what they are granted.",
        discussion: """
            A plugin has what it asks for and is granted. `missing` keeps it from starting; `refused` is optional; `narrowed`
            reaches fewer hosts than asked for; `unused` is granted but not asked for. Grants stand in grants.yaml beside the
            mesh file; for a plugin that is not listed there those of the mesh file count.
            """
    )

    @Argument(help: "Plugins. Default: all.", completion: .pluginNames)
    var plugins: [String] = []
    @OptionGroup var place: MeshPlaceOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let place = try await place.place()
        let shown =
            plugins.isEmpty ? place.plugins : try plugins.map { try place.required($0) }
        var table = Table([
            .text("PLUGIN") { $0.bold($1) }, .text("PERMISSION"), .text("ASKED"), .text("VERDICT") { $0.verdict($1) },
            .text("REACHES"), .text("REASON"),
        ])
        for plugin in shown {
            for row in plugin.grantRows {
                table.add([
                    row.plugin, row.permission, row.asked, row.verdict.rawValue, row.reach, row.request?.reason ?? "",
                ])
            }
        }
        let warnings = place.leftOut.map(\.description) + place.warnings
        output.show(
            .object([
                "file": .string(place.grantsPath), "plugins": .list(shown.map(\.grantJSON)),
                "warnings": .list(warnings.map { .string($0) }),
            ]),
            table,
            empty: "No plugin asks for anything."
        )
        guard !output.json else { return }
        for warning in warnings { note(warning) }
        for plugin in shown {
            let missing = plugin.permissions?.missingNames ?? []
            if !missing.isEmpty {
                note("\(plugin.name) waits: wiz grant \(plugin.name) \(missing.joined(separator: " "))")
            }
        }
    }
}
