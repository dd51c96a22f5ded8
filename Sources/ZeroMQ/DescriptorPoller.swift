// Waits for descriptors with one poll(2), those by which libzmq signals its sockets among them. zmq_poll asks every
// socket for its state, at a system call or two for each; whoever has just found a socket empty need not.

import CLinuxShims
import CZeroMQ
import Glibc

extension Socket {
    /// The descriptor by which libzmq signals that a socket may have something to receive.
    ///
    /// It signals once, when news come for a socket whose news had all been taken. So wait for it only after a receive
    /// that found nothing, with no send in between: a send takes news in, too.
    public borrowing func signalDescriptor() throws(ZeroMQError) -> Int32 {
        checkThread()
        var descriptor: Int32 = -1
        var length = MemoryLayout<Int32>.size
        guard zmq_getsockopt(handle, ZMQ_FD, &descriptor, &length) == 0 else {
            throw ZeroMQError(lastErrorOf: .getOption, subject: "FD")
        }
        return descriptor
    }
}

extension Monitor {
    /// The descriptor that signals events; wait for it only after ``next()`` found none.
    public borrowing func signalDescriptor() throws(ZeroMQError) -> Int32 { try socket.signalDescriptor() }
}

/// Waits until any of a few descriptors can be read.
public struct DescriptorPoller: ~Copyable {
    private let items: UnsafeMutablePointer<pollfd>
    private let capacity: Int
    private var count = 0

    /// Makes an empty poller.
    public init(capacity: Int) {
        precondition(capacity > 0, "a poller needs room for a descriptor")
        self.capacity = capacity
        items = .allocate(capacity: capacity)
    }

    deinit { items.deallocate() }

    /// Adds a descriptor; its index is returned.
    @discardableResult
    public mutating func add(_ descriptor: Int32) -> Int {
        precondition(count < capacity, "the poller is full")
        (items + count).initialize(to: pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        count += 1
        return count - 1
    }

    /// Waits until a descriptor can be read or the time is over; a signal ends it early.
    /// - Parameter timeoutNanoseconds: how long to wait, rounded up to a millisecond; negative waits without end.
    /// - Returns: the entries that can be read or have failed.
    public mutating func wait(timeoutNanoseconds: Int64) -> Poller.Ready {
        let milliseconds =
            timeoutNanoseconds < 0 ? -1 : (min(timeoutNanoseconds, 2_000_000_000_000_000) + 999_999) / 1_000_000
        guard poll(items, nfds_t(count), Int32(clamping: milliseconds)) > 0 else { return Poller.Ready(mask: 0) }
        var mask: UInt64 = 0
        for index in 0..<count where items[index].revents != 0 { mask |= 1 << UInt64(index) }
        return Poller.Ready(mask: mask)
    }
}
