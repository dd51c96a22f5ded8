// `wiz conformance`: whether a plugin, in whatever language, does what a mesh and its host rely on.

import ArgumentParser
import ConfigDocument
import Glibc
import Manifest
import PluginHost
import SemanticVersion

struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a plugin in a mesh of its own and check that it does what others rely on.",
        discussion: """
            Examples:
              wiz conformance .
              wiz conformance plugins/midnight-theme --with plugins/ui

            Checks:
            \(ConformanceCheck.allCases.map { "  " + pad($0.rawValue, to: 20) + $0.meaning }.joined(separator: "\n"))

            Its methods are called with the least that their schemas allow, those that are "destructive" excepted. In plugin.json,
            "x-conformance": {"slow": {"method": "echo.sleep", "input": {…}}, "samples": {"echo.say": …}, "skip": ["echo.fail"]}
            names a call that lasts, better input, and methods to leave alone. It runs without a sandbox, and stores what it
            stores in a folder that is removed.

            Exit code 0 when nothing failed, 9 when something did, 8 when plugin.json is not valid.
            """
    )

    @Argument(help: "The plugin's folder.", completion: .directory)
    var folder = "."
    @Option(
        help: ArgumentHelp("A plugin to run beside it, whose services it needs; may be repeated.", valueName: "folder"),
        completion: .directory
    )
    var with: [String] = []
    @Option(help: ArgumentHelp("Its settings as JSON, as the mesh file would give them.", valueName: "json"))
    var config = "{}"
    @OptionGroup var output: OutputOptions

    func run() async throws {
        for folder in [folder] + with { try demandPlugin(in: folder) }
        let begin = ContinuousClock.now
        let settings = try settings()
        let subject: ConformanceSubject
        do throws(ConfigErrors) {
            subject = try Self.subject(folder, settings)
        } catch {
            if output.json { Terminal.output.line(error.reportJSON.json) } else { tellProblems(error) }
            throw ExitCode(WizExit.invalidArgument.rawValue)
        }
        let companions = try with.map { folder in
            do throws(ConfigErrors) {
                return try Self.subject(folder, .mapping([]))
            } catch {
                throw CommandFailure(.invalidArgument, "the plugin in \(folder) cannot be used: \(error)")
            }
        }
        try demandProviders(subject.manifest, companions.map(\.manifest))
        var report = ConformanceReport(
            plugin: subject.manifest.name,
            version: "\(subject.manifest.version)",
            results: [
                ConformanceResult(
                    check: .manifest,
                    outcome: .passed,
                    sentence: "plugin.json is valid, and its program is there",
                    advice: "",
                    duration: begin.duration(to: .now)
                )
            ]
        )
        let isQuiet = output.json
        let tell: @Sendable (ConformanceResult) -> Void = { result in
            if !isQuiet { Terminal.output.write(result.text(Terminal.output.style)) }
        }
        report.results.forEach(tell)
        let run = ConformanceRun(subject: subject, companions: companions, tell: tell)
        report.results += try await Interrupts.cancelling { try await run.run() }
        output.show(report.json) { report.summary($0.style) }
        if !report.isGood { throw ExitCode(WizExit.pluginFailed.rawValue) }
    }

    private static let launcher = SystemLauncher()

    private static func subject(_ folder: String, _ config: JSON) throws(ConfigErrors) -> ConformanceSubject {
        let folder = absolutePath(folder)
        return ConformanceSubject(
            folder: folder,
            manifest: try PluginManifest.load(folder: folder, checking: .executable),
            config: config,
            launcher: launcher
        )
    }

    /// Refuses to wait for services that nobody will provide.
    private func demandProviders(_ manifest: PluginManifest, _ others: [PluginManifest]) throws(CommandFailure) {
        for need in manifest.requiredDependencies {
            let isThere = others.flatMap(\.provides).contains { offer in
                offer.service == need.service && need.range.contains(offer.version)
            }
            guard !isThere else { continue }
            throw CommandFailure(
                .notFound,
                "\(manifest.name) needs \(need.service)@\(need.rangeText), which nobody provides here",
                hint: "Run a plugin that does beside it: wiz conformance \(folder) --with FOLDER"
            )
        }
    }

    private func settings() throws(CommandFailure) -> JSON {
        do {
            return try JSON(parsing: config, source: "--config")
        } catch {
            throw CommandFailure(.usage, "--config is not JSON: \(error)")
        }
    }
}
