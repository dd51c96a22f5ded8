// What the launcher is told on its command line. Its only caller is the host, so that an error here is a fault of the host:
// one sentence and exit 125.

import CLinuxShims
import Glibc

/// The launcher's orders, up to `--`, and the program after it.
struct Options {
    /// Which of its parts the launcher plays.
    var part = Part.run
    /// Where bubblewrap, or the supervisor, tells the plugin's process id: a FIFO that the host reads.
    var statusPath: String?
    /// Where a failure is told; its end of file means that the program runs: a FIFO that the host reads.
    var failurePath: String?
    /// A file with the filter of system calls.
    var filterPath: String?
    /// Whether the launcher puts the filter on itself (and not bubblewrap).
    var installsFilter = false
    /// The user and the group to become.
    var account: (uid: UInt32, gid: UInt32)?
    /// The files into which to write oneself: `cgroup.procs`.
    var joins: [String] = []
    /// The folder on which the folders of `mounts` are put, within a mount namespace of the launcher's own.
    var stage: String?
    var mounts: [(source: String, name: String)] = []
    /// How much the plugin's processes yield to others.
    var nice: Int32 = 0
    /// The processors that they may run on; empty: as they are.
    var processors: [Int32] = []
    var limits: [(resource: Int32, value: UInt64)] = []
    /// Whether signals and abstract sockets are kept inside.
    var isScoped = false
    /// Whether the program can gain no privileges by what it runs.
    var hasNoNewPrivileges = false
    /// Whether the launcher stays as the parent of the program and of all that it leaves behind.
    var supervises = false
    /// A port of the loopback and the unix socket that it leads to.
    var relay: (port: UInt16, socket: String)?
    var program: [String] = []

    enum Part: String {
        /// Outside: prepare and run bubblewrap, or the program.
        case run
        /// Inside the sandbox: set limits, start the relay, run the program.
        case inside
        /// Inside: carry bytes between the loopback and a unix socket.
        case relay
        /// Inside: try what is forbidden and print how it went.
        case probe
    }

    init(_ words: [String]) throws(LaunchError) {
        var rest = words[...]
        guard let first = rest.popFirst(), let part = Part(rawValue: first) else {
            throw LaunchError("this program is started by the plugin host, not by hand; see docs/ISOLATION.md")
        }
        self.part = part
        while let word = rest.popFirst() {
            if word == "--" {
                program = Array(rest)
                return
            }
            switch word {
            case "--install-filter": installsFilter = true
            case "--scope": isScoped = true
            case "--no-new-privileges": hasNoNewPrivileges = true
            case "--supervise": supervises = true
            default:
                guard let value = rest.popFirst() else { throw LaunchError("\(word) needs a value") }
                try take(word, value)
            }
        }
    }

    private mutating func take(_ word: String, _ value: String) throws(LaunchError) {
        switch word {
        case "--status": statusPath = value
        case "--failure": failurePath = value
        case "--filter": filterPath = value
        case "--join": joins.append(value)
        case "--stage": stage = value
        case "--mount":
            let (name, source) = try Self.pair(word, value)
            mounts.append((source, name))
        case "--account":
            let (uid, gid) = try Self.pair(word, value, separator: ":")
            guard let uid = UInt32(uid), let gid = UInt32(gid) else {
                throw LaunchError("\(word) \(value): no numbers")
            }
            account = (uid, gid)
        case "--nice":
            guard let number = Int32(value), (0...19).contains(number) else {
                throw LaunchError("\(word) \(value): not 0 to 19")
            }
            nice = number
        case "--processors":
            for part in value.split(separator: ",", omittingEmptySubsequences: false) {
                guard let number = Int32(part), (0..<wiz_max_processors()).contains(number) else {
                    throw LaunchError("\(word) \(value): no numbers of processors")
                }
                processors.append(number)
            }
        case "--limit":
            let (name, text) = try Self.pair(word, value)
            guard let resource = Self.resources[name], let number = UInt64(text) else {
                throw LaunchError("\(word) \(value): no such limit")
            }
            limits.append((resource, number))
        case "--relay":
            let (port, socket) = try Self.pair(word, value)
            guard let port = UInt16(port) else { throw LaunchError("\(word) \(value): no port") }
            relay = (port, socket)
        default: throw LaunchError("no option \(word)")
        }
    }

    private static let resources: [String: Int32] = [
        "data": wiz_limit_data(), "open-files": wiz_limit_open_files(), "file-size": wiz_limit_file_size(),
        "core": wiz_limit_core(), "processes": wiz_limit_processes(),
    ]

    private static func pair(
        _ word: String,
        _ value: String,
        separator: Character = "="
    ) throws(LaunchError) -> (String, String) {
        guard let middle = value.firstIndex(of: separator) else {
            throw LaunchError("\(word) \(value): no \(separator)")
        }
        return (String(value[..<middle]), String(value[value.index(after: middle)...]))
    }
}

/// Why the launcher gives up.
struct LaunchError: Error {
    let text: String

    init(_ text: String) { self.text = text }

    /// A failed system call.
    init(_ what: String, _ code: Int32) { text = "\(what): \(String(cString: strerror(code < 0 ? -code : code)))" }
}

/// Throws where a call returned a negative error number.
func check(_ code: Int32, _ what: @autoclosure () -> String) throws(LaunchError) {
    if code < 0 { throw LaunchError(what(), code) }
}
