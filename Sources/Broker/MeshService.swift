// The built-in service `mesh`: one method at a time, on the administration thread. It asks the mesh thread for values and
// turns them into JSON here. Pages and lists in MeshService+Pages.swift, orders in MeshService+Orders.swift,
// what plugin hosts ask for in MeshService+Hosts.swift.

import BrokerCore
import CLinuxShims
import ConfigDocument
import Glibc
import MeshProtocol
import Synchronization

/// Answers calls to the service `mesh`.
struct MeshService {
    /// The payload of END.
    struct Answer: Sendable {
        var bytes: [UInt8]
        var contentType = ContentType.json

        init(_ value: some Encodable) { bytes = encoded(value) }

        init(bytes: [UInt8], contentType: ContentType) {
            self.bytes = bytes
            self.contentType = contentType
        }
    }

    /// Every method, in the order of the manual.
    static let methods = [
        "info", "plugins", "sessions", "services", "describe", "watch", "calls", "subscriptions", "metrics", "counters",
        "limits", "explain", "cancel", "drain", "kick", "ticket", "exited", "reload",
        "promote", "ready", "notReady", "expect", "unexpect", "load",
    ]

    let office: Office

    /// Answers a call; nil when the answer is a stream or comes later.
    func answer(_ call: AdministrativeCall, arguments bytes: [UInt8]) throws(Refusal) -> Answer? {
        guard bytes.isEmpty || call.contentType == .json else {
            throw Refusal(.invalidArgument, "mesh.\(call.method) takes JSON", hint: "send content type 1, JSON")
        }
        let arguments = Arguments(method: call.method, bytes: bytes)
        switch call.method {
        case "info": return try info(arguments)
        case "plugins": return try plugins(arguments)
        case "sessions": return try sessions(arguments)
        case "services": return try services(arguments)
        case "describe": return try describe(arguments)
        case "watch": return try watch(arguments, call)
        case "calls": return try calls(arguments)
        case "subscriptions": return try subscriptions(arguments)
        case "metrics": return try metrics(arguments)
        case "counters": return try counters(arguments)
        case "limits": return try limits(arguments)
        case "explain": return try explain(arguments)
        case "cancel": return try cancel(arguments, call)
        case "drain": return try drain(arguments, call)
        case "kick": return try kick(arguments, call)
        case "reload": return try reload(arguments)
        default: return try answerHost(call, arguments)
        }
    }

    /// What hosts and their plugins ask for: MeshService+Hosts.swift.
    private func answerHost(_ call: AdministrativeCall, _ arguments: Arguments) throws(Refusal) -> Answer {
        switch call.method {
        case "ticket": return try ticket(arguments, call)
        case "exited": return try exited(arguments, call)
        case "promote": return try promote(arguments, call)
        case "ready": return try ready(arguments, call)
        case "notReady": return try notReady(arguments, call)
        case "expect": return try expect(arguments, call)
        case "unexpect": return try unexpect(arguments, call)
        case "load": return try load(arguments)
        default:
            let known = MeshService.methods.joined(separator: ", ")
            throw Refusal(.unimplemented, "the service mesh has no method \(call.method)", hint: "it has \(known)")
        }
    }

    /// Asks the mesh thread, which may have ended.
    func ask<Value: Sendable>(
        _ question: @escaping @Sendable (inout MeshLoop) -> Value
    ) throws(Refusal) -> Value {
        guard let value = office.mailbox.ask(question) else {
            throw Refusal(.unavailable, "the broker is shutting down")
        }
        return value
    }

    private func info(_ arguments: Arguments) throws(Refusal) -> Answer {
        struct Info: Encodable {
            var mesh, version: String
            var epoch: String
            var uptimeMilliseconds: Int64
            var endpoints: [String]
            var pid: Int32
            var publicKey: String?
            var meshFile: String?
        }
        try arguments.none()
        let facts = office.facts.withLock { $0 }
        return Answer(
            Info(
                mesh: facts.mesh,
                version: Office.brokerName,
                epoch: String(facts.epoch),
                uptimeMilliseconds: (wiz_monotonic_ns() - facts.startedNanoseconds) / 1_000_000,
                endpoints: facts.endpoints,
                pid: getpid(),
                publicKey: facts.publicKey,
                meshFile: facts.meshFilePath.map(absolute)
            )
        )
    }

    private func counters(_ arguments: Arguments) throws(Refusal) -> Answer {
        try arguments.none()
        return Answer(try ask { $0.core.counters })
    }

    private func limits(_ arguments: Arguments) throws(Refusal) -> Answer {
        try arguments.none()
        let limits = try ask { $0.core.limits }
        return Answer(Dictionary(LimitTable.entries.map { ($0.name, $0.get(limits)) }) { $1 })
    }

    private func watch(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer? {
        let revision: UInt64?? = try arguments.read(#"{"since": revision?}"#, keys: ["since"]) { fields in
            .some(fields["since"].integer(in: 0...Int.max).map(UInt64.init))
        }
        office.mailbox.post { loop in loop.addWatcher(call.lease, since: revision ?? nil) }
        return nil
    }

    private func describe(_ arguments: Arguments) throws(Refusal) -> Answer {
        let (service, version) = try arguments.read(
            #"{"service": name, "version": version?}"#,
            keys: ["service", "version"]
        ) { fields in
            let version = fields["version"].string(maximumLength: WireLimits.versionByteCount)
            return fields["service"].required().string(allowsEmpty: false).map { ($0, version) }
        }
        let document = try ask { loop in
            loop.core.description(of: service, version: version).map { loop.wire.slab.bytes(of: $0) }
        }
        guard let document else {
            let what = version.map { "\(service)@\($0)" } ?? service
            throw Refusal(.notFound, "no plugin provides \(what) with a description", hint: "see mesh.services")
        }
        return Answer(bytes: document.isEmpty ? Array("{}".utf8) : document, contentType: .json)
    }

    private func explain(_ arguments: Arguments) throws(Refusal) -> Answer {
        let (caller, action, target) = try arguments.read(
            #"{"caller": principal, "action": "call" | "provide" | "publish" | "subscribe", "target": name}"#,
            keys: ["caller", "action", "target"]
        ) { fields -> (String, Policy.Action, String)? in
            let action: Policy.Action? = fields["action"].isPresent ? fields["action"].oneOf() : .call
            let caller = fields["caller"].required().string(allowsEmpty: false)
            let target = fields["target"].required().string(allowsEmpty: false)
            guard let caller, let action, let target else { return nil }
            return (caller, action, target)
        }
        return Answer(try ask { $0.core.explain(caller: caller, action: action, target: target) })
    }
}
