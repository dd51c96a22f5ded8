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

/// The tickets that have been given out and not yet presented.
struct TicketOffice: Sendable {
    /// What a ticket is worth.
    enum Finding: Hashable, Sendable {
        /// It is good.
        case granted(TicketGrant)
        /// Its time has run out.
        case expired
        /// Never given out, taken back, or presented before.
        case unknown
    }

    private struct Ticket: Sendable {
        var grant: TicketGrant
        /// Nil: good until taken back.
        var expires: MeshInstant?

        func isGood(at now: MeshInstant) -> Bool { expires.map { $0 > now } ?? true }
        /// Whose process it is for; nil when it has no label.
        var instance: Instance? {
            grant.instance.isEmpty ? nil : Instance(label: grant.instance, owner: grant.owner)
        }
    }

    private struct Instance: Hashable, Sendable {
        var label: String
        var owner: String
    }

    private var tickets: [String: Ticket] = [:]
    /// The tickets of each labelled instance, so that its end asks no others.
    private var byInstance: [Instance: Set<String>] = [:]
    /// The tickets for each key, so that the door asks no others.
    private var byKey: [String: Set<String>] = [:]
    /// How many each principal has asked for.
    private var countByOwner: [String: Int] = [:]
    /// The count at which those that have run out are swept: twice what the last sweep left, so that sweeps cost O(1)
    /// each.
    private var sweepCount = 64
    /// When those that have run out may be swept again, where there is no room.
    private var nextSweep = MeshInstant(nanoseconds: 0)

    /// Makes an office that has given out none.
    init() {}

    /// How many are out, expired ones that have not been swept included.
    var count: Int { tickets.count }

    /// True when fewer are out, in all and for one principal; sweeps once a second at most, since whoever asks decides how
    /// often.
    mutating func hasRoom(_ most: Int, share: Int, of owner: String, now: MeshInstant) -> Bool {
        var isFull: Bool { tickets.count >= most || countByOwner[owner, default: 0] >= share }
        if isFull, nextSweep <= now {
            sweep(now: now)
            nextSweep = now.advanced(milliseconds: 1_000)
        }
        return !isFull
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
        let ticket = Ticket(grant: grant, expires: expires)
        tickets[text] = ticket
        countByOwner[grant.owner, default: 0] += 1
        if let instance = ticket.instance { byInstance[instance, default: []].insert(text) }
        if let key = grant.publicKey { byKey[key, default: []].insert(text) }
        return text
    }

    /// Looks at a ticket; it stays good.
    func look(at ticket: String, now: MeshInstant) -> Finding {
        guard let found = tickets[ticket] else { return .unknown }
        return found.isGood(at: now) ? .granted(found.grant) : .expired
    }

    /// Puts whoever presents a ticket in service at once: its session has been promoted.
    mutating func promote(_ ticket: String) { tickets[ticket]?.grant.isShadow = false }

    /// Sets when a ticket runs out: for the one that WELCOME gave, when its session has ended.
    mutating func setExpiry(of ticket: String, to expires: MeshInstant) { tickets[ticket]?.expires = expires }

    // MARK: By key

    /// The keys for which a ticket is out that is good now.
    func keys(now: MeshInstant) -> Set<String> { Set(byKey.keys.filter { hasTicket(for: $0, now: now) }) }

    /// True when a ticket for a key is out that is good now.
    func hasTicket(for key: String, now: MeshInstant) -> Bool {
        byKey[key]?.contains { tickets[$0]?.isGood(at: now) ?? false } ?? false
    }

    // MARK: Taking back

    /// Takes a ticket back, as it is when it has been presented; false when it is not out.
    @discardableResult
    mutating func revoke(_ text: String) -> Bool {
        guard let ticket = tickets.removeValue(forKey: text) else { return false }
        countByOwner[ticket.grant.owner, default: 0] -= 1
        if countByOwner[ticket.grant.owner] == 0 { countByOwner[ticket.grant.owner] = nil }
        if let instance = ticket.instance { Self.remove(text, of: instance, from: &byInstance) }
        if let key = ticket.grant.publicKey { Self.remove(text, of: key, from: &byKey) }
        return true
    }

    /// Takes every ticket of a labelled instance back.
    mutating func revokeAll(instance: String, owner: String) {
        for text in byInstance[Instance(label: instance, owner: owner)] ?? [] { revoke(text) }
    }

    private mutating func sweep(now: MeshInstant) {
        for (text, ticket) in tickets where !ticket.isGood(at: now) { revoke(text) }
        sweepCount = max(64, tickets.count * 2)
    }

    private static func remove<Key>(_ text: String, of key: Key, from index: inout [Key: Set<String>]) {
        index[key]?.remove(text)
        if index[key]?.isEmpty == true { index[key] = nil }
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
