// `wiz describe`: what a provider tells about its methods' parameters and results.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

struct Describe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the description of a service: its methods' parameters and results.",
        discussion: "`wiz services --long SERVICE` shows the methods' properties and the workers."
    )

    @Argument(help: "The service.")
    var service: String
    @Argument(help: "The version. Default: the highest.")
    var version: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        var entries: [JSON.Entry] = [.init(key: "service", value: .string(service))]
        if let version { entries.append(.init(key: "version", value: .string(version))) }
        let arguments = JSON.mapping(entries)
        let answer = try await broker.withMesh { [service] mesh in
            do {
                return try await mesh.ask("describe", arguments)
            } catch let error as MeshError where error.status == .notFound {
                throw CommandFailure(.notFound, error.message, hint: await mesh.serviceSuggestion(service))
            }
        }
        output.show(answer) { prettyJSON(answer.json, $0.style) + "\n" }
    }
}
