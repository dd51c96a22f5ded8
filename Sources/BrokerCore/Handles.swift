// What the core and its shell call things between them: connections, payloads, sessions.

/// A connection as the shell knows it.
///
/// A handle, never an identity, and never shown to a peer.
public struct PeerHandle: Hashable, Sendable {
    /// The listener's number in the high half, the transport's routing id in the low half.
    public var rawValue: UInt64
    /// Names a connection.
    @inlinable public init(listener: UInt32, routingID: UInt32) {
        rawValue = UInt64(listener) << 32 | UInt64(routingID)
    }
    /// Which listener it came through.
    @inlinable public var listener: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    /// The transport's routing id.
    @inlinable public var routingID: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}

/// A payload that the shell keeps for the core.
///
/// Whoever gets a handle owns one reference: it gives it back with exactly one
/// ``Outbox`` send that moves it or one release. A send that shares leaves the reference with the core.
public struct BodyHandle: Hashable, Sendable {
    /// The shell's slot; ``none`` for a message without a payload.
    public var rawValue: UInt32
    /// Names a slot.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// No payload.
    @inlinable public static var none: BodyHandle { BodyHandle(rawValue: .max) }
    /// True when there is no payload.
    @inlinable public var isNone: Bool { rawValue == .max }
}

/// A session's public number: not a secret, and not used twice within an epoch.
public struct SessionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The number; zero is the broker itself.
    public var rawValue: UInt64
    /// Names a session.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The broker's own, which provides the service `mesh`.
    public static let broker = SessionID(rawValue: 0)
    /// Orders sessions by age.
    public static func < (left: SessionID, right: SessionID) -> Bool { left.rawValue < right.rawValue }
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

/// What the transport vouches for about a connection.
public enum Credentials: Hashable, Sendable {
    /// The kernel's word on the process at the other end of a local socket.
    case local(user: UInt32, process: Int32)
    /// The same of one that came by the plugins' socket: a sandbox keeps its user, so a ticket alone says who it is.
    case plugin(user: UInt32, process: Int32)
    /// The principal that the mesh file gives to the peer's CURVE key.
    case key(principal: String)
    /// A CURVE key that is let in for a ticket alone, as 40 characters of Z85.
    case ticketKey(String)
}

extension Credentials {
    /// Whose connections are counted together before HELLO.
    enum Holder: Hashable, Sendable {
        case user(UInt32)
        case name(String)
    }

    /// The process and its user, where the kernel knows them.
    var local: (user: UInt32, process: Int32)? {
        switch self {
        case .local(let user, let process), .plugin(let user, let process): (user, process)
        case .key, .ticketKey: nil
        }
    }

    var holder: Holder {
        switch self {
        case .local(let user, _): .user(user)
        // Plugins that crowd in keep no place from their user's own programs.
        case .plugin(let user, _): .name("plugins of user \(user)")
        case .key(let principal): .name(principal)
        case .ticketKey(let key): .name("key:" + key)
        }
    }
}
