// One direction of a relayed connection: a bounded buffer between the socket that bytes come from and the one they go to.
// A full buffer is not read into, so the sender is slowed by its own socket; an end is handed on once the buffer is empty.

internal import Glibc

/// Bytes on their way from one socket to another.
struct RelayPipe: ~Copyable {
    /// What came of moving bytes.
    enum Step {
        /// There may be more.
        case going
        /// The source has ended and the sink was told.
        case done
        /// A socket broke: the connection is over in both directions.
        case broken(RelayFailure)
    }

    private let buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private(set) var hasSourceEnded = false
    private(set) var isDone = false
    /// All that has come through.
    private(set) var byteCount: UInt64 = 0

    init(capacity: Int) { buffer = .allocate(byteCount: capacity, alignment: 16) }

    deinit { buffer.deallocate() }

    /// Whether it has room for what the source may have.
    var wantsToRead: Bool { !hasSourceEnded && end < buffer.count }
    /// Whether the sink has something to take.
    var wantsToWrite: Bool { start < end }

    /// Reads once.
    mutating func read(from source: Int32) -> Step {
        guard wantsToRead else { return .going }
        let count = recv(source, buffer.baseAddress?.advanced(by: end), buffer.count - end, 0)
        if count > 0 {
            end += count
        } else if count == 0 {
            hasSourceEnded = true
        } else if !Self.isPassing(errno) {
            return .broken(RelayFailure(errno: errno))
        }
        return .going
    }

    /// Writes once what there is, and hands an end on.
    mutating func write(to sink: Int32) -> Step {
        if wantsToWrite {
            let count = send(sink, buffer.baseAddress?.advanced(by: start), end - start, Int32(MSG_NOSIGNAL))
            if count < 0 {
                if Self.isPassing(errno) { return .going }
                guard errno == EPIPE || errno == ECONNRESET else { return .broken(RelayFailure(errno: errno)) }
                // Nobody takes it any more; what the other side said last still goes the other way.
                hasSourceEnded = true
                isDone = true
                start = end
            } else {
                start += count
                byteCount += UInt64(count)
            }
            makeRoom()
        }
        guard hasSourceEnded, !wantsToWrite, !isDone else { return .going }
        isDone = true
        shutdown(sink, Int32(SHUT_WR))
        return .done
    }

    /// Moves what is left to the front when there is no room behind it.
    private mutating func makeRoom() {
        if start == end {
            start = 0
            end = 0
        } else if start > buffer.count / 2 {
            buffer.baseAddress.map { _ = memmove($0, $0.advanced(by: start), end - start) }
            end -= start
            start = 0
        }
    }

    private static func isPassing(_ code: Int32) -> Bool { code == EAGAIN || code == EINTR || code == EWOULDBLOCK }
}
