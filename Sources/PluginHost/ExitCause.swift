// How a plugin process ended, in a value and in words.

import Glibc

/// How a process ended.
public enum ExitCause: Hashable, Sendable, CustomStringConvertible {
    /// It exited by itself with a code.
    case exited(Int32)
    /// A signal ended it.
    case signalled(Int32)
    /// It never ran.
    case notStarted(String)

    /// Whether it exited with 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// "exit 1", "signal 9 (SIGKILL)".
    public var description: String {
        switch self {
        case .exited(let code): "exit \(code)" + (Self.meanings[code].map { " (\($0))" } ?? "")
        case .signalled(let signal): "signal \(signal)" + (Self.names[signal].map { " (\($0))" } ?? "")
        case .notStarted(let reason): "not started: \(reason)"
        }
    }

    private static let meanings: [Int32: String] = [
        78: "its configuration is wrong", 126: "the program may not be executed", 127: "a program was not found",
    ]

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV",
        SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU", SIGSYS: "SIGSYS",
    ]
}
