// The file that says to a container's health check that the plugin is registered and the broker answers: there while both
// are so, gone otherwise.

internal import Glibc
internal import Synchronization

/// Keeps the file of WIZ_READY_FILE.
final class ReadyFile: Sendable {
    private let path: String
    private let isEnded = Mutex(false)
    private let following = Mutex<Task<Void, Never>?>(nil)

    /// Begins to follow a connection; everything is registered by now.
    init(_ path: String, following states: AsyncStream<ConnectionState>, logger: Logger) {
        self.path = path
        let task = Task { [self] in
            for await state in states {
                switch state {
                case .connected:
                    if !put() { logger.warning("the file WIZ_READY_FILE, \(path), cannot be made: errno \(errno)") }
                case .connecting, .disconnected, .closed: remove()
                }
            }
        }
        following.withLock { $0 = task }
    }

    /// Removes the file for good: the plugin takes no more work.
    func end() {
        following.withLock { $0 }?.cancel()
        isEnded.withLock { isEnded in
            isEnded = true
            unlink(path)
        }
    }

    /// False when the file cannot be made.
    private func put() -> Bool {
        isEnded.withLock { isEnded in
            guard !isEnded else { return true }
            let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
            guard descriptor >= 0 else { return false }
            close(descriptor)
            return true
        }
    }

    private func remove() { isEnded.withLock { _ in _ = unlink(path) } }
}
