// `wiz conformance`: the plugins that ship pass it, one that misbehaves does not, and the sentence says how.

import ConfigDocument
import Glibc
import Manifest
import PluginHost
import Testing

@testable import wiz

@Suite(.serialized, .timeLimit(.minutes(5)))
struct ConformanceTests {
    private static let launcher: Result<any ProcessLauncher, any Error> = Result {
        SystemLauncher(.init(launcher: try Built.program("wizmesh-launch")))
    }

    /// A plugin's folder with its manifest and its program, which was built beside these tests.
    private final class Copy {
        let folder: TestFolder

        init(of name: String, manifest: String) throws {
            folder = try TestFolder()
            try folder.write("plugin.json", manifest)
            try copyProgram(Built.program(name), to: folder.at("bin/" + name))
        }

        func subject() throws -> ConformanceSubject {
            ConformanceSubject(
                folder: folder.path,
                manifest: try PluginManifest.load(folder: folder.path, checking: .executable),
                config: .mapping([]),
                launcher: try ConformanceTests.launcher.get()
            )
        }
    }

    private func shipped(_ name: String) throws -> Copy { try Copy(of: name, manifest: TestFolder.manifest(name)) }

    private func run(_ copy: Copy, beside others: [Copy] = []) async throws -> ConformanceReport {
        let subject = try copy.subject()
        let run = ConformanceRun(subject: subject, companions: try others.map { try $0.subject() }) { _ in }
        return ConformanceReport(
            plugin: subject.manifest.name,
            version: "\(subject.manifest.version)",
            results: try await run.run()
        )
    }

    @Test func `echo passes every check`() async throws {
        let report = try await run(shipped("echo"))
        for result in report.results { #expect(result.outcome == .passed, "\(result.check): \(result.sentence)") }
        #expect(Set(report.results.map(\.check)) == Set(ConformanceCheck.allCases).subtracting([.manifest]))
        #expect(report.json["conforms"]?.boolean == true)
    }

    @Test(arguments: ["ui", "filesystem-access"])
    func `the plugins that ship conform`(_ name: String) async throws {
        let report = try await run(shipped(name))
        for result in report.results { #expect(result.outcome != .failed, "\(result.check): \(result.sentence)") }
        #expect(report.count(.passed) >= 8)
    }

    @Test func `a plugin that needs another is looked at beside it`() async throws {
        let report = try await run(shipped("midnight-theme"), beside: [shipped("ui")])
        for result in report.results { #expect(result.outcome != .failed, "\(result.check): \(result.sentence)") }
    }

    /// A rogue with the few methods that are good to call.
    private func rogue(_ behaviour: String) throws -> Copy {
        try Copy(
            of: "rogue-plugin",
            manifest: #"""
                {
                  "name": "rogue-plugin", "version": "1.0.0", "main": ["bin/rogue-plugin", "\#(behaviour)"],
                  "provides": [{ "service": "rogue", "methods": { "about": {}, "sleep": {} } }],
                  "lifecycle": { "initTimeoutMs": 3000, "drainTimeoutMs": 200 },
                  "x-conformance": {
                    "slow": { "method": "rogue.sleep", "input": { "milliseconds": 60000 } },
                    "samples": { "rogue.sleep": { "milliseconds": 0 } }
                  }
                }
                """#
        )
    }

    @Test func `a rogue that behaves conforms`() async throws {
        let report = try await run(rogue("serve"))
        for result in report.results { #expect(result.outcome == .passed, "\(result.check): \(result.sentence)") }
    }

    @Test(arguments: [
        ("ignore-cancel", ConformanceCheck.cancel, "still ran"), ("deaf", .stop, "still runs"),
        ("exit-init:3", .readyInTime, "it ended before it was ready: exit 3"),
        ("hang-init", .readyInTime, "rogue@1.0.0"),
        ("silent", .readyInTime, "HELLO"),
    ])
    func `what a rogue does is found and told`(
        _ behaviour: String,
        _ check: ConformanceCheck,
        _ words: String
    ) async throws {
        let report = try await run(rogue(behaviour))
        #expect(!report.isGood)
        let result = try #require(report.results.first { $0.check == check })
        #expect(result.outcome == .failed)
        #expect(result.sentence.contains(words), "\(result.sentence)")
        #expect(!result.advice.isEmpty)
    }

    @Test func `input is made from schemas`() throws {
        let schema = try JSON(
            parsing: #"""
                {"type": "object", "required": ["a", "b", "c", "d", "e", "f"], "properties": {
                  "a": {"type": "string", "minLength": 3}, "b": {"type": "integer", "minimum": 7}, "c": {"enum": ["x", "y"]},
                  "d": {"type": "array", "minItems": 2, "items": {"type": "boolean"}}, "e": {"default": null},
                  "f": {"examples": [[1]]}, "g": {"type": "string"}}}
                """#
        )
        #expect(
            SampleInput.value(for: schema).json == #"{"a":"xxx","b":7,"c":"x","d":[false,false],"e":null,"f":[1]}"#
        )
        #expect(SampleInput.value(for: nil).json == "{}")
    }
}
