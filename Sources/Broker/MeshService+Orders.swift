// The orders of the service `mesh`: cancel, drain, kick, ticket, exited, reload. Permissions were checked by the core.

import BrokerCore
import ConfigDocument
import MeshProtocol
import Synchronization

/// The answer of an order that has nothing to tell.
private struct Done: Encodable {
    var done = true
}

extension MeshService {
    func cancel(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let text = try arguments.read(#"{"call": "index.generation"}"#, keys: ["call"]) { fields in
            fields["call"].required().string(allowsEmpty: false)
        }
        let lease = try lease(text, arguments)
        let isDone = try ask { loop in
            loop.core.cancelCall(lease, by: call.caller, now: loop.now, into: &loop.outbox)
        }
        guard isDone else { throw Refusal(.notFound, "there is no call \(text)", hint: "see mesh.calls") }
        return Answer(Done())
    }

    func drain(_ arguments: Arguments) throws(Refusal) -> Answer {
        let shape = #"{"session": number, "graceMilliseconds": number?, "reason": text?}"#
        let (session, grace, reason) = try arguments.read(
            shape,
            keys: ["session", "graceMilliseconds", "reason"]
        ) { fields in
            let grace = fields["graceMilliseconds"].integer(in: 0...86_400_000) ?? 30_000
            return sessionNumber(fields).map { ($0, UInt32(grace), reasonText(fields)) }
        }
        let isDone = try ask { loop in
            loop.core.drainSession(
                session,
                graceMilliseconds: grace,
                reason: reason,
                now: loop.now,
                into: &loop.outbox
            )
        }
        guard isDone else { throw noSession(session) }
        return Answer(Done())
    }

    func kick(_ arguments: Arguments) throws(Refusal) -> Answer {
        let (session, reason) = try arguments.read(
            #"{"session": number, "reason": text?}"#,
            keys: ["session", "reason"]
        ) { fields in sessionNumber(fields).map { ($0, reasonText(fields)) } }
        let isDone = try ask { loop in
            loop.core.kickSession(session, reason: reason, now: loop.now, into: &loop.outbox)
        }
        guard isDone else { throw noSession(session) }
        return Answer(Done())
    }

    func ticket(_ arguments: Arguments) throws(Refusal) -> Answer {
        struct Ticket: Encodable {
            var ticket: String
        }
        let grant = try arguments.read(
            #"{"name": plugin, "principal": name?}"#,
            keys: ["name", "principal"]
        ) { fields -> TicketGrant? in
            let name = fields["name"].required().string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            let principal = fields["principal"].string(allowsEmpty: false, maximumLength: WireLimits.nameByteCount)
            return name.map { TicketGrant(name: $0, principal: principal ?? $0) }
        }
        return Answer(Ticket(ticket: try ask { $0.core.issueTicket(grant, now: $0.now) }))
    }

    func exited(_ arguments: Arguments) throws(Refusal) -> Answer {
        let (process, cause) = try arguments.read(
            #"{"process": pid, "cause": text}"#,
            keys: ["process", "cause"]
        ) { fields in
            let cause = fields["cause"].string(maximumLength: WireLimits.messageByteCount) ?? "ended"
            return fields["process"].required().integer(in: 1...Int(Int32.max)).map { (Int32($0), cause) }
        }
        try ask { $0.core.processEnded(process, cause: cause, now: $0.now, into: &$0.outbox) }
        return Answer(Done())
    }

    func reload(_ arguments: Arguments) throws(Refusal) -> Answer {
        struct Reloaded: Encodable {
            var changed: [String]
        }
        try arguments.none()
        guard let path = office.facts.withLock({ $0.meshFilePath }), let reload = office.reload.withLock({ $0 }) else {
            throw Refusal(.failedPrecondition, "this broker was started without a mesh file")
        }
        do {
            return Answer(Reloaded(changed: try reload(path)))
        } catch {
            throw Refusal(.invalidArgument, "\(error)", hint: "mend the mesh file; the broker goes on as before")
        }
    }

    private func sessionNumber(_ fields: ConfigMapping) -> SessionID? {
        fields["session"].required().integer(in: 1...Int.max).map { SessionID(rawValue: UInt64($0)) }
    }

    private func reasonText(_ fields: ConfigMapping) -> String {
        fields["reason"].string(maximumLength: 512) ?? "an operator asked for it"
    }

    private func noSession(_ session: SessionID) -> Refusal {
        Refusal(.notFound, "there is no session \(session)", hint: "see mesh.sessions")
    }
}
