// The shell's side of the bargain over payloads, with an auditor: who holds which body, and whether anybody gives back
// what it does not have. Pure.

import BrokerCore

/// Payloads by handle, each with the number of references that the core holds.
struct BodyLedger {
    /// What a simulated payload says: the call or event it belongs to, and its length on the wire.
    struct Body: Hashable {
        var tag: UInt64
        var byteCount: Int
    }

    private var slots: [(body: Body, references: Int)] = []
    private var free: [UInt32] = []
    /// Bodies of which the core holds a reference.
    private(set) var heldCount = 0
    /// What was done wrong.
    private(set) var violations: [String] = []

    /// Hands a body to the core.
    mutating func hand(over body: Body) -> BodyHandle {
        heldCount += 1
        if let raw = free.popLast() {
            slots[Int(raw)] = (body, 1)
            return BodyHandle(rawValue: raw)
        }
        slots.append((body, 1))
        return BodyHandle(rawValue: UInt32(slots.count - 1))
    }

    /// Looks at a body that is being sent.
    mutating func look(at handle: BodyHandle) -> Body? {
        guard !handle.isNone else { return nil }
        let at = Int(handle.rawValue)
        guard at < slots.count, slots[at].references > 0 else {
            violations.append("body \(handle.rawValue) is used after it was given back")
            return nil
        }
        return slots[at].body
    }

    /// The core gives its reference back.
    mutating func giveBack(_ handle: BodyHandle) {
        guard !handle.isNone else { return }
        let at = Int(handle.rawValue)
        guard at < slots.count, slots[at].references > 0 else {
            violations.append("body \(handle.rawValue) is given back twice")
            return
        }
        slots[at].references = 0
        heldCount -= 1
        free.append(handle.rawValue)
    }
}
