import Testing
import ZeroMQ

@Suite struct SmokeTests {
    @Test func `a context starts and ends`() throws {
        let context = try Context()
        try context.terminate(within: .seconds(5))
    }
}
