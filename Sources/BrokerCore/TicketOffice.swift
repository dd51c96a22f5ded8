// One-time tickets: what a host hands to the process it starts, and what WELCOME hands on. Pure: entropy is passed in.

/// What a ticket is good for.
public struct TicketGrant: Hashable, Sendable {
    /// The name that HELLO must carry: the plugin's.
    public var name: String
    /// The principal that the session gets.
    public var principal: String
    /// The process that may present it; nil: any.
    public var process: Int32?
    /// Describes a ticket.
    public init(name: String, principal: String, process: Int32? = nil) {
        self.name = name
        self.principal = principal
        self.process = process
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
        /// Never given out, revoked, or presented before.
        case unknown
    }
    /// How many are out.
    var count: Int { 0 }
    /// Makes an office that has given out none.
    init() {}
    /// Gives out a ticket of 64 hex digits, made from four draws; without `expires` it stays good until revoked.
    mutating func issue(
        _ grant: TicketGrant,
        expires: MeshInstant?,
        now: MeshInstant,
        entropy: () -> UInt64
    ) -> String { "" }
    /// Takes a ticket in, once.
    mutating func redeem(_ ticket: String, now: MeshInstant) -> Redemption { .unknown }
    /// Sets when a ticket runs out: for a reconnect ticket, when its session has ended.
    mutating func setExpiry(of ticket: String, to expires: MeshInstant) {}
    /// Takes a ticket back; false when it is not out.
    @discardableResult mutating func revoke(_ ticket: String) -> Bool { false }
    /// Takes every ticket of a plugin back.
    mutating func revokeAll(named name: String) {}
}
