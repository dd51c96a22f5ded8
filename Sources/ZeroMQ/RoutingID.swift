// The five bytes by which a ROUTER names a connection. A handle for the broker's own tables: it says nothing about who
// the peer is and is never shown to a peer. Pure.

/// A connection of a ROUTER socket, as libzmq numbered it: a zero byte and four bytes of number.
public struct RoutingID: Hashable, Sendable, CustomStringConvertible {
    /// The bytes of an id on the wire.
    public static let byteCount = 5

    /// The four bytes after the zero byte, in memory order.
    public let number: UInt32

    /// Makes an id from its number, as `number` gave it.
    public init(number: UInt32) { self.number = number }

    /// Reads an id; nil if the bytes are not an id that libzmq gave out (a peer chose its own: foreign).
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == RoutingID.byteCount, bytes[0] == 0 else { return nil }
        self.number = bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)
    }

    /// Lends the five bytes as they go on the wire.
    public func withUnsafeBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R
    {
        let packed = (UInt64(UInt32(littleEndian: number)) << 8).littleEndian
        return try Swift.withUnsafePointer(to: packed) { (pointer: UnsafePointer<UInt64>) throws(E) -> R in
            try body(UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: RoutingID.byteCount))
        }
    }

    /// The number in hexadecimal, for the broker's own logs.
    public var description: String { "connection " + String(number, radix: 16) }
}
