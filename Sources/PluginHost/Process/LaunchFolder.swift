// The private folder of one launch: two FIFOs on which the launcher and bubblewrap report, the filter, a stage for mounts.
// It is there while its process runs.

import CLinuxShims
import Glibc

/// A folder that ends with its launch.
final class LaunchFolder: Sendable {
    let path: String
    /// Where the launcher reports: this side of the FIFOs.
    private let status: Int32
    private let failure: Int32
    /// Wakes whoever waits for a report when the launcher is gone.
    private let ended: Int32

    /// What a launch reported.
    enum Report: Hashable, Sendable {
        /// The program runs, with this id.
        case runs(Int32)
        /// The launcher could not, or the program could not be executed.
        case failed(String)
        /// The sandbox could not be made; what was the matter is on standard error.
        case broken
        /// Nothing was reported in time.
        case late
    }

    /// - Parameters:
    ///   - account: The user who must be able to pass through the folder.
    ///   - filter: What goes into the file `filter`.
    /// - Throws: why there is no such folder.
    init(account: Account?, filter: [UInt8]) throws(LaunchFailure) {
        // Another user must be able to pass through it, which a folder of TMPDIR's may not let them.
        let root = Self.root(isShared: account != nil)
        var template = Array("\(root)/\(Self.prefix)\(getpid())-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw LaunchFailure(.system, "no folder for a launch in \(root): \(errorText(errno))")
        }
        let path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.path = path
        var made = chmod(path, account == nil ? 0o700 : 0o711) == 0
        made = made && mkfifo(path + "/status", 0o600) == 0 && mkfifo(path + "/failure", 0o600) == 0
        made = made && mkdir(path + "/stage", 0o755) == 0 && writeFile(path + "/filter", filter, mode: 0o600)
        status = made ? open(path + "/status", O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1
        failure = made ? open(path + "/failure", O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1
        ended = wiz_eventfd_create()
        guard status >= 0, failure >= 0, ended >= 0 else {
            let code = errno
            remove()
            throw LaunchFailure(.system, "the folder of a launch, \(path): \(errorText(code))")
        }
    }

    private static let prefix = "wiz-launch-"

    private static func root(isShared: Bool) -> String {
        isShared ? "/tmp" : getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    }

    /// Removes what hosts of this user that were killed have left.
    static func sweep(isShared: Bool) {
        let root = root(isShared: isShared)
        for name in folderNames(root) {
            guard name.hasPrefix(prefix), let owner = Int32(name.dropFirst(prefix.count).prefix { $0 != "-" }),
                wiz_kill(owner, 0) == -ESRCH
            else { continue }
            // In a folder for all anybody may have made it, or a link that leads elsewhere: this user's own folders alone go.
            var status = stat()
            guard lstat(root + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid()
            else { continue }
            remove(root + "/" + name)
        }
    }

    deinit {
        for file in [status, failure, ended] where file >= 0 { close(file) }
        remove()
    }

    /// The launcher is gone: nothing more will be reported.
    func noteEnd() { _ = wiz_eventfd_signal(ended) }

    /// Waits until the program runs or cannot, at most so long.
    func report(within bound: Duration) async -> Report {
        await Worker.run(name: "wiz-launch") { [self] in wait(within: bound) }
    }

    private func wait(within bound: Duration) -> Report {
        let deadline = ContinuousClock.now + bound
        var told: [UInt8] = []
        var states: [UInt8] = []
        var isFailureOver = false
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return .late }
            var polls = [
                pollfd(fd: isFailureOver ? -1 : failure, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isFailureOver ? status : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: ended, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polls, 3, Int32(left.components.seconds * 1000) + 50) >= 0 || errno == EINTR else {
                return .late
            }
            if polls[0].revents != 0, Self.drain(failure, into: &told) { isFailureOver = true }
            if polls[1].revents != 0 || isFailureOver { _ = Self.drain(status, into: &states) }
            let text = String(decoding: told, as: UTF8.self)
            if isFailureOver || polls[2].revents != 0 {
                if !text.isEmpty, text != "+" { return .failed(text.hasPrefix("+") ? String(text.dropFirst()) : text) }
                if text == "+", let process = Self.process(in: states) { return .runs(process) }
                if polls[2].revents != 0 || (isFailureOver && text.isEmpty) { return .broken }
            }
        }
    }

    /// Reads what is there; true at the end of the file.
    private static func drain(_ file: Int32, into bytes: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count == 0 { return true }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            if bytes.count < 64 * 1024 { bytes += buffer.prefix(count) }
        }
    }

    /// The number after `"child-pid":`, once its line is whole.
    static func process(in bytes: [UInt8]) -> Int32? {
        let text = String(decoding: bytes, as: UTF8.self)
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let parts = line.split(separator: "\"child-pid\":", maxSplits: 1)
            guard parts.count == 2 || line.contains("\"child-pid\":"), let rest = parts.last else { continue }
            let digits = rest.drop { $0 == " " }.prefix { $0.isNumber }
            if let process = Int32(digits), process > 0 { return process }
        }
        return nil
    }

    private func remove() { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in ["status", "failure", "filter", "egress/proxy.sock"] { unlink(path + "/" + name) }
        for name in ["/stage", "/egress", ""] { rmdir(path + name) }
    }
}
