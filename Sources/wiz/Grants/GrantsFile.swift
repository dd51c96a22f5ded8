// Changes of the grants file: read, changed, written whole and put in place in one step, so that nobody ever reads half of
// it and two who change it at once wait for each other.

import CLinuxShims
import Glibc
import Manifest

extension GrantsFile {
    /// Changes the file: reads it, lets `change` work on it, and puts the new one in place.
    ///
    /// Two that do so at once wait for each other.
    ///
    /// - Returns: what `change` returned.
    static func change<Value>(_ path: String, _ change: (inout GrantsFile) throws -> Value) throws -> Value {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { String(path[..<$0]) } ?? "."
        let lock = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw failure(folder) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 { guard errno == EINTR else { throw failure(folder) } }
        var file = try GrantsFile(reading: path)
        let before = file
        let value = try change(&file)
        if file != before || access(path, F_OK) != 0 { try replace(path, with: file.text) }
        return value
    }

    private static func replace(_ path: String, with text: String) throws {
        var status = stat()
        let mode = stat(path, &status) == 0 ? status.st_mode & 0o777 : 0o640
        let draft = path + ".new"
        unlink(draft)
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure(draft) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(draft) }
            written += count
        }
        guard fchmod(file, mode) == 0, fsync(file) == 0, rename(draft, path) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> CommandFailure {
        let code = errno
        return CommandFailure(
            code == EACCES || code == EPERM ? .permissionDenied : .failed,
            "\(path) cannot be written: \(String(cString: strerror(code)))",
            hint: "Grants stand beside the mesh file; run as the user who owns it."
        )
    }
}
