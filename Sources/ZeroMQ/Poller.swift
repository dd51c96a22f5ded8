// Waits for a small fixed list of sockets and descriptors at once. zmq_poll queries every socket on each call, so keep
// the list short. Owned by the thread that owns the sockets; allocates nothing while waiting.

import CLinuxShims
import CZeroMQ

/// Waits until any of a few sockets or descriptors is ready.
///
/// It keeps raw handles: remove a socket, or drop the poller, before the socket goes away.
public struct Poller: ~Copyable {
    /// What to wait for.
    public struct Events: OptionSet, Sendable {
        /// The bits, as poll(2) has them.
        public let rawValue: Int16

        /// Makes a set from its bits.
        public init(rawValue: Int16) { self.rawValue = rawValue }

        /// Something can be received.
        public static let readable = Events(rawValue: 1)
        /// Something can be sent.
        public static let writable = Events(rawValue: 2)
        /// A descriptor failed or its other end is gone.
        public static let failed = Events(rawValue: 4)
    }

    /// The entries that are ready, by their index.
    public struct Ready: Hashable, Sendable {
        /// Bit i stands for entry i.
        public let mask: UInt64

        /// Whether nothing is ready.
        public var isEmpty: Bool { mask == 0 }

        /// Whether an entry is ready.
        public func contains(_ index: Int) -> Bool { mask & (1 << UInt64(index)) != 0 }
    }

    /// The most entries; up to here zmq_poll works on its stack.
    public static let maximumCapacity = 16

    private let items: UnsafeMutablePointer<zmq_pollitem_t>
    private let capacity: Int
    /// The entries in use.
    public private(set) var count = 0

    /// Makes an empty poller.
    public init(capacity: Int = Poller.maximumCapacity) {
        precondition(capacity > 0 && capacity <= Poller.maximumCapacity, "a poller has 1 to 16 entries")
        self.capacity = capacity
        items = .allocate(capacity: capacity)
    }

    deinit { items.deallocate() }

    /// Adds a socket; its index is returned.
    @discardableResult
    public mutating func add(_ socket: borrowing Socket, events: Events) -> Int {
        append(zmq_pollitem_t(socket: socket.handle, fd: -1, events: events.rawValue, revents: 0))
    }

    /// Adds a monitor, to wait for its events; its index is returned.
    @discardableResult
    public mutating func add(_ monitor: borrowing Monitor) -> Int {
        append(zmq_pollitem_t(socket: monitor.handle, fd: -1, events: Events.readable.rawValue, revents: 0))
    }

    /// Adds a descriptor; its index is returned.
    @discardableResult
    public mutating func add(fileDescriptor: Int32, events: Events) -> Int {
        append(zmq_pollitem_t(socket: nil, fd: fileDescriptor, events: events.rawValue, revents: 0))
    }

    /// Adds a wake-up; its index is returned.
    @discardableResult
    public mutating func add(_ wakeUp: WakeUp, events: Events = .readable) -> Int {
        add(fileDescriptor: wakeUp.fileDescriptor, events: events)
    }

    private mutating func append(_ item: zmq_pollitem_t) -> Int {
        precondition(count < capacity, "the poller is full")
        (items + count).initialize(to: item)
        count += 1
        return count - 1
    }

    /// Changes what an entry waits for; an empty set puts it to rest.
    public mutating func setEvents(_ events: Events, at index: Int) {
        precondition(index >= 0 && index < count, "there is no such entry")
        items[index].events = events.rawValue
    }

    /// Removes an entry; those after it move down by one.
    public mutating func remove(at index: Int) {
        precondition(index >= 0 && index < count, "there is no such entry")
        for position in index..<(count - 1) { items[position] = items[position + 1] }
        count -= 1
    }

    /// What an entry was ready for when `wait` last returned.
    public func events(at index: Int) -> Events {
        precondition(index >= 0 && index < count, "there is no such entry")
        return Events(rawValue: items[index].revents)
    }

    /// Waits until an entry is ready or the time is over.
    /// - Parameter timeout: how long to wait, rounded up to a millisecond; nil waits for as long as it takes.
    /// - Returns: the ready entries, none if the time was over.
    /// - Throws: `.contextTerminated` once the context of one of the sockets was shut down.
    public mutating func wait(timeout: Duration?) throws(ZeroMQError) -> Ready {
        try wait(timeoutNanoseconds: timeout.map { max(0, $0.wholeNanoseconds) } ?? -1)
    }

    /// Waits until an entry is ready or the time is over.
    /// - Parameter timeoutNanoseconds: how long to wait, rounded up to a millisecond; negative waits without end.
    /// - Returns: the ready entries, none if the time was over.
    /// - Throws: `.contextTerminated` once the context of one of the sockets was shut down.
    public mutating func wait(timeoutNanoseconds: Int64) throws(ZeroMQError) -> Ready {
        var remaining = timeoutNanoseconds
        let start = timeoutNanoseconds > 0 ? wiz_monotonic_ns() : 0
        while true {
            let milliseconds = remaining < 0 ? -1 : (min(remaining, 2_000_000_000_000_000) + 999_999) / 1_000_000
            let result = zmq_poll(items, Int32(count), Int(milliseconds))
            if result >= 0 { return result == 0 ? Ready(mask: 0) : collect() }
            guard zmq_errno() == ZMQErrno.interrupted else { throw ZeroMQError(lastErrorOf: .poll) }
            if timeoutNanoseconds > 0 { remaining = max(0, timeoutNanoseconds - (wiz_monotonic_ns() - start)) }
        }
    }

    private func collect() -> Ready {
        var mask: UInt64 = 0
        for index in 0..<count where items[index].revents != 0 { mask |= 1 << UInt64(index) }
        return Ready(mask: mask)
    }
}
