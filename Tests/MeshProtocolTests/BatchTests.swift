// BATCH: what is joined comes apart again, and nothing else does.

import MeshProtocol
import Testing

@Suite struct BatchTests {
    /// A message in bytes of its own.
    private struct Item: Hashable {
        var header: [UInt8]
        var payload: [UInt8]?
    }

    private func join(_ items: [Item]) -> [UInt8] {
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

    /// What comes out, and the error at which it ends.
    private func read(
        _ bytes: [UInt8],
        maximumByteCount: Int = WireLimits.batchByteCount
    ) -> (items: [Item], error: BatchError?) {
        bytes.withUnsafeBytes { raw in
            var reader = BatchReader(raw, maximumByteCount: maximumByteCount)
            var items: [Item] = []
            do throws(BatchError) {
                while let item = try reader.next() {
                    items.append(Item(header: Array(item.header), payload: item.payload.map { Array($0) }))
                }
                return (items, nil)
            } catch {
                return (items, error)
            }
        }
    }

    private func byteCount(_ items: [Item]) -> Int {
        items.map { Batch.byteCount(header: $0.header.count, payload: $0.payload?.count) }.reduce(0, +)
    }

    private let ping = Ping(nonce: 3).encoded()

    @Test func `messages come out as they went in`() {
        let items = [
            Item(header: ping, payload: nil), Item(header: End(id: WireID(rawValue: 7)).encoded(), payload: []),
            Item(header: ping, payload: [1, 2, 3]), Item(header: Bye().encoded(), payload: nil),
        ]
        let bytes = join(items)
        #expect(bytes.count == byteCount(items))
        #expect(read(bytes).items == items)
        #expect(read(bytes).error == nil)
    }

    @Test func `the bytes are those of the specification`() {
        let bytes = join([Item(header: ping, payload: nil), Item(header: ping, payload: [9])])
        let header: [UInt8] = [1, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        #expect(bytes == [16, 0, 0, 0, 255, 255, 255, 255] + header + [16, 0, 0, 0, 1, 0, 0, 0] + header + [9])
        let batch = Batch().encoded()
        #expect(batch == [1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(batch.withUnsafeBytes { Batch.begins($0) } && !ping.withUnsafeBytes { Batch.begins($0) })
        #expect(!batch.dropLast().withUnsafeBytes { Batch.begins($0) })
    }

    @Test func `a batch of no bytes, or of too many, is none`() {
        #expect(read([]).error == BatchError(offset: 0, problem: .size))
        let fill = Item(header: ping, payload: Array(repeating: 0, count: WireLimits.batchByteCount - 24))
        #expect(read(join([fill])).items == [fill])
        #expect(read(join([fill]) + [0]).error == BatchError(offset: 0, problem: .size))
        let two = join([Item(header: ping, payload: nil), Item(header: ping, payload: nil)])
        #expect(read(two, maximumByteCount: two.count).items.count == 2)
        #expect(read(two, maximumByteCount: two.count - 1).error == BatchError(offset: 0, problem: .size))
    }

    @Test func `a message that does not lie within the batch ends it`() {
        let good = join([Item(header: ping, payload: [1])])
        for count in 1..<8 {
            let cut = read(good + Array(good.prefix(count)))
            #expect(cut.items.count == 1 && cut.error == BatchError(offset: good.count, problem: .lengths))
        }
        for count in 8..<good.count {
            #expect(read(Array(good.prefix(count))).error == BatchError(offset: 0, problem: .bounds))
        }
        let claims: [[UInt8]] = [
            [15, 0, 0, 0, 255, 255, 255, 255], [0, 0, 0, 0, 0, 0, 0, 0], [255, 255, 255, 255, 255, 255, 255, 254],
            [16, 0, 0, 0, 2, 0, 0, 0], [17, 0, 0, 0, 1, 0, 0, 0],
        ]
        for claim in claims {
            #expect(read(claim + ping + [1]).error == BatchError(offset: 0, problem: .bounds), "\(claim)")
        }
    }

    @Test(arguments: [Verb.hello, .welcome, .batch])
    func `what comes by itself is in no batch`(verb: Verb) {
        var header = ping
        header[1] = verb.rawValue
        let result = read(join([Item(header: ping, payload: nil), Item(header: header, payload: nil)]))
        #expect(result.items.count == 1 && result.error == BatchError(offset: 24, problem: .verb))
        #expect(result.error?.description.contains("come by themselves") == true)
    }

    @Test func `changed bytes never trap, and never reach beyond the batch`() {
        var generator = SeededGenerator(seed: 0xba7c_4)
        let payloads = (0..<6).map { $0 % 2 == 0 ? nil : [UInt8](repeating: 5, count: $0 * 9) }
        let good = join(payloads.map { Item(header: ping, payload: $0) })
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0...Int(generator.next() % 3) {
                bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
            }
            if generator.next() % 4 == 0 { bytes.removeLast(Int(generator.next() % UInt64(bytes.count))) }
            let (items, error) = read(bytes)
            let used = byteCount(items)
            #expect(used <= bytes.count)
            #expect(error == nil ? used == bytes.count : error?.offset == used)
        }
    }
}
