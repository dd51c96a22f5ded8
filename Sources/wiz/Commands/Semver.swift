// `wiz semver`: versions and ranges as the mesh reads them, which is as npm's node-semver does in strict mode.

import ArgumentParser
import ConfigDocument
import Glibc
import SemanticVersion

struct Semver: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell whether a version satisfies a range.",
        discussion: """
            Examples:
              wiz semver '^1.2' 1.4.0            exit code 0: it does; 1: it does not; 8: not a range or version
              wiz semver --canonical '1.x || >=2.5.0'
              wiz semver < questions             each line {"range":"^1","version":"1.2.3"} is answered with one line
            """
    )

    @Argument(help: "The range.")
    var range: String?
    @Argument(help: "The version.")
    var version: String?
    @Option(help: ArgumentHelp("Print the canonical form of a range.", valueName: "range"))
    var canonical: String?
    @Flag(help: "Say nothing; the exit code tells.")
    var quiet = false
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if canonical != nil, range != nil {
            throw ValidationError("--canonical takes the range; nothing else goes with it")
        }
        if range != nil, version == nil {
            throw ValidationError("name a version too: wiz semver '\(range ?? "")' 1.2.3, or --canonical RANGE")
        }
    }

    func run() async throws {
        if let canonical {
            let range = try Self.range(canonical)
            output.show(.object(["canonical": .string(range.canonical)])) { _ in range.canonical + "\n" }
        } else if let range, let version {
            let range = try Self.range(range)
            let satisfies = range.contains(try Self.version(version))
            if !quiet {
                output.show(.object(["satisfies": .boolean(satisfies)])) { terminal in
                    (satisfies ? terminal.style.green("yes") : terminal.style.red("no")) + "\n"
                }
            }
            if !satisfies { throw ExitCode(WizExit.failed.rawValue) }
        } else {
            if isatty(STDIN_FILENO) == 1 {
                note("reading lines such as {\"range\":\"^1\",\"version\":\"1.2.3\"}; Ctrl-D ends")
            }
            var lines = SemverLines()
            lines.run(input: STDIN_FILENO, output: STDOUT_FILENO)
        }
    }

    private static func range(_ text: String) throws -> VersionRange {
        do { return try VersionRange(text) } catch {
            throw CommandFailure(.invalidArgument, "\(error)")
        }
    }

    private static func version(_ text: String) throws -> SemanticVersion {
        do { return try SemanticVersion(text) } catch {
            throw CommandFailure(.invalidArgument, "\(error)")
        }
    }
}
