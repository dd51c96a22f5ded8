// Why a plugin can or cannot start, as a chain of sentences that begins at the root, each with what to do and to type.
// `wiz why`, the host's log and the service of a host all show this. Pure.

internal import ConfigDocument
internal import SemanticVersion

/// Why a plugin can or cannot start.
public struct Explanation: Hashable, Sendable, Codable, CustomStringConvertible {
    /// One link of the chain.
    public struct Step: Hashable, Sendable, Codable, CustomStringConvertible {
        /// The plugin that it is about.
        public let plugin: String
        /// What is so: one sentence.
        public let sentence: String
        /// What to do about it: sentences, or empty.
        public let advice: String
        /// What to type; nil if nothing typed helps by itself.
        public let command: String?

        init(_ plugin: String, _ sentence: String, advice: String = "", command: String? = nil) {
            self.plugin = plugin
            self.sentence = sentence
            self.advice = advice
            self.command = command
        }

        /// The sentence, the advice, and on a line of its own what to type.
        public var description: String {
            let line = advice.isEmpty ? sentence : "\(sentence) \(advice)"
            return command.map { "\(line)\n    \($0)" } ?? line
        }
    }

    /// The plugin that was asked about.
    public let plugin: String
    /// Whether it can start.
    public let canStart: Bool
    /// The chain: what the others rest on comes first.
    public let steps: [Step]

    /// The whole chain as text, a line or two for each step.
    public var description: String { steps.map(\.description).joined(separator: "\n") }
}

extension Resolution {
    /// Why a plugin can or cannot start; nil for one that is not known.
    public func explanation(of name: String) -> Explanation? {
        guard let plugin = plugins[name] else { return nil }
        var writer = ExplanationWriter(resolution: self)
        if plugin.isBlocked {
            writer.explain(plugin)
        } else {
            writer.tellBindings(plugin)
        }
        return Explanation(plugin: name, canStart: !plugin.isBlocked, steps: writer.steps)
    }
}

/// Writes the chain; a plugin and a cycle are told once.
private struct ExplanationWriter {
    let resolution: Resolution
    var steps: [Explanation.Step] = []
    private var toldPlugins = Set<String>()
    private var toldCycles = Set<DependencyCycle>()

    /// More providers than these are only counted.
    private static let listedProviders = 4

    init(resolution: Resolution) {
        self.resolution = resolution
    }

    mutating func explain(_ plugin: PluginResolution) {
        guard toldPlugins.insert(plugin.name).inserted else { return }
        for case .providersBlocked(_, let providers) in plugin.reasons {
            for provider in providers.prefix(Self.listedProviders) {
                if let other = resolution.plugins[provider.name] { explain(other) }
            }
        }
        for reason in plugin.reasons {
            if case .cycle(let cycle) = reason {
                tell(cycle)
            } else {
                steps.append(step(plugin, reason))
            }
        }
    }

    private mutating func tell(_ cycle: DependencyCycle) {
        guard toldCycles.insert(cycle).inserted, let first = cycle.path.first else { return }
        let sentence =
            cycle.members.count == 1
            ? "Because \(first) requires a service that only \(first) itself provides, it cannot start."
            : "Because \(listed(cycle.members)) require each other in a circle (\(cycle)), none of them can start."
        steps.append(
            .init(
                first,
                sentence,
                advice: "Move one of these dependencies from dependencies.required to dependencies.optional in its "
                    + "plugin.json, then type:",
                command: "wiz reload"
            )
        )
    }

    private func step(_ plugin: PluginResolution, _ reason: BlockReason) -> Explanation.Step {
        let name = plugin.name
        switch reason {
        case .missing(let dependency, let others): return missing(plugin, dependency, others)
        case .providersBlocked(let dependency, let providers):
            let none =
                providers.count == 1
                ? "its only provider in range, \(providers[0]), cannot start"
                : "none of its providers in range can start: \(listed(providers.map(\.description)))"
            return .init(
                name,
                "Because \(name) \(plugin.version) requires \(dependency.phrase) and \(none), \(name) cannot start."
            )
        case .engine(let range, let mesh):
            return .init(
                name,
                "Because \(name) \(plugin.version) needs wizmesh \(range) and this is wizmesh \(mesh), \(name) cannot "
                    + "start.",
                advice: "Install a version of \(name) for this wizmesh, or relax its engines.wizmesh."
            )
        case .held(let hold): return held(plugin, hold)
        case .cycle: return .init(name, "Because \(name) \(plugin.version) is in a \(reason), it cannot start.")
        }
    }

    private func held(_ plugin: PluginResolution, _ hold: ResolvablePlugin.Hold) -> Explanation.Step {
        let name = plugin.name
        switch hold {
        case .grant(let permissions):
            return .init(
                name,
                "Because \(name) \(plugin.version) asks for \(listed(permissions)), which "
                    + "\(permissions.count == 1 ? "is" : "are") not granted, \(name) cannot start.",
                advice: "To grant \(permissions.count == 1 ? "it" : "them"), type:",
                command: "wiz grant \(name) \(permissions.joined(separator: " "))"
            )
        case .quarantined(let cause):
            return .init(
                name,
                "Because \(name) \(plugin.version) ended too often (\(cause)), it is in quarantine and does not start.",
                advice: "When that is mended, type:",
                command: "wiz plugin reset \(name)"
            )
        case .stopped:
            return .init(
                name,
                "Because an operator stopped \(name) \(plugin.version), it does not start.",
                advice: "To start it, type:",
                command: "wiz plugin start \(name)"
            )
        }
    }

    private func missing(
        _ plugin: PluginResolution,
        _ dependency: ServiceDependency,
        _ others: [ServiceProvider]
    ) -> Explanation.Step {
        let name = plugin.name
        let start = "Because \(name) \(plugin.version) requires \(dependency.phrase) and"
        let end = "\(name) cannot start."
        guard let first = others.first else {
            let meant =
                nearest(to: dependency.service, among: resolution.services).map { " (did you mean \($0)?)" } ?? ""
            let what = dependency.range.isAny ? dependency.service : "\(dependency.service) \(dependency.range)"
            return .init(
                name,
                "\(start) nothing in this mesh provides \(dependency.service)\(meant), \(end)",
                advice: "Install a plugin that provides \(what); \(name) then starts by itself."
            )
        }
        let have =
            others.count == 1
            ? "the only provider is \(first)" : "the providers are \(listed(others.map(\.description)))"
        return .init(
            name,
            "\(start) \(have), \(end)",
            advice: "Install a provider \(dependency.range), or relax \(name)'s range."
                + prereleaseHint(dependency, others)
        )
    }

    /// A prerelease that would be in range as a release is out of it by npm's rule, which surprises people.
    private func prereleaseHint(_ dependency: ServiceDependency, _ others: [ServiceProvider]) -> String {
        let near = others.map(\.serviceVersion).first { version in
            version.isPrerelease
                && dependency.range.contains(
                    SemanticVersion(major: version.major, minor: version.minor, patch: version.patch)
                )
        }
        return near.map {
            " \($0) is a prerelease, which only a range that names it takes: write \(dependency.service)@^\($0) to use it."
        } ?? ""
    }

    mutating func tellBindings(_ plugin: PluginResolution) {
        let name = plugin.name
        let wait = plugin.waitsFor.isEmpty ? "" : " after \(listed(plugin.waitsFor))"
        steps.append(.init(name, "\(name) \(plugin.version) can start\(wait)."))
        for binding in plugin.bindings {
            steps.append(.init(name, sentence(name, binding)))
        }
        for dropped in resolution.dropped where dropped.plugin == name {
            steps.append(.init(name, "\(dropped)."))
        }
    }

    private func sentence(_ name: String, _ binding: DependencyBinding) -> String {
        let kind = binding.isRequired ? "" : "optional "
        guard let provider = binding.provider else {
            return "Its \(kind)\(binding.dependency.phrase) is not provided: \(name) runs without it, and gets it when "
                + "a provider comes."
        }
        return "Its \(kind)\(binding.dependency.phrase) is provided by \(provider)."
    }

    /// "a", "a and b", "a, b, c, d and 3 more".
    private func listed(_ words: [String]) -> String {
        guard words.count > 1 else { return words.first ?? "" }
        guard words.count <= Self.listedProviders + 1 else {
            let more = words.count - Self.listedProviders
            return words.prefix(Self.listedProviders).joined(separator: ", ") + " and \(more) more"
        }
        return words.dropLast().joined(separator: ", ") + " and " + (words.last ?? "")
    }
}
