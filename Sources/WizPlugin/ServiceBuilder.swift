// How a service is put together: its methods by name, each with its handler, typed or raw.

import Synchronization

/// No parameters, or no result: an empty JSON object.
public struct Nothing: Codable, Sendable, Hashable {
    /// Makes one.
    public init() {}
}

/// A service while its methods are being named.
public struct ServiceBuilder: Sendable {
    typealias Handler = @Sendable (IncomingCall, PluginContext) async throws -> Payload

    struct Entry: Sendable {
        var name: String
        var streams: StreamDirections
        var isIdempotent: Bool?
        var permissions: [String]?
        var deadline: Duration?
        var handler: Handler
    }

    private(set) var entries: [Entry] = []

    /// Adds a method with one request and one reply, both JSON.
    ///
    /// - Parameters:
    ///   - name: The method's name.
    ///   - idempotent: Whether a second call does no harm, so that the mesh may repeat it when a worker is lost.
    ///   - permissions: Named permissions that a caller must have.
    ///   - deadline: The method's own bound.
    ///   - handler: Answers; what is nil above is taken from `plugin.json`.
    public mutating func method<Input: Decodable & SendableMetatype, Output: Encodable & SendableMetatype>(
        _ name: String,
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (Input, PluginContext) async throws -> Output
    ) {
        calls(name, idempotent: idempotent, permissions: permissions, deadline: deadline) { call, context in
            try .json(await handler(call.payload.input(), context))
        }
    }

    /// Adds a method that answers with a stream.
    ///
    /// The handler sends its chunks through the writer, which suspends while the caller has granted no credit; the stream
    /// ends when the handler returns.
    public mutating func stream<Input: Decodable & SendableMetatype>(
        _ name: String,
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (Input, PluginContext, ReplyWriter) async throws -> Void
    ) {
        calls(
            name,
            streams: .replies,
            idempotent: idempotent,
            permissions: permissions,
            deadline: deadline
        ) { call, context in
            let writer = ReplyWriter(call)
            try await handler(try call.payload.input(), context, writer)
            return writer.payload
        }
    }

    /// Adds a method that takes a stream and gives one reply.
    public mutating func collect<Chunk: Decodable & SendableMetatype, Output: Encodable & SendableMetatype>(
        _ name: String,
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (RequestReader<Chunk>, PluginContext) async throws -> Output
    ) {
        calls(
            name,
            streams: .requests,
            idempotent: idempotent,
            permissions: permissions,
            deadline: deadline
        ) { call, context in
            try .json(await handler(RequestReader(call), context))
        }
    }

    /// Adds a method with a stream in both directions.
    public mutating func duplex<Chunk: Decodable & SendableMetatype>(
        _ name: String,
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (RequestReader<Chunk>, PluginContext, ReplyWriter) async throws -> Void
    ) {
        calls(
            name,
            streams: .both,
            idempotent: idempotent,
            permissions: permissions,
            deadline: deadline
        ) { call, context in
            let writer = ReplyWriter(call)
            try await handler(RequestReader(call), context, writer)
            return writer.payload
        }
    }

    /// Adds a method that takes and gives bytes of any content type.
    public mutating func raw(
        _ name: String,
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (Payload, PluginContext) async throws -> Payload
    ) {
        calls(name, idempotent: idempotent, permissions: permissions, deadline: deadline) { call, context in
            try await handler(call.payload, context)
        }
    }

    /// Adds a method whose handler gets the call itself, for everything that the other forms do not cover.
    public mutating func calls(
        _ name: String,
        streams: StreamDirections = [],
        idempotent: Bool? = nil,
        permissions: [String]? = nil,
        deadline: Duration? = nil,
        _ handler: @escaping @Sendable (IncomingCall, PluginContext) async throws -> Payload
    ) {
        entries.append(
            Entry(
                name: name,
                streams: streams,
                isIdempotent: idempotent,
                permissions: permissions,
                deadline: deadline,
                handler: handler
            )
        )
    }
}

/// Writes the reply stream of a call.
public final class ReplyWriter: Sendable {
    private let call: IncomingCall
    private let final = Mutex<Payload>(.empty)

    init(_ call: IncomingCall) { self.call = call }

    /// Whether the caller reads a stream; without one ``send(_:)`` fails, and ``finish(with:)`` is the whole answer.
    public var isStreaming: Bool { call.wantsReplyStream }

    /// Sends a chunk of JSON; suspends while the caller has granted no credit.
    ///
    /// - Throws: ``MeshError`` when the call has ended; `CancellationError` when it is cancelled.
    public func send(_ chunk: some Encodable) async throws { try await call.send(.json(chunk)) }

    /// Sends a chunk of bytes.
    ///
    /// - Throws: as ``send(_:)``.
    public func send(raw payload: Payload) async throws { try await call.send(payload) }

    /// Sets what goes with the end of the stream; it is sent when the handler returns.
    ///
    /// - Throws: ``MeshError`` when the value has no JSON form.
    public func finish(with result: some Encodable) throws {
        let payload = try Payload.json(result)
        final.withLock { $0 = payload }
    }

    var payload: Payload { final.withLock { $0 } }
}

/// Reads the request stream of a call; iterate it once.
public struct RequestReader<Chunk: Decodable>: AsyncSequence, Sendable {
    /// A chunk.
    public typealias Element = Chunk

    private let requests: IncomingCall.RequestStream

    init(_ call: IncomingCall) { requests = call.requests }

    /// Reads the chunks.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: requests.makeAsyncIterator()) }

    /// The reader.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: IncomingCall.RequestStream.AsyncIterator

        /// The next chunk; nil after the last one.
        ///
        /// - Throws: ``MeshError`` when the call ended or a chunk is not of the type; `CancellationError` when it is
        ///   cancelled.
        public mutating func next() async throws -> Chunk? { try await base.next()?.decode(Chunk.self) }
    }
}

extension Payload {
    /// The parameters of a call: an empty payload stands for an empty object.
    func input<Input: Decodable>() throws -> Input { try (isEmpty ? .json(text: "{}") : self).decode(Input.self) }
}
