// The sentences of `wiz why`: the chain, root first, and what to type.

import Manifest
import SemanticVersion
import Testing

private func why(_ name: String, _ plugins: [ResolvablePlugin], _ elsewhere: [ServiceOffer] = []) -> String {
    Resolution(plugins, elsewhere: elsewhere).explanation(of: name)?.description ?? "unknown"
}

@Test func `the only provider has another version`() throws {
    let plugins = [
        try plugin("chat", "1.2.0", requires: ["llm-service@^2.0.0"]),
        try plugin("openai-llm", "1.6.0", provides: ["llm-service@1.4.0"]),
    ]
    #expect(
        why("chat", plugins)
            == "Because chat 1.2.0 requires llm-service ^2.0.0 and the only provider is openai-llm 1.6.0 (service 1.4.0), "
            + "chat cannot start. Install a provider >=2.0.0 <3.0.0-0, or relax chat's range."
    )
}

@Test func `several providers have other versions, one of them elsewhere and one a prerelease`() throws {
    let plugins = [
        try plugin("chat", requires: ["llm@^2.0.0"]), try plugin("beta", provides: ["llm@2.1.0-beta.1"]),
    ]
    #expect(
        why("chat", plugins, [try offer("llm", "1.0.0", by: "far")])
            == "Because chat 1.0.0 requires llm ^2.0.0 and the providers are beta 1.0.0 (service 2.1.0-beta.1) and far "
            + "elsewhere in the mesh (service 1.0.0), chat cannot start. Install a provider >=2.0.0 <3.0.0-0, or relax "
            + "chat's range. 2.1.0-beta.1 is a prerelease, which only a range that names it takes: write "
            + "llm@^2.1.0-beta.1 to use it."
    )
}

@Test func `nobody provides it, perhaps under another name`() throws {
    #expect(
        why("chat", [try plugin("chat", requires: ["llm-servise"])], [try offer("llm-service", "1.0.0", by: "far")])
            == "Because chat 1.0.0 requires llm-servise and nothing in this mesh provides llm-servise (did you mean "
            + "llm-service?), chat cannot start. Install a plugin that provides llm-servise; chat then starts by itself."
    )
}

@Test func `the chain begins at the root`() throws {
    let plugins = [
        try plugin("web", requires: ["chat"]),
        try plugin("chat", requires: ["llm@^2"], provides: ["chat@1.0.0"]),
        try plugin("tiny", provides: ["llm@2.0.0"], hold: .grant(["storage"])),
        try plugin("big", provides: ["llm@2.1.0"], hold: .quarantined("exit 3, five times in 60 s")),
    ]
    #expect(
        why("web", plugins) == """
            Because big 1.0.0 ended too often (exit 3, five times in 60 s), it is in quarantine and does not start. \
            When that is mended, type:
                wiz plugin reset big
            Because tiny 1.0.0 asks for storage, which is not granted, tiny cannot start. To grant it, type:
                wiz grant tiny storage
            Because chat 1.0.0 requires llm ^2 and none of its providers in range can start: big 1.0.0 (service 2.1.0) \
            and tiny 1.0.0 (service 2.0.0), chat cannot start.
            Because web 1.0.0 requires chat and its only provider in range, chat 1.0.0 (service 1.0.0), cannot start, \
            web cannot start.
            """
    )
}

@Test func `a cycle is told once, with its way around`() throws {
    let plugins = [
        try plugin("a", requires: ["b"], provides: ["a@1.0.0"]),
        try plugin("b", requires: ["a"], provides: ["b@1.0.0"]),
        try plugin("c", requires: ["a", "b"]),
    ]
    #expect(
        why("a", plugins) == """
            Because a and b require each other in a circle (a -> b -> a), none of them can start. Move one of these \
            dependencies from dependencies.required to dependencies.optional in its plugin.json, then type:
                wiz reload
            """
    )
    #expect(Resolution(plugins).explanation(of: "c")?.steps.map(\.plugin) == ["a", "c", "c"])
    #expect(
        why("p", [try plugin("p", requires: ["p"], provides: ["p@1.0.0"])]).hasPrefix(
            "Because p requires a service that only p itself provides, it cannot start."
        )
    )
}

@Test func `one that can start tells with whom`() throws {
    let plugins = [
        try plugin("chat", requires: ["llm@^2"], wants: ["log", "metrics"], provides: ["chat@1.0.0"]),
        try plugin("tiny", wants: ["chat"], provides: ["llm@2.0.0"]),
    ]
    #expect(
        why("chat", plugins, [try offer("log", "1.0.0", by: "far")]) == """
            chat 1.0.0 can start after tiny.
            Its llm ^2 is provided by tiny 1.0.0 (service 2.0.0).
            Its optional log is provided by far elsewhere in the mesh (service 1.0.0).
            Its optional metrics is not provided: chat runs without it, and gets it when a provider comes.
            """
    )
    #expect(
        why("tiny", plugins).hasSuffix(
            "tiny does not wait for its optional chat of chat: that would be a cycle, tiny -> chat -> tiny."
        )
    )
    #expect(Resolution(plugins).explanation(of: "nobody") == nil)
}

@Test func `stopped by an operator, or for another mesh`() throws {
    #expect(
        why("a", [try plugin("a", hold: .stopped)]) == """
            Because an operator stopped a 1.0.0, it does not start. To start it, type:
                wiz plugin start a
            """
    )
    let new = ResolvablePlugin(name: "a", version: try SemanticVersion("1.0.0"), engine: try VersionRange(">=2.0.0"))
    let explanation = Resolution([new], mesh: try SemanticVersion("1.3.0")).explanation(of: "a")
    #expect(
        explanation?.description
            == "Because a 1.0.0 needs wizmesh >=2.0.0 and this is wizmesh 1.3.0, a cannot start. Install a version of a for "
            + "this wizmesh, or relax its engines.wizmesh."
    )
    #expect(explanation?.canStart == false)
}
