// What is said about how a process is held: the lines of its report, in a sandbox and without one. Pure.

import Manifest

extension IsolationReport {
    /// The report of a process in a sandbox.
    init(sandboxed order: LaunchOrder, facts: SandboxFacts, group: ControlGroup?, groups: ControlGroups) {
        let filter = facts.hasFilter ? ", seccomp" : ""
        var lines: [Line] = []
        switch order.permissions.networking {
        case .none:
            lines.append(Line(subject: "networking", rule: "none", mechanism: "empty network namespace\(filter)"))
        case .hosts(let hosts):
            let names = hosts.map(\.description).joined(separator: ", ")
            lines.append(
                Line(
                    subject: "networking",
                    rule: "only \(names)",
                    mechanism: "empty network namespace, egress proxy\(filter)"
                )
            )
        case .all:
            lines.append(
                Line(
                    subject: "networking",
                    rule: "all",
                    mechanism: "granted: the host's network",
                    reason: "it reaches the services of this machine's loopback too"
                )
            )
        }
        lines.append(
            order.permissions.storage
                ? Line(subject: "storage", rule: "its own /data", mechanism: "mount namespace")
                : Line(
                    subject: "storage",
                    rule: "none but /tmp of \(ByteCount.text(facts.temporaryBytes))",
                    mechanism: "mount namespace"
                )
        )
        lines.append(Line(subject: "files", rule: "the system and its folder, read-only", mechanism: "mount namespace"))
        lines.append(Line(subject: "processes", rule: "its own only", mechanism: "pid namespace"))
        let user = facts.account.map { "user \($0.uid), " } ?? ""
        lines.append(
            Line(
                subject: "privileges",
                rule: "none",
                mechanism: "\(user)user namespace, no capabilities, no new privileges\(filter)"
            )
        )
        self.init(lines: lines + Self.limits(order.limits, facts, group, groups, hasNamespace: true))
    }

    /// The report of a process without a sandbox.
    init(bare order: LaunchOrder, reason: String, facts: SandboxFacts, group: ControlGroup?, groups: ControlGroups) {
        var lines: [Line] = []
        if order.permissions.networking == .none {
            lines.append(
                facts.hasFilter
                    ? Line(subject: "networking", rule: "none", mechanism: "seccomp", reason: "no sandbox: \(reason)")
                    : Line(subject: "networking", rule: "none", mechanism: nil, reason: reason)
            )
        } else if case .hosts(let hosts) = order.permissions.networking {
            let names = hosts.map(\.description).joined(separator: ", ")
            lines.append(Line(subject: "networking", rule: "only \(names)", mechanism: nil, reason: reason))
        } else {
            lines.append(Line(subject: "networking", rule: "all", mechanism: "granted: the host's network"))
        }
        lines.append(
            Line(
                subject: "storage",
                rule: order.permissions.storage ? "its own folder" : "none",
                mechanism: nil,
                reason: reason
            )
        )
        lines.append(
            Line(subject: "files", rule: "the system and its folder, read-only", mechanism: nil, reason: reason)
        )
        lines.append(Line(subject: "processes", rule: "its own only", mechanism: nil, reason: reason))
        if let account = facts.account {
            lines.append(
                Line(
                    subject: "privileges",
                    rule: "none",
                    mechanism: "user \(account.uid), no new privileges",
                    reason: reason
                )
            )
        } else {
            lines.append(
                Line(subject: "privileges", rule: "none", mechanism: nil, reason: "it has the host's; \(reason)")
            )
        }
        self.init(lines: lines + Self.limits(order.limits, facts, group, groups, hasNamespace: false))
    }

    private static func limits(
        _ limits: ProcessLimits,
        _ facts: SandboxFacts,
        _ group: ControlGroup?,
        _ groups: ControlGroups,
        hasNamespace: Bool
    ) -> [Line] {
        var lines: [Line] = []
        func held(_ controller: Controller) -> Bool { group?.controllers.contains(controller) == true }
        let version = group?.version ?? ""
        if let bytes = limits.memoryBytes {
            let rule = "at most \(ByteCount.text(bytes))"
            lines.append(
                held(.memory)
                    ? Line(subject: "memory", rule: rule, mechanism: version)
                    : Line(subject: "memory", rule: rule, mechanism: "watchdog, rlimit", reason: groups.reason(.memory))
            )
        }
        if let percent = limits.cpuPercent {
            let rule = "at most \(percent) % of a core"
            let room =
                facts.processors.isEmpty
                ? "" : ", \(facts.hasFilter ? "on" : "begins on") \(ProcessorRoom.text(facts.processors))"
            lines.append(
                held(.cpu)
                    ? Line(subject: "cpu", rule: rule, mechanism: version + room)
                    : Line(subject: "cpu", rule: rule, mechanism: "watchdog" + room, reason: groups.reason(.cpu))
            )
        }
        if let count = limits.processCount {
            let rule = "at most \(count)"
            let others = hasNamespace ? "rlimit in the user namespace, watchdog" : "watchdog"
            lines.append(
                held(.pids)
                    ? Line(subject: "pids", rule: rule, mechanism: version)
                    : Line(subject: "pids", rule: rule, mechanism: others, reason: groups.reason(.pids))
            )
        }
        if let count = limits.openFileCount {
            lines.append(Line(subject: "open files", rule: "at most \(count)", mechanism: "rlimit"))
        }
        return lines
    }
}
