// A folder of a test below /tmp, with a short path, since a local socket's path has little room. It goes away with its
// owner.

import Glibc

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    private static let prefix = "/tmp/wiz-test-"

    let path: String

    var runFolder: String { path + "/run" }
    var endpoint: String { "ipc://" + runFolder + "/mesh.sock" }

    init() throws(TestFailure) {
        var template = Array((Self.prefix + "XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else {
            throw TestFailure("no folder can be made in /tmp: \(String(cString: strerror(errno)))")
        }
        path = String(cString: made)
    }

    deinit { Self.remove(path) }

    static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    static func write(_ text: String, to path: String) -> Bool {
        guard let file = fopen(path, "w") else { return false }
        let isWritten = fputs(text, file) >= 0
        return fclose(file) == 0 && isWritten
    }

    private static func remove(_ path: String) {
        var status = stat()
        guard path.hasPrefix(prefix), lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR, let listing = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { remove(path + "/" + name) }
        }
        closedir(listing)
        rmdir(path)
    }
}
