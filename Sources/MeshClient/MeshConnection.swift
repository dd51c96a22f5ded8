// A connection to the broker: the one object from which everything else is reached.

import MeshProtocol

/// A connection to the mesh that keeps itself up: it reconnects with its own jitter, registers its services again and
/// resumes its subscriptions, until it is closed or the broker rejects it for good.
///
/// Calls that are in flight when the session is lost fail with UNAVAILABLE and "outcome unknown"; calls made while there
/// is no session wait for the next one within their deadline.
public final class MeshConnection: Sendable {
    let core: ConnectionCore

    init(_ core: ConnectionCore) { self.core = core }

    deinit { core.inbox.push(.close(nil)) }

    /// Connects, and returns once the broker has taken this peer in.
    ///
    /// - Parameter configuration: Where the broker is and who this peer is.
    /// - Returns: the connection; close it with ``close()``.
    /// - Throws: ``MeshError`` saying why and what to do: when the broker rejects the peer, or does not answer within
    ///   `connectTimeout`; `CancellationError` when the task is cancelled.
    public static func connect(_ configuration: MeshConfiguration) async throws -> MeshConnection {
        let core = try ConnectionCore(configuration)
        try core.start()
        let connection = MeshConnection(core)
        do {
            _ =
                try await core.ask(orCancel: { .close(nil) }) { .awaitWelcome(configuration.connectTimeout, $0) }
                as SessionInfo
            return connection
        } catch {
            await connection.close()
            throw error
        }
    }

    /// The state now and every change from here on; ends when the connection is closed.
    public var states: AsyncStream<ConnectionState> { core.states() }

    /// The state now.
    public var state: ConnectionState { core.state }

    /// What the broker told about the present session; nil while there is none.
    public var session: SessionInfo? { core.info }

    /// Where the broker is and who this peer is.
    public var configuration: MeshConfiguration { core.configuration }

    /// Says BYE and ends everything: calls, streams and handlers still running end with CANCELLED.
    public func close() async {
        _ = await core.ask { .close($0) }
        core.join()
    }

    /// Waits until the last words of closed connections have gone out; the last thing that a process does before it exits,
    /// else the broker may see a broken connection in place of a BYE.
    ///
    /// No connection of this process works afterwards.
    /// - Parameter bound: How long to wait for a broker that does not read.
    public static func flush(within bound: Duration = .milliseconds(700)) { SharedContext.end(within: bound) }

    /// Makes a unary call.
    ///
    /// A call within a handler is a child of the handler's call: see ``CallContext``.
    /// - Parameters:
    ///   - target: The method.
    ///   - payload: What goes with the call.
    ///   - options: Bounds, urgency, affinity.
    /// - Returns: the answer and what it took.
    /// - Throws: ``MeshError``, exactly one for each call that does not succeed; `CancellationError` when the task is
    ///   cancelled, and then the worker is told to stop.
    public func call(
        _ target: CallTarget,
        payload: Payload = .empty,
        options: CallOptions = CallOptions()
    ) async throws -> Reply {
        let id = core.makeID()
        let frame = try makeCall(id: id, target, payload, options, [])
        try await core.inbox.admit()
        do {
            return try await core.ask(orCancel: { .cancel(id) }) { waiter in
                .call(
                    OutgoingCall(
                        id: id,
                        frame: frame,
                        options: options,
                        flags: [],
                        waiter: .unary(waiter),
                        parentSession: CallContext.current?.lease.session
                    )
                )
            }
        } catch let error as MeshError {
            throw error.about(target.description)
        }
    }

    /// Makes a call with a stream of replies, of requests, or both.
    ///
    /// - Parameters:
    ///   - target: The method.
    ///   - payload: What goes with the call itself.
    ///   - directions: Which directions are streams; the method must have been described so.
    ///   - options: Bounds, urgency, affinity, and the window of the reply stream.
    /// - Returns: the stream, at once; a call that fails shows as an error of its iteration.
    /// - Throws: ``MeshError`` when target or options cannot be written, or the connection is closed.
    public func openStream(
        _ target: CallTarget,
        payload: Payload = .empty,
        directions: StreamDirections = .replies,
        options: CallOptions = CallOptions()
    ) async throws -> CallStream {
        let id = core.makeID()
        var flags: CallFlags = []
        if directions.contains(.replies) { flags.insert(.replyStream) }
        if directions.contains(.requests) { flags.insert(.requestStream) }
        let frame = try makeCall(id: id, target, payload, options, flags)
        try await core.inbox.admit()
        let inbox = core.inbox
        let state = CallStreamState(id: id, subject: target.description, window: options.window) {
            inbox.push(.credit(id, $0))
        }
        if !directions.contains(.requests) {
            state.requests.end(MeshError(.failedPrecondition, "the call has no request stream", subject: state.subject))
        }
        let call = OutgoingCall<CallWaiter>(
            id: id,
            frame: frame,
            options: options,
            flags: flags,
            waiter: .stream(state),
            parentSession: CallContext.current?.lease.session
        )
        guard inbox.push(.call(call)) else { throw MeshError.closed.about(state.subject) }
        return CallStream(state, connection: self)
    }

    /// Writes a CALL, with what it takes over from the call in whose service the present task is.
    private func makeCall(
        id: RequestID,
        _ target: CallTarget,
        _ payload: Payload,
        _ options: CallOptions,
        _ flags: CallFlags
    ) throws -> Frame {
        var header = CallHeader(
            flags: target.isCapability ? flags.union(.byCapability) : flags,
            contentType: payload.contentType,
            id: id.wire,
            clocks: options.clocks,
            credit: flags.contains(.replyStream) ? options.window : .none,
            cost: options.cost,
            band: options.band,
            trace: options.trace ?? .none,
            service: target.name,
            range: target.range,
            method: target.method,
            affinity: options.affinity,
            conditions: target.conditions
        )
        if let context = CallContext.current { inherit(from: context, options, to: &header) }
        let bytes = header.encoded()
        guard target.isShort, options.affinity.utf8.count <= WireLimits.valueByteCount, !target.name.isEmpty else {
            do {
                try header.validate()
            } catch {
                throw MeshError(.invalidArgument, "\(error)", subject: target.description)
            }
            return Frame(header: bytes, body: payload.isEmpty ? nil : payload.bytes)
        }
        return Frame(header: bytes, body: payload.isEmpty ? nil : payload.bytes)
    }

    private func inherit(from context: CallContext, _ options: CallOptions, to header: inout CallHeader) {
        if options.trace == nil { header.trace = context.trace }
        if context.lease.session == core.session { header.parent = context.lease.lease }
        if let remaining = context.remaining {
            let bound = CallOptions.milliseconds(remaining)
            let own =
                header.clocks.total == 0 && header.flags.isDisjoint(with: [.requestStream, .replyStream])
                ? 5000 : header.clocks.total
            header.clocks.total = own == 0 ? bound : min(own, bound)
        }
    }

    /// Subscribes to the topics that match a pattern; returns once the broker has begun to deliver.
    ///
    /// - Parameters:
    ///   - pattern: Dotted words; `*` stands for one word, `>` at the end for one or more.
    ///   - options: Last values, history, a place to resume from, the window.
    /// - Returns: the events.
    /// - Throws: ``MeshError`` when the broker refuses; `CancellationError` when the task is cancelled.
    public func subscribe(
        _ pattern: String,
        options: SubscriptionOptions = SubscriptionOptions()
    ) async throws -> Subscription {
        guard Topics.isPattern(pattern) else {
            throw MeshError(
                .invalidArgument,
                "\"\(pattern)\" is no topic pattern",
                hint: "Use words of letters, digits, - and _ joined by dots; * for one word, > for the rest.",
                subject: pattern
            )
        }
        let id = core.makeID()
        let inbox = core.inbox
        let state = SubscriptionState(id: id, pattern: pattern, options: options) { inbox.push(.credit(id, $0)) }
        let subscription = Subscription(state, connection: self)
        do {
            try await core.ask(orCancel: { .unsubscribe(id, nil) }) { .subscribe(state, $0) } as Void
            return subscription
        } catch let error as MeshError {
            throw error.about(pattern)
        }
    }

    /// Publishes an event.
    ///
    /// - Parameters:
    ///   - topic: Dotted words.
    ///   - payload: The event.
    ///   - options: Retention and acknowledgement.
    /// - Throws: ``MeshError`` when there is no session, or, with acknowledgement, when the broker refuses;
    ///   `CancellationError` when the task is cancelled.
    public func publish(
        topic: String,
        payload: Payload,
        options: PublishOptions = PublishOptions()
    ) async throws {
        guard Topics.isTopic(topic) else {
            throw MeshError(
                .invalidArgument,
                "\"\(topic)\" is no topic",
                hint: "Use words of letters, digits, - and _ joined by dots, at most 200 bytes.",
                subject: topic
            )
        }
        try checkSize(of: payload, subject: topic)
        let id = options.acknowledge ? core.makeID() : core.makePublishID()
        let header = PublishHeader(flags: options.flags, contentType: payload.contentType, id: id, topic: topic)
        let frame = Frame(header, body: payload.bytes)
        try await core.inbox.admit()
        guard options.acknowledge else {
            guard core.info != nil else {
                throw MeshError(.unavailable, "there is no session", flags: .retryable, subject: topic)
            }
            guard core.inbox.push(.publish(frame)) else { throw MeshError.closed.about(topic) }
            return
        }
        do {
            _ =
                try await core.ask(orCancel: { .cancel(id) }) { waiter in
                    .call(OutgoingCall(id: id, frame: frame, options: nil, flags: [], waiter: .unary(waiter)))
                } as Reply
        } catch let error as MeshError {
            throw error.about(topic)
        }
    }

    /// Refuses what the broker would not carry.
    private func checkSize(of payload: Payload, subject: String) throws(MeshError) {
        guard let limit = core.info?.maximumPayloadByteCount, limit > 0, payload.bytes.count > limit else { return }
        throw MeshError(
            .invalidArgument,
            "the payload has \(payload.bytes.count) bytes, the broker carries at most \(limit)",
            hint: "Send less at a time, or raise broker.limits.payload in the mesh file.",
            subject: subject
        )
    }

    /// Provides a service; returns once the broker has registered it.
    ///
    /// - Parameters:
    ///   - service: What it is called and what it can do; its capacity bounds how many handlers run at a time.
    ///   - handler: Answers the calls, each in a task of its own.
    /// - Returns: the registration, which is repeated after every reconnect.
    /// - Throws: ``MeshError`` when the broker refuses; `CancellationError` when the task is cancelled.
    public func provide(
        _ service: ServiceDescription,
        handler: @escaping CallHandler
    ) async throws -> Registration {
        let id = core.makeID()
        do {
            try service.provide(id: id).validate()
        } catch {
            throw MeshError(.invalidArgument, "\(error)", subject: service.title)
        }
        try checkSize(of: service.schema ?? .empty, subject: service.title)
        let state = RegistrationState(id: id, description: service, handler: handler)
        do {
            try await core.ask(orCancel: { .withdraw(id, nil) }) { .provide(state, $0) } as Void
            return Registration(state, connection: self)
        } catch let error as MeshError {
            throw error.about(service.title)
        }
    }

    /// Waits until the broker of the present session has every service that this side provides, or of the next session when
    /// there is none.
    ///
    /// - Throws: ``MeshError`` when the connection was closed.
    public func registered() async throws { try await core.ask { .settle($0) }.get() as Void }

    /// Takes no new calls and returns when the last one is answered; the connection stays.
    ///
    /// - Throws: ``MeshError`` when the broker refused or the connection was closed.
    public func drain() async throws {
        let id = core.makeID()
        try await core.ask { .drain(id, $0) }.get() as Void
    }

    /// Sets what is done when the broker asks this worker to finish and leave.
    ///
    /// Without a handler, and after it has returned, the connection says BYE once no call is left (see
    /// `leavesWhenDrained`). New calls are refused from the moment of the request.
    public func onDrainRequested(_ handler: @escaping @Sendable (DrainRequest) async -> Void) {
        core.inbox.push(.onDrain(handler))
    }
}

extension CallTarget {
    /// Whether every text is well below its limit on the wire, so that the header need not be checked.
    fileprivate var isShort: Bool {
        name.utf8.count <= WireLimits.nameByteCount && method.utf8.count <= WireLimits.nameByteCount
            && range.utf8.count <= WireLimits.versionByteCount && conditions.utf8.count <= WireLimits.valueByteCount
    }
}
