// The way from tasks to the connection thread: commands in a buffer that the thread swaps for an empty one. The thread
// is woken by one eventfd write when it sleeps, and by none when it is awake.

import DequeModule
import MeshProtocol
import Synchronization
import ZeroMQ

/// One message of ours: a header and, when there is one, a body.
struct Frame: Hashable, Sendable {
    var header: [UInt8]
    var body: [UInt8]?

    init(header: [UInt8], body: [UInt8]? = nil) {
        self.header = header
        self.body = body
    }

    init(_ fields: some HeaderFields, body: [UInt8]? = nil) { self.init(header: fields.encoded(), body: body) }

    var byteCount: Int { header.count + (body?.count ?? 0) }
}

/// Who waits for an answer.
typealias Waiter<Value: Sendable> = UnsafeContinuation<Result<Value, MeshError>, Never>

/// Who waits for the end of a call.
enum CallWaiter: Sendable {
    case unary(Waiter<Reply>)
    case stream(CallStreamState)
}

/// A lease of one session: a later session's broker may give out the same number again.
struct LeaseKey: Hashable, Sendable {
    var lease: WireID
    var session: SessionKey
}

/// What tasks ask of the connection thread.
enum Command: Sendable {
    case call(OutgoingCall<CallWaiter>)
    case cancel(RequestID)
    case chunk(RequestID, Payload?, last: Bool)
    case credit(RequestID, Credit)
    case leaseChunk(LeaseKey, Payload)
    case leaseCredit(LeaseKey, Credit)
    case finish(LeaseKey, Result<Payload, MeshError>)
    case publish(Frame)
    case subscribe(SubscriptionState, Waiter<Void>)
    case unsubscribe(RequestID, Waiter<Void>?)
    case provide(RegistrationState, Waiter<Void>)
    case withdraw(RequestID, Waiter<Void>?)
    case capacity(RequestID, capacity: Int, weight: Int)
    case settle(Waiter<Void>)
    case drain(RequestID, Waiter<Void>)
    case onDrain(@Sendable (DrainRequest) async -> Void)
    case leave
    case awaitWelcome(Duration, Waiter<SessionInfo>)
    case close(Waiter<Void>?)

    /// The bytes that the command carries.
    var byteCount: Int {
        switch self {
        case .call(let call): call.frame.byteCount
        case .chunk(_, let payload, _): payload?.bytes.count ?? 0
        case .leaseChunk(_, let payload): payload.bytes.count
        case .publish(let frame): frame.byteCount
        case .finish(_, .success(let payload)): payload.bytes.count
        default: 0
        }
    }
}

/// The commands that wait for the connection thread.
final class Inbox: Sendable {
    /// What may wait to be sent before callers are held back: enough for a busy process, too little to hide a stall.
    static let maximumCount = 8192
    /// Bytes that may wait to be sent before callers are held back.
    static let maximumByteCount = 64 << 20

    private struct Held {
        var key: UInt64
        var continuation: UnsafeContinuation<Void, Never>
    }

    private struct State {
        var commands: [Command] = []
        var byteCount = 0
        /// What the thread has taken and could not send yet.
        var backlogCount = 0
        var backlogByteCount = 0
        var isSleeping = false
        var isClosed = false
        var held = Deque<Held>()
        var nextKey: UInt64 = 0

        var isFull: Bool {
            commands.count + backlogCount >= Inbox.maximumCount
                || byteCount + backlogByteCount >= Inbox.maximumByteCount
        }
    }

    private let state = Mutex(State())
    private let isFull = Atomic<Bool>(false)
    /// Wakes the connection thread.
    let wakeUp: WakeUp

    init() throws(ZeroMQError) { wakeUp = try WakeUp() }

    /// Hands a command over.
    /// - Returns: false when the connection has ended; nobody will look at the command.
    @discardableResult
    func push(_ command: Command) -> Bool {
        enum Push { case refused, quiet, wake }
        let push = state.withLock { state -> Push in
            guard !state.isClosed else { return .refused }
            state.commands.append(command)
            state.byteCount += command.byteCount
            if state.isFull { isFull.store(true, ordering: .relaxed) }
            guard state.isSleeping else { return .quiet }
            state.isSleeping = false
            return .wake
        }
        if push == .wake { wakeUp.signal() }
        return push != .refused
    }

    /// Returns when there is room for another call, chunk or event.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func admit() async throws {
        try Task.checkCancellation()
        guard isFull.load(ordering: .relaxed) else { return }
        let key = state.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let mayPass = state.withLock { state -> Bool in
                    guard state.isFull, !state.isClosed, !Task.isCancelled else { return true }
                    state.held.append(Held(key: key, continuation: continuation))
                    return false
                }
                if mayPass { continuation.resume() }
            }
        } onCancel: {
            let held = state.withLock { state in
                state.held.firstIndex { $0.key == key }.map { state.held.remove(at: $0).continuation }
            }
            held?.resume()
        }
        try Task.checkCancellation()
    }

    /// Takes all commands and gives back an empty buffer for the next ones; called by the connection thread.
    func swap(_ batch: inout [Command], backlogCount: Int, backlogByteCount: Int) {
        let released = state.withLock { state in
            Swift.swap(&state.commands, &batch)
            state.byteCount = 0
            state.isSleeping = false
            return setBacklog(backlogCount, backlogByteCount, &state)
        }
        for held in released { held.continuation.resume() }
    }

    /// Asks for a wake-up; false when there is work already.
    func fallAsleep(backlogCount: Int, backlogByteCount: Int) -> Bool {
        let (maySleep, released) = state.withLock { state in
            let released = setBacklog(backlogCount, backlogByteCount, &state)
            guard state.commands.isEmpty, released.isEmpty else { return (false, released) }
            state.isSleeping = true
            return (true, released)
        }
        for held in released { held.continuation.resume() }
        return maySleep
    }

    /// Notes what could not be sent yet; returns those who need not be held back any more.
    private func setBacklog(_ count: Int, _ byteCount: Int, _ state: inout State) -> Deque<Held> {
        state.backlogCount = count
        state.backlogByteCount = byteCount
        let isStillFull = state.isFull
        isFull.store(isStillFull, ordering: .relaxed)
        guard !isStillFull else { return [] }
        defer { state.held.removeAll() }
        return state.held
    }

    /// Takes the last commands and refuses all that come after.
    func close() -> [Command] {
        let (commands, released) = state.withLock { state in
            state.isClosed = true
            defer {
                state.commands = []
                state.held.removeAll()
            }
            return (state.commands, state.held)
        }
        isFull.store(false, ordering: .relaxed)
        for held in released { held.continuation.resume() }
        return commands
    }
}
