// The words of ZAP (RFC 27): what libzmq asks about a connection and what a handler may answer. Pure but for the frames.

/// A connection that asks to be let in.
public struct ZapRequest: Sendable {
    /// What the peer showed to prove who it is.
    public enum Mechanism: Hashable, Sendable {
        /// Nothing.
        case null
        /// A user name and a password.
        case plain(user: String, password: String)
        /// A CURVE key, whose secret half the peer has proved to hold.
        case curve(CurvePublicKey)
        /// Something else.
        case other(String)
    }

    /// The ZAP domain of the socket that was connected to.
    public let domain: String
    /// The peer's address as libzmq wrote it.
    public let addressText: String
    /// What the peer showed.
    public let mechanism: Mechanism

    /// The peer's address: the kernel's credentials on ipc, a numeric host on tcp.
    public var address: PeerAddress? { PeerAddress(addressText) }

    /// Makes a request, as a test of a policy would.
    public init(domain: String, address: String, mechanism: Mechanism) {
        self.domain = domain
        self.addressText = address
        self.mechanism = mechanism
    }

    /// The most frames a request has: up to two credentials.
    static let maximumFrameCount = 8
    private static let fixedFrameCount = 6

    /// Reads a request as a REP socket receives it; nil if it is malformed.
    init?(_ frames: borrowing FrameBuffer) {
        guard frames.count >= ZapRequest.fixedFrameCount, frames.text(at: 0) == "1.0" else { return nil }
        let mechanism: Mechanism
        let credentialCount = frames.count - ZapRequest.fixedFrameCount
        switch frames.text(at: 5) {
        case "NULL":
            mechanism = .null
        case "PLAIN":
            guard credentialCount == 2 else { return nil }
            mechanism = .plain(user: frames.text(at: 6), password: frames.text(at: 7))
        case "CURVE":
            guard credentialCount == 1 else { return nil }
            guard let key = frames.withUnsafeBytes(at: 6, { try? CurvePublicKey(bytes: $0) }) else { return nil }
            mechanism = .curve(key)
        case let name:
            mechanism = .other(name)
        }
        self.init(domain: frames.text(at: 2), address: frames.text(at: 3), mechanism: mechanism)
    }
}

/// The answer to a connection that asks to be let in.
public enum ZapDecision: Hashable, Sendable {
    /// Let in; the user id marks every message of the connection.
    case accept(userID: String)
    /// Refused; the peer is told so.
    case deny(reason: String)
    /// Not now; the peer is dropped silently and may try again.
    case tryLater(reason: String)
    /// The handler itself failed.
    case failure(reason: String)

    /// The longest user id and reason that are passed on.
    static let maximumTextByteCount = 255

    var status: String {
        switch self {
        case .accept: "200"
        case .deny: "400"
        case .tryLater: "300"
        case .failure: "500"
        }
    }

    var text: String {
        switch self {
        case .accept: "OK"
        case .deny(let reason), .tryLater(let reason), .failure(let reason): reason
        }
    }

    var userID: String {
        if case .accept(let userID) = self { userID } else { "" }
    }
}

extension FrameBuffer {
    /// A frame as text.
    borrowing func text(at index: Int) -> String {
        withUnsafeBytes(at: index) { String(decoding: $0, as: UTF8.self) }
    }
}
