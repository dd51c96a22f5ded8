// The folder in which `wiz host` keeps what lives as long as it does: the socket of its plugins, kept programs, and a lock, so
// that two hosts of one name never run on a machine.

import CLinuxShims
import Glibc

/// A host's folder.
final class HostFolder: Sendable {
    let path: String
    private let lock: Int32

    /// For nothing but the socket that plugins connect to.
    var plugins: String { path + "/plugins" }
    /// For programs that the host keeps.
    var work: String { path + "/work" }

    /// Makes it, or takes it over from a host that has ended.
    init(of host: String) throws(CommandFailure) {
        path = Self.place(of: host)
        lock = try Self.takeLock(path, host)
        // Sandboxes bring it to plugins that may be other users; nobody else gets through the folder above it.
        try Self.make(plugins, mode: 0o755)
    }

    deinit { close(lock) }

    /// Removes what is in it.
    func remove() {
        rmdir(plugins)
        rmdir(work)
        unlink(path + "/lock")
        rmdir(path)
    }

    private static func takeLock(_ path: String, _ host: String) throws(CommandFailure) -> Int32 {
        while true {
            try make(path, mode: 0o700)
            let lock = wiz_open_lock_file(path + "/lock", 0o600)
            guard lock >= 0, wiz_try_lock_exclusive(lock) == 0 else {
                if lock >= 0 { close(lock) }
                throw CommandFailure(
                    .failed,
                    "a host \(host) runs on this machine already: it holds \(path)/lock",
                    hint: "Stop it first, or give this one another name with --name."
                )
            }
            // One that was ending may have removed the file after it was opened: then it keeps nobody out.
            var (mine, there) = (stat(), stat())
            if fstat(lock, &mine) == 0, stat(path + "/lock", &there) == 0, mine.st_ino == there.st_ino { return lock }
            close(lock)
        }
    }

    private static func place(of host: String) -> String {
        if let folder = variable("RUNTIME_DIRECTORY") {
            return String(folder.prefix { $0 != ":" }) + "/" + host
        }
        if let folder = variable("XDG_RUNTIME_DIR") { return folder + "/wizmesh-host-" + host }
        return "/tmp/wizmesh-host-\(geteuid())-\(host)"
    }

    private static func make(_ path: String, mode: mode_t) throws(CommandFailure) {
        guard mkdir(path, mode) == 0 || errno == EEXIST else {
            throw CommandFailure(.failed, "the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
            chmod(path, mode) == 0
        else {
            throw CommandFailure(
                .failed,
                "\(path) is not a folder of this user",
                hint: "Remove it, or set XDG_RUNTIME_DIR to a folder of yours."
            )
        }
    }
}
