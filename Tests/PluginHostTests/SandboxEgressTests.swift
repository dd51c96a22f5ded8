// The way out to granted hosts and nowhere else: through the relay and the proxy from inside a sandbox, and what the policy says.

import CLinuxShims
import Glibc
import Manifest
import Testing

@testable import PluginHost

@Suite(.timeLimit(.minutes(1)))
struct SandboxEgressTests {
    @Test(.enabled(if: sandboxWorks))
    func `through the proxy a granted host is reached, and no other`() async throws {
        let place = try Place()
        let granted = try #require(TestServer(port: 0))
        let other = try #require(TestServer(port: 0))
        let pattern = try #require(HostPattern("127.0.0.1:\(granted.port)"))
        let heard = Heard()
        let order = place.order(
            [
                "probe", "--", "proxy:127.0.0.1:\(granted.port)", "proxy:127.0.0.1:\(other.port)",
                "proxy:localhost:\(granted.port)", "tcp:127.0.0.1:\(granted.port)", "tcp:1.1.1.1:443", "interfaces",
                "environment:HTTPS_PROXY",
            ],
            program: fixture("wizmesh-launch"),
            permissions: LaunchPermissions(networking: .hosts([pattern]))
        )
        let process = try await testLauncher().launch(order, line: heard.hear)
        _ = await process.end()
        #expect(
            heard.texts(.standardOutput) == [
                "proxy:127.0.0.1:\(granted.port)=200", "proxy:127.0.0.1:\(other.port)=403",
                "proxy:localhost:\(granted.port)=403", "tcp:127.0.0.1:\(granted.port)=ECONNREFUSED",
                "tcp:1.1.1.1:443=ENETUNREACH", "interfaces=lo", "environment:HTTPS_PROXY=http://127.0.0.1:3128",
            ]
        )
        #expect((process as? SystemProcess)?.egressCounts == EgressProxy.Counts(dialled: 1, refused: 2))
        let said = heard.texts(.host)
        #expect(said.contains("egress: 127.0.0.1:\(granted.port) at 127.0.0.1"))
        #expect(said.contains { $0.hasPrefix("egress: 127.0.0.1:\(other.port) refused: granted are 127.0.0.1:") })
    }

    @Test func `a granted name that leads into a private network is refused`() throws {
        let policy = EgressPolicy(hosts: [try #require(HostPattern("api.example.org:443"))])
        #expect(policy.grants("api.example.org", port: 443))
        #expect(!policy.grants("api.example.org", port: 80))
        #expect(!policy.grants("example.org", port: 443))
        #expect(policy.mayDial("93.184.216.34", for: "api.example.org", port: 443))
        let inside = [
            "127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
            "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "not an address",
        ]
        for address in inside { #expect(!policy.mayDial(address, for: "api.example.org", port: 443), "\(address)") }
        for address in ["172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::5db8:d822"] {
            #expect(policy.mayDial(address, for: "api.example.org", port: 443), "\(address)")
        }
    }

    @Test func `an address that is granted literally may be anything`() throws {
        let hosts = try ["10.0.0.5:5432", "[::1]:80", "localhost:8080"].map { try #require(HostPattern($0)) }
        let policy = EgressPolicy(hosts: hosts)
        #expect(policy.mayDial("10.0.0.5", for: "10.0.0.5", port: 5432))
        #expect(!policy.mayDial("10.0.0.6", for: "10.0.0.5", port: 5432))
        #expect(policy.mayDial("::1", for: "::1", port: 80))
        #expect(policy.mayDial("127.0.0.1", for: "localhost", port: 8080))
        #expect(!policy.mayDial("10.0.0.5", for: "localhost", port: 8080))
    }

    @Test func `a tunnel and a plain request are read, and nothing else is`() {
        func read(_ text: String) -> EgressRequest? { EgressRequest(Array(text.utf8)) }
        let tunnel = read("CONNECT API.example.org.:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(tunnel?.host == "api.example.org" && tunnel?.port == 443 && tunnel?.forwarded == nil)
        #expect(read("CONNECT [::1]:80 HTTP/1.1\r\n\r\n")?.host == "::1")
        let plain = read(
            "GET http://example.org/a?b=c HTTP/1.1\r\nHost: example.org\r\nProxy-Connection: keep-alive\r\n\r\n"
        )
        #expect(plain?.host == "example.org" && plain?.port == 80)
        #expect(
            plain?.forwarded.map { String(decoding: $0, as: UTF8.self) }
                == "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"
        )
        // A server of many hosts goes by the line that says which.
        let front = read("GET http://example.org:81 HTTP/1.1\r\nhost: other.org\r\nHOST: b\r\nA: b\r\n\r\n")
        #expect(
            front?.forwarded.map { String(decoding: $0, as: UTF8.self) }
                == "GET / HTTP/1.1\r\nHost: example.org:81\r\nA: b\r\nConnection: close\r\n\r\n"
        )
        let folded = [
            "A: b\nHost: other.org", "A: b\rHost: other.org", " Host: other.org", "Host : other.org", "\tA: b",
            "A: b\0",
            "A", ":", "Host\u{301}: b", "A: b\r\n Host: other.org",
        ]
        for line in folded { #expect(read("GET http://example.org/ HTTP/1.1\r\n\(line)\r\n\r\n") == nil, "\(line)") }
        #expect(EgressRequest(Array("GET http://a/ HTTP/1.1\r\nA: ".utf8) + [0xFF, 13, 10, 13, 10]) == nil)
        #expect(read("GE\tT http://example.org/ HTTP/1.1\r\n\r\n") == nil)
        let wrong = [
            "", "CONNECT", "CONNECT example.org HTTP/1.1\r\n\r\n", "CONNECT example.org:0 HTTP/1.1\r\n\r\n",
            "CONNECT example.org:99999 HTTP/1.1\r\n\r\n", "GET /path HTTP/1.1\r\n\r\n", "GET ftp://x/ HTTP/1.1\r\n\r\n",
            "GET http://user@example.org/ HTTP/1.1\r\n\r\n", "CONNECT :443 HTTP/1.1\r\n\r\n",
            "CONNECT a:1 SPDY\r\n\r\n",
        ]
        for text in wrong { #expect(read(text) == nil, "\(text)") }
    }
}
