// The orders of the service `mesh`: cancel, drain, kick, reload. Permissions were checked by the core; a host drains and
// ends its own instances alone.

import BrokerCore
import ConfigDocument
import MeshProtocol
import Synchronization

/// The answer of an order that has nothing to tell.
struct Done: Encodable {
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

    func drain(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let shape = #"{"session": number, "graceMilliseconds": number?, "reason": text?}"#
        let (session, grace, reason) = try arguments.read(
            shape,
            keys: ["session", "graceMilliseconds", "reason"]
        ) { fields in
            let grace = fields["graceMilliseconds"].integer(in: 0...86_400_000) ?? 30_000
            return sessionNumber(fields).map { ($0, UInt32(grace), reasonText(fields)) }
        }
        try checkManagement(session, call)
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

    func kick(_ arguments: Arguments, _ call: AdministrativeCall) throws(Refusal) -> Answer {
        let (session, reason) = try arguments.read(
            #"{"session": number, "reason": text?}"#,
            keys: ["session", "reason"]
        ) { fields in sessionNumber(fields).map { ($0, reasonText(fields)) } }
        try checkManagement(session, call)
        let isDone = try ask { loop in
            loop.core.kickSession(session, reason: reason, now: loop.now, into: &loop.outbox)
        }
        guard isDone else { throw noSession(session) }
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

    private func checkManagement(_ session: SessionID, _ call: AdministrativeCall) throws(Refusal) {
        guard try ask({ $0.core.mayManage(session, as: call.caller) }) else {
            throw Refusal(.permissionDenied, "the session \(session) is not one that \"\(call.caller)\" has started")
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
