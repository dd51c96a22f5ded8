// Fairness between callers, floors between bands, and removal, against counts that can be worked out by hand.

import MeshProtocol
import Testing

@testable import BrokerCore

@Suite struct FairQueueTests {
    @Test func `calls of one caller leave in order`() {
        var queue = FairQueue()
        for call in 0..<20 as Range<UInt32> { _ = queue.push(call, caller: 1, band: .normal, cost: 0) }
        #expect(queue.count == 20)
        check((0..<20).compactMap { _ in queue.pop() }, Array(0..<20))
        check(queue.pop(), nil)
        #expect(queue.isEmpty)
    }

    @Test func `callers alternate when costs are equal`() {
        var queue = FairQueue()
        for call in 0..<100 as Range<UInt32> { _ = queue.push(call, caller: 1, band: .normal, cost: 1) }
        for call in 100..<103 as Range<UInt32> { _ = queue.push(call, caller: 2, band: .normal, cost: 1) }
        let order = (0..<8).compactMap { _ in queue.pop() }
        #expect(order == [0, 100, 1, 101, 2, 102, 3, 4])
    }

    @Test func `a caller whose calls cost ten times as much gets a tenth of the calls`() {
        var queue = FairQueue()
        for call in 0..<1_000 as Range<UInt32> {
            _ = queue.push(call, caller: 1, band: .normal, cost: 10)
            _ = queue.push(call + 1_000, caller: 2, band: .normal, cost: 1)
        }
        let served = (0..<1_100).compactMap { _ in queue.pop() }
        let dear = served.prefix(550).count { $0 < 1_000 }
        #expect((49...51).contains(dear), "\(dear) of 550")
    }

    @Test func `huge costs are served in one step`() {
        var queue = FairQueue()
        for caller in 0..<100 as Range<UInt32> {
            _ = queue.push(caller, caller: caller, band: .normal, cost: .max - caller)
        }
        #expect((0..<100).compactMap { _ in queue.pop() }.count == 100)
    }

    @Test func `a higher band leaves first, and a lower one waits for eight at most`() {
        var queue = FairQueue()
        for call in 0..<100 as Range<UInt32> {
            _ = queue.push(call, caller: 1, band: .background, cost: 1)
            _ = queue.push(1_000 + call, caller: 2, band: .normal, cost: 1)
            _ = queue.push(2_000 + call, caller: 3, band: .interactive, cost: 1)
        }
        let served = (0..<99).compactMap { _ in queue.pop() }
        #expect(served.prefix(9).map { $0 / 1_000 } == [2, 2, 2, 2, 2, 2, 2, 2, 1])
        for (upper, lower) in [(2, 1), (1, 0)] as [(UInt32, UInt32)] {
            var waited = 0
            for call in served {
                if call / 1_000 == upper { waited += 1 }
                if call / 1_000 == lower { waited = 0 }
                #expect(waited <= 8)
            }
        }
        #expect(served.contains { $0 < 1_000 })
    }

    @Test func `with nothing between, the lowest band waits for eight of the highest`() {
        var queue = FairQueue()
        for call in 0..<20 as Range<UInt32> {
            _ = queue.push(call, caller: 1, band: .background, cost: 1)
            _ = queue.push(100 + call, caller: 1, band: .interactive, cost: 1)
        }
        let served = (0..<18).compactMap { _ in queue.pop() }
        #expect(served.map { $0 / 100 } == Array(repeating: 1, count: 8) + [0] + Array(repeating: 1, count: 8) + [0])
    }

    @Test func `a call that is put back leaves first and is not charged again`() {
        var queue = FairQueue()
        for call in 0..<3 as Range<UInt32> { _ = queue.push(call, caller: 1, band: .normal, cost: 5) }
        for call in 10..<13 as Range<UInt32> { _ = queue.push(call, caller: 2, band: .normal, cost: 5) }
        check(queue.pop(), 0)
        _ = queue.pushFront(0, caller: 1, band: .normal, cost: 5)
        #expect((0..<6).compactMap { _ in queue.pop() } == [0, 10, 1, 11, 2, 12])
    }

    @Test func `a stale token removes nothing`() {
        var queue = FairQueue()
        let token = queue.push(1, caller: 1, band: .normal, cost: 1)
        check(queue.remove(token), true)
        check(queue.remove(token), false)
        let second = queue.push(2, caller: 1, band: .normal, cost: 1)
        check(queue.remove(token), false)
        check(queue.pop(), 2)
        check(queue.remove(second), false)
        check(queue.remove(.none), false)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `everything pushed leaves once, in its caller's order, and backlogged callers get equal cost`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = FairQueue()
        var tokens: [UInt32: QueueToken] = [:]
        var lines: [UInt32: [UInt32]] = [:]  // band and caller → waiting calls in order
        var next: UInt32 = 0
        for _ in 0..<6_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let caller = UInt32.random(in: 0..<5, using: &random)
                let band = Band.allCases.randomElement(using: &random) ?? .normal
                let cost = UInt32.random(in: 0...40, using: &random)
                tokens[next] = queue.push(next, caller: caller, band: band, cost: cost)
                lines[UInt32(band.rawValue) << 8 | caller, default: []].append(next)
                next += 1
            case 5:
                guard let (call, token) = tokens.min(by: { $0.key < $1.key }) else { continue }
                check(queue.remove(token), true)
                tokens[call] = nil
                for key in lines.keys { lines[key]?.removeAll { $0 == call } }
            default:
                guard let call = queue.pop() else {
                    #expect(tokens.isEmpty)
                    continue
                }
                #expect(tokens.removeValue(forKey: call) != nil)
                let line = lines.first { $0.value.first == call }
                #expect(line != nil, "call \(call) left before its turn")
                if let key = line?.key { lines[key]?.removeFirst() }
            }
            #expect(queue.count == tokens.count)
        }
        var seen: Set<UInt32> = []
        queue.forEach { seen.insert($0) }
        #expect(seen == Set(tokens.keys))
    }

    @Test(arguments: [5, 6, 7] as [UInt64])
    func `the cost served to backlogged callers differs by less than the dearest call and one`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = FairQueue()
        var costs: [UInt32] = []
        for call in 0..<3_000 as Range<UInt32> {
            let cost = UInt32.random(in: 1...50, using: &random)
            costs.append(cost)
            _ = queue.push(call, caller: call % 3, band: .normal, cost: cost)
        }
        var served = [Int](repeating: 0, count: 3)
        for _ in 0..<1_500 {
            guard let call = queue.pop() else { break }
            served[Int(call % 3)] += Int(costs[Int(call)])
            let spread = (served.max() ?? 0) - (served.min() ?? 0)
            #expect(spread <= 51)
        }
    }
}
