// Peers that break the rules: each gets its status and harms nobody else. And peers that do not read, or vanish.

import Broker
import BrokerCore
import Glibc
import MeshProtocol
import Testing
import ZeroMQ

@Suite struct HostileTests {
    /// A broker with a well-behaved pair that must still be served afterwards.
    private func besides(
        limits: Limits = Limits(),
        _ body: (String) throws -> Void
    ) throws {
        try withBroker { configuration, _ in
            configuration.limits = limits
        } _: { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            var caller = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try caller.hello("caller")
            try worker.provide("good")
            try body(broker.endpoints[0])
            try caller.call("good", "run", id: 7)
            let received = try worker.expect()
            guard case .call(let call) = received.header else { throw UnexpectedHeader(header: received.header) }
            try worker.send(End(id: call.id), payload: [])
            guard case .end = try caller.expect().header else {
                Issue.record("the others were not served")
                return
            }
        }
    }

    private func status(_ incoming: Incoming) throws -> Status {
        switch incoming.header {
        case .reject(let reject): return reject.status
        case .fail(let fail): return fail.status
        default: throw UnexpectedHeader(header: incoming.header)
        }
    }

    @Test(arguments: [false, true])
    func `garbage is a protocol error`(afterHello: Bool) throws {
        try besides { endpoint in
            for garbage: [UInt8] in [
                [0xFF], Array(repeating: 0xAA, count: 400), [1, 200] + Array(repeating: 0, count: 14),
            ] {
                var peer = try TestPeer(endpoint)
                if afterHello { try peer.hello() }
                try peer.send(header: garbage, payload: nil)
                #expect(try status(peer.expect()) == .protocolError)
            }
        }
    }

    @Test func `too many frames and empty messages are protocol errors`() throws {
        try besides { endpoint in
            for frames: [[UInt8]] in [[Ping(nonce: 1).encoded(), [1], [2], [3]], [[]]] {
                var peer = try TestPeer(endpoint)
                try peer.hello()
                try peer.send(frames: frames)
                #expect(try status(peer.expect()) == .protocolError)
            }
        }
    }

    @Test func `a payload over the limit is answered and a frame far over it ends the connection`() throws {
        var limits = Limits()
        limits.payloadByteCount = 10_000
        try besides(limits: limits) { endpoint in
            var peer = try TestPeer(endpoint)
            try peer.hello()
            try peer.call("good", "run", id: 1, payload: Array(repeating: 0, count: 10_001))
            #expect(try status(peer.expect()) == .resourceExhausted)
            try peer.call("nobody", "run", id: 2, payload: Array(repeating: 0, count: 10_000))
            #expect(try status(peer.expect()) == .notFound, "the session goes on")
            var gross = try TestPeer(endpoint)
            try gross.hello()
            try gross.call("good", "run", id: 1, payload: Array(repeating: 0, count: 1 << 20))
            #expect(try gross.receive(within: .milliseconds(200)) == nil)
        }
    }

    @Test func `versions that the broker does not speak are refused with its own`() throws {
        try besides { endpoint in
            var peer = try TestPeer(endpoint)
            let far = ProtocolVersion(rawValue: 9)
            try peer.send(Hello(minimumVersion: far, maximumVersion: far, name: "future"))
            #expect(try status(peer.expect()) == .failedPrecondition)
        }
    }

    @Test func `a verb that only the broker may send is an offence`() throws {
        try besides { endpoint in
            var peer = try TestPeer(endpoint)
            try peer.hello()
            try peer.send(
                Welcome(
                    epoch: 1,
                    session: 1,
                    heartbeatMilliseconds: 1,
                    maximumPayloadByteCount: 1,
                    maximumCallCount: 1,
                    principal: "x"
                )
            )
            #expect(try status(peer.expect()) == .protocolError)
        }
    }

    @Test func `a reader that never reads ends alone`() throws {
        var limits = Limits()
        limits.heartbeatMilliseconds = 60_000
        try besides(limits: limits) { endpoint in
            var options = TestPeer.options()
            options.receiveHighWaterMark = 1
            options.receiveBufferByteCount = 4096
            var deaf = try TestPeer(endpoint, options: options)
            try deaf.hello("deaf")
            var watcher = try TestPeer(endpoint)
            try watcher.hello("watcher")
            let before = try sessions(&watcher, id: 1)
            #expect(before.contains("deaf"))
            // Each PING is answered with a PONG, which nobody takes.
            let ping = Ping(nonce: 1).encoded()
            var id: UInt64 = 2
            var isGone = false
            let end = ContinuousClock.now + .seconds(30)
            // Each round ends with an answer of the broker, so there is nothing else to wait for.
            while !isGone, ContinuousClock.now < end {
                for _ in 0..<20_000 {
                    _ = try ping.withUnsafeBytes { try deaf.socket.trySend(copying: $0) }
                }
                id += 1
                isGone = try !sessions(&watcher, id: id).contains("deaf")
            }
            #expect(isGone)
            #expect(try watcher.ask("mesh", "counters", id: id + 1).text.contains("\"overflow\":1"))
        }
    }

    private func sessions(_ peer: inout TestPeer, id: UInt64) throws -> String {
        try peer.ask("mesh", "sessions", id: id).text
    }

    @Test func `a worker whose connection breaks is known to be gone within 100 ms`() throws {
        try withBroker { broker, _ in
            var caller = try TestPeer(broker.endpoints[0])
            try caller.hello("caller")
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("frail")
            try caller.call("frail", "run", id: 9)
            _ = try worker.expect()
            let clock = ContinuousClock()
            let start = clock.now
            // Shut down by the kernel as when the process is killed.
            let isBroken = worker.breakConnection()
            #expect(isBroken)
            let answer = try caller.expect()
            let took = clock.now - start
            guard case .fail(let fail) = answer.header else { throw UnexpectedHeader(header: answer.header) }
            #expect(fail.status == .unavailable)
            #expect(fail.flags.contains(.outcomeUnknown))
            #expect(took < .milliseconds(100), "took \(took)")
        }
    }

    @Test func `what the host says about a process ends its sessions`() throws {
        try withBroker { broker, _ in
            var caller = try TestPeer(broker.endpoints[0])
            try caller.hello("caller")
            broker.processEnded(getpid(), cause: "killed")
            // What is asked later is answered later: the peers that come now are none of those that ended.
            _ = try broker.issueTicket(name: "barrier")
            var watcher = try TestPeer(broker.endpoints[0])
            try watcher.hello("watcher")
            #expect(try !watcher.ask("mesh", "sessions", id: 1).text.contains("caller"))
        }
    }
}
