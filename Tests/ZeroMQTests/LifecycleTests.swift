// Beginning and end: contexts, threads, wake-ups and polling leave nothing behind and wait no longer than they may.

import CLinuxShims
import Glibc
import Synchronization
import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct LifecycleTests {
        @Test func `a context with an open socket ends only when the socket is closed`() throws {
            let context = try Context()
            do {
                let socket = try Socket(context, .router)
                let error = #expect(throws: ZeroMQError.self) { try context.terminate(within: .milliseconds(50)) }
                #expect(error?.code == .timedOut)
                #expect(error?.description.contains("1 sockets still open") == true)
                #expect(context.openSocketCount == 1)
                var frames = FrameBuffer()
                let ended = #expect(throws: ZeroMQError.self) { try socket.tryReceive(into: &frames) }
                #expect(ended?.code == .contextTerminated)
                let unsent = #expect(throws: ZeroMQError.self) { try ZeroMQTests.sendText("late", on: socket) }
                #expect(unsent?.code == .contextTerminated)
            }
            #expect(context.openSocketCount == 0)
            try context.terminate(within: patience)
            let late = #expect(throws: ZeroMQError.self) { _ = try Socket(context, .pair).kind }
            #expect(late?.code == .contextTerminated)
        }

        @Test func `a shutdown wakes a thread that waits to receive`() throws {
            let context = try Context()
            let ready = try WakeUp()
            let waiter = Waiter(context: context, ready: ready)
            let thread = try OSThread.start(name: "waiter") { waiter.run() }
            var poller = Poller(capacity: 1)
            poller.add(ready)
            let isReady = try !poller.wait(timeout: patience).isEmpty
            #expect(isReady)
            try context.terminate(within: patience)
            thread.join()
            #expect(waiter.code.withLock { $0 } == .contextTerminated)
        }

        @Test func `descriptors and threads are as before once a context has ended`() throws {
            try Self.useEverything()
            let (files, threads) = (wiz_open_file_count(), wiz_thread_count())
            for _ in 0..<5 { try Self.useEverything() }
            #expect(wiz_open_file_count() == files)
            // A joined thread may stay listed for an instant, and Swift's pool may grow or shrink by itself.
            #expect(wiz_thread_count() <= threads + 2)
        }

        @Test func `forwarding messages does not grow the heap`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let endpoint = try router.bind(directory.endpoint())
                let dealer = try Socket(context, .dealer)
                try dealer.connect(endpoint)
                var frames = FrameBuffer()
                try Self.echo(2000, router: router, dealer: dealer, frames: &frames)
                let before = Int64(clamping: wiz_malloc_in_use_byte_count())
                try Self.echo(20_000, router: router, dealer: dealer, frames: &frames)
                let growth = Int64(clamping: wiz_malloc_in_use_byte_count()) - before
                // libzmq itself grows and shrinks by a few read buffers; one leaked handle a message would be 1 280 000.
                #expect(growth < 100_000)
            }
            try context.terminate(within: patience)
        }

        @Test func `a poller tells which entries are ready`() throws {
            let context = try Context()
            do {
                let left = try Socket(context, .pair)
                try left.bind("inproc://poll")
                let right = try Socket(context, .pair)
                try right.connect("inproc://poll")
                let wakeUp = try WakeUp()
                var poller = Poller(capacity: 3)
                let socketIndex = poller.add(left, events: .readable)
                let wakeUpIndex = poller.add(wakeUp)
                #expect(try Self.wait(&poller, .zero) == [])
                let start = ContinuousClock.now
                #expect(try Self.wait(&poller, .milliseconds(20)) == [])
                #expect(ContinuousClock.now - start >= .milliseconds(19))
                wakeUp.signal()
                wakeUp.signal()
                #expect(try Self.wait(&poller, patience) == [wakeUpIndex])
                #expect(wakeUp.drain())
                #expect(!wakeUp.drain())
                #expect(try send("x", on: right))
                #expect(try Self.wait(&poller, patience) == [socketIndex])
                poller.setEvents([], at: socketIndex)
                #expect(try Self.wait(&poller, .zero) == [])
                poller.remove(at: socketIndex)
                wakeUp.signal()
                #expect(try Self.wait(&poller, nil) == [0])
            }
            try context.terminate(within: patience)
        }

        @Test func `a poller goes on waiting after a signal`() throws {
            let poked = try WakeUp()
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in }
            var before = sigaction()
            sigaction(SIGURG, &action, &before)
            defer { sigaction(SIGURG, &before, nil) }
            let poller = try OSThread.start(name: "poll") {
                _ = wiz_unblock_signals(wiz_signal_bit(SIGURG))
                var poller = Poller(capacity: 1)
                do {
                    let silent = try WakeUp()
                    poller.add(silent)
                    let start = ContinuousClock.now
                    let ready = try poller.wait(timeout: .milliseconds(60))
                    withExtendedLifetime(silent) {
                        if ready.isEmpty, ContinuousClock.now - start >= .milliseconds(59) { poked.signal() }
                    }
                } catch {}
            }
            for _ in 0..<20 {
                _ = kill(getpid(), SIGURG)
                var pause = Poller(capacity: 1)
                pause.add(poked)
                _ = try pause.wait(timeout: .milliseconds(2))
            }
            poller.join()
            #expect(poked.drain())
        }

        @Test func `a thread has its name, blocks signals and can be joined twice`() throws {
            let report = Report()
            let thread = try OSThread.start(name: "a-name-that-is-too-long") { report.fill() }
            thread.join()
            thread.join()
            let value = try #require(report.value.withLock { $0 })
            #expect(value.name == "a-name-that-is-")
            #expect(value.blocksTerm)
            #expect(!value.blocksFault)
        }
    }

    static func sendText(_ text: String, on socket: borrowing Socket) throws { _ = try send(text, on: socket) }
}

/// What a thread saw of itself.
private final class Report: Sendable {
    let value = Mutex<(name: String, blocksTerm: Bool, blocksFault: Bool)?>(nil)

    func fill() {
        var name = [CChar](repeating: 0, count: 16)
        _ = wiz_get_thread_name(&name)
        var mask = sigset_t()
        pthread_sigmask(SIG_SETMASK, nil, &mask)
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let (term, fault) = (sigismember(&mask, SIGTERM) == 1, sigismember(&mask, SIGSEGV) == 1)
        value.withLock { $0 = (text, term, fault) }
    }
}

/// Waits for a message until the context is shut down.
private final class Waiter: Sendable {
    let context: Context
    let ready: WakeUp
    let code = Mutex<ZeroMQError.Code?>(nil)

    init(context: Context, ready: WakeUp) {
        self.context = context
        self.ready = ready
    }

    func run() {
        do throws(ZeroMQError) {
            let socket = try Socket(context, .pair)
            var frames = FrameBuffer()
            ready.signal()
            _ = try socket.receive(into: &frames)
        } catch {
            code.withLock { $0 = error.code }
        }
    }
}

extension ZeroMQTests.LifecycleTests {
    static func wait(_ poller: inout Poller, _ timeout: Duration?) throws -> [Int] {
        let ready = try poller.wait(timeout: timeout)
        return (0..<poller.count).filter { ready.contains($0) }
    }

    static func useEverything() throws {
        let directory = try TemporaryDirectory()
        let context = try Context()
        let zap = try ZapServer(context) { _ in .accept(userID: "somebody") }
        do {
            var options = SocketOptions()
            options.zapDomain = "test"
            let router = try Socket(context, .router, options: options)
            var monitor = try Monitor(context, watching: router, for: .comingAndGoing)
            let endpoint = try router.bind(directory.endpoint())
            do {
                let dealer = try Socket(context, .dealer)
                try dealer.connect(endpoint)
                #expect(try send("hello", on: dealer))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
            }
            #expect(try next(of: .disconnected, from: &monitor) != nil)
            router.stopMonitoring()
        }
        zap.stop()
        try context.terminate(within: patience)
    }

    static func echo(
        _ count: Int,
        router: borrowing Socket,
        dealer: borrowing Socket,
        frames: inout FrameBuffer
    ) throws {
        let header = [UInt8](repeating: 1, count: 32)
        let body = [UInt8](repeating: 2, count: 256)
        for _ in 0..<count {
            _ = Outcome(try dealer.trySend(header: header.span.bytes, body: Message(copying: body)))
            guard try receive(router, into: &frames) == .received else { throw ZeroMQTests.Lost() }
            let peer = try routingID(frames)
            let forwarded = frames.take(at: 2).rewrapped()
            let outcome = Outcome(try router.trySend(to: peer, header: frames.bytes(at: 1), body: forwarded))
            guard outcome == .sent else { throw ZeroMQTests.Lost() }
            guard try receive(dealer, into: &frames) == .received else { throw ZeroMQTests.Lost() }
        }
    }
}

extension ZeroMQTests {
    /// A message that should have come did not.
    struct Lost: Error {}
}
