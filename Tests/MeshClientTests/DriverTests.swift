// The connection thread's loop, taken apart: what it does with single commands, without a socket.

import Foundation
import MeshProtocol
import Synchronization
import Testing

@testable import MeshClient

@Suite(.serialized) struct DriverTests {
    let core: ConnectionCore

    init() throws {
        core = try ConnectionCore(MeshConfiguration(endpoint: "ipc:///tmp/nowhere.sock", name: "tester"))
    }

    private func driver() -> Driver {
        let driver = Driver(core)
        driver.sessionKey.generation = 2
        driver.leases.sessionBegan(maximumPayloadByteCount: 1000)
        driver.calls.sessionBegan(maximumPayloadByteCount: 1000, now: at(0), into: &driver.callActions)
        return driver
    }

    private func sentParents(_ driver: Driver) throws -> [WireID] {
        try driver.unsent.compactMap { frame in
            guard case .call(let call) = try frame.decoded else { return nil }
            return call.parent
        }
    }

    @Test func `a call is nested in a lease of its own session only`() async throws {
        let driver = driver()
        let header = CallHeader(id: lease(1), service: "s", method: "m")
        _ = driver.leases.admit(
            header,
            registration: try request(9),
            capacity: 1,
            now: at(0),
            into: &driver.leaseActions
        )
        for generation in [1, 2] {
            let id = try request(UInt64(generation))
            let nested = CallHeader(id: id.wire, parent: lease(1), service: "t", method: "n")
            let state = CallStreamState(id: id, subject: "t.n", window: .none) { _ in }
            driver.handle(
                .call(
                    OutgoingCall(
                        id: id,
                        frame: Frame(nested),
                        options: CallOptions(),
                        flags: [],
                        waiter: .stream(state),
                        parentSession: SessionKey(connection: core.number, generation: generation)
                    )
                )
            )
        }
        driver.perform()
        // The broker of session 1 gave the number 1, too: that call has ended.
        #expect(try sentParents(driver) == [.session, lease(1)])
    }

    @Test func `a chunk that is cancelled before it is admitted takes no credit`() async throws {
        let header = CallHeader(
            flags: .replyStream,
            id: lease(1),
            credit: Credit(messages: 1, bytes: 100),
            service: "s",
            method: "m"
        )
        let context = CallContext(
            caller: "",
            deadline: nil,
            trace: .none,
            parentSpan: 0,
            affinity: "",
            band: .normal,
            hops: 0,
            lease: LeaseKey(lease: lease(1), session: SessionKey(connection: 1, generation: 1))
        )
        let call = IncomingCall(
            core: core,
            context: context,
            service: "s",
            version: "1.0.0",
            header: header,
            body: [],
            window: .none
        )
        // The inbox is full: whoever sends is held back.
        for _ in 0..<Inbox.maximumCount { core.inbox.push(.leave) }
        let sending = Task { try await call.send(.text("a")) }
        sending.cancel()
        await #expect(throws: CancellationError.self) { try await sending.value }
        var batch: [Command] = []
        core.inbox.swap(&batch, backlogCount: 0, backlogByteCount: 0)
        // The one message of credit is still there.
        try await within(.seconds(5), "the second chunk") { try await call.send(.text("b")) }
        core.inbox.swap(&batch, backlogCount: 0, backlogByteCount: 0)
        guard case .leaseChunk(_, let payload)? = batch.first else { return #expect(Bool(false), "nothing was sent") }
        #expect(payload.text == "b")
    }

    @Test func `HELLO names this version of the SDK`() throws {
        let driver = driver()
        driver.session.start(now: at(0), into: &driver.sessionActions)
        driver.perform()
        guard case .hello(let hello)? = try driver.unsent.first?.decoded else { return #expect(Bool(false)) }
        #expect(hello.sdk == "wizmesh-swift/" + WizmeshVersion.current)
    }

    @Test func `a secret key can come over a descriptor, and errors do not quote it`() throws {
        let secret = "tell-nobody"
        func descriptor(_ text: String) throws -> Int32 {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            _ = Array(text.utf8).withUnsafeBytes { write(ends[1], $0.baseAddress, $0.count) }
            close(ends[1])
            return ends[0]
        }
        let good = try descriptor(#"{"publicKey": "p", "secretKey": "\#(secret)"}"#)
        let keys = try MeshConfiguration.Keys(server: "s", file: "fd:\(good)")
        #expect(keys.clientPublic == "p" && keys.clientSecret == secret)
        let bad = try descriptor(#"{"publicKey": "\#(secret)"}"#)
        let error = try #require(throws: MeshError.self) { try MeshConfiguration.Keys(server: "s", file: "fd:\(bad)") }
        #expect(error.message.contains("holds no key pair") && !error.message.contains(secret))
        #expect(throws: MeshError.self) { try MeshConfiguration.Keys(server: "s", file: "fd:x") }
    }
}
