import WizPlugin

@main
struct MyPlugin: Plugin {
    struct Prompt: Codable {
        var prompt: String
        var maxTokens: Int?
    }
    struct Chunk: Codable, Equatable { var text: String }
    struct Ending: Codable { var finishReason: String }

    let model = Model(text: "the mesh finds a plugin and the plugin finds the mesh and all is well")

    func register(_ registry: ServiceRegistry) async throws {
        try await registry.registerService("my-plugin") { [model] service in
            service.stream("complete") { (input: Prompt, context, replies) in
                let limit = input.maxTokens ?? 16
                var word = model.lastWord(of: input.prompt)
                for _ in 0..<limit {
                    // A caller that gives up, or whose deadline passes, ends this task.
                    try Task.checkCancellation()
                    guard let next = model.word(after: word) else {
                        return try replies.finish(with: Ending(finishReason: "stop"))
                    }
                    try await replies.send(Chunk(text: " " + next))
                    word = next
                }
                try replies.finish(with: Ending(finishReason: "length"))
            }
        }
    }
}
