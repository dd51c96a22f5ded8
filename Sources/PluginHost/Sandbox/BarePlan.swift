// The words that start a plugin where there is no sandbox, by choice or because none can be made: limits and a supervisor
// hold as ever; where a sandbox was wanted, also another user and a filter of system calls.

import Glibc

/// The launcher's words for a plugin without a sandbox.
struct BarePlan: Hashable, Sendable {
    let arguments: [String]
    let environment: [String: String]

    init(_ order: LaunchOrder, program: ProgramLayout, facts: SandboxFacts, isOff: Bool) {
        var words = ["run"] + SandboxPlan.channels(facts) + PluginPriority.words(facts)
        for limit in SandboxPlan.limits(order.limits) { words += ["--limit", limit] }
        if let account = facts.account { words += ["--account", "\(account.uid):\(account.gid)"] }
        if !isOff { words += ["--scope", "--no-new-privileges"] }
        if facts.hasFilter { words.append("--install-filter") }
        arguments = words + ["--supervise", "--", program.host] + order.arguments
        var variables = order.environment
        for name in ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"] {
            if variables[name] == nil, let value = getenv(name) { variables[name] = String(cString: value) }
        }
        if variables["WIZ_ENDPOINT"] == nil { variables["WIZ_ENDPOINT"] = "ipc://\(order.meshFolder)/mesh.sock" }
        variables["WIZ_PLUGIN_FOLDER"] = order.folder
        // Another user may not reach the host's own folder, and reads the one in the plugin's.
        variables["WIZ_MANIFEST"] = facts.account == nil ? order.manifest : nil
        variables["WIZ_DATA"] = order.permissions.storage ? order.dataFolder : nil
        environment = variables
    }
}
