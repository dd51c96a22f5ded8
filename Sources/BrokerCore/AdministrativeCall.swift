// A call to the built-in service `mesh`, handed to the shell, which knows JSON; and notices, which the shell logs and
// publishes.

public import MeshProtocol

/// A call to the service `mesh` that has passed the permissions.
///
/// The shell answers with ``BrokerCore/answer(_:body:contentType:now:into:)``
/// or ``BrokerCore/refuse(_:with:now:into:)``; streams take ``BrokerCore/stream(_:body:byteCount:contentType:now:into:)`` before.
public struct AdministrativeCall: Sendable, Hashable {
    /// Names the call in the answers.
    public var lease: LeaseID
    /// The method.
    public var method: String
    /// The caller's principal.
    public var caller: String
    /// The caller's session.
    public var session: SessionID
    /// The arguments; the shell owns the reference now.
    public var body: BodyHandle
    /// What the arguments are.
    public var contentType: ContentType
}

/// Something that happened in the mesh: logged by the shell and published by the core under `mesh.`.
public struct Notice: Sendable, Hashable {
    /// How much it matters.
    public enum Level: UInt8, Sendable, Comparable {
        /// Of interest when looking for something.
        case debug
        /// The ordinary life of the mesh.
        case info
        /// Somebody should look.
        case warning

        /// Orders levels by weight.
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// How much it matters.
    public var level: Level
    /// The topic under which it is published: `mesh.session.gone`, for example.
    public var topic: String
    /// One sentence for people.
    public var message: String
    /// Details for programs, in order: names and values.
    public var fields: [Attribute]

    /// Makes a notice.
    public init(level: Level, topic: String, message: String, fields: [Attribute] = []) {
        self.level = level
        self.topic = topic
        self.message = message
        self.fields = fields
    }
}
