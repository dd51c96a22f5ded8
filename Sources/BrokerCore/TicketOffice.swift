// One-time tickets: what a host hands to the process it starts, and what WELCOME hands on. Pure: entropy is passed in.

/// What a ticket is good for.
public struct TicketGrant: Hashable, Sendable {
    /// The name that HELLO must carry: the plugin's.
    public var name: String
    /// The principal that the session gets.
    public var principal: String
    /// The process that may present it; nil: any.
    public var process: Int32?
    /// The label that the session gets, `echo#1@3` for example; empty: none.
    public var instance: String
    /// The principal that asked for it; empty: the broker's own program.
    public var owner: String
    /// What the session provides waits in shadow until it is promoted.
    public var isShadow: Bool
    /// The CURVE key that must present it, as 40 characters of Z85, and is let in for it; nil: any may.
    public var publicKey: String?
    /// Describes a ticket.
    public init(
        name: String,
        principal: String,
        process: Int32? = nil,
        instance: String = "",
        owner: String = "",
        isShadow: Bool = false,
        publicKey: String? = nil
    ) {
        self.name = name
        self.principal = principal
        self.process = process
        self.instance = instance
        self.owner = owner
        self.isShadow = isShadow
        self.publicKey = publicKey
    }
}

/// The tickets that have been given out and not yet redeemed.
struct TicketOffice: Sendable {
    /// What came of a ticket.
    enum Redemption: Hashable, Sendable {
        /// It was good; it is gone now.
        case granted(TicketGrant)
        /// Its time had run out; it is gone now.
        case expired
        /// Never given out, taken back, or presented before.
        case unknown
    }

    private struct Ticket: Sendable {
        var grant: TicketGrant
        /// Nil: good until taken back.
        var expires: MeshInstant?
    }

    private var tickets: [String: Ticket] = [:]
    /// The count at which those that have run out are swept: twice what the last sweep left, so that sweeps cost O(1)
    /// each.
    private var sweepCount = 64
    /// When those that have run out may be swept again, where there is no room.
    private var nextSweep = MeshInstant(nanoseconds: 0)

    /// Makes an office that has given out none.
    init() {}

    /// How many are out, expired ones that have not been swept included.
    var count: Int { tickets.count }

    /// True when fewer are out; sweeps once a second at most, since whoever asks decides how often.
    mutating func hasRoom(_ most: Int, now: MeshInstant) -> Bool {
        if tickets.count >= most, nextSweep <= now {
            sweep(now: now)
            nextSweep = now.advanced(milliseconds: 1_000)
        }
        return tickets.count < most
    }

    /// Gives out a ticket of 64 hex digits, made from four draws.
    ///
    /// It is good before `expires`; when that is nil, until it is taken back.
    mutating func issue(
        _ grant: TicketGrant,
        expires: MeshInstant?,
        now: MeshInstant,
        entropy: () -> UInt64
    ) -> String {
        if tickets.count >= sweepCount { sweep(now: now) }
        let text = (0..<4).map { _ in Self.hex(entropy()) }.joined()
        tickets[text] = Ticket(grant: grant, expires: expires)
        return text
    }

    /// Looks at a ticket; it stays good.
    func look(at ticket: String, now: MeshInstant) -> Redemption {
        guard let found = tickets[ticket] else { return .unknown }
        if let expires = found.expires, expires <= now { return .expired }
        return .granted(found.grant)
    }

    /// Takes a ticket in, once.
    mutating func redeem(_ ticket: String, now: MeshInstant) -> Redemption {
        let found = look(at: ticket, now: now)
        tickets[ticket] = nil
        return found
    }

    /// Puts whoever presents a ticket in service at once: its session has been promoted.
    mutating func promote(_ ticket: String) { tickets[ticket]?.grant.isShadow = false }

    /// Takes every ticket of a labelled instance back.
    mutating func revokeAll(instance: String, owner: String) {
        tickets = tickets.filter { $0.value.grant.instance != instance || $0.value.grant.owner != owner }
    }

    /// The keys for which a ticket is out that is good now.
    func keys(now: MeshInstant) -> Set<String> {
        var keys: Set<String> = []
        for ticket in tickets.values where ticket.expires.map({ $0 > now }) ?? true {
            if let key = ticket.grant.publicKey { keys.insert(key) }
        }
        return keys
    }

    /// Sets when a ticket runs out: for the one that WELCOME gave, when its session has ended.
    mutating func setExpiry(of ticket: String, to expires: MeshInstant) { tickets[ticket]?.expires = expires }

    /// Takes a ticket back; false when it is not out.
    @discardableResult
    mutating func revoke(_ ticket: String) -> Bool { tickets.removeValue(forKey: ticket) != nil }

    /// Takes every ticket of a plugin back.
    mutating func revokeAll(named name: String) { tickets = tickets.filter { $0.value.grant.name != name } }

    private mutating func sweep(now: MeshInstant) {
        tickets = tickets.filter { ticket in ticket.value.expires.map { $0 > now } ?? true }
        sweepCount = max(64, tickets.count * 2)
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
