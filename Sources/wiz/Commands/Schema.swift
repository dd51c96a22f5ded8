// `wiz schema`: the JSON Schema of plugin.json.

import ArgumentParser
import ConfigDocument
import Manifest

struct Schema: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON Schema of plugin.json.",
        discussion: "Save it and name it in \"$schema\", and an editor completes and checks a manifest."
    )

    @OptionGroup var output: OutputOptions

    func run() async throws {
        if output.json {
            Terminal.output.line(try JSON(parsing: PluginManifest.jsonSchema).json)
        } else {
            Terminal.output.line(PluginManifest.jsonSchema)
        }
    }
}
