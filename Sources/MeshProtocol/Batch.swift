// BATCH: several small messages in one, since a message costs its transport much more than its bytes do. Its header says
// only that; its payload holds the messages. Pure.

/// BATCH: the messages in the payload, each as if it had come by itself, in their order.
public struct Batch: HeaderFields {
    /// BATCH.
    public static let verb = Verb.batch
    /// Makes a BATCH.
    public init() {}

    /// Payloads over this many bytes are better sent by themselves: copying them costs as much as a message.
    public static let joinedPayloadByteCount = 1024

    /// Reads a BATCH.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Batch {
        var reader = HeaderReader(bytes)
        _ = try HeaderPrefix.read(.batch, from: &reader)
        try reader.finish()
        return Batch()
    }

    /// Appends the header to a buffer.
    public func encode(to buffer: inout [UInt8]) { HeaderWriter.prefix(.batch, id: .session, to: &buffer) }

    /// True for a header that begins as a BATCH does.
    @inline(__always)
    public static func begins(_ header: UnsafeRawBufferPointer) -> Bool {
        header.count >= HeaderPrefix.byteCount
            && UInt16(littleEndian: header.loadUnaligned(as: UInt16.self)) == HeaderWriter.verbWord(.batch)
    }

    // MARK: Messages

    /// One message of a batch; its bytes are the batch's.
    public struct Item {
        /// The header.
        public let header: UnsafeRawBufferPointer
        /// The payload, when there is one.
        public let payload: UnsafeRawBufferPointer?
    }

    /// The bytes that a message takes up in a batch.
    @inline(__always)
    public static func byteCount(header: Int, payload: Int?) -> Int { lengthsByteCount + header + (payload ?? 0) }

    private static let lengthsByteCount = 8
    private static let noPayload = UInt32.max

    /// Appends a message to a batch's payload.
    ///
    /// - Parameters:
    ///   - header: Its header; at most ``WireLimits/headerByteCount``.
    ///   - payload: Its payload; nil when it has none.
    ///   - buffer: The batch's payload so far.
    @inline(__always)
    public static func append(
        header: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer?,
        to buffer: inout [UInt8]
    ) {
        let count = payload.map { UInt32(truncatingIfNeeded: $0.count) } ?? noPayload
        HeaderWriter.integer(HeaderWriter.pair(UInt32(truncatingIfNeeded: header.count), count), to: &buffer)
        buffer.append(contentsOf: header)
        if let payload { buffer.append(contentsOf: payload) }
    }
}

/// Reads the messages of a batch one after the other; hostile bytes end it with an error.
public struct BatchReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var isBroken = false

    /// Begins to read a batch's payload, which must stay valid meanwhile.
    ///
    /// - Parameters:
    ///   - bytes: The payload.
    ///   - maximumByteCount: How large a batch the reader's side takes, as it has told the other.
    public init(_ bytes: UnsafeRawBufferPointer, maximumByteCount: Int = WireLimits.batchByteCount) {
        self.bytes = bytes
        isBroken = bytes.isEmpty || bytes.count > maximumByteCount
    }

    /// The next message; nil at the end.
    ///
    /// - Throws: ``BatchError`` where the lengths do not add up, a message is none of those that may stand in a batch, or the
    ///   batch is empty or larger than its receiver takes.
    @inline(__always)
    public mutating func next() throws(BatchError) -> Batch.Item? {
        if isBroken { throw error(.size) }
        let rest = bytes.count - offset
        if rest == 0 { return nil }
        guard rest >= 8, let start = bytes.baseAddress else { throw error(.lengths) }
        let lengths = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        let headerCount = Int(UInt32(truncatingIfNeeded: lengths))
        let second = UInt32(truncatingIfNeeded: lengths >> 32)
        let hasPayload = second != .max
        let payloadCount = hasPayload ? Int(second) : 0
        guard headerCount >= HeaderPrefix.byteCount, headerCount + payloadCount <= rest - 8 else {
            throw error(.bounds)
        }
        let header = UnsafeRawBufferPointer(start: start + offset + 8, count: headerCount)
        guard header[1] > Verb.welcome.rawValue, header[1] != Verb.batch.rawValue else {
            throw error(.verb)
        }
        offset += 8 + headerCount + payloadCount
        let payload = UnsafeRawBufferPointer(start: start + offset - payloadCount, count: payloadCount)
        return Batch.Item(header: header, payload: hasPayload ? payload : nil)
    }

    private func error(_ problem: BatchError.Problem) -> BatchError { BatchError(offset: offset, problem: problem) }
}

/// A batch that cannot be read: where, and what is wrong.
public struct BatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: String, Hashable, Sendable {
        /// No message at all, or more bytes than the receiver takes.
        case size
        /// The batch ends before the two lengths of a message do.
        case lengths
        /// A message is longer than what is left of the batch, or its header is shorter than a prefix.
        case bounds
        /// A message that comes by itself.
        case verb
    }

    /// Where the message begins, in bytes from the start of the batch's payload.
    public var offset: Int
    /// What is wrong.
    public var problem: Problem

    /// Makes an error.
    public init(offset: Int, problem: Problem) {
        self.offset = offset
        self.problem = problem
    }

    /// One sentence.
    public var description: String {
        let reason =
            switch problem {
            case .size: "a batch holds a message at least, and no more bytes than its receiver has said that it takes"
            case .lengths: "the batch ends within the lengths of a message"
            case .bounds: "a message does not lie within the batch, or its header is shorter than a prefix"
            case .verb: "HELLO, WELCOME and BATCH come by themselves"
            }
        return "BATCH, byte \(offset) of the payload: \(reason)"
    }
}
