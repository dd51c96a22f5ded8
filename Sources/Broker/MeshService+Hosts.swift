// The methods of the service `mesh` for plugin hosts and for the plugins that they start: tickets, readiness, promotion,
// expectations, load, and the end of processes. Permissions were checked by the core.

import BrokerCore
import ConfigDocument
import MeshProtocol
import Synchronization
import ZeroMQ

extension MeshService {
    func ticket(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        struct Ticket: Encodable {
            var ticket: String
        }
        let grant = try arguments.read(
            #"{"name": plugin, "principal": name?, "instance": label?, "stage": "live" | "shadow"?, "publicKey": key?}"#,
            keys: ["name", "principal", "instance", "stage", "publicKey"]
        ) { fields -> TicketGrant? in
            let name = fields["name"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let principal = fields["principal"].string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let instance = fields["instance"].string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let stage: Stage? = fields["stage"].isPresent ? fields["stage"].oneOf() : .live
            let key = fields["publicKey"].parsed(as: "key", expected: "40 characters of Z85") {
                try CurvePublicKey(z85: $0).z85
            }
            guard let name, let stage else { return nil }
            return TicketGrant(
                name: name,
                principal: principal ?? name,
                instance: instance ?? "",
                owner: call.caller,
                isShadow: stage == .shadow,
                publicKey: key
            )
        }
        let result = try ask { loop -> Result<(String, Set<String>), Failure> in
            if let failure = loop.core.ticketProblem(grant, for: call.caller) { return .failure(failure) }
            if let failure = loop.core.ticketRoomProblem(for: call.caller, now: loop.now) { return .failure(failure) }
            let ticket = loop.core.issueTicket(grant, now: loop.now)
            return .success((ticket, grant.publicKey == nil ? [] : loop.core.ticketKeys(now: loop.now)))
        }
        let (ticket, keys) = try value(result)
        if grant.publicKey != nil { office.admitKeys.withLock { $0 }?(keys) }
        return Answer(Ticket(ticket: ticket))
    }

    func exited(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        struct Exited: Encodable {
            var done = true
            var sessions: Int
        }
        let shape = #"{"instance": label, "cause": text} or {"process": pid, "cause": text}"#
        // A pid means something on its own machine alone, so a label goes before it.
        let (instance, process, cause) = try arguments.read(
            shape,
            keys: ["process", "instance", "cause"]
        ) { fields -> (String, Int32, String)? in
            let cause = fields["cause"].string(maximumLength: WireLimits.messageByteCount / 2) ?? "ended"
            let instance = fields["instance"].string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let field = instance == nil ? fields["process"].required() : fields["process"]
            let process = field.integer(in: 1...Int(Int32.max)).map { Int32($0) }
            guard instance != nil || process != nil else { return nil }
            return (instance ?? "", process ?? 0, cause)
        }
        let count = try ask { loop in
            instance.isEmpty
                ? loop.core.processEnded(process, cause: cause, by: call.caller, now: loop.now, into: &loop.outbox)
                : loop.core.instanceEnded(instance, cause: cause, by: call.caller, now: loop.now, into: &loop.outbox)
        }
        return Answer(Exited(sessions: count))
    }

    func promote(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let order = try arguments.read(
            #"{"instances": [label], "retire": [label]?, "graceMilliseconds": number?, "reason": text?}"#,
            keys: ["instances", "retire", "graceMilliseconds", "reason"]
        ) { fields in
            PromotionOrder(
                instances: fields["instances"].required().strings(atMost: 1_024),
                retired: fields["retire"].strings(atMost: 1_024),
                graceMilliseconds: UInt32(fields["graceMilliseconds"].integer(in: 0...86_400_000) ?? 30_000),
                reason: fields["reason"].string(maximumLength: 512) ?? "another generation takes over"
            )
        }
        let result = try ask { loop in
            loop.core.promote(order, by: call.caller, now: loop.now, into: &loop.outbox)
        }
        return Answer(try value(result))
    }

    func ready(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        try arguments.none()
        let isThere = try ask { $0.core.setReady(call.session, now: $0.now, into: &$0.outbox) }
        return try done(isThere)
    }

    func notReady(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let (reason, retry) = try arguments.read(
            #"{"reason": text, "retryAfterMilliseconds": number?}"#,
            keys: ["reason", "retryAfterMilliseconds"]
        ) { fields in
            let retry = fields["retryAfterMilliseconds"].integer(in: 0...86_400_000).map { UInt32($0) }
            return fields["reason"].required().string(maximumLength: WireLimits.messageByteCount / 2).map {
                ($0, retry)
            }
        }
        let isThere = try ask { loop in
            loop.core.setNotReady(
                call.session,
                reason: reason,
                retryAfterMilliseconds: retry,
                now: loop.now,
                into: &loop.outbox
            )
        }
        return try done(isThere)
    }

    func expect(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        struct Expected: Encodable {
            var expectation: UInt64
        }
        let expectation = try arguments.read(
            #"{"owner": plugin, "services": [{"service": name, "version": version, "methods":"#
                + #" [{"name": name, "permissions": [name]?, "idempotent": bool?, "timeoutMilliseconds": number?,"#
                + #" "stream": "request" | "reply" | "both"?}], "attributes": {name: text}?, "capabilities": [tag]?,"#
                + #" "queue": number?}]}"#,
            keys: ["owner", "services"]
        ) { fields -> Expectation? in
            let owner = fields["owner"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let services = fields["services"].required().list(atLeast: 1, atMost: 256).compactMap { service($0) }
            return owner.map { Expectation(owner: $0, services: services) }
        }
        let result = try ask { loop in
            loop.core.expect(expectation, by: call.session, now: loop.now, into: &loop.outbox)
        }
        return Answer(Expected(expectation: try value(result)))
    }

    private func service(_ field: ConfigField) -> Expectation.Service? {
        let fields = field.mapping(["service", "version", "methods", "attributes", "capabilities", "queue"])
        let attributes = fields["attributes"].entries().compactMap { entry in
            entry.value.string(maximumLength: WireLimits.valueByteCount).map { Attribute(name: entry.key, value: $0) }
        }
        let name = fields["service"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
        let version = fields["version"].required().string(maximumLength: WireLimits.versionByteCount)
        let methods = fields["methods"].required().list(atMost: WireLimits.methodCount).compactMap { method($0) }
        let capabilities = fields["capabilities"].strings(atMost: WireLimits.capabilityCount)
        let queue = fields["queue"].integer(in: 0...1_000_000)
        guard let name, let version else { return nil }
        return Expectation.Service(
            service: name,
            version: version,
            methods: methods,
            attributes: attributes,
            capabilities: capabilities,
            queueCount: queue
        )
    }

    private func method(_ field: ConfigField) -> MethodDescription? {
        let fields = field.mapping(["name", "permissions", "idempotent", "timeoutMilliseconds", "stream"])
        var flags: MethodFlags = []
        if fields["idempotent"].boolean() == true { flags.insert(.idempotent) }
        switch fields["stream"].isPresent ? fields["stream"].oneOf(["none", "request", "reply", "both"]) : nil {
        case "request": flags.insert(.requestStream)
        case "reply": flags.insert(.replyStream)
        case "both": flags.formUnion([.requestStream, .replyStream])
        default: break
        }
        let name = fields["name"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
        let deadline = fields["timeoutMilliseconds"].integer(in: 0...Int(UInt32.max)) ?? 0
        let permissions = fields["permissions"].strings(atMost: WireLimits.permissionCount)
        return name.map { name in
            MethodDescription(
                name: name,
                flags: flags,
                deadlineMilliseconds: UInt32(deadline),
                permissions: permissions
            )
        }
    }

    func unexpect(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let id = try arguments.read(#"{"expectation": number}"#, keys: ["expectation"]) { fields in
            fields["expectation"].required().integer(in: 1...Int.max).map { UInt64($0) }
        }
        let isDone = try ask { loop in
            loop.core.unexpect(id, by: call.session, now: loop.now, into: &loop.outbox)
        }
        guard isDone else { throw Refusal(.notFound, "there is no expectation \(id) of yours") }
        return try done(true)
    }

    func load(_ arguments: Arguments) throws(Refusal) -> Answer {
        struct Load: Encodable {
            var services: [ServiceLoad]
        }
        let principal = try arguments.read(#"{"principal": name}"#, keys: ["principal"]) { fields in
            fields["principal"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
        }
        return Answer(Load(services: try ask { $0.core.load(of: principal, now: $0.now) }))
    }

    /// What the core gave, or its refusal.
    private func value<Value>(_ result: Result<Value, Failure>) throws(Refusal) -> Value {
        switch result {
        case .success(let value): return value
        case .failure(let failure): throw Refusal(failure)
        }
    }

    private func done(_ isDone: Bool) throws(Refusal) -> Answer {
        guard isDone else { throw Refusal(.failedPrecondition, "the session has ended") }
        return Answer(Done())
    }
}
