// Credit accounts of one direction of a stream, for its sender and for its receiver. Pure.

import MeshProtocol

/// What a sender may still send.
///
/// A chunk needs a message of credit and some bytes of credit; its size may overdraw the bytes once.
struct SendWindow: Hashable, Sendable {
    private var messages: Int64
    private var bytes: Int64

    init(_ credit: Credit) {
        messages = Int64(credit.messages)
        bytes = Int64(credit.bytes)
    }

    /// Whether a chunk may be sent now.
    var isOpen: Bool { messages > 0 && bytes > 0 }

    /// Takes a chunk's credit; false, and nothing taken, when there is none.
    mutating func take(byteCount: Int) -> Bool {
        guard isOpen else { return false }
        messages -= 1
        bytes -= Int64(byteCount)
        return true
    }

    /// Adds what the receiver granted.
    mutating func grant(_ credit: Credit) {
        messages += Int64(credit.messages)
        bytes += Int64(credit.bytes)
    }
}

/// What a receiver has consumed and not yet granted again.
struct ReceiveWindow: Hashable, Sendable {
    private let window: Credit
    private var messages: UInt32 = 0
    private var bytes: UInt64 = 0

    init(_ window: Credit) { self.window = window }

    /// Notes that the reader took an element; returns a grant once half the window is consumed.
    mutating func consumed(byteCount: Int) -> Credit? {
        messages += 1
        bytes += UInt64(byteCount)
        guard messages >= max(1, window.messages / 2) || bytes >= UInt64(max(1, window.bytes / 2)) else { return nil }
        let grant = Credit(messages: messages, bytes: UInt32(clamping: bytes))
        messages = 0
        bytes = 0
        return grant
    }

    /// Forgets what was consumed: a new session begins with a new window.
    mutating func reset() {
        messages = 0
        bytes = 0
    }
}

/// The order and the account of the chunks of one direction, as its receiver checks them.
struct ChunkCheck: Hashable, Sendable {
    private var next: UInt32 = 0
    private var window: SendWindow

    init(_ window: Credit) { self.window = SendWindow(window) }

    /// Adds what this receiver granted.
    mutating func grant(_ credit: Credit) { window.grant(credit) }

    /// Checks a chunk; the status and the reason when it breaks a rule.
    mutating func received(sequence: UInt32, byteCount: Int) -> (status: Status, message: String)? {
        guard sequence == next else {
            return (.dataLoss, "chunk \(sequence) came where chunk \(next) was due")
        }
        guard window.take(byteCount: byteCount) else {
            return (.protocolError, "chunk \(sequence) came without credit")
        }
        next &+= 1
        return nil
    }
}
