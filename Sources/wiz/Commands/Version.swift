// `wiz version`: the release, the protocol, libzmq.

import ArgumentParser
import Broker
import ConfigDocument
import MeshProtocol

struct Version: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the versions of Wizmesh, its protocol and libzmq.")

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let library = Broker.zeroMQVersion
        output.show(
            .object([
                "wizmesh": .string(WizmeshVersion.current),
                "protocol": .integer(Int64(WizmeshVersion.wireProtocol)),
                "libzmq": .string(library),
            ])
        ) { _ in "wizmesh \(WizmeshVersion.current)\nprotocol \(WizmeshVersion.wireProtocol)\nlibzmq \(library)\n" }
    }
}
