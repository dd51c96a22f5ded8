// Which handler answers which method, and what the broker is told about it.

import SemanticVersion
import Testing

@testable import WizPlugin

struct DispatchTests {
    static let manifest: Value = [
        "name": "shop", "version": "3.1.0", "capabilities": ["trade"], "limits": ["concurrency": 7],
        "provides": [
            [
                "service": "shop",
                "version": "2.0.0",
                "attributes": ["size": 5, "open": true],
                "capabilities": ["till"],
                "methods": [
                    "buy": ["permissions": ["money"], "timeoutMs": 1500],
                    "look": ["idempotent": true],
                    "watch": ["stream": "reply"],
                ],
            ]
        ],
    ]

    private func table(
        _ name: String = "shop",
        version: String? = nil,
        _ build: (inout ServiceBuilder) -> Void = { _ in }
    ) throws -> ServiceTable {
        var builder = ServiceBuilder()
        build(&builder)
        return try ServiceTable(
            name,
            version: version,
            options: .init(),
            builder: builder,
            plugin: try PluginInfo(Self.manifest),
            execute: { _, _ in .text("execute") }
        )
    }

    @Test func `declared methods go to execute, declared streams are left out`() throws {
        let table = try table()
        #expect(table.description.methods.map(\.name) == ["buy", "look"])
        #expect(table.unanswered == ["watch"])
        #expect(table.description.title == "shop@2.0.0")
        #expect(table.description.capacity == 7)
        #expect(table.description.capabilities == ["till", "trade"])
        #expect(table.description.attributes.map { $0.name + "=" + $0.value } == ["open=true", "size=5"])
        #expect(table.description.schema?.text.contains("timeoutMs") == true)
    }

    @Test func `code goes before plugin.json, which fills in what code leaves open`() throws {
        let table = try table(version: "2.0.1") { service in
            service.raw("buy", permissions: []) { payload, _ in payload }
            service.raw("look", idempotent: false, deadline: .milliseconds(20)) { payload, _ in payload }
            service.calls("watch", streams: .replies) { _, _ in .empty }
            service.raw("extra") { payload, _ in payload }
        }
        let methods = Dictionary(uniqueKeysWithValues: table.description.methods.map { ($0.name, $0) })
        #expect(methods.count == 4)
        #expect(methods["buy"]?.permissions == [])
        #expect(methods["buy"]?.deadlineMilliseconds == 1500)
        #expect(methods["look"]?.flags == [])
        #expect(methods["look"]?.deadlineMilliseconds == 20)
        #expect(methods["watch"]?.flags == .replyStream)
        #expect(table.unanswered.isEmpty)
        #expect(table.description.version == "2.0.1")
    }

    @Test func `a service that plugin.json does not know has the plugin's version`() throws {
        let table = try table("other") { $0.raw("x") { payload, _ in payload } }
        #expect(table.description.title == "other@3.1.0")
        #expect(table.description.schema == nil)
        #expect(throws: MeshError.self) { try table.handler("y") }
    }

    @Test func `a method that is registered twice, or a service without any, is refused`() {
        #expect(throws: PluginError.self) {
            try table {
                $0.raw("x") { payload, _ in payload }
                $0.raw("x") { payload, _ in payload }
            }
        }
        #expect(throws: PluginError.self) { try table("empty") }
    }
}

struct RegistryMirrorTests {
    private func service(
        _ name: String,
        _ version: String,
        _ providers: [(UInt64, String)],
        latent: Bool = false
    ) -> WatchedService {
        WatchedService(
            service: name,
            version: version,
            providers: providers.map { .init(session: $0.0, state: $0.1) },
            methods: [.init(name: "m")],
            latent: latent
        )
    }

    @Test func `a snapshot in pages counts only when it is whole`() {
        var mirror = RegistryMirror()
        let first = mirror.apply(
            WatchPiece(revision: 4, services: [service("ui", "1.0.0", [(1, "alive")])], more: true)
        )
        #expect(!first)
        #expect(mirror.revision == nil)
        mirror.interrupted()
        let second = mirror.apply(WatchPiece(revision: 5, services: [service("a", "1.0.0", [(2, "alive")])]))
        #expect(second)
        #expect(mirror.state("a", .any).version == "1.0.0" && mirror.state("b", .any).version == nil)
        #expect(mirror.revision == 5)
    }

    @Test func `changes come on top, and a service without providers is gone`() {
        var mirror = RegistryMirror()
        _ = mirror.apply(WatchPiece(revision: 1, services: []))
        let added = service("ui", "1.2.0", [(3, "alive"), (4, "draining")])
        _ = mirror.apply(WatchPiece(revision: 2, changes: [.init(kind: "added", service: added)]))
        #expect(mirror.state("ui", .any).providers.first?.sessions == [3])
        let removed = service("ui", "1.2.0", [])
        _ = mirror.apply(WatchPiece(revision: 3, changes: [.init(kind: "removed", service: removed)]))
        #expect(!mirror.state("ui", .any).isAvailable)
        #expect(mirror.revision == 3)
    }

    @Test func `a service that a host can start is there without a provider`() {
        var mirror = RegistryMirror()
        _ = mirror.apply(WatchPiece(revision: 1, services: [service("llm", "1.0.0", [], latent: true)]))
        #expect(mirror.state("llm", .any).isAvailable && mirror.state("llm", .any).providers.first?.sessions == [])
        let started = service("llm", "1.0.0", [(5, "alive")], latent: true)
        _ = mirror.apply(WatchPiece(revision: 2, changes: [.init(kind: "added", service: started)]))
        #expect(mirror.state("llm", .any).providers.first?.sessions == [5])
        let stopping = service("llm", "1.0.0", [(5, "draining")], latent: true)
        _ = mirror.apply(WatchPiece(revision: 3, changes: [.init(kind: "state", service: stopping)]))
        #expect(mirror.state("llm", .any).providers.first?.sessions == [])
        let gone = service("llm", "1.0.0", [])
        _ = mirror.apply(WatchPiece(revision: 4, changes: [.init(kind: "updated", service: gone)]))
        #expect(!mirror.state("llm", .any).isAvailable)
    }

    @Test func `the highest version in the range comes first`() throws {
        var mirror = RegistryMirror()
        let all = ["1.9.0", "1.10.0", "2.0.0"].map { service("ui", $0, [(1, "alive")]) }
        _ = mirror.apply(WatchPiece(revision: 1, services: all))
        #expect(mirror.state("ui", try .init("^1.0.0")).providers.map(\.version) == ["1.10.0", "1.9.0"])
        #expect(mirror.state("ui", try .init("^3")).version == nil)
        #expect(mirror.explain("ui").contains("2.0.0"))
        #expect(mirror.explain("none").contains("no service"))
    }
}
