// A host that a plugin may reach, as written in `hosts`: a name or an address, perhaps a wildcard in front, perhaps a
// port. Parsing and matching only; the gate that uses it is elsewhere. Pure.

/// A host that a plugin asks to reach.
public struct HostPattern: Hashable, Sendable, CustomStringConvertible {
    /// The name or address in lower case, without a wildcard and without brackets.
    public let host: String
    /// Whether any name below `host` is meant (`*.example.com`), and not `host` itself.
    public let matchesSubdomains: Bool
    /// The only port; nil means any.
    public let port: UInt16?

    /// Reads `host`, `host:port`, `*.domain`, `*.domain:port`, `[v6]` or `[v6]:port`; nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.count <= 260, let (name, portText) = Self.split(text) else { return nil }
        if let portText {
            guard portText.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = UInt16(portText), number > 0
            else { return nil }
            port = number
        } else {
            port = nil
        }
        matchesSubdomains = name.hasPrefix("*.")
        let rest = matchesSubdomains ? String(name.dropFirst(2)) : name
        host = rest.lowercased()
        let isAddress = !matchesSubdomains && rest.contains(":")
        guard isAddress ? Self.isAddress(rest) : Self.isHostName(rest) else { return nil }
    }

    /// The pattern as it is written in a manifest.
    public var description: String {
        let name = host.contains(":") ? "[\(host)]" : matchesSubdomains ? "*.\(host)" : host
        return port.map { "\(name):\($0)" } ?? name
    }

    /// Whether a host and port fit the pattern.
    public func matches(host other: String, port otherPort: UInt16) -> Bool {
        guard port == nil || port == otherPort else { return false }
        let other = other.lowercased()
        return matchesSubdomains ? other.hasSuffix("." + host) && other.utf8.count > host.utf8.count + 1 : other == host
    }

    /// What the text may have been meant as: the host of a URL.
    static func suggestion(for text: String) -> String? {
        guard let scheme = text.range(of: "://") else { return nil }
        let authority = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let ports = ["https": 443, "http": 80, "wss": 443, "ws": 80]
        guard let pattern = HostPattern(String(authority)) else { return nil }
        if pattern.port != nil { return pattern.description }
        return ports[String(text[..<scheme.lowerBound])].map { "\(pattern):\($0)" } ?? pattern.description
    }

    private static func split(_ text: String) -> (name: String, port: String?)? {
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            let name = String(text[text.index(after: text.startIndex)..<close])
            let rest = text[text.index(after: close)...]
            guard name.contains(":"), rest.isEmpty || rest.first == ":" else { return nil }
            return (name, rest.isEmpty ? nil : String(rest.dropFirst()))
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.first else { return nil }
        return (String(name), parts.count == 2 ? String(parts[1]) : nil)
    }

    private static func isHostName(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 253 else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        }
    }

    private static func isAddress(_ text: String) -> Bool {
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        let compressions = text.indices.dropLast().filter { text[$0...].hasPrefix("::") }.count
        guard groups.count <= 9, compressions <= 1, compressions == 1 || groups.count == 8, groups.count >= 3 else {
            return false
        }
        return groups.allSatisfy { $0.utf8.count <= 4 && $0.allSatisfy { $0.isASCII && $0.isHexDigit } }
    }
}

extension String {
    /// Where a short text first stands.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
