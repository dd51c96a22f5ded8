// A place for one message that is used again and again, as a trivial handle for tables: a zmq_msg_t that is allocated
// once, instead of one for every message that passes through. Owned by the thread that owns the table.

import CZeroMQ
import Glibc

/// A place that holds a message or is empty.
///
/// Copies of the handle are the same place; whoever made it frees it once.
public struct MessageCell: @unchecked Sendable {
    let raw: UnsafeMutablePointer<zmq_msg_t>

    /// Makes an empty place.
    public init() {
        raw = Message.allocate()
        zmq_msg_init(raw)
    }

    /// Frees the place and what it holds; every copy of the handle is spent.
    public func free() {
        zmq_msg_close(raw)
        Glibc.free(raw)
    }

    /// Takes a received frame over, safe to send on: see ``Message/rewrapped()``; an empty frame stays in its place.
    public func take(from frames: inout FrameBuffer, at index: Int) {
        let frame = frames.held(index)
        if Message.looksLikeCommand(Message.buffer(of: frame)) {
            fill(copying: Message.buffer(of: frame))
        } else {
            // The only failure is a message that is none.
            precondition(zmq_msg_move(raw, frame) == 0, "a received frame could not be moved")
        }
    }

    /// Takes a message over.
    public func put(_ message: consuming Message) {
        precondition(zmq_msg_move(raw, message.raw) == 0, "a message could not be moved")
    }

    /// Fills the place with a copy of bytes.
    public func fill(copying bytes: UnsafeRawBufferPointer) {
        zmq_msg_close(raw)
        precondition(zmq_msg_init_size(raw, bytes.count) == 0, "no memory for a message of \(bytes.count) bytes")
        guard let source = bytes.baseAddress, let target = zmq_msg_data(raw) else { return }
        memcpy(target, source, bytes.count)
    }

    /// Makes the place hold the bytes of another one, which keeps them: see ``Message/share()``.
    public func share(_ other: MessageCell) {
        precondition(zmq_msg_copy(raw, other.raw) == 0, "a message that is in use could not be shared")
    }

    /// Gives a small message memory of its own.
    ///
    /// A small received message keeps the whole 8 KiB into which libzmq read it. For messages that wait long.
    public func detach() {
        guard size <= Message.readBufferByteCount else { return }
        put(Message(copying: Message.buffer(of: raw)))
    }

    /// Gives the message away; the place is empty.
    public func take() -> Message {
        let message = Message()
        precondition(zmq_msg_move(message.raw, raw) == 0, "a message could not be moved")
        return message
    }

    /// Frees the message; the place is empty.
    public func clear() {
        zmq_msg_close(raw)
        zmq_msg_init(raw)
    }

    /// The number of bytes.
    public var size: Int { zmq_msg_size(raw) }

    /// Lends the bytes.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        try body(Message.buffer(of: raw))
    }
}
