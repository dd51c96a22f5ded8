// One frame: a zmq_msg_t that lives on the heap and never moves, because a small message's bytes are inside it.
// A message is owned once and freed once; sending gives it away. Its one malloc of 64 bytes is served by malloc's thread
// cache: a relay built on this takes the CPU time of the same relay in C, so there is no pool of our own.

import CZeroMQ
import Glibc

/// One frame of bytes, owned by whoever holds it.
public struct Message: ~Copyable, @unchecked Sendable {
    /// The heap-held zmq_msg_t; always initialised.
    let raw: UnsafeMutablePointer<zmq_msg_t>

    /// Makes an empty message.
    public init() {
        raw = Message.allocate()
        zmq_msg_init(raw)
    }

    /// Makes a message of a size whose bytes are not yet set.
    public init(size: Int) {
        raw = Message.allocate()
        // The only failure is no memory; libzmq itself aborts then, and so do we.
        precondition(zmq_msg_init_size(raw, size) == 0, "no memory for a message of \(size) bytes")
    }

    /// Makes a message that holds a copy of the bytes.
    public init(copying bytes: UnsafeRawBufferPointer) {
        self.init(size: bytes.count)
        fill(from: bytes)
    }

    /// Makes a message that holds a copy of the bytes.
    public init(copying bytes: RawSpan) {
        self.init(size: bytes.byteCount)
        bytes.withUnsafeBytes { fill(from: $0) }
    }

    /// Makes a message that holds a copy of the bytes.
    public init(copying bytes: [UInt8]) {
        self.init(size: bytes.count)
        bytes.withUnsafeBytes { fill(from: $0) }
    }

    /// Takes back a message that `take()` turned into a handle; the handle is spent.
    public init(owning handle: RawMessage) { raw = handle.pointer.assumingMemoryBound(to: zmq_msg_t.self) }

    private borrowing func fill(from bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0, let target = zmq_msg_data(raw) else { return }
        memcpy(target, source, bytes.count)
    }

    init(adopting pointer: UnsafeMutablePointer<zmq_msg_t>) { raw = pointer }

    deinit {
        zmq_msg_close(raw)
        free(raw)
    }

    /// Turns the message into a trivial handle to keep in a plain table; somebody must make a `Message` of it again.
    public consuming func take() -> RawMessage { RawMessage(pointer: UnsafeMutableRawPointer(release())) }

    /// Gives up ownership: the caller frees.
    consuming func release() -> UnsafeMutablePointer<zmq_msg_t> {
        let pointer = raw
        discard self
        return pointer
    }

    /// The number of bytes.
    public var size: Int { zmq_msg_size(raw) }

    /// Whether more frames of the same message follow this received one.
    public var more: Bool { zmq_msg_more(raw) != 0 }

    /// The bytes, valid as long as the message is.
    public var bytes: RawSpan {
        @_lifetime(borrow self)
        borrowing get {
            let span = RawSpan(_unsafeBytes: Message.buffer(of: raw))
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Lends the bytes.
    public borrowing func withUnsafeBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(Message.buffer(of: raw))
    }

    /// Lends the bytes for writing; only for a message that was just made, since a shared one's bytes are common.
    public mutating func withUnsafeMutableBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeMutableRawBufferPointer(start: zmq_msg_data(raw), count: zmq_msg_size(raw)))
    }

    /// A second message with the same bytes: small ones are copied, larger ones share one reference-counted body.
    public borrowing func share() -> Message { Message.share(raw) }

    /// A property of the connection this message came by (`User-Id`, `Peer-Address`); nil if there is none.
    ///
    /// Only `User-Id` (when ZAP ran) and `Peer-Address` can be trusted; a peer sets others as it likes. A message's
    /// first frame may lack them all: ask a later frame.
    public borrowing func property(_ name: Property) -> String? { Message.property(name, of: raw) }

    /// The descriptor of the connection this message came by; nil if unknown.
    public borrowing func sourceFileDescriptor() -> Int32? { Message.sourceFileDescriptor(of: raw) }

    /// The same content, safe to send on to another peer.
    ///
    /// A peer can make a frame that carries ZMTP's command flag, which libzmq keeps when the frame is sent on, so that
    /// the next peer's engine would act on it. libzmq lets only SUBSCRIBE and CANCEL commands through to the
    /// application, so a frame that begins with either name is copied, which drops the flag; others pass untouched.
    public consuming func rewrapped() -> Message {
        guard Message.looksLikeCommand(Message.buffer(of: raw)) else { return self }
        return Message(copying: Message.buffer(of: raw))
    }
}

extension Message {
    /// The bytes that libzmq reads at a time; larger messages get memory of their own.
    static let readBufferByteCount = 8192

    /// A property of a connection.
    public enum Property: Sendable {
        /// What the ZAP handler called the peer's principal.
        case userID
        /// The peer's numeric host, or `localhost:UID:GID:PID` on ipc.
        case peerAddress

        var name: StaticString {
            switch self {
            case .userID: "User-Id"
            case .peerAddress: "Peer-Address"
            }
        }
    }

    /// Memory for a zmq_msg_t, not yet initialised.
    static func allocate() -> UnsafeMutablePointer<zmq_msg_t> {
        guard let memory = malloc(MemoryLayout<zmq_msg_t>.size) else { preconditionFailure("no memory for a message") }
        return memory.assumingMemoryBound(to: zmq_msg_t.self)
    }

    static func buffer(of raw: UnsafeMutablePointer<zmq_msg_t>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: zmq_msg_data(raw), count: zmq_msg_size(raw))
    }

    static func share(_ raw: UnsafeMutablePointer<zmq_msg_t>) -> Message {
        let copy = Message()
        precondition(zmq_msg_copy(copy.raw, raw) == 0, "a message that is in use could not be shared")
        return copy
    }

    static func property(_ property: Property, of raw: UnsafeMutablePointer<zmq_msg_t>) -> String? {
        let value = property.name.withUTF8Buffer { name in
            name.withMemoryRebound(to: CChar.self) { zmq_msg_gets(raw, $0.baseAddress) }
        }
        return value.map { String(cString: $0) }
    }

    static func sourceFileDescriptor(of raw: UnsafeMutablePointer<zmq_msg_t>) -> Int32? {
        let descriptor = zmq_msg_get(raw, ZMQ_SRCFD)
        return descriptor > 0 ? descriptor : nil
    }

    /// Whether a frame could be a ZMTP command that libzmq passes to the application.
    static func looksLikeCommand(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 7, let start = bytes.baseAddress else { return false }
        switch bytes[0] {
        case 9: return bytes.count >= 10 && memcmp(start + 1, "SUBSCRIBE", 9) == 0
        case 6: return memcmp(start + 1, "CANCEL", 6) == 0
        default: return false
        }
    }
}

/// A message as a trivial handle, for tables that cannot hold noncopyable values.
///
/// Copies of the handle are the same message: exactly one of them must become a `Message` again.
public struct RawMessage: Hashable, @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer

    private var raw: UnsafeMutablePointer<zmq_msg_t> { pointer.assumingMemoryBound(to: zmq_msg_t.self) }

    /// The number of bytes.
    public var size: Int { zmq_msg_size(raw) }

    /// Lends the bytes.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        try body(Message.buffer(of: raw))
    }

    /// A second message with the same bytes; the handle stays valid.
    public func share() -> Message { Message.share(raw) }

    /// Frees the message; every copy of the handle is spent.
    public func close() { _ = Message(owning: self) }
}
