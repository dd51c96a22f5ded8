// What no rule can allow: a plugin that goes by another's name, a host that provides another host's service or speaks of
// plugins that it may not start, events in the broker's own name. Pure.

import MeshProtocol

/// Why something is out of a principal's reach, whatever the rules say.
struct PolicyBound: Hashable, Sendable {
    /// One sentence.
    var reason: String
    /// Lines for the mesh file that would change it; empty when nothing would.
    var lines: [String] = []
}

extension PolicyEngine {
    // MARK: Names

    /// True when a principal is held to its own names: a plugin is known to people by its name alone.
    ///
    /// Programs of people and hosts call themselves what they like, unless the mesh file lists names for them.
    private func isHeldToNames(_ subject: borrowing Subject) -> Bool {
        !subject.names.isEmpty || (subject.roles.contains(policy.pluginRole) && !subject.isOperator)
    }

    /// Why a principal may not say HELLO by a name; nil when it may.
    func nameProblem(_ name: String, _ subject: borrowing Subject) -> Failure? {
        guard isHeldToNames(subject), name != subject.principal, !subject.names.contains(name) else { return nil }
        let own = ([subject.principal] + subject.names.sorted()).map { "\"\($0)\"" }.joined(separator: " or ")
        return Failure(
            .permissionDenied,
            message:
                "the principal \"\(subject.principal)\" says hello as \"\(name)\", and its name is \(own); give it that one,"
                + " or list \"\(name)\" under `names:` of the principal in the mesh file"
        )
    }

    // MARK: Hosts

    /// True when a principal is a host and no operator: it manages its own instances alone.
    func isBoundToOwn(_ subject: borrowing Subject) -> Bool {
        subject.roles.contains(policy.hostRole) && !subject.isOperator
    }

    /// Why a host may not act for a principal as for a plugin that it starts; nil when it may, or is bound to nothing.
    func startProblem(_ principal: String, for host: borrowing Subject) -> Failure? {
        guard isBoundToOwn(host) else { return nil }
        let roles = policy.principals[principal]?.roles ?? []
        let why: String
        if !roles.contains(policy.pluginRole) {
            why = "is no plugin"
        } else if !roles.isDisjoint(with: [policy.operatorRole, policy.hostRole]) {
            why = "is an operator or a host, too"
        } else if let owner = policy.principals[principal]?.host, owner != host.principal {
            why = owner.isEmpty ? "runs on the broker's machine" : "runs on the host \"\(owner)\""
        } else {
            return nil
        }
        return Failure(
            .permissionDenied,
            message: "the host \"\(host.principal)\" may not start \"\(principal)\", which \(why)",
            hint: "list the plugin in the mesh file, with `host: \(host.principal)` when it runs on that machine"
        )
    }

    // MARK: Targets

    /// Why an action on a target is out of a principal's reach; nil when the rules decide.
    func bound(_ subject: borrowing Subject, _ action: Policy.Action, _ target: String) -> PolicyBound? {
        switch action {
        case .provide: provisionBound(subject, target)
        case .publish: publicationBound(subject, target)
        case .call, .subscribe: nil
        }
    }

    /// A host's own service has one owner, away or not: orders for it must not reach a host that took its name.
    private func provisionBound(_ subject: borrowing Subject, _ service: String) -> PolicyBound? {
        guard service.hasPrefix("host."), isBoundToOwn(subject) else { return nil }
        let name = String(service.dropFirst("host.".count))
        guard name != subject.principal, !subject.names.contains(name) else { return nil }
        let reason =
            "the host \"\(subject.principal)\" may not provide \"\(service)\": its own service is"
            + " \"host.\(subject.principal)\"; start it with that name"
        return PolicyBound(
            reason: reason,
            lines: ["principals:", "  \(subject.principal):", "    names: [\(name)]"]
        )
    }

    private func publicationBound(_ subject: borrowing Subject, _ topic: String) -> PolicyBound? {
        guard topic == "mesh" || topic.hasPrefix("mesh.") else { return nil }
        let words = topic.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        let isHost = subject.isOperator || subject.roles.contains(policy.hostRole)
        guard isHost, words.count > 2, words[1] == "plugin" else {
            return PolicyBound(
                reason: "the topic \"\(topic)\" is the broker's own; choose one that does not begin with mesh"
            )
        }
        guard isBoundToOwn(subject) else { return nil }
        let plugin = String(words[2])
        // Two names may make one word: a host must be the one of both.
        for principal in principals(ofWord: plugin) {
            guard let failure = startProblem(principal, for: subject) else { continue }
            return PolicyBound(
                reason: "the topic \"\(topic)\" is not the host's: \(failure.message)",
                lines: ["plugins:", "  - { name: \(principal), host: \(subject.principal) }"]
            )
        }
        return nil
    }
}
