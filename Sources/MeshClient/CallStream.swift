// A call with a stream in one direction or both, as its caller sees it.

import MeshProtocol

/// Which directions of a call are streams.
public struct StreamDirections: OptionSet, Sendable, Hashable {
    /// The bits.
    public let rawValue: Int
    /// Makes a set from its bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The worker answers with chunks.
    public static let replies = StreamDirections(rawValue: 1)
    /// The caller sends chunks.
    public static let requests = StreamDirections(rawValue: 2)
    /// Both.
    public static let both: StreamDirections = [.replies, .requests]
}

/// What the connection thread and the caller share about a streaming call.
final class CallStreamState: Sendable {
    let id: RequestID
    let subject: String
    let replies: ReceiveChannel<Payload>
    let requests: SendChannel
    let reply = OneShot<Reply>()

    init(
        id: RequestID,
        subject: String,
        window: Credit,
        grant: @escaping @Sendable (Credit) -> Void
    ) {
        self.id = id
        self.subject = subject
        replies = ReceiveChannel(window: window, grant: grant)
        requests = SendChannel(.none)
    }

    /// Ends the call, once.
    func end(_ result: Result<Reply, MeshError>) {
        let result = result.mapError { $0.about(subject) }
        guard !reply.isResolved else { return }
        defer { reply.resolve(result) }
        switch result {
        case .success:
            replies.finish(nil)
            requests.end(MeshError(.failedPrecondition, "the call has ended", subject: subject))
        case .failure(let error):
            replies.finish(error)
            requests.end(error)
        }
    }

    var isEnded: Bool { reply.isResolved }
}

/// A call with a stream: iterate it for the replies, ``send(_:)`` the requests, ask for the final ``reply()``.
///
/// Iterate it once. Credit is granted as elements are read: a slow reader slows down its own stream and nothing else.
/// The call is cancelled when the iteration ends early, when the reading task is cancelled, and when nobody holds the
/// stream any more.
public final class CallStream: AsyncSequence, Sendable {
    /// A chunk.
    public typealias Element = Payload

    let state: CallStreamState
    private let connection: MeshConnection

    init(_ state: CallStreamState, connection: MeshConnection) {
        self.state = state
        self.connection = connection
    }

    deinit { cancel() }

    /// Sends a chunk of the request stream; suspends while the worker has granted no credit.
    ///
    /// - Throws: ``MeshError`` when the call has ended; `CancellationError` when the task is cancelled.
    public func send(_ payload: Payload) async throws {
        // In this order: credit that was taken is not given back when the task is cancelled.
        try await connection.core.inbox.admit()
        try await state.requests.acquire(byteCount: payload.bytes.count)
        connection.core.inbox.push(.chunk(state.id, payload, last: false))
    }

    /// Ends the request stream; the worker may go on answering.
    ///
    /// Suspends like ``send(_:)``.
    ///
    /// - Throws: ``MeshError`` when the call has failed; `CancellationError` when the task is cancelled.
    public func finish() async throws {
        do {
            try await state.requests.acquire(byteCount: 0)
        } catch let error as MeshError {
            // A call that is over, or a stream that was finished already, needs no further end.
            guard error.status == .failedPrecondition else { throw error }
            return
        }
        state.requests.end(MeshError(.failedPrecondition, "the request stream was finished", subject: state.subject))
        connection.core.inbox.push(.chunk(state.id, nil, last: true))
    }

    /// Waits for the call's end and returns what came with it.
    ///
    /// Chunks that are not read hold the worker back: iterate first, or from another task.
    /// - Throws: ``MeshError`` when the call failed; `CancellationError` when the task is cancelled.
    public func reply() async throws -> Reply {
        do {
            return try await state.reply.value()
        } catch let error as CancellationError {
            cancel()
            throw error
        }
    }

    /// Ends the call; the worker is told to stop.
    public func cancel() {
        guard !state.isEnded else { return }
        connection.core.inbox.push(.cancel(state.id))
    }

    /// Reads the replies.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(Reading(self)) }

    /// Ends the call when the iteration ends before it.
    final class Reading: Sendable {
        let stream: CallStream

        init(_ stream: CallStream) { self.stream = stream }

        deinit { stream.cancel() }
    }

    /// The reader of a call's replies.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let reading: Reading

        init(_ reading: Reading) { self.reading = reading }

        /// The next chunk; nil after the last one.
        ///
        /// - Throws: ``MeshError`` when the call failed; `CancellationError` when the task is cancelled, and then the
        ///   call is cancelled, too.
        public mutating func next() async throws -> Payload? {
            do {
                return try await reading.stream.state.replies.next()
            } catch let error as CancellationError {
                reading.stream.cancel()
                throw error
            }
        }
    }
}
