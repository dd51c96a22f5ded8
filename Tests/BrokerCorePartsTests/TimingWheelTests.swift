// The wheel against a sorted list, and what it promises about clock jumps, stale ids and the edges of time.

import Testing

@testable import BrokerCore

private func at(_ milliseconds: UInt64) -> MeshInstant { MeshInstant(nanoseconds: milliseconds &* 1_000_000) }

extension TimingWheel {
    /// Everything that is due, however many calls it takes.
    fileprivate mutating func drain(due now: MeshInstant) -> [Payload] {
        var fired: [Payload] = []
        while let deadline = nextDeadline, deadline <= now {
            while let payload = next(due: now) { fired.append(payload) }
        }
        return fired
    }
}

@Suite struct TimingWheelTests {
    @Test func `a timer fires at the first tick not before its deadline`() {
        var wheel = TimingWheel<Int>()
        _ = wheel.schedule(1, at: MeshInstant(nanoseconds: 4_000_001))
        check(wheel.next(due: at(4)), nil)
        check(wheel.next(due: MeshInstant(nanoseconds: 4_999_999)), nil)
        check(wheel.next(due: at(5)), 1)
        check(wheel.next(due: at(5)), nil)
        #expect(wheel.count == 0)
        #expect(wheel.nextDeadline == nil)
    }

    @Test func `timers of one tick fire in the order of their scheduling`() {
        var wheel = TimingWheel<Int>()
        for number in 0..<100 { _ = wheel.schedule(number, at: at(70_000)) }
        check(wheel.drain(due: at(70_000)), Array(0..<100))
    }

    @Test func `a deadline in the past fires at once`() {
        var wheel = TimingWheel<Int>(start: at(1_000))
        _ = wheel.schedule(7, at: at(3))
        #expect(wheel.nextDeadline == at(1_000))
        check(wheel.next(due: at(1_000)), 7)
    }

    @Test func `a stale id cancels nothing, even when its node is in use again`() {
        var wheel = TimingWheel<Int>()
        let first = wheel.schedule(1, at: at(5))
        check(wheel.cancel(first), true)
        check(wheel.cancel(first), false)
        let second = wheel.schedule(2, at: at(5))
        #expect(second.slot == first.slot)
        check(wheel.cancel(first), false)
        check(wheel.isPending(second), true)
        check(wheel.next(due: at(5)), 2)
        check(wheel.cancel(second), false)
        check(wheel.cancel(.none), false)
        check(wheel.cancel(TimerID(slot: 900, generation: 0)), false)
    }

    @Test func `a jump of hours fires everything due once and in order`() {
        var wheel = TimingWheel<UInt64>()
        var random = SeededGenerator(seed: 11)
        var expected: [UInt64] = []
        for _ in 0..<50_000 {
            let tick = UInt64.random(in: 1...20_000_000, using: &random)
            _ = wheel.schedule(tick, at: at(tick))
            if tick <= 10_000_000 { expected.append(tick) }
        }
        check(wheel.drain(due: at(10_000_000)), expected.sorted())
        #expect(wheel.count == 50_000 - expected.count)
    }

    @Test func `one call does bounded work, and the next goes on`() {
        var wheel = TimingWheel<Int>()
        for number in 0..<100_000 { _ = wheel.schedule(number, at: at(5_000_000)) }
        var emptyAnswers = 0
        var fired = 0
        while fired < 100_000, emptyAnswers < 1_000 {
            if wheel.next(due: at(6_000_000)) == nil {
                emptyAnswers += 1
                #expect(wheel.nextDeadline.map { $0 <= at(6_000_000) } == true)
            } else {
                fired += 1
            }
        }
        #expect(fired == 100_000)
        #expect(emptyAnswers > 1)
    }

    @Test func `the edges of time do not trap`() {
        var wheel = TimingWheel<Int>()
        let last = MeshInstant(nanoseconds: .max)
        _ = wheel.schedule(1, at: last)
        _ = wheel.schedule(2, at: at(0))
        check(wheel.next(due: at(0)), 2)
        check(wheel.drain(due: last), [1])
        _ = wheel.schedule(3, at: at(9))
        check(wheel.next(due: at(9)), nil, "a clock that went back fires nothing")
        check(wheel.drain(due: last), [3])
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func `the wheel fires what a sorted list fires`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var wheel = TimingWheel<Int>(start: at(seed * 977))
        var model: [(tick: UInt64, order: Int)] = []
        var ids: [Int: TimerID] = [:]
        var now = seed * 977
        var order = 0
        for _ in 0..<4_000 {
            switch UInt8.random(in: 0..<10, using: &random) {
            case 0..<5:
                let reach: UInt64 = [10, 100, 5_000, 300_000, 40_000_000].randomElement(using: &random) ?? 1
                let tick = now + UInt64.random(in: 0...reach, using: &random)
                ids[order] = wheel.schedule(order, at: at(tick))
                model.append((tick, order))
                order += 1
            case 5..<7:
                guard let victim = model.randomElement(using: &random), let id = ids[victim.order] else { continue }
                check(wheel.cancel(id), true)
                model.removeAll { $0.order == victim.order }
            default:
                let step: UInt64 = [1, 3, 64, 4_096, 1_000_000].randomElement(using: &random) ?? 1
                now += UInt64.random(in: 0...step, using: &random)
                let due = model.filter { $0.tick <= now }.sorted { ($0.tick, $0.order) < ($1.tick, $1.order) }
                model.removeAll { $0.tick <= now }
                check(wheel.drain(due: at(now)), due.map(\.order))
            }
            #expect(wheel.count == model.count)
            if let earliest = model.map(\.tick).min() {
                #expect(wheel.nextDeadline.map { $0 <= at(earliest) } == true)
            }
        }
    }
}
