// Where a relay carries bytes to: the broker's tcp endpoint, its addresses, and sockets that begin to connect to them.

internal import CLinuxShims
internal import Glibc

/// The host and port of a `tcp://` endpoint.
public struct RelayTarget: Hashable, Sendable, CustomStringConvertible {
    /// A name, or an address; IPv6 without brackets.
    public let host: String
    /// The port.
    public let port: UInt16

    /// Names a host and port.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `tcp://host:port`; nil when it is none.
    public init?(endpoint: String) {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":"),
            let port = UInt16(endpoint[endpoint.index(after: colon)...]), port > 0
        else { return nil }
        var host = endpoint[endpoint.index(endpoint.startIndex, offsetBy: 6)..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: port)
    }

    /// The endpoint.
    public var description: String { host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)" }
}

/// One address of a target.
struct RelayAddress: Sendable {
    private let storage: [UInt8]
    private let family: Int32

    /// Looks a target's addresses up, which takes as long as the system's resolver does unless the host is an address;
    /// with `isNumericOnly` no resolver is asked, and nothing comes of a name.
    static func resolve(_ target: RelayTarget, isNumericOnly: Bool = false) -> Result<[RelayAddress], RelayFailure> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (isNumericOnly ? AI_NUMERICHOST : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(target.host, String(target.port), &hints, &list)
        guard code == 0 else {
            return .failure(RelayFailure("\(target.host) is not found: \(String(cString: gai_strerror(code)))"))
        }
        defer { freeaddrinfo(list) }
        var addresses: [RelayAddress] = []
        var next = list
        while let info = next?.pointee {
            if let address = info.ai_addr {
                let bytes = UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen))
                addresses.append(RelayAddress(storage: Array(bytes), family: info.ai_family))
            }
            next = info.ai_next
        }
        return .success(addresses)
    }

    /// Opens a socket that connects, or has connected.
    func connect() -> Result<Int32, RelayFailure> {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { return .failure(RelayFailure(errno: errno)) }
        Self.configure(descriptor)
        let result = storage.withUnsafeBytes { bytes in
            bytes.baseAddress.map { address in
                Glibc.connect(descriptor, address.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            }
        }
        guard result == 0 || errno == EINPROGRESS else {
            let failure = RelayFailure(errno: errno)
            close(descriptor)
            return .failure(failure)
        }
        return .success(descriptor)
    }

    /// Small messages leave at once, and a machine that has gone without a word is noticed within seconds.
    private static func configure(_ descriptor: Int32) {
        let tcp = Int32(IPPROTO_TCP)
        for (level, option, value) in [
            (tcp, TCP_NODELAY, 1), (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, 5), (tcp, TCP_KEEPINTVL, 3),
            (tcp, TCP_KEEPCNT, 3), (tcp, TCP_USER_TIMEOUT, 10_000),
        ] as [(Int32, Int32, Int32)] {
            var value = value
            setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }
}

/// Why a relay cannot be, or a connection of it came to nothing.
public struct RelayFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What happened.
    public let description: String

    init(_ description: String) { self.description = description }

    init(errno code: Int32) { description = String(cString: strerror(code)) }
}
