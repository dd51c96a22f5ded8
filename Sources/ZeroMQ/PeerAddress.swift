// Who is at the other end of a connection, as the kernel says: credentials on ipc, a numeric host on tcp. And the one
// way to throw a peer out: shutting its descriptor down, after asking the kernel that it is still the same peer.

import CLinuxShims

/// The kernel's word on the process at the other end of an ipc connection.
public struct PeerCredentials: Hashable, Sendable {
    /// The user the process ran as when it connected.
    public let userID: UInt32
    /// The group the process ran as when it connected.
    public let groupID: UInt32
    /// The process.
    public let processID: Int32

    /// Makes credentials from their parts.
    public init(userID: UInt32, groupID: UInt32, processID: Int32) {
        self.userID = userID
        self.groupID = groupID
        self.processID = processID
    }
}

/// The other end of a connection, from the `Peer-Address` property or a ZAP request.
public enum PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// A process on this machine.
    case process(PeerCredentials)
    /// A numeric host.
    case host(String)

    /// Reads what libzmq gives; nil if it is empty or malformed.
    public init?(_ text: String) {
        guard !text.isEmpty else { return nil }
        guard text.hasPrefix("localhost:") else {
            self = .host(text)
            return
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, let user = UInt32(parts[1]), let group = UInt32(parts[2]), let process = Int32(parts[3])
        else { return nil }
        self = .process(PeerCredentials(userID: user, groupID: group, processID: process))
    }

    /// The address as libzmq writes it.
    public var description: String {
        switch self {
        case .process(let peer): "localhost:\(peer.userID):\(peer.groupID):\(peer.processID)"
        case .host(let host): host
        }
    }

    /// The address of a connected descriptor.
    static func of(fileDescriptor: Int32) -> PeerAddress? {
        var host = [CChar](repeating: 0, count: 64)
        if wiz_peer_host(fileDescriptor, &host, host.count) == 0 {
            return .host(String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        var (process, user, group): (Int32, UInt32, UInt32) = (0, 0, 0)
        guard wiz_peer_credentials(fileDescriptor, &process, &user, &group) == 0 else { return nil }
        return .process(PeerCredentials(userID: user, groupID: group, processID: process))
    }
}

/// The path of the listener by which a local peer came.
///
/// The descriptor may have been used again since, so the kernel is asked who is there before and after.
/// - Parameters:
///   - fileDescriptor: the connection, as a frame's `sourceFileDescriptor` has it.
///   - expected: who must be at its other end.
/// - Returns: the path; nil if somebody else is there, or no local socket.
public func listenerPath(fileDescriptor: Int32, expecting expected: PeerAddress) -> String? {
    var path = [CChar](repeating: 0, count: 128)
    guard PeerAddress.of(fileDescriptor: fileDescriptor) == expected,
        wiz_socket_path(fileDescriptor, &path, path.count) == 0,
        PeerAddress.of(fileDescriptor: fileDescriptor) == expected
    else { return nil }
    return String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Throws a peer out: libzmq then drops its connection, and sending to it is unreachable.
///
/// The descriptor comes from a message's or a frame's `sourceFileDescriptor` or from a monitor event and may have been
/// used again since, so the kernel is asked first who is there.
/// - Parameters:
///   - fileDescriptor: the connection; stays open, for libzmq to close.
///   - expected: who must be at its other end.
/// - Throws: `.peerMismatch` if somebody else is there.
public func disconnectPeer(fileDescriptor: Int32, expecting expected: PeerAddress) throws(ZeroMQError) {
    guard PeerAddress.of(fileDescriptor: fileDescriptor) == expected else {
        throw ZeroMQError(code: .peerMismatch, operation: .disconnectPeer, subject: expected.description)
    }
    let result = wiz_shutdown_both(fileDescriptor)
    guard result == 0 else {
        throw ZeroMQError(code: .init(rawValue: -result), operation: .disconnectPeer, subject: expected.description)
    }
}
