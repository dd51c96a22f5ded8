// A thin layer over inotify(7): folders are watched, events are read. Waiting is bounded and can be ended from another
// thread. Linux only, as `wiz` is.

import CLinuxShims
import Glibc

/// An inotify instance and an eventfd that ends waiting; one thread waits, others may add and end watches.
struct Inotify: ~Copyable, Sendable {
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
    func wait(_ bound: Duration?) -> Outcome {
        let milliseconds = bound.map { Int32(clamping: max(0, Units.milliseconds($0))) } ?? -1
        var polls = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        let count = poll(&polls, 2, milliseconds)
        if polls[1].revents != 0 { return .woken }
        guard count > 0 else { return count < 0 && errno == EINTR ? .events([]) : .quiet }
        return .events(
            withUnsafeTemporaryAllocation(byteCount: Self.readByteCount, alignment: 8) { buffer in
                let length = read(descriptor, buffer.baseAddress, buffer.count)
                return length > 0 ? Self.parse(UnsafeRawBufferPointer(buffer)[..<length]) : []
            }
        )
    }

    private static let readByteCount = 64 << 10

    private static func parse(_ bytes: Slice<UnsafeRawBufferPointer>) -> [Event] {
        var events: [Event] = []
        let head = MemoryLayout<inotify_event>.size
        var rest = bytes
        while rest.count >= head {
            let event = UnsafeRawBufferPointer(rebasing: rest).loadUnaligned(as: inotify_event.self)
            let whole = rest.prefix(head + Int(event.len))
            let name = String(decoding: whole.dropFirst(head).prefix { $0 != 0 }, as: UTF8.self)
            events.append(Event(watch: Watch(descriptor: event.wd), flags: event.mask, name: name))
            rest = rest.dropFirst(whole.count)
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
