// A ticket is good once, for a time, and until it is taken back.

import Testing

@testable import BrokerCore

private func at(_ milliseconds: UInt64) -> MeshInstant { MeshInstant(nanoseconds: milliseconds &* 1_000_000) }

@Suite struct TicketOfficeTests {
    private let grant = TicketGrant(name: "echo", principal: "echo", process: 7)

    @Test func `a ticket is good once`() {
        var office = TicketOffice()
        var draw: UInt64 = 9
        let ticket = office.issue(grant, expires: at(10), now: at(0)) {
            draw += 1
            return draw
        }
        #expect(ticket == "000000000000000a" + "000000000000000b" + "000000000000000c" + "000000000000000d")
        check(office.redeem(ticket, now: at(9)), .granted(grant))
        check(office.redeem(ticket, now: at(9)), .unknown)
        check(office.redeem("", now: at(9)), .unknown)
    }

    @Test func `a ticket runs out, and is gone then`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 1)
        let ticket = office.issue(grant, expires: at(10), now: at(0)) { random.next() }
        check(office.redeem(ticket, now: at(10)), .expired)
        check(office.redeem(ticket, now: at(0)), .unknown)
    }

    @Test func `a ticket without expiry runs out when one is set`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 2)
        let ticket = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        let other = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        office.setExpiry(of: ticket, to: at(5))
        office.setExpiry(of: "unknown", to: at(5))
        check(office.redeem(ticket, now: at(6)), .expired)
        check(office.redeem(other, now: MeshInstant(nanoseconds: .max)), .granted(grant))
    }

    @Test func `tickets can be taken back`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 3)
        let first = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        let second = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        let other = office.issue(TicketGrant(name: "ui", principal: "ui"), expires: nil, now: at(0)) { random.next() }
        check(office.revoke(first), true)
        check(office.revoke(first), false)
        office.revokeAll(named: "echo")
        check(office.redeem(second, now: at(0)), .unknown)
        check(office.redeem(other, now: at(0)), .granted(TicketGrant(name: "ui", principal: "ui")))
    }

    @Test func `tickets that nobody presents do not pile up`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 4)
        for time in 0..<10_000 as Range<UInt64> {
            _ = office.issue(grant, expires: at(time + 10), now: at(time)) { random.next() }
            #expect(office.count <= 64)
        }
    }
}
