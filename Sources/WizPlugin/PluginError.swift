// How a plugin tells its host why it did not become ready, and the exit codes that say so.

/// Why a plugin cannot serve.
public enum PluginError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Something that only a person can mend: a setting, plugin.json. Exit code 78; a host does not start it again.
    case configuration(String)
    /// Something is not there yet. Exit code 75; a host tries again later.
    case notReady(reason: String, retryAfter: Duration?)

    /// What is wrong.
    public var description: String {
        switch self {
        case .configuration(let problem): problem
        case .notReady(let reason, let delay): reason + (delay.map { "; to be tried again in \($0)" } ?? "")
        }
    }
}

/// How a plugin's process ends (numbers after sysexits.h).
public enum PluginExit {
    /// It left in good order.
    public static let success: Int32 = 0
    /// It failed: `initialize` or `register` threw, or the connection ended for good.
    public static let failure: Int32 = 70
    /// It is not ready now and may be tried again.
    public static let notReady: Int32 = 75
    /// Its configuration is wrong, and trying again is of no use.
    public static let configuration: Int32 = 78

    /// The code for an error of `initialize` or `register`.
    public static func code(for error: any Error) -> Int32 {
        switch error {
        case PluginError.configuration: configuration
        case PluginError.notReady: notReady
        default: failure
        }
    }
}
