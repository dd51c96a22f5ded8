// The plugins of this repository together, as processes on one mesh.

import Broker
import Glibc
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)), .serialized)
struct ShippedPluginTests {
    private func start(_ name: String, _ mesh: TestMesh, _ variables: [String] = []) throws -> PluginProgram {
        let folder = PluginInfoTests.root + "/plugins/" + name
        return try PluginProgram(mesh.endpoint, name, folder: folder, variables: variables)
    }

    private func end(_ programs: PluginProgram...) async {
        for program in programs.reversed() {
            kill(program.id, SIGTERM)
            #expect(await program.end() == 0)
        }
    }

    @Test func `echo streams, adds, shouts and fails as told`() async throws {
        try await withMesh { mesh in
            let echo = try start("echo", mesh, ["WIZ_ECHO_VERSION=2.1.0"])
            try await mesh.awaitService("echo")
            #expect(try await mesh.call("echo", "about")["version"] == "2.1.0")
            let count = try await mesh.client.openStream(
                .service("echo", range: "^2", method: "count"),
                payload: .json(["to": 1000])
            )
            var last = 0
            for try await chunk in count {
                let number = try chunk.decode(Int.self)
                #expect(number == last + 1)
                last = number
            }
            #expect(last == 1000)
            let upper = try await mesh.client.openStream(.service("echo", method: "upper"), directions: .both)
            try await upper.send(.json("wizard"))
            try await upper.finish()
            for try await chunk in upper { #expect(try chunk.decode(String.self) == "WIZARD") }
            await #expect {
                try await mesh.call("echo", "fail", ["status": "OUT_OF_RANGE", "message": "far"])
            } throws: { error in
                (error as? MeshError)?.status == .outOfRange && (error as? MeshError)?.message == "far"
            }
            await end(echo)
        }
    }

    @Test func `the model streams the same text for the same seed, and in one piece without a stream`() async throws {
        try await withMesh { mesh in
            let model = try start("ngram-llm", mesh)
            try await mesh.awaitService("llm")
            let request: Value = ["prompt": "The broker", "maxTokens": 20, "seed": 3]
            let stream = try await mesh.client.openStream(
                .capability("llm", conditions: "model=wizard-ngram", method: "complete"),
                payload: .json(request)
            )
            var text = ""
            var chunks = 0
            for try await chunk in stream {
                text += try chunk.decode(Value.self)["text"]?.string ?? ""
                chunks += 1
            }
            let ending = try await stream.reply().payload.decode(Value.self)
            #expect(chunks > 3)
            #expect(ending["usage"]?["completionTokens"]?.int ?? 0 > 3)
            let whole = try await mesh.call("llm", "complete", request)
            #expect(whole["text"]?.string == text)
            #expect(whole["finishReason"] == ending["finishReason"])
            #expect(try await mesh.call("llm", "tokens", ["text": "one two"])["count"]?.int == 2)
            let embedding = try await mesh.call("llm", "embed", ["texts": ["a tree"]])
            #expect(embedding["embeddings"]?[0]?.array?.count == 64)
            await #expect {
                try await mesh.call("llm", "complete", ["prompt": "x", "temperature": 9])
            } throws: { error in
                (error as? MeshError)?.status == .invalidArgument
            }
            await end(model)
        }
    }

    @Test func `a generation stops when its caller gives up`() async throws {
        try await withMesh { mesh in
            let model = try start("ngram-llm", mesh, [#"WIZ_PLUGIN_CONFIG={"slots":1,"tokensPerSecond":5}"#])
            try await mesh.awaitService("llm")
            let stream = try await mesh.client.openStream(
                .service("llm", method: "complete"),
                payload: .json(["prompt": "The broker", "maxTokens": 4000] as Value)
            )
            for try await _ in stream { break }
            // The one slot is free again, though the generation would have gone on for minutes.
            let short = try await mesh.call("llm", "complete", ["prompt": "The broker", "maxTokens": 1])
            #expect(short["usage"]?["completionTokens"] == 1)
            await end(model)
        }
    }

    @Test func `a theme comes back when ui has restarted, and selecting it is an event`() async throws {
        try await withMesh { mesh in
            let events = try await mesh.client.subscribe("ui.theme.*")
            let midnight = try start("midnight-theme", mesh)
            let first = try start("ui", mesh)
            try await Self.awaitRegistration(of: "midnight", events)
            kill(first.id, SIGKILL)
            #expect(await first.end() == 128 + SIGKILL)
            let second = try start("ui", mesh)
            try await Self.awaitRegistration(of: "midnight", events)
            let selected = try await mesh.call("ui", "selectTheme", ["name": "midnight"])
            #expect(selected["dark"] == true)
            #expect(try await mesh.call("ui", "theme")["name"] == "midnight")
            for try await event in try await mesh.client.subscribe(
                "ui.theme.selected",
                options: SubscriptionOptions(lastValue: true)
            ) {
                let name = try event.payload.decode(Value.self)["theme"]?["name"]
                if name == "midnight" { break }
            }
            let problem = await #expect(throws: MeshError.self) {
                try await mesh.call("ui", "registerTheme", ["name": "Bad", "colors": ["accent": "blue"]])
            }
            for part in ["Bad", "background", "blue"] { #expect(problem?.message.contains(part) == true) }
            await end(midnight, second)
        }
    }

    private static func awaitRegistration(of theme: String, _ events: Subscription) async throws {
        var iterator = events.makeAsyncIterator()
        while let event = try await iterator.next() {
            guard event.topic == "ui.theme.registered" else { continue }
            if try event.payload.decode(Value.self)["name"]?.string == theme { return }
        }
    }

    @Test func `a plugin is there again after the broker has restarted`() async throws {
        let folder = TemporaryFolder()
        let first = try TestMesh.startBroker(folder)
        let endpoint = "ipc://" + folder.path + "/run/mesh.sock"
        let echo = try PluginProgram(endpoint, folder: ProcessTests.folder)
        let client = try await MeshConnection.connect(MeshConfiguration(endpoint: endpoint, name: "tester"))
        try await Self.awaitEcho(client)
        await first.stop()
        let second = try await TestMesh.startNextBroker(folder)
        try await Self.awaitEcho(client)
        await end(echo)
        await client.close()
        await second.stop()
    }

    /// Calls until the call succeeds; the suite's time limit bounds it.
    private static func awaitEcho(_ client: MeshConnection) async throws {
        while true {
            do {
                _ = try await client.call(.service("echo", method: "say"), payload: .text("hi"))
                return
            } catch let error as MeshError where error.status == .notFound || error.status == .unavailable {
                await Task.yield()
            }
        }
    }
}
