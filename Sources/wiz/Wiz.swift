// The command `wiz`: its subcommands, and the one place where failures become sentences and exit codes.

import ArgumentParser
import ConfigDocument
import Glibc
import Logging
import MeshClient
import MeshProtocol

@main
struct Wiz: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wiz",
        abstract: "Start, use and watch a mesh of plugins.",
        discussion: """
            Begin with `wiz up` in a folder that has a mesh.yaml, and `wiz services` in another terminal.

            \(WizExit.table)
            """,
        version: WizmeshVersion.current,
        groupedSubcommands: [
            CommandGroup(name: "Run a mesh", subcommands: [Up.self, Host.self, Doctor.self, Keys.self]),
            CommandGroup(name: "Use it", subcommands: [Call.self, Pub.self, Sub.self, Bench.self]),
            CommandGroup(
                name: "Watch it",
                subcommands: [
                    Services.self, Describe.self, Plugins.self, Sessions.self, Calls.self, Events.self, Metrics.self,
                    Info.self, Logs.self, Why.self, Grants.self,
                ]
            ),
            CommandGroup(
                name: "Steer it",
                subcommands: [
                    PluginCommand.self, Reload.self, Grant.self, Revoke.self, Cancel.self, Drain.self, Kick.self,
                    Explain.self, Ticket.self,
                ]
            ),
            CommandGroup(
                name: "Write plugins",
                subcommands: [New.self, Dev.self, Conformance.self, Validate.self, Schema.self, Semver.self]
            ),
            CommandGroup(name: "About", subcommands: [Version.self, Completions.self, ExitCodes.self]),
        ]
    )

    static func main() async {
        Interrupts.begin()
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let asJSON = CommandLine.arguments.contains("--json")
        do {
            if !CreatePlugin.isMeant { try demandCommand(CommandLine.arguments.dropFirst()) }
            var command = CreatePlugin.isMeant ? try CreatePlugin.parseAsRoot() : try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            LogPrinter.flush()
            MeshConnection.flush()
        } catch {
            LogPrinter.flush()
            let code = finish(error, asJSON: asJSON).rawValue
            MeshConnection.flush()
            Glibc.exit(code)
        }
    }

    /// Refuses a command that there is not, with the one that may have been meant.
    private static func demandCommand(_ arguments: ArraySlice<String>) throws(CommandFailure) {
        var command: any ParsableCommand.Type = Wiz.self
        var words = ["wiz"]
        for argument in arguments {
            let inner = command.configuration.subcommands
            guard !inner.isEmpty, !argument.hasPrefix("-"), argument != "help" else { return }
            if let found = inner.first(where: { names(of: $0).contains(argument) }) {
                command = found
                words.append(argument)
                continue
            }
            let name = words.joined(separator: " ")
            throw CommandFailure(
                .usage,
                "\(name) has no command \(argument)",
                hint: nearest(to: argument, among: inner.flatMap { names(of: $0) })
                    .map { "Did you mean `\(name) \($0)`?" } ?? "`\(name) --help` lists them."
            )
        }
    }

    private static func names(of command: any ParsableCommand.Type) -> [String] {
        [command._commandName] + command.configuration.aliases
    }

    /// Tells a failure, and the code to exit with.
    private static func finish(_ error: any Error, asJSON: Bool) -> WizExit {
        switch error {
        case let failure as CommandFailure:
            tell(failure, asJSON: asJSON)
            return failure.exit
        case let error as MeshError:
            let failure = CommandFailure(error)
            tell(failure, asJSON: asJSON)
            return failure.exit
        case is CancellationError:
            tell(CommandFailure(.interrupted, "interrupted"), asJSON: asJSON)
            return .interrupted
        default: break
        }
        let code = exitCode(for: error)
        if asJSON, code == .validationFailure {
            tell(CommandFailure(.usage, message(for: error), hint: "`--help` tells what to type."), asJSON: true)
            return .usage
        }
        let text = fullMessage(for: error)
        if code == .success {
            Terminal.output.line(text)
            return .ok
        }
        if !text.isEmpty { Terminal.errors.line(text) }
        return code == .validationFailure ? .usage : WizExit(rawValue: code.rawValue) ?? .failed
    }
}
