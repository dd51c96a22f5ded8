// The mesh file of something that runs, read again and again: what is read of a manifest counts on when the manifest cannot
// be used any more, so that who breaks it changes nothing for the plugin that runs, nor for any other.

import Broker
import ConfigDocument
import Glibc
import Synchronization

/// Reads a mesh file again.
final class MeshFileReader: Sendable {
    private let last: Mutex<MeshFile>

    /// The file as it was when it was last good.
    var latest: MeshFile { last.withLock { $0 } }

    /// Begins with a file that was read.
    init(_ file: MeshFile) { last = Mutex(file) }

    /// The file as it is now; as it was when it never was on disk.
    ///
    /// - Throws: every problem of the file; then the next reading begins with the last good one.
    func read() throws(ConfigErrors) -> MeshFile {
        let earlier = last.withLock { $0 }
        guard access(earlier.path, R_OK) == 0 else { return earlier }
        let file = try MeshFile(reading: earlier.path, after: earlier)
        last.withLock { $0 = file }
        return file
    }
}
