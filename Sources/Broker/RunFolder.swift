// The run folder: where the broker's socket, lock and description stand, and which only its user (and perhaps a group)
// may enter. Made, checked and locked before anything is bound: libzmq removes whatever is at the path that it binds.

import CLinuxShims
import Glibc

/// Why a broker cannot use its run folder.
public struct RunFolderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What happened, where, why, and what to do.
    public let description: String
}

/// A locked run folder.
final class RunFolder: Sendable {
    /// The longest path that a local socket's address holds.
    private static let socketPathByteCount = 107

    let path: String
    private let lock: Int32

    var socketPath: String { path + "/mesh.sock" }
    var endpoint: String { "ipc://" + socketPath }
    private var descriptionPath: String { path + "/broker.json" }

    /// Makes the folder if it is missing, checks it, and locks it against a second broker.
    init(_ path: String) throws(RunFolderError) {
        guard path.utf8.count + "/mesh.sock".utf8.count <= RunFolder.socketPathByteCount else {
            throw RunFolderError(
                description: "the run folder \(path) has too long a path: a local socket's path has at most "
                    + "\(RunFolder.socketPathByteCount) bytes. Choose a shorter one with `broker: { run: … }` or WIZ_RUN."
            )
        }
        try RunFolder.makeFolders(path)
        try RunFolder.check(path)
        self.path = path
        lock = try RunFolder.takeLock(path + "/lock", folder: path)
        unlink(socketPath)
        unlink(descriptionPath)
    }

    private static func makeFolders(_ path: String) throws(RunFolderError) {
        var parents: [String] = []
        var current = Substring(path)
        while !current.isEmpty, access(String(current), F_OK) != 0 {
            parents.append(String(current))
            guard let slash = current.lastIndex(of: "/") else { break }
            current = current[..<slash]
        }
        for folder in parents.reversed() where mkdir(folder, 0o700) != 0 && errno != EEXIST {
            throw RunFolderError(
                description: "the run folder \(folder) cannot be made: \(reason(errno)). Make it yourself, or choose "
                    + "another with `broker: { run: … }` or WIZ_RUN."
            )
        }
    }

    private static func check(_ path: String) throws(RunFolderError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            throw RunFolderError(description: "the run folder \(path) cannot be read: \(reason(errno)).")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw RunFolderError(description: "the run folder \(path) is not a folder: remove it or choose another.")
        }
        guard status.st_uid == geteuid() else {
            throw RunFolderError(
                description: "the run folder \(path) belongs to user \(status.st_uid), but the broker runs as user "
                    + "\(geteuid()): choose a folder of your own, or run `chown \(geteuid()) \(path)`."
            )
        }
        guard status.st_mode & 0o027 == 0 else {
            throw RunFolderError(
                description:
                    "the run folder \(path) lets others in (mode \(String(status.st_mode & 0o777, radix: 8))): "
                    + "run `chmod 700 \(path)`, or 750 when plugins run as other users of its group."
            )
        }
    }

    private static func takeLock(_ path: String, folder: String) throws(RunFolderError) -> Int32 {
        let descriptor = wiz_open_lock_file(path, 0o600)
        guard descriptor >= 0 else {
            throw RunFolderError(description: "the lock \(path) cannot be opened: \(reason(-descriptor)).")
        }
        let result = wiz_try_lock_exclusive(descriptor)
        guard result == 0 else {
            let owner = readText(descriptor)
            _ = wiz_close(descriptor)
            throw RunFolderError(
                description: "another broker\(owner.isEmpty ? "" : " (process \(owner))") already serves in \(folder): "
                    + "stop it\(owner.isEmpty ? "" : " with `kill \(owner)`") or choose another run folder."
            )
        }
        let text = "\(getpid())\n"
        _ = ftruncate(descriptor, 0)
        _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) }
        return descriptor
    }

    private static func readText(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return "" }
        return String(decoding: bytes[..<count].prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self)
    }

    /// Lets those who may enter the folder connect: the folder's mode is the guard, not the socket's.
    func openSocket() { chmod(socketPath, 0o666) }

    /// Writes the broker's description, at once as a whole.
    func describe(_ json: [UInt8]) throws(RunFolderError) {
        let temporary = path + "/.broker.json.\(getpid())"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
        let isWritten = descriptor >= 0 && write(descriptor, json, json.count) == json.count
        let failure = errno
        if descriptor >= 0 { close(descriptor) }
        guard isWritten, rename(temporary, descriptionPath) == 0 else {
            unlink(temporary)
            throw RunFolderError(
                description: "\(descriptionPath) cannot be written: \(reason(isWritten ? errno : failure))."
            )
        }
    }

    /// Takes the description and the socket away and gives the lock back.
    func leave() {
        unlink(descriptionPath)
        unlink(socketPath)
        _ = wiz_close(lock)
    }
}

private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
