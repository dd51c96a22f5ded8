// `wiz keys`: CURVE key pairs in files, for brokers and clients on tcp.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make and show key pairs for tcp.",
        subcommands: [New.self, Show.self]
    )

    struct New: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key pair in a new file that only you can read."
        )

        @Argument(help: "The file; one that exists is never replaced.")
        var file: String
        @Option(
            name: .customLong("public"),
            help: ArgumentHelp("Write the public key into this file too.", valueName: "file"),
            completion: .file()
        )
        var publicFile: String?
        @Flag(help: "Keep a pair that is there, rather than fail.")
        var ifMissing = false
        @OptionGroup var output: OutputOptions

        func run() async throws {
            do {
                let isThere = ifMissing && access(file, F_OK) == 0
                let key = isThere ? try KeyFile(reading: file) : try KeyFile(creating: file)
                if let publicFile { try key.writePublicKey(to: publicFile) }
                output.show(.object(["file": .string(file), "publicKey": .string(key.publicKey)])) { terminal in
                    terminal.style.green("✓") + " \(file) holds the pair; keep it secret.\n  public key  "
                        + terminal.style.bold(key.publicKey) + "\n"
                        + terminal.style.dim(
                            "  Put it into the mesh file: principals: { NAME: { key: \"\(key.publicKey)\" } }"
                        )
                        + "\n"
                }
            } catch {
                throw CommandFailure(.failed, error.description)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the public key of a file.")

        @Argument(help: "A file of `wiz keys new`.")
        var file: String
        @OptionGroup var output: OutputOptions

        func run() async throws {
            do {
                let key = try KeyFile(reading: file)
                output.show(.object(["file": .string(file), "publicKey": .string(key.publicKey)])) { _ in
                    key.publicKey + "\n"
                }
            } catch {
                throw CommandFailure(access(file, F_OK) == 0 ? .failed : .notFound, error.description)
            }
        }
    }
}
