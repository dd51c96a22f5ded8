// `wiz why`: why a plugin runs or does not, as a chain that begins at the root, with what to type. A running host is asked;
// without one the mesh file's plugins are resolved here.

import ArgumentParser
import ConfigDocument
import Manifest
import MeshClient
import SemanticVersion

struct Why: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell why a plugin runs or does not, and what to type.",
        discussion: """
            Examples:
              wiz why chat
              wiz why chat --mesh demo/mesh.yaml   without a running mesh

            The exit code is 0 when the plugin can start, else 1.
            """
    )

    @Argument(help: "The plugin's name.", completion: .pluginNames)
    var plugin: String
    @Option(help: "Ask no host; resolve the plugins of this mesh file.", completion: .meshFile)
    var mesh: String?
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        if mesh == nil, let answer = try await askHost() { return try tell(answer) }
        guard let path = mesh ?? MeshPlace.fileHere else { throw BrokerOptions.noBroker(broker.resolvedEndpoint, nil) }
        let place = try MeshPlace(reading: path)
        let offers = await offersElsewhere(place)
        let name = try place.required(plugin).name
        guard let explanation = place.resolution(elsewhere: offers).explanation(of: name) else {
            throw CommandFailure(
                .failed,
                "nothing is known of \(name) here: its manifest is on another machine, or cannot be used",
                hint: "Ask the mesh that runs it: wiz why \(name)"
            )
        }
        try tell(explanation.value)
    }

    /// The answer of the plugin's host; nil when no broker or no host is there.
    private func askHost() async throws -> JSON? {
        if broker.endpoint == nil, !broker.isThere { return nil }
        let name = plugin
        return try await broker.withMesh { mesh in
            let hosts = try await mesh.hosts()
            guard !hosts.services.isEmpty else { return nil }
            if hosts.plugin(name) == nil, let broken = await mesh.leftOut(name) { throw broken }
            let hosted = try hosts.required(name)
            let answer = try await mesh.askHost(hosted.service, "why", .object(["plugin": .string(hosted.name)]))
            let facts = ["state", "reason", "last", "underway"].compactMap { key in
                hosted.item[key].map { JSON.Entry(key: key, value: $0) }
            }
            return .mapping(answer.entries + facts)
        }
    }

    /// What others offer in a mesh that runs, if one does.
    private func offersElsewhere(_ place: MeshPlace) async -> [ServiceOffer] {
        guard broker.isThere else { return [] }
        let own = Set(place.plugins.map(\.name))
        let items = try? await broker.withMesh { mesh in try await mesh.list("services") }
        return (items ?? []).flatMap { $0.offers(besides: own) }
    }

    private func tell(_ answer: JSON) throws {
        output.show(answer) { answer.whyText($0.style, plugin) }
        if answer["canStart"]?.boolean == false { throw ExitCode(WizExit.failed.rawValue) }
    }
}

extension JSON {
    /// The offers of a service's providers that are none of this mesh file's plugins.
    func offers(besides own: Set<String>) -> [ServiceOffer] {
        guard let version = try? SemanticVersion(text("version")) else { return [] }
        return (self["providers"]?.items ?? []).compactMap { provider in
            let name = provider.text("principal").isEmpty ? provider.text("name") : provider.text("principal")
            guard !own.contains(name) else { return nil }
            return ServiceOffer(service: text("service"), version: version, provider: name)
        }
    }

    /// A host's answer to `why`, or an explanation, for people.
    func whyText(_ style: Style, _ plugin: String) -> String {
        var text = ""
        let state = self.text("state")
        if !state.isEmpty {
            text += "\(style.bold(clean(plugin))) is \(style.state(state))"
            let reason = self.text("reason")
            text += (reason.isEmpty ? "" : ": \(clean(reason))") + "\n"
        }
        for step in self["steps"]?.items ?? [] {
            text += "  " + clean(step.text("sentence"))
            let advice = step.text("advice")
            if !advice.isEmpty { text += " " + clean(advice) }
            text += "\n"
            let command = step.text("command")
            if !command.isEmpty { text += style.cyan("  → ") + clean(command) + "\n" }
        }
        if let last = self["last"], last != .null {
            text += "  \(clean(last.text("instance"))) ended before: \(clean(last.text("cause")))\n"
            for line in last.texts("lastLines") { text += style.dim("    │ ") + clean(line) + "\n" }
        }
        let underway = self.text("underway")
        if !underway.isEmpty { text += "  Reloading: \(clean(underway))\n" }
        return text
    }
}

extension Explanation {
    /// The explanation as JSON.
    var value: JSON {
        .object([
            "plugin": .string(plugin), "canStart": .boolean(canStart),
            "steps": .list(
                steps.map { step in
                    .object([
                        "plugin": .string(step.plugin), "sentence": .string(step.sentence),
                        "advice": .string(step.advice), "command": step.command.map { .string($0) } ?? .null,
                    ])
                }
            ),
        ])
    }
}
