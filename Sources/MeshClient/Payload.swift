// What calls and events carry: bytes and a word about what they hold. JSON lives in Payload+JSON.swift, so that this
// file needs nothing but the protocol's names.

public import MeshProtocol

/// The content of a call, a reply, a chunk or an event; the mesh carries it and never looks inside.
public struct Payload: Hashable, Sendable {
    /// The content.
    public var bytes: [UInt8]
    /// What the bytes hold.
    public var contentType: ContentType

    /// Makes a payload of bytes.
    public init(_ bytes: [UInt8], contentType: ContentType = .bytes) {
        self.bytes = bytes
        self.contentType = contentType
    }

    /// Makes a payload of text in UTF-8.
    public static func text(_ text: String) -> Payload { Payload(Array(text.utf8), contentType: .text) }

    /// Makes a payload of JSON that is at hand as text.
    public static func json(text: String) -> Payload { Payload(Array(text.utf8), contentType: .json) }

    /// No bytes.
    public static let empty = Payload([])

    /// Whether there are no bytes.
    public var isEmpty: Bool { bytes.isEmpty }

    /// The bytes as text, with what is not UTF-8 replaced.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}
