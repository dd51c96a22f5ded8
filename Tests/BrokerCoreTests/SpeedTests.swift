// What a unary call costs in the core. Measured in release builds; in debug builds only that the paths work.

import BrokerCore
import Glibc
import MeshProtocol
import Testing

@Suite(.serialized)
struct SpeedTests {
    private static var isRelease: Bool {
        #if DEBUG
        false
        #else
        true
        #endif
    }

    /// A core with one worker and one caller, and the frames of a unary call.
    private final class Relay {
        var core: BrokerCore
        var outbox = Outbox()
        var now = MeshInstant(nanoseconds: 1_000_000_000)
        let worker = PeerHandle(listener: 0, routingID: 1)
        let caller = PeerHandle(listener: 0, routingID: 2)
        var callBytes: [UInt8]
        var endBytes: [UInt8]
        var lastBeat = MeshInstant(nanoseconds: 0)
        let ping = Header.ping(Ping(nonce: 1)).encoded()

        init() throws {
            var policy = Policy()
            policy.principals["root"] = Policy.Principal(roles: ["operator"])
            core = BrokerCore(
                limits: Limits(),
                policy: policy,
                identity: BrokerIdentity(epoch: 1, name: "speed"),
                entropy: { 42 }
            )
            let id = try #require(RequestID(rawValue: 1))
            callBytes = CallHeader(id: id.wire, service: "echo", range: "^1.0.0", method: "run").encoded()
            endBytes = End(id: WireID(rawValue: WireID.leaseBit)).encoded()
            for peer in [worker, caller] {
                core.connected(peer, credentials: .key(principal: "root"), now: now, into: &outbox)
                give(Header.hello(Hello(name: "peer")).encoded(), from: peer)
            }
            let provide = Provide(
                id: id,
                capacity: 1_000,
                service: "echo",
                version: "1.2.0",
                methods: [MethodDescription(name: "run")]
            )
            give(provide.encoded(), from: worker)
            outbox.removeAll()
        }

        func give(_ bytes: [UInt8], from peer: PeerHandle) {
            bytes.withUnsafeBytes {
                core.received(
                    from: peer,
                    header: $0,
                    body: .none,
                    bodyByteCount: 0,
                    now: now,
                    into: &outbox
                )
            }
        }

        /// One call and its answer.
        func turn(_ number: UInt64) {
            now.nanoseconds &+= 1_000
            withUnsafeBytes(of: number.littleEndian) { id in
                for place in 0..<8 { callBytes[8 + place] = id[place] }
            }
            give(callBytes, from: caller)
            guard case .send(let send)? = outbox.actions.last else { return }
            for place in 8..<16 { endBytes[place] = outbox.headers[send.headerOffset + place] }
            give(endBytes, from: worker)
            outbox.removeAll()
            if now.nanoseconds(since: lastBeat) > 100_000_000 {
                lastBeat = now
                give(ping, from: worker)
                give(ping, from: caller)
                core.timePassed(now: now, into: &outbox)
                outbox.removeAll()
            }
        }
    }

    @Test func `a unary call's cost in the core is printed`() throws {
        let relay = try Relay()
        let warmUp: UInt64 = 20_000
        let count: UInt64 = Self.isRelease ? 500_000 : 5_000
        for number in 2..<warmUp { relay.turn(number) }
        var start = timespec()
        clock_gettime(CLOCK_MONOTONIC, &start)
        for number in warmUp..<warmUp + count { relay.turn(number) }
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let spent = (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec
        print(
            "unary call through the core: \(spent / Int(count)) ns"
        )
        #expect(relay.core.counters.ends == count + warmUp - 2)
        #expect(relay.core.counters.calls == relay.core.counters.ends)
    }
}
