// Runs the command that builds a plugin, as its manifest has it: in the plugin's folder, in a process group of its own, with
// its output by lines. Cancelling the task ends the whole group.

public import Manifest
import Subprocess
import SystemPackage

/// Builds plugins.
public enum PluginBuild {
    /// How a build ended.
    public enum Outcome: Hashable, Sendable {
        /// It went well.
        case succeeded
        /// The command failed, or could not be started.
        case failed(ExitCause)
    }

    /// Runs the command until it ends.
    ///
    /// - Parameters:
    ///   - command: The manifest's `build`.
    ///   - folder: The plugin's folder.
    ///   - line: Hears each line of its output.
    /// - Returns: how it ended; a cancelled one is ended by a signal.
    public static func run(
        _ command: BuildCommand,
        in folder: String,
        line: @escaping @Sendable (String) -> Void
    ) async -> Outcome {
        guard let program = command.arguments.first else { return .failed(.notStarted("the build command is empty")) }
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(2))
        ]
        do {
            let result = try await Subprocess.run(
                program.hasPrefix("/")
                    ? .path(FilePath(program))
                    : program.contains("/") ? .path(FilePath(folder + "/" + program)) : .name(program),
                arguments: Arguments(Array(command.arguments.dropFirst())),
                environment: .inherit,
                workingDirectory: FilePath(folder),
                platformOptions: options,
                input: .none,
                output: .sequence,
                error: .sequence
            ) { execution in
                let output = execution.standardOutput
                let errors = execution.standardError
                let reading = Task { await read(output, line) }
                await read(errors, line)
                await reading.value
            }
            switch result.terminationStatus {
            case .exited(0): return .succeeded
            case .exited(let code): return .failed(.exited(code))
            case .signaled(let signal): return .failed(.signalled(signal))
            }
        } catch {
            guard let error = error as? SubprocessError, error.code == .executableNotFound else {
                return .failed(.notStarted("\(error)"))
            }
            return .failed(.notStarted("the program \(program) was not found"))
        }
    }

    private static func read(_ sequence: SubprocessOutputSequence, _ line: @escaping @Sendable (String) -> Void) async {
        var splitter = LineSplitter()
        do {
            for try await buffer in sequence { buffer.withUnsafeBytes { splitter.feed($0, line) } }
        } catch {
            // Reading ends with the process; what was read is kept.
        }
        splitter.finish(line)
    }
}
