// Bytes from a peer that means harm: no input traps, and no claim in a header is believed.

import MeshProtocol
import Testing

@Suite struct `Hostile bytes` {
    /// Whatever decodes must encode to something that decodes to the same; whatever does not must say where.
    private func digest(_ bytes: [UInt8]) -> Bool {
        do throws(DecodeError) {
            let header = try Header.decode(bytes)
            return (try? Header.decode(header.encoded())) == header
        } catch {
            return error.offset >= 0 && error.offset <= bytes.count && !error.description.isEmpty
        }
    }

    @Test(arguments: Verb.allCases) func `changed bits never trap`(verb: Verb) throws {
        var generator = SeededGenerator(seed: 0xb17f_11b5 &+ UInt64(verb.rawValue))
        let samples = try Repository.good(verb).vectors.filter { $0.padding == nil }.map(\.bytes)
        for _ in 0..<4500 {
            guard var bytes = samples.randomElement(using: &generator), bytes.count < 4096 else { continue }
            for _ in 0...Int(generator.next() % 3) {
                let place = Int(generator.next() % UInt64(bytes.count))
                // The first two bytes are spared most of the time, so that the verbs' own fields are reached.
                guard place > 1 || generator.next() % 16 == 0 else { continue }
                bytes[place] ^= 1 << (generator.next() % 8)
            }
            #expect(digest(bytes), "\(bytes)")
        }
    }

    @Test(arguments: Verb.allCases) func `random bytes after a good prefix never trap`(verb: Verb) {
        var generator = SeededGenerator(seed: 0x0dd_b17e &+ UInt64(verb.rawValue))
        for _ in 0..<1000 {
            var bytes: [UInt8] = [1, verb.rawValue, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
            let sparse = generator.next() % 2 == 0
            for _ in 0..<(generator.next() % 120) {
                let byte = UInt8(truncatingIfNeeded: generator.next())
                bytes.append(sparse ? byte & 0x01 : byte)
            }
            #expect(digest(bytes), "\(bytes)")
        }
    }

    @Test func `a view never trips over changed bits, and its texts stay inside the header`() throws {
        var generator = SeededGenerator(seed: 0xca11_b175)
        let samples = try Repository.good(.call).vectors.map(\.bytes)
        for _ in 0..<20000 {
            guard var bytes = samples.randomElement(using: &generator) else { continue }
            let place = Int(generator.next() % UInt64(bytes.count))
            bytes[place] ^= 1 << (generator.next() % 8)
            if generator.next() % 8 == 0 { bytes.removeLast(Int(generator.next() % UInt64(bytes.count))) }
            let whole = try? CallHeader.decode(bytes)
            bytes.withUnsafeBytes { raw in
                // Both readers take the same bytes, and read the same in them.
                let view = try? CallView.decode(raw)
                #expect(view?.strings(in: raw) == whole)
                guard let view else { return }
                var rewritten: [UInt8] = []
                view.encode(from: raw, caller: UnsafeRawBufferPointer(start: nil, count: 0), to: &rewritten)
                #expect((try? CallHeader.decode(rewritten))?.service == view.service.string(in: raw))
            }
        }
        let short: [UInt8] = [1, 2, 3]
        short.withUnsafeBytes { raw in
            #expect(TextSlice(offset: 2, count: 2).bytes(in: raw).isEmpty)
            #expect(TextSlice(offset: .max, count: .max).bytes(in: raw).isEmpty)
            #expect(Array(TextSlice(offset: 1, count: 2).bytes(in: raw)) == [2, 3])
        }
    }

    @Test func `a claimed count is refused before an element is read`() {
        // Lists grow by what has been read, and no count over a list's limit gets as far as that.
        let prefix: [UInt8] = [1, 0x10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        let start = prefix + [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 97, 1, 0, 49]
        let claims: [(bytes: [UInt8], field: String, problem: DecodeError.Problem)] = [
            (start + [0xff, 0xff], "methods", .tooLong(count: 65535, maximum: 256)),
            (start + [0x00, 0x01], "methods.name", .truncated(needed: 2, available: 0)),
            (start + [0, 0, 0xff, 0xff], "attributes", .tooLong(count: 65535, maximum: 64)),
            (start + [0, 0, 64, 0], "attributes.name", .truncated(needed: 2, available: 0)),
            (start + [0, 0, 0, 0, 0xff, 0xff], "capabilities", .tooLong(count: 65535, maximum: 64)),
            (prefix + [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "service", .tooLong(count: 65535, maximum: 96)),
        ]
        for claim in claims {
            let error = #expect(throws: DecodeError.self) { try Header.decode(claim.bytes) }
            #expect(error?.field.description == claim.field)
            #expect(error?.problem == claim.problem)
        }
    }
}
