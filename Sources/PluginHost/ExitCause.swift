// How a plugin process ended, in a value and in words.

import Glibc

/// How a process ended.
public enum ExitCause: Hashable, Sendable, CustomStringConvertible {
    /// It exited by itself with a code.
    case exited(Int32)
    /// A signal ended it.
    case signalled(Int32)
    /// It exited with this code, 128 and a signal's number, or that signal ended it in its sandbox: bubblewrap tells both alike.
    case exitedOrSignalled(Int32)
    /// It never ran.
    case notStarted(String)
    /// The kernel ended it because it used more memory than its limit, in bytes.
    case outOfMemory(limit: Int64)
    /// The host's watchdog ended it: over which limit, and by how much.
    case watchdog(String)
    /// Its sandbox was made but its program did not run.
    case launch(String)

    /// Whether it exited with 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// "exit 1", "signal 9 (SIGKILL)", "out of memory (limit 256 MB)".
    public var description: String {
        switch self {
        case .exited(let code): "exit \(code)" + (Self.meanings[code].map { " (\($0))" } ?? "")
        case .signalled(let signal): "signal \(signal)" + (Self.names[signal].map { " (\($0))" } ?? "")
        case .exitedOrSignalled(let code): "exit \(code) (perhaps \(Self.guess(code - 128)) inside the sandbox)"
        case .notStarted(let reason): "not started: \(reason)"
        case .outOfMemory(let limit): "out of memory (limit \(ByteCount.text(limit)))"
        case .watchdog(let text): text
        case .launch(let reason): "not started: \(reason)"
        }
    }

    /// A signal that may have ended the first process of a sandbox, which cannot send itself one.
    private static func guess(_ signal: Int32) -> String {
        let name = names[signal] ?? "signal \(signal)"
        return [SIGSEGV, SIGTRAP, SIGILL].contains(signal) ? "\(name), or abort," : name
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

/// Byte counts in words.
enum ByteCount {
    /// "256 MB", "1.5 GB", "100 KB"; a megabyte is 1 048 576 bytes, as in manifests.
    static func text(_ count: Int64) -> String {
        let units: [(name: String, size: Int64)] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)]
        guard let unit = units.first(where: { count >= $0.size }) else { return "\(count) bytes" }
        if count >= 100 * unit.size || count % unit.size == 0 {
            return "\((count + unit.size / 2) / unit.size) \(unit.name)"
        }
        let tenths = (count * 10 + unit.size / 2) / unit.size
        return tenths % 10 == 0 ? "\(tenths / 10) \(unit.name)" : "\(tenths / 10).\(tenths % 10) \(unit.name)"
    }
}
