// Resolution: who starts, with whom, in which order.

import Manifest
import SemanticVersion
import Testing

typealias Offered = ResolvablePlugin.OfferedService

/// A dependency as a manifest writes it: "llm-service@^2.0.0".
func need(_ text: String) throws -> ServiceDependency {
    let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
    let range = parts.count == 2 ? parts[1] : "*"
    return ServiceDependency(service: parts[0], range: try VersionRange(range), rangeText: range)
}

/// A plugin; services are written "llm-service@2.1.0".
func plugin(
    _ name: String,
    _ version: String = "1.0.0",
    requires: [String] = [],
    wants: [String] = [],
    provides: [String] = [],
    hold: ResolvablePlugin.Hold? = nil
) throws -> ResolvablePlugin {
    ResolvablePlugin(
        name: name,
        version: try SemanticVersion(version),
        requires: try requires.map(need),
        wants: try wants.map(need),
        provides: try provides.map { text in
            let parts = text.split(separator: "@").map(String.init)
            return Offered(service: parts[0], version: try SemanticVersion(parts[1]))
        },
        hold: hold
    )
}

func offer(_ service: String, _ version: String, by provider: String) throws -> ServiceOffer {
    ServiceOffer(service: service, version: try SemanticVersion(version), provider: provider)
}

extension Resolution {
    /// "llm-service -> openai-llm", with "?" for nobody and "~" before one that is not waited for.
    func links(_ name: String) -> [String] {
        (plugins[name]?.bindings ?? []).map { binding in
            let provider = binding.provider.map { (binding.isAwaited || $0.isElsewhere ? "" : "~") + $0.name } ?? "?"
            return "\(binding.dependency.service) -> \(provider)"
        }
    }

    func reasons(_ name: String) -> String { plugins[name]?.summary ?? "unknown" }
}

@Test func `plugins start in waves and stop in reverse`() throws {
    let resolution = Resolution([
        try plugin("web", requires: ["chat", "log"]),
        try plugin("chat", requires: ["llm@^2"], provides: ["chat@1.0.0"]),
        try plugin("tiny-llm", provides: ["llm@2.3.0"]),
        try plugin("log", provides: ["log@1.0.0"]),
    ])
    #expect(resolution.waves == [["log", "tiny-llm"], ["chat"], ["web"]])
    #expect(resolution.stopWaves == [["web"], ["chat"], ["log", "tiny-llm"]])
    #expect(resolution.blocked.isEmpty && resolution.cycles.isEmpty && resolution.dropped.isEmpty)
    #expect(resolution.plugins["web"]?.waitsFor == ["chat", "log"])
    #expect(resolution.plugins["web"]?.wave == 2)
}

@Test func `the highest version in range wins, and among equals the first name`() throws {
    let resolution = Resolution(
        [
            try plugin("a", requires: ["llm@^2.0.0"]),
            try plugin("llm-b", provides: ["llm@2.1.0"]),
            try plugin("llm-c", provides: ["llm@2.1.0"]),
            try plugin("llm-d", provides: ["llm@2.2.0-beta.1"]),
            try plugin("llm-e", provides: ["llm@3.0.0"]),
        ],
        elsewhere: [try offer("llm", "2.0.9", by: "far")]
    )
    #expect(resolution.links("a") == ["llm -> llm-b"])
}

@Test func `two majors of one service run side by side and each caller gets its own`() throws {
    let resolution = Resolution([
        try plugin("old", requires: ["llm@^1.0.0"]),
        try plugin("new", requires: ["llm@^2.0.0"]),
        try plugin("one", provides: ["llm@1.9.0"]),
        try plugin("two", provides: ["llm@2.0.0"]),
        try plugin("both", provides: ["llm@1.4.0", "llm@2.1.0"]),
    ])
    #expect(resolution.links("old") == ["llm -> one"])
    #expect(resolution.links("new") == ["llm -> both"])
    #expect(resolution.waves == [["both", "one", "two"], ["new", "old"]])
}

@Test func `who is there already is not waited for`() throws {
    let resolution = Resolution(
        [try plugin("a", requires: ["llm@2"])],
        elsewhere: [try offer("llm", "2.5.0", by: "far")]
    )
    #expect(resolution.links("a") == ["llm -> far"])
    #expect(resolution.plugins["a"]?.bindings.first?.isAwaited == false)
    #expect(resolution.waves == [["a"]])
}

@Test func `a plugin without a provider is blocked, and so are those who need it, and nobody else`() throws {
    let resolution = Resolution([
        try plugin("a", requires: ["b-service"]),
        try plugin("b", requires: ["c-service@^2"], provides: ["b-service@1.0.0"]),
        try plugin("c", provides: ["c-service@1.0.0"]),
    ])
    #expect(resolution.blocked == ["a", "b"])
    #expect(resolution.waves == [["c"]])
    #expect(resolution.reasons("a") == "waits for b-service of b")
    #expect(resolution.reasons("b") == "waits for c-service ^2")
}

@Test func `a plugin that is held does not provide`() throws {
    let holds: [(ResolvablePlugin.Hold, String)] = [
        (.grant(["storage", "networking"]), "waits for the grant of storage, networking"),
        (.quarantined("exit 3"), "quarantined: exit 3"), (.stopped, "stopped by an operator"),
    ]
    for (hold, text) in holds {
        let resolution = Resolution([
            try plugin("a", requires: ["b"]), try plugin("b", provides: ["b@1.0.0"], hold: hold),
        ])
        #expect(resolution.reasons("b") == text)
        #expect(resolution.reasons("a") == "waits for b of b")
        let other = Resolution(
            [try plugin("a", requires: ["b"]), try plugin("b", provides: ["b@2.0.0"], hold: hold)],
            elsewhere: [try offer("b", "1.0.0", by: "far")]
        )
        #expect(other.links("a") == ["b -> far"])
        #expect(other.blocked == ["b"])
    }
}

@Test func `an optional dependency orders the start but never blocks it`() throws {
    let resolution = Resolution([
        try plugin("a", wants: ["b", "c", "nobody"]),
        try plugin("b", provides: ["b@1.0.0"]),
        try plugin("c", requires: ["missing"], provides: ["c@1.0.0"]),
    ])
    #expect(resolution.waves == [["b"], ["a"]])
    #expect(resolution.links("a") == ["b -> b", "c -> ?", "nobody -> ?"])
}

@Test func `a cycle blocks its members and those who need them, with its path`() throws {
    let resolution = Resolution([
        try plugin("a", requires: ["b"], provides: ["a@1.0.0"]),
        try plugin("b", requires: ["c"], provides: ["b@1.0.0"]),
        try plugin("c", requires: ["a"], provides: ["c@1.0.0"]),
        try plugin("user", requires: ["c"]),
        try plugin("bystander", wants: ["a"]),
    ])
    #expect(resolution.cycles.map(\.description) == ["a -> b -> c -> a"])
    #expect(resolution.cycles.map(\.members) == [["a", "b", "c"]])
    #expect(resolution.waves == [["bystander"]])
    #expect(resolution.reasons("b") == "cycle a -> b -> c -> a")
    #expect(resolution.reasons("user") == "waits for c of c")
}

@Test func `a plugin that only itself could serve is a cycle of one`() throws {
    let resolution = Resolution([try plugin("a", requires: ["a"], provides: ["a@1.0.0"])])
    #expect(resolution.cycles.map(\.description) == ["a -> a"])
    let served = Resolution(
        [try plugin("a", requires: ["a"], provides: ["a@1.0.0"])],
        elsewhere: [try offer("a", "0.9.0", by: "far")]
    )
    #expect(served.links("a") == ["a -> far"])
}

@Test func `a cycle that another provider opens is none`() throws {
    let resolution = Resolution([
        try plugin("chat", requires: ["llm"], provides: ["chat@1.0.0"]),
        try plugin("best-llm", requires: ["chat"], provides: ["llm@2.1.0"]),
        try plugin("tiny-llm", provides: ["llm@2.0.0"]),
    ])
    #expect(resolution.waves == [["tiny-llm"], ["chat"], ["best-llm"]])
    #expect(resolution.links("chat") == ["llm -> tiny-llm"])
    #expect(resolution.cycles.isEmpty)
}

@Test func `optional dependencies in a cycle are dropped with a note`() throws {
    let resolution = Resolution([
        try plugin("a", requires: ["b"], provides: ["a@1.0.0"]),
        try plugin("b", wants: ["a@^1"], provides: ["b@1.0.0"]),
    ])
    #expect(resolution.waves == [["b"], ["a"]])
    #expect(resolution.links("b") == ["a -> ~a"])
    #expect(
        resolution.dropped.map(\.description) == [
            "b does not wait for its optional a ^1 of a: that would be a cycle, b -> a -> b"
        ]
    )
}

@Test func `two that would like each other both start at once`() throws {
    let resolution = Resolution([
        try plugin("a", wants: ["b"], provides: ["a@1.0.0"]), try plugin("b", wants: ["a"], provides: ["b@1.0.0"]),
    ])
    #expect(resolution.waves == [["a", "b"]])
    #expect(resolution.dropped.map(\.plugin) == ["a", "b"])
}

@Test func `a plugin for another mesh is blocked`() throws {
    let new = ResolvablePlugin(
        name: "a",
        version: try SemanticVersion("1.0.0"),
        engine: try VersionRange("^2.0.0")
    )
    let resolution = Resolution([new], mesh: try SemanticVersion("1.3.0"))
    #expect(resolution.reasons("a") == "needs wizmesh >=2.0.0 <3.0.0-0, this is 1.3.0")
    #expect(Resolution([new]).blocked.isEmpty)
}

@Test func `a manifest without services stands for one with its own name`() throws {
    let manifest = try PluginManifest.load(text: #"{"name": "p", "version": "1.2.0", "main": "p"}"#)
    let plain = ResolvablePlugin(name: "mine", manifest: manifest)
    #expect(plain.provides == [Offered(service: "mine", version: try SemanticVersion("1.2.0"))])
    let resolution = Resolution([plain, try plugin("a", requires: ["mine@^1"])])
    #expect(resolution.waves == [["mine"], ["a"]])
}

@Test func `of two plugins with one name the first counts, and nothing is no plugin`() throws {
    let resolution = Resolution([try plugin("a", "1.0.0"), try plugin("a", "2.0.0")])
    #expect(resolution.plugins["a"]?.version == (try SemanticVersion("1.0.0")))
    #expect(Resolution([]).waves.isEmpty)
}

@Test func `a thousand plugins resolve in a moment`() throws {
    var plugins = [try plugin("p0", provides: ["s@1.0.0", "s0@1.0.0"])]
    for number in 1..<1000 {
        plugins.append(
            try plugin(
                "p\(number)",
                requires: ["s\(number - 1)@^1", "s@^1"],
                wants: ["s\((number * 7) % 1000)", "s\((number + 1) % 1000)"],
                provides: ["s@1.0.\(number)", "s\(number)@1.0.0"]
            )
        )
    }
    var resolution: Resolution?
    let time = ContinuousClock().measure { resolution = Resolution(plugins) }
    #expect(resolution?.blocked == [])
    #expect(resolution?.waves.joined().count == 1000)
    #expect(time < .seconds(5), "a debug build on a busy machine")
}

@Test func `order never depends on the order of the input`() throws {
    var generator = SystemRandomNumberGenerator()
    let plugins = try (0..<60).map { number in
        try plugin(
            "p\(number)",
            requires: ["s\((number * 13 + 5) % 70)@^1"],
            wants: ["s\((number * 29 + 3) % 60)"],
            provides: ["s\(number)@1.\(number).0", "s\(number / 2)@1.0.0"]
        )
    }
    let first = Resolution(plugins)
    for _ in 0..<10 { #expect(Resolution(plugins.shuffled(using: &generator)) == first) }
    for (wave, names) in first.waves.enumerated() {
        for name in names {
            for other in first.plugins[name]?.waitsFor ?? [] { #expect((first.plugins[other]?.wave ?? wave) < wave) }
        }
    }
}
