// What the egress proxy decides, apart from sockets: what a request asks for, whether its host is granted, and whether an
// address may be dialled. A name that leads to the machine itself or into its networks is refused, since whoever owns a name
// chooses where it leads; an address that is granted literally may be anything.

import Glibc
import Manifest

/// What a program asks of its proxy.
struct EgressRequest: Hashable, Sendable {
    let host: String
    let port: UInt16
    /// What goes to the host in place of the request's head; nil for a tunnel.
    let forwarded: [UInt8]?

    /// Reads the head of a request, with its empty line.
    ///
    /// - Returns: nil when it is neither `CONNECT host:port` nor a request for an `http:` address, or when its lines could
    ///   be read in another way by the host.
    init?(_ head: [UInt8]) {
        guard let lines = Self.lines(head), let first = lines.first else { return nil }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { return nil }
        if words[0] == "CONNECT" {
            guard let (host, port) = Self.authority(words[1], standard: nil) else { return nil }
            (self.host, self.port, forwarded) = (host, port, nil)
            return
        }
        guard words[1].lowercased().hasPrefix("http://") else { return nil }
        let rest = words[1].dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let (host, port) = Self.authority(authority, standard: 80), Self.isToken(words[0].utf8) else {
            return nil
        }
        (self.host, self.port) = (host, port)
        let path = rest.dropFirst(authority.count)
        // One request for each connection: a second might be for another host. The host is the one that was checked, since
        // a server of many hosts goes by this line.
        var kept = ["Host: \(authority)"]
        let own = ["host", "proxy-connection", "connection", "keep-alive", "proxy-authorization"]
        for line in lines.dropFirst() where !line.isEmpty {
            guard let colon = line.utf8.firstIndex(of: 0x3A), Self.isToken(line.utf8[..<colon]) else { return nil }
            if !own.contains(line[..<colon].lowercased()) { kept.append(line) }
        }
        let target = path.hasPrefix("/") ? String(path) : "/" + path
        let text = ["\(words[0]) \(target) HTTP/1.1"] + kept + ["Connection: close", "", ""]
        forwarded = Array(text.joined(separator: "\r\n").utf8)
    }

    /// The lines of a head; nil when a byte in them is one that some take for a line's end, or is none of a text.
    private static func lines(_ head: [UInt8]) -> [String]? {
        var lines: [String] = []
        var line: [UInt8] = []
        var index = head.startIndex
        while index < head.endIndex {
            let byte = head[index]
            index += 1
            if byte == 0x0D, index < head.endIndex, head[index] == 0x0A {
                guard let text = String(validating: line, as: UTF8.self) else { return nil }
                lines.append(text)
                line = []
                index += 1
            } else {
                guard byte == 0x09 || byte >= 0x20 && byte != 0x7F else { return nil }
                line.append(byte)
            }
        }
        return line.isEmpty ? lines : nil
    }

    /// Whether a text is a name as HTTP has them.
    private static func isToken(_ text: some Collection<UInt8>) -> Bool {
        let marks = Array("!#$%&'*+-.^_`|~".utf8)
        return !text.isEmpty
            && text.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || marks.contains(byte)
            }
    }

    private static func authority(_ text: Substring, standard: UInt16?) -> (String, UInt16)? {
        guard !text.contains("@") else { return nil }
        var host = text
        var port = standard
        if let colon = text.lastIndex(of: ":"), text.last != "]" {
            guard let number = UInt16(text[text.index(after: colon)...]), number > 0 else { return nil }
            host = text[..<colon]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        while host.hasSuffix(".") { host = host.dropLast() }
        let isClean = host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        guard !host.isEmpty, host.utf8.count <= 253, isClean, let port else { return nil }
        return (host.lowercased(), port)
    }
}

/// Which hosts and addresses may be reached.
struct EgressPolicy: Hashable, Sendable {
    let hosts: [HostPattern]

    /// Whether a host and port are granted.
    func grants(_ host: String, port: UInt16) -> Bool { hosts.contains { $0.matches(host: host, port: port) } }

    /// Whether an address that a granted host resolved to may be dialled.
    func mayDial(_ address: String, for host: String, port: UInt16) -> Bool {
        guard let bytes = Self.bytes(address) else { return false }
        if Self.isPublic(bytes) { return true }
        if host == "localhost" { return Self.isLoopback(bytes) }
        return hosts.contains { pattern in
            !pattern.matchesSubdomains && (pattern.port == nil || pattern.port == port)
                && Self.bytes(pattern.host) == bytes
        }
    }

    /// The bytes of an address, four or sixteen; one of version 4 within version 6 as four.
    static func bytes(_ address: String) -> [UInt8]? {
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, address, &four) == 1 { return four }
        var sixteen = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, address, &sixteen) == 1 else { return nil }
        let isMapped = sixteen[..<10].allSatisfy { $0 == 0 } && sixteen[10] == 0xFF && sixteen[11] == 0xFF
        return isMapped ? Array(sixteen[12...]) : sixteen
    }

    static func isLoopback(_ bytes: [UInt8]) -> Bool {
        bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }

    /// Whether an address is one of the internet's: not of this machine, of private networks, or of nobody's.
    static func isPublic(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 4 {
            switch (bytes[0], bytes[1]) {
            case (0, _), (10, _), (127, _), (224..., _): return false
            case (100, 64...127), (169, 254), (172, 16...31), (192, 168), (198, 18...19): return false
            case (192, 0): return bytes[2] != 0 && bytes[2] != 2
            case (198, 51): return bytes[2] != 100
            case (203, 0): return bytes[2] != 113
            default: return true
            }
        }
        guard bytes.count == 16 else { return false }
        // 64:ff9b::/96 and 2002::/16 carry an address of version 4, which decides.
        if bytes[..<12] == [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] { return isPublic(Array(bytes[12...])) }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return isPublic(Array(bytes[2..<6])) }
        if bytes[0] == 0x20, bytes[1] == 0x01, bytes[2] == 0x0D, bytes[3] == 0xB8 { return false }
        return bytes[0] & 0xE0 == 0x20
    }
}
