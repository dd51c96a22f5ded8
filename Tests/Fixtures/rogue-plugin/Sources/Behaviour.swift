// What this process does, and where that is said: the first argument, the variable ROGUE, or the settings.

import Glibc

/// A behaviour and its value.
struct Behaviour: Sendable, Hashable {
    enum Kind: String, Sendable, CaseIterable {
        case serve, exit, signal, silent, idle
        case helloTwice = "hello-twice"
        case claimName = "claim-name"
        case claimService = "claim-service"
        case flood
        case floodErrors = "flood-errors"
        case floodLine = "flood-line"
        case closeStandardError = "close-stderr"
        case forkAndLeave = "fork-and-leave"
        case orphan, swarm, bomb
        case ignoreCancel = "ignore-cancel"
        case ignoreDrain = "ignore-drain"
        case deaf
        case slowInit = "slow-init"
        case hangInit = "hang-init"
        case crashInit = "crash-init"
        case exitInit = "exit-init"
        case failInit = "fail-init"
        case failRegister = "fail-register"
        case badConfig = "bad-config"
        case notReady = "not-ready"
        case memory, loop
        case slowTeardown = "slow-teardown"
    }

    var kind: Kind
    var value: String

    /// Reads `KIND` or `KIND:VALUE`; nil when there is no such behaviour.
    init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let kind = Kind(rawValue: String(parts[0])) else { return nil }
        self.kind = kind
        value = parts.count > 1 ? String(parts[1]) : ""
    }

    /// The value as a number.
    func number(_ usual: Int) -> Int { Int(value) ?? usual }

    /// The value, or what is usual without one.
    func text(_ usual: String) -> String { value.isEmpty ? usual : value }

    /// What the argument or the variable says; nil when neither is there.
    static var own: Behaviour? {
        let arguments = CommandLine.arguments.dropFirst()
        let text = arguments.first ?? getenv("ROGUE").map { String(cString: $0) }
        guard let text, !text.isEmpty else { return nil }
        guard let behaviour = Behaviour(text) else {
            say("there is no behaviour \"\(text)\"; there are \(Kind.allCases.map(\.rawValue).joined(separator: " "))")
            exitProcess(64)
        }
        return behaviour
    }
}

/// Writes a line to standard error.
func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Ends the process without further ado.
func exitProcess(_ code: Int32) -> Never { _exit(code) }
