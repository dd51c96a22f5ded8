// A ticket is good for a time and until it is taken back, by itself or with its instance's others; a key finds its own.

import Testing

@testable import BrokerCore

private func at(_ milliseconds: UInt64) -> MeshInstant { MeshInstant(nanoseconds: milliseconds &* 1_000_000) }

@Suite struct TicketOfficeTests {
    private let grant = TicketGrant(name: "echo", principal: "echo", process: 7)

    @Test func `a ticket is good until it is taken back`() {
        var office = TicketOffice()
        var draw: UInt64 = 9
        let ticket = office.issue(grant, expires: at(10), now: at(0)) {
            draw += 1
            return draw
        }
        #expect(ticket == "000000000000000a" + "000000000000000b" + "000000000000000c" + "000000000000000d")
        check(office.look(at: ticket, now: at(9)), .granted(grant))
        check(office.revoke(ticket), true)
        check(office.look(at: ticket, now: at(9)), .unknown)
        check(office.revoke(ticket), false)
        check(office.look(at: "", now: at(9)), .unknown)
    }

    @Test func `a ticket runs out`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 1)
        let ticket = office.issue(grant, expires: at(10), now: at(0)) { random.next() }
        check(office.look(at: ticket, now: at(10)), .expired)
    }

    @Test func `a ticket without expiry runs out when one is set`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 2)
        let ticket = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        let other = office.issue(grant, expires: nil, now: at(0)) { random.next() }
        office.setExpiry(of: ticket, to: at(5))
        office.setExpiry(of: "unknown", to: at(5))
        check(office.look(at: ticket, now: at(6)), .expired)
        check(office.look(at: other, now: MeshInstant(nanoseconds: .max)), .granted(grant))
    }

    @Test func `an instance's tickets are taken back together, and no others`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 3)
        func issue(_ label: String, _ owner: String) -> String {
            let grant = TicketGrant(name: "echo", principal: "echo", instance: label, owner: owner)
            return office.issue(grant, expires: nil, now: at(0)) { random.next() }
        }
        let own = [issue("echo#1@1", "a"), issue("echo#1@1", "a")]
        let others = [issue("echo#1@1", "b"), issue("echo#1@2", "a"), issue("", "a")]
        office.revokeAll(instance: "echo#1@1", owner: "a")
        office.revokeAll(instance: "", owner: "a")
        for ticket in own { check(office.look(at: ticket, now: at(0)), .unknown) }
        check(office.count, others.count)
    }

    @Test func `a key is known as long as a ticket for it is good`() {
        var office = TicketOffice()
        var random = SeededGenerator(seed: 5)
        func issue(_ key: String, _ expires: MeshInstant?) -> String {
            let grant = TicketGrant(name: "echo", principal: "echo", publicKey: key)
            return office.issue(grant, expires: expires, now: at(0)) { random.next() }
        }
        _ = issue("k1", at(5))
        let second = issue("k1", nil)
        _ = issue("k2", at(5))
        check(office.keys(now: at(4)), ["k1", "k2"])
        check(office.keys(now: at(5)), ["k1"])
        check(office.hasTicket(for: "k2", now: at(5)), false)
        office.revoke(second)
        check(office.hasTicket(for: "k1", now: at(5)), false)
        check(office.hasTicket(for: "k1", now: at(4)), true)
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
