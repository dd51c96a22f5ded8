// `wiz exit-codes`: what the exit codes mean.

import ArgumentParser
import ConfigDocument

struct ExitCodes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tell what the exit codes mean.")

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let codes = WizExit.allCases.map { code in
            JSON.object(["code": .integer(Int64(code.rawValue)), "meaning": .string(code.meaning)])
        }
        output.show(.list(codes)) { _ in WizExit.table + "\n" }
    }
}
