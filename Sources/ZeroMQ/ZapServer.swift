// The process's one ZAP handler, on a thread of its own: libzmq asks it about every connection to a socket with a ZAP
// domain. It answers each question exactly once (a REP socket cannot do otherwise; libzmq aborts on a second answer).

import CZeroMQ
import Synchronization

/// Decides who may connect.
///
/// Start it before the first socket with a ZAP domain is bound, stop it after the last one is closed: a connection that
/// asks while the handler goes away would abort the process.
public final class ZapServer: Sendable {
    /// Decides about one connection; runs on the handler's thread and holds up all others while it does.
    public typealias Policy = @Sendable (ZapRequest) -> ZapDecision

    private let wakeUp: WakeUp
    private let thread: OSThread

    /// Starts the handler; it is bound when this returns.
    /// - Throws: `.addressInUse` if the process has a handler already.
    public init(_ context: Context, policy: @escaping Policy) throws(ZeroMQError) {
        let wakeUp = try WakeUp()
        let started = try WakeUp()
        let failure = Startup()
        let thread = try OSThread.start(name: "zap") {
            ZapServer.run(context, policy: policy, wakeUp: wakeUp, started: started, startup: failure)
        }
        var poller = Poller(capacity: 1)
        poller.add(started)
        _ = try poller.wait(timeout: nil)
        if let error = failure.error.withLock({ $0 }) {
            thread.join()
            throw error
        }
        self.wakeUp = wakeUp
        self.thread = thread
    }

    /// Ends the handler and waits for its thread; only after every socket with a ZAP domain is closed.
    public func stop() {
        wakeUp.signal()
        thread.join()
    }

    deinit { wakeUp.signal() }

    private final class Startup: Sendable {
        let error = Mutex<ZeroMQError?>(nil)
    }

    private static func run(
        _ context: Context,
        policy: Policy,
        wakeUp: WakeUp,
        started: WakeUp,
        startup: Startup
    ) {
        do {
            let socket = try Socket(context, .reply)
            try socket.bind("inproc://zeromq.zap.01")
            started.signal()
            try serve(socket, policy: policy, wakeUp: wakeUp)
        } catch {
            startup.error.withLock { $0 = error }
            started.signal()
        }
    }

    private static func serve(
        _ socket: borrowing Socket,
        policy: Policy,
        wakeUp: WakeUp
    ) throws(ZeroMQError) {
        var poller = Poller(capacity: 2)
        poller.add(socket, events: .readable)
        let wakeUpIndex = poller.add(wakeUp)
        var frames = FrameBuffer(capacity: ZapRequest.maximumFrameCount)
        while true {
            if try poller.wait(timeout: nil).contains(wakeUpIndex) { return }
            while true {
                let outcome = try socket.tryReceive(into: &frames)
                if outcome == .nothing { break }
                let request = outcome == .received ? ZapRequest(frames) : nil
                let decision = request.map(policy) ?? .failure(reason: "malformed request")
                let requestID = frames.count > 1 ? frames.take(at: 1) : Message()
                try answer(decision, requestID: requestID, on: socket)
            }
        }
    }

    private static func answer(
        _ decision: ZapDecision,
        requestID: consuming Message,
        on socket: borrowing Socket
    ) throws(ZeroMQError) {
        // A user id that would be cut would name somebody else: such a decision is a failure of the policy.
        let isTooLong = decision.userID.utf8.count > ZapDecision.maximumTextByteCount
        let decision = isTooLong ? ZapDecision.failure(reason: "user id too long") : decision
        try send("1.0", more: true, on: socket)
        _ = try socket.trySend(requestID, more: true)
        try send(decision.status, more: true, on: socket)
        try send(shortened(decision.text), more: true, on: socket)
        try send(decision.userID, more: true, on: socket)
        try send("", more: false, on: socket)
    }

    private static func send(_ text: String, more: Bool, on socket: borrowing Socket) throws(ZeroMQError) {
        _ = try socket.trySend(Message(copying: Array(text.utf8)), more: more)
    }

    private static func shortened(_ text: String) -> String {
        String(decoding: text.utf8.prefix(ZapDecision.maximumTextByteCount), as: UTF8.self)
    }
}
