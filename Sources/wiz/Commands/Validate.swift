// `wiz validate`: checks a plugin's manifest, or a mesh file, and tells every problem at once.

import ArgumentParser
import Broker
import ConfigDocument
import Glibc
import Manifest

struct Validate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a plugin's folder, or a mesh file, and tell every problem with its place."
    )

    @Argument(help: "A folder with plugin.json, or a mesh file.")
    var path: String
    @Flag(help: "Also demand that the plugin is built: its main must be there and executable.")
    var built = false
    @OptionGroup var output: OutputOptions

    func run() async throws {
        do {
            let sentence: String
            if isFolder(path) || path.hasSuffix(PluginManifest.fileName) {
                let folder = isFolder(path) ? path : String(path.dropLast(PluginManifest.fileName.count + 1))
                let manifest = try PluginManifest.load(
                    folder: folder.isEmpty ? "." : folder,
                    checking: built ? .executable : .location
                )
                sentence = "\(manifest.name) \(manifest.version) is valid."
            } else {
                let file = try MeshFile(reading: path)
                sentence = "\(path) is valid: mesh \(file.mesh), \(file.plugins.count) plugins."
            }
            output.done(.object(["valid": .boolean(true), "problems": .list([]), "omitted": .integer(0)]), sentence)
        } catch {
            let errors = error
            if output.json {
                Terminal.output.line(errors.reportJSON.json)
            } else {
                tellProblems(errors)
            }
            throw ExitCode(WizExit.invalidArgument.rawValue)
        }
    }
}

/// Whether a path leads to a folder.
func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Tells the problems of a file, one a line.
func tellProblems(_ errors: ConfigErrors) {
    let style = Terminal.errors.style
    for problem in errors.problems {
        Terminal.errors.line(style.red("error: ") + clean(problem.description))
    }
    if errors.omitted > 0 { Terminal.errors.line(style.dim("… and \(errors.omitted) more")) }
}

extension ConfigErrors {
    /// The problems as a JSON document, as editors read it.
    var reportJSON: JSON {
        .object([
            "valid": .boolean(false),
            "problems": .list(
                problems.map { problem in
                    .object([
                        "file": .string(problem.source), "line": .integer(Int64(problem.line)),
                        "column": .integer(Int64(problem.column)), "pointer": .string(problem.pointer),
                        "message": .string(problem.message),
                        "expected": problem.expected.map { .string($0) } ?? .null,
                        "suggestion": problem.suggestion.map { .string($0) } ?? .null,
                    ])
                }
            ),
            "omitted": .integer(Int64(omitted)),
        ])
    }
}
