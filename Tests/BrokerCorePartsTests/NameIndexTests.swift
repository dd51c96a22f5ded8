// Names in order: whatever comes and goes, a page shows what a sorted set would.

import Testing

@testable import BrokerCore

@Suite struct NameIndexTests {
    @Test func `the index holds what a sorted set holds, through all changes`() {
        var random = SeededGenerator(seed: 11)
        var index = NameIndex()
        var model: Set<String> = []
        for round in 0..<20_000 {
            let name = "service-\(random.next() % 3_000)"
            // Grows first, shrinks then.
            if random.next() % 10 < (round < 10_000 ? 8 : 2) {
                index.insert(name)
                model.insert(name)
            } else {
                index.remove(name)
                model.remove(name)
            }
            guard round % 500 == 0 else { continue }
            check(index.names(from: "", limit: .max), model.sorted())
            let start = "service-\(random.next() % 3_000)"
            let limit = Int(random.next() % 600)
            check(index.names(from: start, limit: limit), Array(model.sorted().filter { $0 >= start }.prefix(limit)))
        }
        for name in model { index.remove(name) }
        check(index.names(from: "", limit: 9), [])
        index.remove("nobody")
    }
}
