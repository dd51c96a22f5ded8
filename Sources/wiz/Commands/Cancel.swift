// `wiz cancel`: ends a call in flight.

import ArgumentParser
import ConfigDocument
import MeshClient
import MeshProtocol

struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel a call in flight.",
        discussion: "Its caller gets CANCELLED at once; its worker is told to stop. `wiz calls` shows what to type."
    )

    @Argument(help: "The call, as `wiz calls` shows it.")
    var call: String
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await broker.withMesh { [call] mesh in
            do {
                return try await mesh.ask("cancel", .object(["call": .string(call)]))
            } catch let error as MeshError where [.invalidArgument, .notFound].contains(error.status) {
                throw CommandFailure(
                    .notFound,
                    "no call \(call) is in flight",
                    hint: "`wiz calls` lists those that are."
                )
            }
        }
        output.done(answer, "Call \(call) is cancelled.")
    }
}
