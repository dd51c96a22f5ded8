// Many calls at a time, cancelled at random and cut off by a broker that goes away: each ends, exactly once.

import MeshProtocol
import Synchronization
import Testing

@testable import MeshClient

/// Counts by name.
private final class Tally: Sendable {
    private let state = Mutex<[String: Int]>([:])
    var counts: [String: Int] { state.withLock { $0 } }
    func note(_ name: String) { state.withLock { $0[name, default: 0] += 1 } }
}

@Suite(.serialized) struct StressTests {
    @Test func `every call ends once, whatever happens to it`() async throws {
        let broker = try FakeBroker(answersCalls: true)
        let connection = try await MeshConnection.connect(broker.configuration())
        let tally = Tally()
        let count = 3000
        try await within(.seconds(30), "the end of every call") {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    let call = Task {
                        let reply = try await connection.call(
                            .service("echo", method: "say"),
                            payload: .text("\(number)"),
                            options: CallOptions(deadline: .seconds(1))
                        )
                        #expect(reply.payload.text == "\(number)")
                    }
                    if number % 5 == 0 { call.cancel() }
                    if number == count / 2 { broker.stop() }
                    group.addTask {
                        switch await call.result {
                        case .success: tally.note("success")
                        case .failure(let error as MeshError): tally.note("\(error.status)")
                        case .failure: tally.note("cancelled")
                        }
                    }
                }
            }
        }
        let seen = tally.counts
        #expect(seen.values.reduce(0, +) == count)
        #expect(Set(seen.keys).isSubset(of: ["success", "UNAVAILABLE", "DEADLINE_EXCEEDED", "cancelled"]))
        await connection.close()
        broker.remove()
    }

    @Test func `callers are held back when nothing can be sent, and let go at the end`() async throws {
        let broker = try FakeBroker()
        let connection = try await MeshConnection.connect(broker.configuration())
        broker.stop()
        for await state in connection.states { if case .disconnected = state { break } }
        let count = Inbox.maximumCount + 500
        let calls = (0..<count).map { _ in
            Task {
                try await connection.call(
                    .service("echo", method: "say"),
                    options: CallOptions(deadline: .seconds(600))
                )
            }
        }
        calls.last?.cancel()
        await connection.close()
        let failed = try await within(.seconds(30), "the end of every call") {
            var failed = 0
            for call in calls { if case .failure = await call.result { failed += 1 } }
            return failed
        }
        #expect(failed == count)
        broker.remove()
    }
}
