// A call as its handler sees it, and the registration that brings it.

import MeshProtocol
import Synchronization

/// Answers calls: what it returns is the reply, what it throws ends the call with FAIL.
///
/// A ``MeshError`` keeps its status; `CancellationError` becomes CANCELLED, any other error INTERNAL. The handler's task
/// is cancelled when the caller cancels, when a clock runs out, and when the connection is lost.
public typealias CallHandler = @Sendable (IncomingCall) async throws -> Payload

/// A call that this process has been given.
public final class IncomingCall: Sendable {
    /// Who calls, how long it waits, and its trace; also in ``CallContext/current``.
    public let context: CallContext
    /// The service, as it was registered.
    public let service: String
    /// The service's version, as it was registered.
    public let version: String
    /// The method.
    public let method: String
    /// What came with the call.
    public let payload: Payload
    /// The caller's estimate of the work; at least one.
    public let cost: UInt32
    /// Whether the caller reads a reply stream: ``send(_:)`` needs it.
    public let wantsReplyStream: Bool
    /// Whether the caller sends a request stream: ``requests`` needs it.
    public let hasRequestStream: Bool
    /// The caller's chunks; empty without a request stream.
    public let requests: RequestStream

    let core: ConnectionCore
    /// The gate of the reply stream; nil without one.
    let replies: SendChannel?
    /// What ended the call from outside; the handler's own error then does not matter.
    let task = Mutex<(task: Task<Void, Never>?, isCancelled: Bool)>((nil, false))

    init(
        core: ConnectionCore,
        context: CallContext,
        service: String,
        version: String,
        header: CallHeader,
        body: [UInt8],
        window: Credit
    ) {
        self.core = core
        self.context = context
        self.service = service
        self.version = version
        method = header.method
        payload = Payload(body, contentType: header.contentType)
        cost = max(1, header.cost)
        wantsReplyStream = header.flags.contains(.replyStream)
        hasRequestStream = header.flags.contains(.requestStream)
        replies = wantsReplyStream ? SendChannel(header.credit) : nil
        let lease = context.lease
        let inbox = core.inbox
        requests = RequestStream(
            channel: hasRequestStream ? ReceiveChannel(window: window) { inbox.push(.leaseCredit(lease, $0)) } : nil
        )
    }

    /// Sends a chunk of the reply stream; suspends while the caller has granted no credit.
    ///
    /// - Throws: ``MeshError`` when the call has ended; `CancellationError` when it is cancelled.
    public func send(_ payload: Payload) async throws {
        guard let replies else {
            throw MeshError(
                .failedPrecondition,
                "the caller of \(service).\(method) reads no reply stream",
                hint: "Return the payload instead, and describe the method with replyStream if it streams."
            )
        }
        // In this order: credit that was taken is not given back when the task is cancelled.
        try await core.inbox.admit()
        try await replies.acquire(byteCount: payload.bytes.count)
        core.inbox.push(.leaseChunk(context.lease, payload))
    }

    /// The chunks of a call's request stream.
    public struct RequestStream: AsyncSequence, Sendable {
        /// A chunk.
        public typealias Element = Payload

        /// Nil without a request stream.
        let channel: ReceiveChannel<Payload>?

        /// Reads the chunks.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: channel) }

        /// The reader of a request stream.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let channel: ReceiveChannel<Payload>?

            /// The next chunk; nil after the last one.
            ///
            /// - Throws: ``MeshError`` when the call ended; `CancellationError` when it is cancelled.
            public mutating func next() async throws -> Payload? { try await channel?.next() }
        }
    }
}

extension IncomingCall {
    /// Starts the handler in a task of its own.
    func start(_ handler: @escaping CallHandler) {
        task.withLock { state in
            guard !state.isCancelled else { return }
            state.task = Task { await self.run(handler) }
        }
    }

    private func run(_ handler: CallHandler) async {
        let result: Result<Payload, MeshError>
        do {
            result = .success(try await CallContext.$current.withValue(context) { try await handler(self) })
        } catch {
            result = .failure(.carrying(error))
        }
        core.inbox.push(.finish(context.lease, result))
    }

    /// Stops the handler: its task is cancelled and its streams end.
    func cancel(_ error: MeshError) {
        let running = task.withLock { state in
            state.isCancelled = true
            defer { state.task = nil }
            return state.task
        }
        running?.cancel()
        requests.channel?.finish(error)
        replies?.end(error)
    }
}

/// What the connection thread and the holder of a registration share.
final class RegistrationState: Sendable {
    let id: RequestID
    let handler: CallHandler
    private let shared: Mutex<ServiceDescription>
    /// The registration's end.
    let ending = OneShot<Void>()

    init(id: RequestID, description: ServiceDescription, handler: @escaping CallHandler) {
        self.id = id
        self.handler = handler
        shared = Mutex(description)
    }

    /// The service as it stands now.
    var description: ServiceDescription {
        get { shared.withLock { $0 } }
        set { shared.withLock { $0 = newValue } }
    }

}

/// A service that this process provides; survives reconnects and ends with ``withdraw()`` or the connection.
///
/// Letting go of it does not end it.
public final class Registration: Sendable {
    private let state: RegistrationState
    private let connection: MeshConnection

    init(_ state: RegistrationState, connection: MeshConnection) {
        self.state = state
        self.connection = connection
    }

    /// The service as it stands now.
    public var service: ServiceDescription { state.description }

    /// Takes the service back at once; calls that have been given out go on.
    ///
    /// Does nothing the second time.
    ///
    /// - Throws: ``MeshError`` when the broker refused.
    public func withdraw() async throws {
        guard !state.ending.isResolved else { return }
        try await connection.core.ask { .withdraw(self.state.id, $0) }.get()
    }

    /// Changes how many calls may be in the handler at a time, and the weight; zero pauses the service.
    public func setCapacity(_ capacity: Int, weight: Int? = nil) {
        var description = state.description
        description.capacity = max(0, capacity)
        if let weight { description.weight = max(0, weight) }
        state.description = description
        connection.core.inbox.push(
            .capacity(state.id, capacity: description.capacity, weight: description.weight)
        )
    }

    /// Waits until the registration has ended.
    ///
    /// - Throws: ``MeshError`` when the broker took it back or the connection was closed; `CancellationError` when the
    ///   task is cancelled.
    public func ended() async throws { try await state.ending.value() }
}
