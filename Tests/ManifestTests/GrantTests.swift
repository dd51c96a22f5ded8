// Requested against granted.

import Manifest
import Testing

private func request(_ name: String, _ hosts: [String]? = nil) throws -> PermissionRequest {
    PermissionRequest(name: name, hosts: try hosts?.map { try #require(HostPattern($0)) })
}

private func grant(_ names: [String], _ hosts: [String]? = nil) throws -> PluginGrant {
    PluginGrant(permissions: names, hosts: try hosts?.map { try #require(HostPattern($0)) })
}

@Test func `what is asked for and granted is there, what is needed and not granted is missing`() throws {
    let permissions = EffectivePermissions(
        required: [try request("storage"), try request("networking"), try request("audit.read")],
        optional: [try request("fs"), try request("gpu")],
        grant: try grant(["storage", "gpu", "never-asked"])
    )
    #expect(permissions.storage)
    #expect(permissions.networking == .none)
    #expect(permissions.names == ["gpu", "storage"])
    #expect(permissions.missingNames == ["networking", "audit.read"])
    #expect(permissions.refused.map(\.name) == ["fs"])
    #expect(permissions.unused == ["never-asked"])
}

@Test func `what is granted and not asked for has no effect`() throws {
    let permissions = EffectivePermissions(required: [], grant: try grant(["storage", "networking"]))
    #expect(!permissions.storage && permissions.networking == .none && permissions.missing.isEmpty)
}

@Test(
    arguments: [
        (nil, nil, "all"),
        (["a.example:443"], nil, "a.example:443"),
        (nil, ["a.example"], "a.example"),
        (["a.example", "b.example"], ["b.example:443"], "b.example:443"),
        (["*.example"], ["api.example:443", "other.test"], "api.example:443"),
        (["api.example:443"], ["*.example"], "api.example:443"),
        (["*.example"], ["*.deep.example:80"], "*.deep.example:80"),
        (["a.example:443"], ["a.example:80"], "none"),
        (["a.example"], [], "none"),
    ] as [([String]?, [String]?, String)]
)
func `hosts are narrowed by the grant`(asked: [String]?, granted: [String]?, expected: String) throws {
    let permissions = EffectivePermissions(
        required: [try request("networking", asked)],
        grant: try grant(["networking"], granted)
    )
    #expect(permissions.networking.description == expected)
    #expect(permissions.missingNames == (expected == "none" ? ["networking"] : []))
}

@Test func `hosts that a grant leaves out are told, but do not block`() throws {
    let permissions = EffectivePermissions(
        required: [try request("networking", ["a.example:443", "b.example:443"])],
        grant: try grant(["networking"], ["a.example"])
    )
    #expect(permissions.networking.description == "a.example:443")
    #expect(permissions.unreachable.map(\.description) == ["b.example:443"])
    #expect(permissions.missing.isEmpty)
}

@Test(
    arguments: [
        ("a.example", "A.example", "a.example"), ("*.example", "example", nil), ("*.example", "xexample", nil),
        ("*.example", "*.example:1", "*.example:1"), ("*.a.example", "*.b.example", nil),
        ("[::1]:1", "[::1]", "[::1]:1"),
    ] as [(String, String, String?)]
)
func `two patterns have in common what both match`(left: String, right: String, expected: String?) throws {
    let one = try #require(HostPattern(left))
    let two = try #require(HostPattern(right))
    #expect(one.intersection(two)?.description == expected)
    #expect(two.intersection(one)?.description == expected)
}
