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
