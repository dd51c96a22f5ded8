// The sliding window against a count of all times.

import Testing

@testable import BrokerCore

private func at(_ milliseconds: UInt64) -> MeshInstant { MeshInstant(nanoseconds: milliseconds &* 1_000_000) }

@Suite struct OffenceMeterTests {
    @Test func `the sixteenth within ten seconds is the one`() {
        var meter = OffenceMeter()
        for number in 0..<15 as Range<UInt64> {
            check(meter.record(now: at(number * 600), limit: 16, windowMilliseconds: 10_000), false)
        }
        check(meter.record(now: at(9_999), limit: 16, windowMilliseconds: 10_000), true)
        #expect(meter.total == 16)
    }

    @Test func `sixteen in more than ten seconds are not`() {
        var meter = OffenceMeter()
        for number in 0..<200 as Range<UInt64> {
            check(meter.record(now: at(number * 700), limit: 16, windowMilliseconds: 10_000), false)
        }
    }

    @Test func `odd limits do not trap`() {
        var meter = OffenceMeter()
        for limit in [5, 0, -3, 1, 20, 2, .max] {
            for number in 0..<9 as Range<UInt64> {
                _ = meter.record(now: at(9 - number), limit: limit, windowMilliseconds: .max)
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `the meter agrees with a list of all times, whatever the limit becomes`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var meter = OffenceMeter()
        var times: [UInt64] = []
        var now: UInt64 = 0
        var limit = 8
        var remembered = 0
        for _ in 0..<2_000 {
            now += UInt64.random(in: 0..<300, using: &random)
            if UInt8.random(in: 0..<50, using: &random) == 0 { limit = Int.random(in: 2..<20, using: &random) }
            times.append(now)
            // The meter remembers as many times as the limit was; a raised limit has to be filled anew.
            remembered = min(remembered, limit)
            remembered = min(remembered + 1, limit)
            let inWindow = times.suffix(remembered).count { now - $0 < 1_000 }
            check(meter.record(now: at(now), limit: limit, windowMilliseconds: 1_000), inWindow >= limit)
        }
    }
}
