// The run folder: where the broker's socket, lock and description stand, and which only its user (and perhaps a group)
// may enter. Made, checked and locked before anything is bound: libzmq removes whatever is at the path that it binds.
// Its folder `plugins` holds a second socket and nothing else: it is all that sandboxes see of it, and who comes by it is
// who its ticket says, whatever user it runs as.

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
    /// What plugins see of the folder.
    var pluginsPath: String { path + "/plugins" }
    private var pluginsSocketPath: String { pluginsPath + "/mesh.sock" }
    var pluginsEndpoint: String { "ipc://" + pluginsSocketPath }

    /// Makes the folder if it is missing, checks it, and locks it against a second broker.
    init(_ path: String) throws(RunFolderError) {
        guard path.utf8.count + "/plugins/mesh.sock".utf8.count <= RunFolder.socketPathByteCount else {
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
        do { try makePluginsFolder() } catch {
            _ = wiz_close(lock)
            throw error
        }
    }

    /// Makes the plugins' folder anew, empty; when root serves, their group may pass through to it.
    private func makePluginsFolder() throws(RunFolderError) {
        unlink(pluginsSocketPath)
        let isRoot = geteuid() == 0
        guard mkdir(pluginsPath, 0o700) == 0 || errno == EEXIST else {
            throw RunFolderError(description: "the folder \(pluginsPath) cannot be made: \(reason(errno)).")
        }
        var status = stat()
        guard lstat(pluginsPath, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
            throw RunFolderError(
                description: "\(pluginsPath) is no folder of user \(geteuid()): remove it and start the broker again."
            )
        }
        let group = isRoot ? RunFolder.pluginGroup : getegid()
        guard chown(pluginsPath, geteuid(), group) == 0, chmod(pluginsPath, isRoot ? 0o750 : 0o700) == 0 else {
            throw RunFolderError(description: "the folder \(pluginsPath) cannot be given to plugins: \(reason(errno)).")
        }
        guard isRoot, stat(path, &status) == 0, status.st_mode & 0o777 == 0o700 else { return }
        guard chown(path, 0, group) == 0, chmod(path, 0o710) == 0 else {
            throw RunFolderError(description: "the run folder \(path) cannot be opened to plugins: \(reason(errno)).")
        }
    }

    /// The group of the account that plugins run as when root starts them: that of `wizmesh`, else of nobody.
    private static var pluginGroup: gid_t {
        var entry = passwd()
        var buffer = [CChar](repeating: 0, count: 4096)
        var found: UnsafeMutablePointer<passwd>?
        guard getpwnam_r("wizmesh", &entry, &buffer, buffer.count, &found) == 0, found != nil, entry.pw_uid != 0 else {
            return 65_534
        }
        return entry.pw_gid
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

    /// Lets those who may enter the folders connect: the folder's mode is the guard, not the socket's.
    func openSockets() throws(RunFolderError) {
        for path in [socketPath, pluginsSocketPath] where chmod(path, 0o666) != 0 {
            throw RunFolderError(description: "\(path) cannot be opened to others: \(reason(errno)).")
        }
    }

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
        unlink(pluginsSocketPath)
        rmdir(pluginsPath)
        _ = wiz_close(lock)
    }
}

private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
