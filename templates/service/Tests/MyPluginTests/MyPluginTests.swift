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
