// BATCH over real sockets: who takes batches gets what is ready together in one, in order; nobody else gets any; and one that
// is malformed ends the session of whoever sent it.

import Broker
import BrokerCore
import MeshProtocol
import Testing
import ZeroMQ

@Suite struct BatchTests {
    /// A message in a batch or by itself.
    private struct Item {
        var header: [UInt8]
        var payload: [UInt8]?

        init(_ fields: some HeaderFields, _ payload: [UInt8]? = nil) {
            header = fields.encoded()
            self.payload = payload
        }
    }

    /// What a peer got.
    private struct Haul {
        var messages: [Incoming] = []
        /// The sizes of the batches among what came over the socket.
        var batches: [Int] = []
        /// What came over the socket, batches counted as one.
        var count = 0
    }

    private func batch(_ items: [Item]) -> [UInt8] {
        var bytes: [UInt8] = []
        for item in items {
            item.header.withUnsafeBytes { header in
                guard let payload = item.payload else {
                    return Batch.append(header: header, payload: nil, to: &bytes)
                }
                payload.withUnsafeBytes { Batch.append(header: header, payload: $0, to: &bytes) }
            }
        }
        return bytes
    }

    /// Sends messages in as few batches as the broker takes.
    private func send(_ items: [Item], over peer: borrowing TestPeer) throws {
        var bytes: [UInt8] = []
        for item in items {
            let next = batch([item])
            if bytes.count + next.count > Limits.batchByteCount {
                try peer.send(Batch(), payload: bytes)
                bytes = []
            }
            bytes += next
        }
        try peer.send(Batch(), payload: bytes)
    }

    /// Takes messages until there are so many.
    private func take(_ total: Int, from peer: inout TestPeer) throws -> Haul {
        var haul = Haul()
        while haul.messages.count < total {
            let incoming = try peer.expect()
            haul.count += 1
            guard case .batch = incoming.header else {
                haul.messages.append(incoming)
                continue
            }
            haul.batches.append(incoming.payload.count)
            try incoming.payload.withUnsafeBytes { bytes in
                var reader = BatchReader(bytes)
                while let item = try reader.next() {
                    haul.messages.append(
                        Incoming(header: try Header.decode(item.header), payload: item.payload.map { Array($0) } ?? [])
                    )
                }
            }
        }
        return haul
    }

    private func join(_ peer: inout TestPeer, batchByteCount: Int = WireLimits.batchByteCount) throws {
        try peer.send(Hello(name: "tester", batchByteCount: UInt32(batchByteCount)))
        guard case .welcome(let welcome) = try peer.expect().header else { throw Unexpected() }
        #expect(Int(welcome.batchByteCount) == Limits.batchByteCount)
    }

    private struct Unexpected: Error {}

    /// A peer among others.
    private final class Subscriber {
        var peer: TestPeer
        init(_ peer: consuming TestPeer) { self.peer = peer }
    }

    private func call(_ id: Int, _ payload: [UInt8]?) -> Item {
        Item(CallHeader(id: WireID(rawValue: UInt64(id)), service: "echo", method: "run"), payload)
    }

    /// What the calls of a worker and the answers of a caller look like, for a worker that takes so large batches.
    private func exchange(
        _ payloads: [[UInt8]],
        workerTakes: Int = WireLimits.batchByteCount
    ) throws -> (worker: Haul, caller: Haul) {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            var caller = try TestPeer(broker.endpoints[0])
            try join(&worker, batchByteCount: workerTakes)
            try join(&caller)
            try worker.provide("echo", capacity: 4096)
            var calls: [Item] = []
            for (index, payload) in payloads.enumerated() { calls.append(call(index + 1, payload)) }
            try send(calls, over: caller)
            let taken = try take(payloads.count, from: &worker)
            let ends = taken.messages.compactMap { incoming -> Item? in
                guard case .call(let call) = incoming.header else { return nil }
                return Item(End(id: call.id), incoming.payload)
            }
            try send(ends, over: worker)
            return (taken, try take(payloads.count, from: &caller))
        }
    }

    private func check(_ haul: Haul, _ payloads: [[UInt8]]) {
        #expect(haul.messages.map(\.payload) == payloads)
        #expect(haul.batches.allSatisfy { $0 <= Limits.batchByteCount })
    }

    @Test func `what is ready together comes as one message, in order, more than a burst of it too`() throws {
        let payloads = (0..<200).map { Array(repeating: UInt8($0), count: $0 % 90) }
        let (worker, caller) = try exchange(payloads)
        check(worker, payloads)
        check(caller, payloads)
        #expect(worker.count <= 20 && caller.count <= 20, "\(worker.count) and \(caller.count) messages")
        let ids = caller.messages.map { incoming -> UInt64 in
            guard case .end(let end) = incoming.header else { return 0 }
            return end.id.rawValue
        }
        #expect(ids == Array(1...200))
    }

    @Test func `a peer that takes no batches gets none`() throws {
        let payloads = (0..<100).map { [UInt8($0)] }
        let (worker, caller) = try exchange(payloads, workerTakes: 0)
        check(worker, payloads)
        check(caller, payloads)
        #expect(worker.batches.isEmpty && worker.count == 100)
    }

    @Test func `a peer that takes small batches gets small ones`() throws {
        let payloads = (0..<100).map { Array(repeating: UInt8($0), count: 50) }
        let (worker, _) = try exchange(payloads, workerTakes: 500)
        check(worker, payloads)
        #expect(!worker.batches.isEmpty && worker.batches.allSatisfy { $0 <= 500 })
    }

    @Test func `payloads that are too large to be joined keep their place`() throws {
        let sizes = [1, 1024, 1025, 0, 5000, 2, 3, 9000, 4]
        let payloads = sizes.enumerated().map { Array(repeating: UInt8($0.offset), count: $0.element) }
        let (worker, caller) = try exchange(payloads)
        check(worker, payloads)
        check(caller, payloads)
    }

    @Test func `each subscriber gets its events joined`() throws {
        try withBroker { broker, _ in
            var publisher = try TestPeer(broker.endpoints[0])
            try join(&publisher)
            let id = try #require(RequestID(rawValue: 1))
            for takes in [WireLimits.batchByteCount, 0] {
                var subscriber = try TestPeer(broker.endpoints[0])
                try join(&subscriber, batchByteCount: takes)
                try subscriber.send(Subscribe(id: id, credit: Credit(messages: 500, bytes: 1 << 20), pattern: "a.b"))
                _ = try subscriber.expect()
                let events = (0..<60).map { Item(PublishHeader(id: id, topic: "a.b"), [UInt8($0)]) }
                try publisher.send(Batch(), payload: batch(events))
                let haul = try take(60, from: &subscriber)
                check(haul, (0..<60).map { [UInt8($0)] })
                #expect(takes == 0 ? haul.count == 60 : haul.count < 10, "\(haul.count)")
            }
        }
    }

    @Test func `a malformed batch ends the session of its sender, after what came before it in the batch`() throws {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("echo")
            let quiet = Item(Pong(nonce: 5))
            let wrongs: [[UInt8]] = [
                [], [1], batch([quiet]).dropLast(), batch([quiet, Item(Hello(name: "again"))]),
                batch([quiet, Item(Batch(), batch([quiet]))]), batch([quiet]) + [16, 0, 0, 0, 0, 0, 0, 0],
                batch([quiet]) + Array(repeating: 0xFF, count: 40),
                batch([Item(Pong(nonce: 5), Array(repeating: 0, count: Limits.batchByteCount - 23))]),
            ].map { Array($0) }
            for (number, wrong) in wrongs.enumerated() {
                var peer = try TestPeer(broker.endpoints[0])
                try join(&peer)
                try peer.send(Batch(), payload: wrong)
                let incoming = try peer.expect()
                guard case .reject(let reject) = incoming.header else {
                    throw UnexpectedHeader(header: incoming.header)
                }
                #expect(reject.status == .protocolError, "\(number)")
                #expect(reject.message.contains("BATCH"), "\(reject.message)")
            }
            var caller = try TestPeer(broker.endpoints[0])
            try join(&caller)
            try caller.send(Batch(), payload: batch([call(1, [9])]) + [0])
            let received = try worker.expect()
            #expect(received.payload == [9], "the call before the end counts")
        }
    }

    @Test func `a batch as large as the broker takes is taken, and answered to the last message`() throws {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try join(&peer)
            let count = Limits.batchByteCount / 24
            try peer.send(Batch(), payload: batch((1...count).map { Item(Ping(nonce: UInt64($0))) }))
            let nonces = try take(count, from: &peer).messages.map { incoming -> UInt64 in
                guard case .pong(let pong) = incoming.header else { return 0 }
                return pong.nonce
            }
            #expect(nonces == (1...UInt64(count)).map { $0 })
        }
    }

    @Test func `what follows a BYE in a batch is not read, and what was before it is done`() throws {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("echo", capacity: 4096)
            var caller = try TestPeer(broker.endpoints[0])
            try join(&caller)
            // The rest is more than is taken in before the connection is closed.
            let late = (2..<100).map { call($0, [2]) }
            try caller.send(Batch(), payload: batch([call(1, [1]), Item(Bye())] + late))
            guard case .call(let first) = try worker.expect().header else { throw Unexpected() }
            guard case .cancel(let cancel) = try worker.expect().header else { throw Unexpected() }
            #expect(cancel.id == first.id)
            var other = try TestPeer(broker.endpoints[0])
            try join(&other)
            try other.send(Batch(), payload: batch([call(1, [3]), call(2, [])]))
            #expect(try worker.expect().payload == [3], "nothing of the one that has left came between")
            #expect(try worker.expect().payload == [])
        }
    }

    @Test func `a payload that some get joined, some by itself and the table keeps is whole for each`() throws {
        try withBroker { broker, _ in
            let id = try #require(RequestID(rawValue: 1))
            let takes = [0, Limits.batchByteCount, 0, 200, Limits.batchByteCount, 1]
            var subscribers: [Subscriber] = []
            for byteCount in takes {
                var subscriber = try TestPeer(broker.endpoints[0])
                try join(&subscriber, batchByteCount: byteCount)
                try subscriber.send(Subscribe(id: id, credit: Credit(messages: 500, bytes: 1 << 20), pattern: "a.b"))
                _ = try subscriber.expect()
                subscribers.append(Subscriber(subscriber))
            }
            let payloads = [0, 1, 33, 34, 64, 65, 0, 1000, 1024, 1025, 3000, 2].enumerated().map { place, count in
                Array(repeating: UInt8(place), count: count)
            }
            var publisher = try TestPeer(broker.endpoints[0])
            try join(&publisher)
            let events = payloads.map { Item(PublishHeader(flags: .retain, id: id, topic: "a.b"), $0) }
            try publisher.send(Batch(), payload: batch(events))
            for place in takes.indices { check(try take(payloads.count, from: &subscribers[place].peer), payloads) }
        }
    }

    @Test func `a batch is no HELLO, and a header alone is no batch`() throws {
        try withBroker { broker, _ in
            for items in [[Item(Ping(nonce: 1))], [Item(Hello(name: "tester"))]] {
                var stranger = try TestPeer(broker.endpoints[0])
                try stranger.send(Batch(), payload: batch(items))
                guard case .reject(let reject) = try stranger.expect().header else { throw Unexpected() }
                #expect(reject.status == .protocolError)
            }
            var peer = try TestPeer(broker.endpoints[0])
            try join(&peer)
            try peer.send(Batch())
            guard case .reject(let reject) = try peer.expect().header else { throw Unexpected() }
            #expect(reject.status == .protocolError && reject.message.contains("BATCH"))
        }
    }

    /// Whether the broker answered a PING, or turned the peer away; nil: it said nothing any more.
    private func isServed(_ peer: inout TestPeer) throws -> Bool? {
        while let incoming = try peer.receive(within: .seconds(2)) {
            switch incoming.header {
            case .pong(Pong(nonce: 77)): return true
            case .reject: return false
            default: continue
            }
        }
        return nil
    }

    @Test func `a batch of changed bytes harms nobody but its sender`() throws {
        try withBroker { broker, _ in
            var worker = try TestPeer(broker.endpoints[0])
            try worker.hello("worker")
            try worker.provide("echo", capacity: 4096)
            let id = try #require(RequestID(rawValue: 9))
            let good = batch([
                call(1, [1, 2]), Item(Subscribe(id: id, credit: Credit(messages: 9, bytes: 900), pattern: "a.>")),
                Item(PublishHeader(flags: .retain, id: id, topic: "a.b"), Array(repeating: 3, count: 90)),
                Item(Ping(nonce: 3)), call(2, []), Item(CreditGrant(id: WireID(rawValue: 1), credit: .none)),
            ])
            var state: UInt64 = 0xba7c
            func random(_ bound: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % bound
            }
            var outcomes: [Bool?: Int] = [:]
            for _ in 0..<300 {
                var bytes = good
                for _ in 0...random(3) { bytes[random(bytes.count)] = UInt8(random(256)) }
                if random(4) == 0 { bytes.removeLast(random(bytes.count)) }
                var peer = try TestPeer(broker.endpoints[0])
                try peer.hello()
                try peer.send(Batch(), payload: bytes)
                try peer.send(Ping(nonce: 77))
                outcomes[try isServed(&peer), default: 0] += 1
            }
            #expect(outcomes[true] ?? 0 > 50 && outcomes[false] ?? 0 > 50 && outcomes[nil] ?? 0 < 3, "\(outcomes)")
            var caller = try TestPeer(broker.endpoints[0])
            try join(&caller)
            try send([call(1, [8, 8, 8, 8])], over: caller)
            while try worker.expect().payload != [8, 8, 8, 8] {}
        }
    }

    @Test func `an error within a message is that message's own`() throws {
        try withBroker { broker, _ in
            var peer = try TestPeer(broker.endpoints[0])
            try join(&peer)
            var broken = call(3, nil)
            broken.header.removeLast()
            try peer.send(Batch(), payload: batch([call(2, [1]), broken, call(4, [1])]))
            let haul = try take(3, from: &peer)
            let failures = haul.messages.map { incoming -> String in
                guard case .fail(let fail) = incoming.header else { return "\(incoming.header)" }
                return "\(fail.id.rawValue) \(fail.status)"
            }
            #expect(failures == ["2 NOT_FOUND", "3 PROTOCOL_ERROR", "4 NOT_FOUND"])
        }
    }
}
