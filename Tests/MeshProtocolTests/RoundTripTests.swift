// Headers to bytes and back, and the broker's ways to bytes against the ways with strings.

import MeshProtocol
import Testing

@Suite struct `Round trips` {
    @Test(arguments: Verb.allCases) func `random headers come back as they went`(verb: Verb) throws {
        var maker = HeaderMaker(seed: 0x5eed_0001 &+ UInt64(verb.rawValue))
        for round in 0..<400 {
            let header = maker.header(verb)
            let bytes = header.encoded()
            #expect(try Header.decode(bytes) == header, "\(verb.name) in round \(round)")
            #expect(try Header.decode(bytes).encoded() == bytes, "\(verb.name) in round \(round)")
        }
    }

    @Test func `a header is appended to what the buffer holds`() throws {
        var buffer: [UInt8] = [1, 2, 3]
        Ping(nonce: 4).encode(to: &buffer)
        #expect(buffer[0..<3] == [1, 2, 3])
        #expect(try Ping.decode(Array(buffer[3...])) == Ping(nonce: 4))
    }

    @Test func `a view of a CALL holds what the CALL with strings holds`() throws {
        var maker = HeaderMaker(seed: 0x5eed_0002)
        for _ in 0..<1000 {
            let call = maker.call()
            try call.encoded().withUnsafeBytes { raw in
                let view = try CallView.decode(raw)
                #expect(view.strings(in: raw) == call)
            }
        }
    }

    @Test func `a CALL rewritten from a view is the CALL with lease, budget and caller changed`() throws {
        var maker = HeaderMaker(seed: 0x5eed_0003)
        for _ in 0..<1000 {
            var call = maker.call()
            let bytes = call.encoded()
            let lease = LeaseID(index: maker.number(), generation: maker.number())
            call.id = lease.wire
            call.clocks.total = maker.number()
            call.hops = maker.number()
            call.flags.formSymmetricDifference(.idempotent)
            call.caller = maker.name()
            let caller = Array(call.caller.utf8)
            var rewritten: [UInt8] = []
            try bytes.withUnsafeBytes { raw in
                var view = try CallView.decode(raw)
                view.id = call.id
                view.clocks.total = call.clocks.total
                view.hops = call.hops
                view.flags = call.flags
                caller.withUnsafeBytes { view.encode(from: raw, caller: $0, to: &rewritten) }
            }
            #expect(rewritten == call.encoded())
        }
    }

    @Test func `a view of a PUBLISH and an EVENT made of it are those with strings`() throws {
        var maker = HeaderMaker(seed: 0x5eed_0004)
        for _ in 0..<500 {
            guard case .publish(let publish) = maker.header(.publish), case .event(var event) = maker.header(.event)
            else { continue }
            event.topic = publish.topic
            var bytes: [UInt8] = []
            let publisher = Array(event.publisher.utf8)
            try publish.encoded().withUnsafeBytes { raw in
                let view = try PublishView.decode(raw)
                #expect(view.topic.string(in: raw) == publish.topic)
                #expect(view.flags == publish.flags)
                #expect(view.id == publish.id)
                #expect(view.contentType == publish.contentType)
                publisher.withUnsafeBytes { publisher in
                    Event.encode(
                        flags: event.flags,
                        contentType: event.contentType,
                        id: event.id,
                        numbers: event.numbers,
                        topic: view.topic.bytes(in: raw),
                        publisher: publisher,
                        to: &bytes
                    )
                }
            }
            #expect(bytes == event.encoded())
        }
    }

    @Test func `views refuse what headers with strings refuse, for the same reason`() throws {
        for vector in try Repository.bad() where vector.verb == "CALL" || vector.verb == "PUBLISH" {
            let bytes = vector.bytes
            let call = #expect(throws: DecodeError.self) { try CallHeader.decode(bytes) }
            let callView = #expect(throws: DecodeError.self) {
                try bytes.withUnsafeBytes { _ = try CallView.decode($0) }
            }
            #expect(call == callView, "\(vector.name)")
            let publish = #expect(throws: DecodeError.self) { try PublishHeader.decode(bytes) }
            let publishView = #expect(throws: DecodeError.self) {
                try bytes.withUnsafeBytes { _ = try PublishView.decode($0) }
            }
            #expect(publish == publishView, "\(vector.name)")
        }
    }

    @Test func `a lease keeps its index and generation`() throws {
        for index in [0, 1, UInt32.max] {
            for generation in [0, 1, 0x7fff_ffff as UInt32] {
                let lease = LeaseID(index: index, generation: generation)
                #expect(lease.wire.isLease)
                #expect(LeaseID(lease.wire) == lease)
                #expect(RequestID(lease.wire) == nil)
            }
        }
        #expect(LeaseID(index: 1, generation: 0x8000_0002) == LeaseID(index: 1, generation: 2))
        #expect(LeaseID(WireID(rawValue: 5)) == nil)
        #expect(RequestID(rawValue: 0) == nil)
        #expect(RequestID(rawValue: WireID.leaseBit) == nil)
        #expect(RequestID(rawValue: WireID.leaseBit - 1)?.wire.rawValue == WireID.leaseBit - 1)
    }
}

extension CallView {
    /// The same call with strings.
    func strings(in header: UnsafeRawBufferPointer) -> CallHeader {
        CallHeader(
            flags: flags,
            contentType: contentType,
            id: id,
            clocks: clocks,
            credit: credit,
            cost: cost,
            band: band,
            hops: hops,
            parent: parent,
            trace: trace,
            service: service.string(in: header),
            range: range.string(in: header),
            method: method.string(in: header),
            affinity: affinity.string(in: header),
            conditions: conditions.string(in: header),
            caller: caller.string(in: header)
        )
    }
}
