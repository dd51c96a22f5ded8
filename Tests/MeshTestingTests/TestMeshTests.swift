// The library for plugin authors, used as they use it: a plugin in the test's process, stand-ins, strict meshes, restarts.

import MeshTesting
import Testing
import WizPlugin

/// Greets, and asks the service `names` who is meant when it is not told.
struct Greeter: Plugin {
    struct Person: Codable { var name: String? }

    func initialize(_ config: PluginConfig) async throws {
        if config["broken"]?.bool == true { throw PluginError.configuration("it is broken") }
        if config["leaves"]?.bool == true { throw PluginError.notReady(reason: "the disk is away", retryAfter: nil) }
    }

    func register(_ registry: ServiceRegistry) async throws {
        let names = registry.handle("names", range: "^2.0.0")
        try await registry.registerService("greeter") { service in
            service.method("greet", idempotent: true) { (person: Person, _) in
                if let name = person.name { return "Hello, \(name)!" }
                return "Hello, \(try await names.call("pick") as String)!"
            }
            service.stream("count") { (to: Int, _, replies) in
                for number in 1...max(1, to) { try await replies.send(number) }
            }
            service.method("wait") { (_: Nothing, context) in
                await context.progress(0, "waiting")
                try await Task.sleep(for: .seconds(60))  // allowed: it must be cancelled
                return Nothing()
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct TestMeshTests {
    static let manifest: Value = ["name": "greeter", "version": "1.2.0", "lifecycle": ["drainTimeoutMs": 200]]

    static func info() throws -> PluginInfo { try PluginInfo(manifest) }

    @Test func `a plugin runs in the test and is called`() async throws {
        try await withTestMesh { mesh in
            let plugin = try await mesh.run(Greeter(), info: Self.info())
            let answer: String = try await mesh.call("greeter.greet", Greeter.Person(name: "Ada"))
            #expect(answer == "Hello, Ada!")
            let numbers: [Int] = try await mesh.collect("greeter.count", 3)
            #expect(numbers == [1, 2, 3])
            #expect(try await plugin.stop() == PluginExit.success)
            try await mesh.awaitGone("greeter")
        }
    }

    @Test func `the manifest is found above the test, or where it is named`() async throws {
        try await withTestMesh { mesh in
            let failure = await #expect(throws: TestFailure.self) {
                try await mesh.run(Greeter(), file: "/tests/a.swift")
            }
            #expect(failure?.description.contains("plugin.json") == true)
            await #expect(throws: PluginError.self) { try await mesh.run(Greeter(), manifest: "/nowhere") }
        }
    }

    @Test func `a stand-in answers in place of a service`() async throws {
        try await withTestMesh { mesh in
            try await mesh.run(Greeter(), info: Self.info())
            await #expect(throws: MeshError.self) { try await mesh.call("greeter.greet") as String }
            let names = try await mesh.provide("names", version: "2.1.0") { service in
                service.method("pick") { (_: Nothing, context) in "you (asked by \(context.caller))" }
            }
            let answer: String = try await mesh.call("greeter.greet")
            #expect(answer == "Hello, you (asked by greeter)!")
            try await names.withdraw()
            try await mesh.awaitGone("names")
        }
    }

    @Test func `a strict mesh denies what is not allowed`() async throws {
        try await withTestMesh(isStrict: true) { mesh in
            try await mesh.run(Greeter(), info: Self.info())
            try await mesh.provide("names", version: "2.1.0") { service in
                service.method("pick") { (_: Nothing, _) in "you" }
            }
            await #expect { try await mesh.call("greeter.greet") as String } throws: { error in
                (error as? MeshError)?.status == .permissionDenied
            }
            try mesh.allow("greeter", .call, "names.pick")
            let answer: String = try await mesh.call("greeter.greet")
            #expect(answer == "Hello, you!")
        }
    }

    @Test func `what a plugin needs while it starts is allowed before it runs`() async throws {
        try await withTestMesh(isStrict: true) { mesh in
            try await mesh.provide("names", version: "2.1.0") { service in
                service.method("pick") { (_: Nothing, _) in "you" }
            }
            try mesh.allow("greeter", .call, "names.pick")
            try await mesh.run(Greeter(), info: Self.info())
            #expect(try await mesh.call("greeter.greet") as String == "Hello, you!")
        }
    }

    @Test(arguments: ["broken", "leaves"])
    func `a start that fails throws what the plugin threw`(_ key: String) async throws {
        try await withTestMesh { mesh in
            await #expect(throws: PluginError.self) {
                try await mesh.run(Greeter(), info: Self.info(), config: [key: true])
            }
        }
    }

    @Test func `a start that does not come to its end is told within the bound`() async throws {
        struct Waiter: Plugin {
            func register(_ registry: ServiceRegistry) async throws { _ = try await registry.requireService("absent") }
        }
        try await withTestMesh(bound: .milliseconds(300)) { mesh in
            let failure = await #expect(throws: TestFailure.self) {
                try await mesh.run(Waiter(), info: Self.info())
            }
            #expect(failure?.description.contains("was not ready within") == true)
        }
    }

    @Test func `a stand-in comes back after a restart of the broker, and a plugin is run again`() async throws {
        try await withTestMesh { mesh in
            let first = try await mesh.run(Greeter(), info: Self.info())
            try await mesh.provide("names", version: "2.0.0") { service in
                service.method("pick") { (_: Nothing, _) in "you" }
            }
            let before = mesh.client.session?.epoch
            try await mesh.restartBroker()
            #expect(try await first.end() == PluginExit.notReady)
            _ = try await mesh.service("names", range: "^2.0.0")
            try await mesh.run(Greeter(), info: Self.info())
            #expect(try await mesh.call("greeter.greet") == "Hello, you!")
            #expect(mesh.client.session?.epoch != before)
        }
    }

    @Test func `a deadline reaches the handler`() async throws {
        try await withTestMesh { mesh in
            try await mesh.run(Greeter(), info: Self.info())
            await #expect {
                try await mesh.call("greeter.wait", options: CallOptions(deadline: .milliseconds(50))) as Nothing
            } throws: { error in
                (error as? MeshError)?.status == .deadlineExceeded
            }
        }
    }

    @Test func `a mistaken method name is told`() async throws {
        try await withTestMesh { mesh in
            await #expect(throws: MeshError.self) { try await mesh.call("greeter") as String }
        }
    }
}
