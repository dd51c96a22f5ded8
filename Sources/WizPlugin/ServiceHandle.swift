// A service of another plugin, as this one uses it: calls by name and range, typed by Codable, and its comings and goings.

/// A service by name and range; the provider is chosen anew for each call.
public struct ServiceHandle: Sendable, CustomStringConvertible {
    /// The service's name.
    public let name: String
    /// The versions that will do; empty: any release.
    public let range: String
    /// The connection that calls go over.
    public let mesh: MeshConnection
    let watch: RegistryWatch

    /// `name@range`.
    public var description: String { range.isEmpty ? name : name + "@" + range }

    /// A method of the service as the target of a call.
    public func target(_ method: String) -> CallTarget { .service(name, range: range, method: method) }

    /// Calls a method: JSON in, JSON out.
    ///
    /// - Throws: ``MeshError``; `CancellationError` when the task is cancelled.
    public func call<Output: Decodable>(
        _ method: String,
        _ input: some Encodable & Sendable = Nothing(),
        options: CallOptions = CallOptions()
    ) async throws -> Output {
        let reply = try await mesh.call(target(method), payload: .json(input), options: options)
        return try reply.payload.input()
    }

    /// Calls a method and passes over its result.
    ///
    /// - Throws: as ``call(_:_:options:)``.
    public func call(
        _ method: String,
        _ input: some Encodable & Sendable = Nothing(),
        options: CallOptions = CallOptions()
    ) async throws {
        _ = try await mesh.call(target(method), payload: .json(input), options: options)
    }

    /// Calls a method with bytes.
    ///
    /// - Throws: as ``call(_:_:options:)``.
    public func callRaw(
        _ method: String,
        _ payload: Payload,
        options: CallOptions = CallOptions()
    ) async throws -> Payload {
        try await mesh.call(target(method), payload: payload, options: options).payload
    }

    /// Calls a method that answers with a stream.
    ///
    /// - Returns: the chunks; the call ends when the iteration does.
    /// - Throws: ``MeshError`` when the call cannot be made; one that fails later shows in the iteration.
    public func stream<Chunk: Decodable>(
        _ method: String,
        _ input: some Encodable & Sendable = Nothing(),
        of chunk: Chunk.Type = Chunk.self,
        options: CallOptions = CallOptions()
    ) async throws -> TypedStream<Chunk> {
        TypedStream(base: try await mesh.openStream(target(method), payload: .json(input), options: options))
    }

    /// Opens a call with streams in any direction, with bytes.
    ///
    /// - Throws: as ``stream(_:_:of:options:)``.
    public func open(
        _ method: String,
        payload: Payload = .empty,
        directions: StreamDirections,
        options: CallOptions = CallOptions()
    ) async throws -> CallStream {
        try await mesh.openStream(target(method), payload: payload, directions: directions, options: options)
    }

    /// Who provides the service now.
    ///
    /// - Throws: ``MeshError`` when the range is not one, or the registry cannot be read within 5 s.
    public func state() async throws -> ServiceState { try await watch.state(name, range: range) }

    /// The state now and after each change; several changes may come as one.
    ///
    /// A provider's restart shows as changed ``ServiceState/providers``. Ends when the connection is closed.
    public var updates: AsyncStream<ServiceState> { watch.updates(name, range: range) }
}

/// A typed client of a service: a small struct over a handle.
///
/// ```swift
/// struct UIClient: ServiceClient {
///     static let service = "ui"
///     static let range = "^1.0.0"
///     let handle: ServiceHandle
///     init(_ handle: ServiceHandle) { self.handle = handle }
///
///     func registerTheme(_ theme: Theme) async throws { try await handle.call("registerTheme", theme) }
/// }
/// ```
public protocol ServiceClient: Sendable {
    /// The service's name.
    static var service: String { get }
    /// The versions that will do; empty unless given.
    static var range: String { get }
    /// The handle that calls go through.
    var handle: ServiceHandle { get }
    /// Makes a client.
    init(_ handle: ServiceHandle)
}

extension ServiceClient {
    /// Any release.
    public static var range: String { "" }
}

/// The chunks of a reply stream, each read from JSON; iterate it once.
public struct TypedStream<Chunk: Decodable>: AsyncSequence, Sendable {
    /// A chunk.
    public typealias Element = Chunk

    /// The call.
    public let base: CallStream

    /// What came with the end of the stream; iterate first.
    ///
    /// - Throws: ``MeshError`` when the call failed or the result is not of the type.
    public func result<Result: Decodable>(_ type: Result.Type = Result.self) async throws -> Result {
        try await base.reply().payload.input()
    }

    /// Reads the chunks.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator()) }

    /// The reader.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: CallStream.AsyncIterator

        /// The next chunk; nil after the last one.
        ///
        /// - Throws: ``MeshError`` when the call failed or a chunk is not of the type; `CancellationError` when the task
        ///   is cancelled.
        public mutating func next() async throws -> Chunk? { try await base.next()?.decode(Chunk.self) }
    }
}
