// `wiz reload`: lets the broker read its mesh file again.

import ArgumentParser
import MeshClient

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let the broker read its mesh file again.",
        discussion:
            "Limits, rules, principals and keys are put into force together; a file with problems changes nothing."
    )

    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await broker.withMesh { try await $0.ask("reload") }
        let changed = answer.texts("changed")
        output.done(answer, changed.isEmpty ? "Nothing has changed." : "In force: \(changed.joined(separator: ", ")).")
    }
}
