// Which keys this process has answered, and a file in which several processes write that down together.

import Glibc
import Synchronization

final class Ledger: Sendable {
    private let counts = Mutex<[String: Int]>([:])
    private let file: Int32

    /// - Parameter path: the file to append to; nil: none.
    init(_ path: String?) {
        guard let path else {
            file = -1
            return
        }
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        if !folder.isEmpty { mkdir(folder, 0o755) }
        file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        if file < 0 { say("\(path) cannot be written: \(String(cString: strerror(errno)))") }
    }

    /// Counts a key; the line goes to the file in one piece.
    func count(_ key: String, _ line: String) -> Int {
        let count = counts.withLock { counts in
            counts[key, default: 0] += 1
            return counts[key] ?? 0
        }
        if file >= 0 {
            let bytes = Array((line + "\n").utf8)
            _ = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        }
        return count
    }
}
