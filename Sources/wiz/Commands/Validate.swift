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
        let isPlugin = isFolder(path) || path.split(separator: "/").last.map(String.init) == PluginManifest.fileName
        if isFolder(path) {
            try demandPlugin(in: path)
        } else {
            try demandMeshFile(path, hint: "Name a plugin's folder, or a mesh file.")
        }
        do {
            let sentence: String
            var warnings: [String] = []
            if isPlugin {
                let folder = isFolder(path) ? path : String(path.dropLast(PluginManifest.fileName.count + 1))
                let manifest = try PluginManifest.load(
                    folder: folder.isEmpty ? "." : folder,
                    checking: built ? .executable : .location
                )
                sentence = "\(manifest.name) \(manifest.version) is valid."
            } else {
                let file = try MeshFile(reading: path)
                sentence = "\(path) is valid: mesh \(file.mesh), \(count(file.plugins.count, "plugin"))."
                warnings = file.warnings
            }
            let document = JSON.object([
                "valid": .boolean(true), "problems": .list([]), "omitted": .integer(0),
                "warnings": .list(warnings.map { .string($0) }),
            ])
            output.done(document, sentence)
            for warning in warnings where !output.json { note(warning) }
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

/// Refuses a folder that holds no plugin.
func demandPlugin(in folder: String) throws(CommandFailure) {
    guard access(folder + "/" + PluginManifest.fileName, F_OK) != 0 else { return }
    throw CommandFailure(
        .notFound,
        "\(folder) has no \(PluginManifest.fileName)",
        hint: "Make a plugin with `wiz new NAME`, or name the folder of one."
    )
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
