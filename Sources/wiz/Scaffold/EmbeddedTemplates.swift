// Made by Scripts/embed-templates.py of the files in templates/: change those, and run it.
// swift-format-ignore-file

extension Template {
    /// Every template, the first one being the default.
    static let all: [Template] = [
        Template(
            name: "service",
            description: "A service of one method.",
            summary: "a service with a typed method: the smallest useful plugin",
            files: [
                File(".gitignore", #"""
                .build/
                .swiftpm/
                .wiz/
                data/
                run/

                """#),
                File("Package.swift", #"""
                // swift-tools-version: 6.2
                import PackageDescription

                let package = Package(
                    name: "my-plugin",
                    platforms: [.macOS(.v26)],
                    dependencies: [
                        .package(name: "wizmesh", path: "../..")
                    ],
                    targets: [
                        .executableTarget(
                            name: "my-plugin",
                            dependencies: [.product(name: "WizPlugin", package: "wizmesh")]
                        ),
                        .testTarget(
                            name: "MyPluginTests",
                            dependencies: ["my-plugin", .product(name: "MeshTesting", package: "wizmesh")]
                        ),
                    ]
                )

                """#),
                File("README.md", #"""
                # my-plugin

                A service of one method.

                    swift test                                  # runs the plugin in a mesh inside the test
                    wiz dev                                     # builds and runs it, and again at each change
                    wiz call my-plugin.greet '{"name":"Ada"}'   # in another terminal
                    wiz conformance .                           # is it a good citizen of a mesh?

                `Sources/my-plugin/MyPlugin.swift` is the plugin, `plugin.json` says what it provides and asks for (`wiz validate .` checks it).

                """#),
                File("Sources/my-plugin/MyPlugin.swift", #"""
                import WizPlugin

                @main
                struct MyPlugin: Plugin {
                    struct Person: Codable { var name: String }

                    func register(_ registry: ServiceRegistry) async throws {
                        try await registry.registerService("my-plugin") { service in
                            service.method("greet") { (person: Person, context) in
                                "Hello, \(person.name)!"
                            }
                        }
                    }
                }

                """#),
                File("Tests/MyPluginTests/MyPluginTests.swift", #"""
                import MeshTesting
                import Testing

                @testable import my_plugin

                @Test func `it greets whoever is named`() async throws {
                    try await withTestMesh { mesh in
                        try await mesh.run(MyPlugin())
                        let answer: String = try await mesh.call("my-plugin.greet", MyPlugin.Person(name: "Ada"))
                        #expect(answer == "Hello, Ada!")
                    }
                }

                """#),
                File("mesh.yaml", #"""
                # The mesh in which to try this plugin out. `wiz up` starts it.
                mesh: my-plugin
                plugins:
                  - path: .

                """#),
                File("plugin.json", #"""
                {
                  "$schema": "plugin.schema.json",
                  "name": "my-plugin",
                  "version": "0.1.0",
                  "description": "A service of one method.",
                  "main": ".build/debug/my-plugin",
                  "build": ["swift", "build", "--product", "my-plugin"],
                  "engines": { "wizmesh": "^0.1.0" },
                  "provides": [
                    {
                      "service": "my-plugin",
                      "description": "A service of one method.",
                      "methods": {
                        "greet": {
                          "description": "Greets somebody.",
                          "idempotent": true,
                          "readOnly": true,
                          "input": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                          "output": { "type": "string" }
                        }
                      }
                    }
                  ],
                  "x-template": { "name": "service", "version": 1, "wizmesh": "0.1.0" }
                }

                """#),
            ]
        ),
        Template(
            name: "llm",
            description: "A language model.",
            summary: "a language model that streams its answer and is found by capability",
            files: [
                File(".gitignore", #"""
                .build/
                .swiftpm/
                .wiz/
                data/
                run/

                """#),
                File("Package.swift", #"""
                // swift-tools-version: 6.2
                import PackageDescription

                let package = Package(
                    name: "my-plugin",
                    platforms: [.macOS(.v26)],
                    dependencies: [
                        .package(name: "wizmesh", path: "../..")
                    ],
                    targets: [
                        .executableTarget(
                            name: "my-plugin",
                            dependencies: [.product(name: "WizPlugin", package: "wizmesh")]
                        ),
                        .testTarget(
                            name: "MyPluginTests",
                            dependencies: ["my-plugin", .product(name: "MeshTesting", package: "wizmesh")]
                        ),
                    ]
                )

                """#),
                File("README.md", #"""
                # my-plugin

                A language model that streams its answer, found by its own name and by the capability `llm`.

                    swift test                                                    # runs the plugin in a mesh inside the test
                    wiz dev                                                       # builds and runs it, and again at each change
                    wiz call my-plugin.complete '{"prompt":"the mesh"}' --stream  # in another terminal
                    wiz conformance .                                             # is it a good citizen of a mesh?

                `Sources/my-plugin/Model.swift` is the model: put yours in its place. `Sources/my-plugin/MyPlugin.swift` is the plugin, `plugin.json` says what it provides and asks for (`wiz validate .` checks it).

                """#),
                File("Sources/my-plugin/Model.swift", #"""
                /// Knows which word followed which: put your model in its place.
                struct Model {
                    private var followers: [String: String] = [:]

                    init(text: String) {
                        let words = text.split(separator: " ").map(String.init)
                        for (word, next) in zip(words, words.dropFirst()) { followers[word] = next }
                    }

                    func lastWord(of prompt: String) -> String { prompt.split(separator: " ").last.map { $0.lowercased() } ?? "" }

                    /// The word that follows; nil at the end of what the model knows.
                    func word(after word: String) -> String? { followers[word] }
                }

                """#),
                File("Sources/my-plugin/MyPlugin.swift", #"""
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

                """#),
                File("Tests/MyPluginTests/MyPluginTests.swift", #"""
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

                """#),
                File("mesh.yaml", #"""
                # The mesh in which to try this plugin out. `wiz up` starts it.
                mesh: my-plugin
                plugins:
                  - path: .

                """#),
                File("plugin.json", #"""
                {
                  "$schema": "plugin.schema.json",
                  "name": "my-plugin",
                  "version": "0.1.0",
                  "description": "A language model.",
                  "main": ".build/debug/my-plugin",
                  "build": ["swift", "build", "--product", "my-plugin"],
                  "engines": { "wizmesh": "^0.1.0" },
                  "capabilities": ["llm"],
                  "provides": [
                    {
                      "service": "my-plugin",
                      "description": "Continues texts, word by word.",
                      "attributes": { "model": "word-pairs" },
                      "methods": {
                        "complete": {
                          "description": "Continues a prompt. Chunks {\"text\"}; the end brings {\"finishReason\"}.",
                          "idempotent": true,
                          "readOnly": true,
                          "stream": "reply",
                          "input": {
                            "type": "object",
                            "required": ["prompt"],
                            "properties": {
                              "prompt": { "type": "string", "maxLength": 65536, "examples": ["the mesh"] },
                              "maxTokens": { "type": "integer", "minimum": 1, "maximum": 4096, "default": 16 }
                            }
                          }
                        }
                      }
                    }
                  ],
                  "limits": { "concurrency": 4 },
                  "x-template": { "name": "llm", "version": 1, "wizmesh": "0.1.0" }
                }

                """#),
            ]
        ),
        Template(
            name: "ui-theme",
            description: "A theme for the user interface.",
            summary: "a theme that follows the service ui",
            files: [
                File(".gitignore", #"""
                .build/
                .swiftpm/
                .wiz/
                data/
                run/

                """#),
                File("Package.swift", #"""
                // swift-tools-version: 6.2
                import PackageDescription

                let package = Package(
                    name: "my-plugin",
                    platforms: [.macOS(.v26)],
                    dependencies: [
                        .package(name: "wizmesh", path: "../..")
                    ],
                    targets: [
                        .executableTarget(
                            name: "my-plugin",
                            dependencies: [.product(name: "WizPlugin", package: "wizmesh")]
                        ),
                        .testTarget(
                            name: "MyPluginTests",
                            dependencies: ["my-plugin", .product(name: "MeshTesting", package: "wizmesh")]
                        ),
                    ]
                )

                """#),
                File("README.md", #"""
                # my-plugin

                A theme for the user interface, brought to the service `ui` whenever that is there.

                    swift test                                  # runs the plugin in a mesh inside the test, with a stand-in for ui
                    wiz dev                                     # builds and runs it, and again at each change
                    wiz conformance .                           # is it a good citizen of a mesh?

                It needs a plugin that provides `ui`; name its folder in `mesh.yaml`, start both with `wiz up`, and look with `wiz call ui.themes`.

                `Sources/my-plugin/MyPlugin.swift` is the plugin, `plugin.json` says what it provides and asks for (`wiz validate .` checks it).

                """#),
                File("Sources/my-plugin/MyPlugin.swift", #"""
                import WizPlugin

                @main
                struct MyPlugin: Plugin {
                    static let theme = Theme(
                        name: "my-plugin",
                        title: "My Plugin",
                        dark: true,
                        colors: ["background": "#10141c", "foreground": "#d7dae0", "accent": "#8ab4f8"]
                    )

                    func register(_ registry: ServiceRegistry) async throws {
                        let ui = registry.handle("ui", range: "^1.0.0")
                        Task { await bring(to: ui, registry.logger) }
                    }

                    /// Brings the theme whenever the user interface comes, or comes back; ends with the connection.
                    private func bring(to ui: ServiceHandle, _ logger: Logger) async {
                        for await state in ui.updates where state.isAvailable {
                            do {
                                try await ui.call("registerTheme", Self.theme)
                                logger.info("the theme \(Self.theme.name) is registered")
                            } catch {
                                logger.warning("the theme was not registered: \(error)")
                            }
                        }
                    }
                }

                struct Theme: Codable, Equatable, Sendable {
                    var name: String
                    var title: String
                    var dark: Bool
                    var colors: [String: String]
                }

                """#),
                File("Tests/MyPluginTests/MyPluginTests.swift", #"""
                import MeshTesting
                import Testing
                import WizPlugin

                @testable import my_plugin

                @Test(.timeLimit(.minutes(1))) func `it brings its theme to the user interface, whenever that comes`() async throws {
                    try await withTestMesh { mesh in
                        let (themes, continuation) = AsyncStream<Theme>.makeStream()
                        try await mesh.run(MyPlugin())
                        try await mesh.provide("ui", version: "1.4.0") { service in
                            service.method("registerTheme") { (theme: Theme, _) in
                                continuation.yield(theme)
                                return Nothing()
                            }
                        }
                        #expect(await themes.first { _ in true } == MyPlugin.theme)
                    }
                }

                """#),
                File("mesh.yaml", #"""
                # The mesh in which to try this plugin out. `wiz up` starts it; add the folder of a plugin that provides ui.
                mesh: my-plugin
                plugins:
                  - path: .
                    grant: { call: ["ui.registerTheme"] }

                """#),
                File("plugin.json", #"""
                {
                  "$schema": "plugin.schema.json",
                  "name": "my-plugin",
                  "version": "0.1.0",
                  "description": "A theme for the user interface.",
                  "main": ".build/debug/my-plugin",
                  "build": ["swift", "build", "--product", "my-plugin"],
                  "engines": { "wizmesh": "^0.1.0" },
                  "dependencies": { "optional": ["ui@^1.0.0"] },
                  "x-template": { "name": "ui-theme", "version": 1, "wizmesh": "0.1.0" }
                }

                """#),
            ]
        ),
    ]
}
