// A thin layer over inotify(7): folders are watched, events are read. Waiting is bounded and can be ended from another
// thread. Linux only, as `wiz` is.

import CLinuxShims
import Glibc

/// An inotify instance and an eventfd that ends waiting; used by one thread, but for `wake`.
struct Inotify: ~Copyable {
    /// A folder that is watched.
    struct Watch: Hashable {
        let descriptor: Int32
    }

    /// Something that happened in a watched folder.
    struct Event {
        let watch: Watch
        let flags: UInt32
        /// The name in the folder; empty for the folder itself.
        let name: String

        func has(_ flag: Int32) -> Bool { flags & UInt32(flag) != 0 }
    }

    private let descriptor: Int32
    private let wakeDescriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    /// What changes a folder's contents.
    ///
    /// Writing is told at its end, when the file is closed.
    private static let mask = UInt32(
        IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF
            | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
    )

    /// Opens an instance; fails when the user has too many.
    init(wakeDescriptor: Int32) throws(WatchFailure) {
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        self.wakeDescriptor = wakeDescriptor
        guard descriptor >= 0 else { throw WatchFailure(errno: errno) }
    }

    deinit { close(descriptor) }

    /// Watches a folder; the same one again gives the same watch.
    ///
    /// Nil when it is not there or is no folder.
    func watch(_ folder: String) throws(WatchFailure) -> Watch? {
        let watch = inotify_add_watch(descriptor, folder, Self.mask)
        if watch >= 0 { return Watch(descriptor: watch) }
        if errno == ENOSPC || errno == ENOMEM { throw WatchFailure(errno: errno) }
        return nil
    }

    /// Watches a folder no longer.
    func end(_ watch: Watch) { _ = inotify_rm_watch(descriptor, watch.descriptor) }

    /// What waiting led to.
    enum Outcome {
        case events([Event])
        case quiet
        case woken
    }

    /// Waits for events; nil waits without end.
    mutating func wait(_ bound: Duration?) -> Outcome {
        let milliseconds = bound.map { Int32(clamping: max(0, Units.milliseconds($0))) } ?? -1
        var polls = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        let count = poll(&polls, 2, milliseconds)
        if polls[1].revents != 0 { return .woken }
        guard count > 0 else { return count < 0 && errno == EINTR ? .events([]) : .quiet }
        let length = read(descriptor, &buffer, buffer.count)
        return .events(length > 0 ? parse(length) : [])
    }

    private func parse(_ length: Int) -> [Event] {
        var events: [Event] = []
        buffer.withUnsafeBytes { bytes in
            let head = MemoryLayout<inotify_event>.size
            var offset = 0
            while offset + head <= length {
                let event = bytes.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                let end = min(length, offset + head + Int(event.len))
                let name = bytes[(offset + head)..<end].prefix { $0 != 0 }
                events.append(
                    Event(
                        watch: Watch(descriptor: event.wd),
                        flags: event.mask,
                        name: String(decoding: name, as: UTF8.self)
                    )
                )
                offset = end
            }
        }
        return events
    }
}

/// Why files cannot be watched.
struct WatchFailure: Error, CustomStringConvertible {
    let description: String

    init(errno code: Int32) {
        switch code {
        case ENOSPC:
            description =
                "this user watches too many folders; as root, type: sysctl fs.inotify.max_user_watches=524288"
        case EMFILE:
            description =
                "this user watches in too many programs; as root, type: sysctl fs.inotify.max_user_instances=1024"
        default: description = "files cannot be watched: \(String(cString: strerror(code)))"
        }
    }
}
