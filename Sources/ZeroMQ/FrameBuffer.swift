// The slots into which one message's frames are received, reused for every message. Bounds how many frames of a
// message are looked at; what is beyond is thrown away frame by frame. Owned by the thread that receives.

import CZeroMQ
import Glibc

/// Reusable slots for the frames of one received message.
public struct FrameBuffer: ~Copyable {
    private let slots: UnsafeMutablePointer<UnsafeMutablePointer<zmq_msg_t>>

    /// The most frames a message may have.
    public let capacity: Int
    /// The frames of the message received last that are held here.
    public internal(set) var count = 0

    /// Makes a buffer for messages of up to so many frames.
    public init(capacity: Int = 3) {
        precondition(capacity > 0, "a frame buffer needs at least one slot")
        self.capacity = capacity
        slots = .allocate(capacity: capacity)
        for index in 0..<capacity { (slots + index).initialize(to: FrameBuffer.emptySlot()) }
    }

    deinit {
        for index in 0..<capacity {
            zmq_msg_close(slots[index])
            free(slots[index])
        }
        slots.deallocate()
    }

    private static func emptySlot() -> UnsafeMutablePointer<zmq_msg_t> {
        let slot = Message.allocate()
        zmq_msg_init(slot)
        return slot
    }

    /// The slot of a frame that is about to be received or is held.
    func slot(_ index: Int) -> UnsafeMutablePointer<zmq_msg_t> { slots[index] }

    /// The slot of a frame that is held.
    func held(_ index: Int) -> UnsafeMutablePointer<zmq_msg_t> {
        precondition(index >= 0 && index < count, "there is no such frame")
        return slots[index]
    }

    /// The number of bytes of a frame.
    public func size(at index: Int) -> Int { zmq_msg_size(held(index)) }

    /// The bytes of a frame, valid until the buffer changes.
    @_lifetime(borrow self)
    public borrowing func bytes(at index: Int) -> RawSpan {
        let span = RawSpan(_unsafeBytes: Message.buffer(of: held(index)))
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Lends the bytes of a frame.
    public borrowing func withUnsafeBytes<R: ~Copyable, E: Error>(
        at index: Int,
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(Message.buffer(of: held(index)))
    }

    /// The first frame as a connection of a ROUTER; nil if a peer chose its own id.
    public var routingID: RoutingID? { count > 0 ? RoutingID(bytes: Message.buffer(of: slots[0])) : nil }

    /// A property of the connection a frame came by, as `Message.property(_:)` says; ask a frame after the first.
    public func property(_ name: Message.Property, at index: Int) -> String? {
        Message.property(name, of: held(index))
    }

    /// The descriptor of the connection a frame came by, nil if unknown; ask a frame after the first.
    public func sourceFileDescriptor(at index: Int) -> Int32? { Message.sourceFileDescriptor(of: held(index)) }

    /// Takes a frame out; an empty one stays in its place.
    public mutating func take(at index: Int) -> Message {
        let taken = held(index)
        slots[index] = FrameBuffer.emptySlot()
        return Message(adopting: taken)
    }

    /// Frees what the frames hold.
    public mutating func clear() {
        for index in 0..<count {
            zmq_msg_close(slots[index])
            zmq_msg_init(slots[index])
        }
        count = 0
    }
}
