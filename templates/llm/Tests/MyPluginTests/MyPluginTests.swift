import MeshTesting
import Testing
import WizPlugin

@testable import my_plugin

@Test func `it continues a prompt word by word`() async throws {
    try await withTestMesh { mesh in
        try await mesh.run(MyPlugin())
        let chunks: [MyPlugin.Chunk] = try await mesh.collect("my-plugin.complete", MyPlugin.Prompt(prompt: "All is"))
        #expect(chunks == [MyPlugin.Chunk(text: " well")])
    }
}

@Test func `it is found by its capability, and stops at the limit`() async throws {
    try await withTestMesh { mesh in
        try await mesh.run(MyPlugin())
        let stream = try await mesh.client.openStream(
            .capability("llm", method: "complete"),
            payload: .json(MyPlugin.Prompt(prompt: "the mesh", maxTokens: 3))
        )
        var count = 0
        for try await _ in stream { count += 1 }
        #expect(count == 3)
        #expect(try await stream.reply().payload.decode(MyPlugin.Ending.self).finishReason == "length")
    }
}
