// `wiz info`: who the broker is.

import ArgumentParser
import ConfigDocument
import MeshClient

struct Info: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tell who the broker is and who you are to it.")

    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (answer, principal, session) = try await broker.withMesh { mesh in
            (try await mesh.ask("info"), mesh.session?.principal ?? "", mesh.session?.session ?? 0)
        }
        let you = JSON.object(["principal": .string(principal), "session": .integer(Int64(clamping: session))])
        output.show(.mapping(answer.entries + [.init(key: "you", value: you)])) { terminal in
            let style = terminal.style
            var text = style.bold(clean(answer.text("mesh"))) + "  " + answer.text("version")
            text +=
                ", pid \(answer.number("pid")), up \(Units.text(.milliseconds(answer.number("uptimeMilliseconds"))))\n"
            for endpoint in answer.texts("endpoints") { text += "  at  \(clean(endpoint))\n" }
            if let key = answer["publicKey"]?.string { text += "  key \(key)\n" }
            return text + "  you are \(style.bold(clean(principal))), session \(session)\n"
        }
    }
}
