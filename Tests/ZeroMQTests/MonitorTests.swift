// The monitor: peers come and go and a reader on another thread sees it too.

import CLinuxShims
import Synchronization
import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct MonitorTests {
        @Test(arguments: ["ipc", "tcp"])
        func `a peer is seen to come and to go`(transport: String) throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                var monitor = try Monitor(context, watching: router, for: .comingAndGoing)
                let endpoint = try router.bind(transport == "ipc" ? directory.endpoint() : "tcp://127.0.0.1:*")
                var accepted: MonitorEvent?
                do {
                    let dealer = try Socket(context, .dealer)
                    try dealer.connect(endpoint)
                    accepted = try next(of: .accepted, from: &monitor)
                    #expect(try next(of: .handshakeSucceeded, from: &monitor) != nil)
                }
                let gone = try next(of: .disconnected, from: &monitor)
                let came = try #require(accepted)
                #expect(gone?.fileDescriptor == came.fileDescriptor)
                #expect(came.fileDescriptor != nil)
                #expect(came.endpoint == endpoint)
                router.stopMonitoring()
            }
            try context.terminate(within: patience)
        }

        @Test func `what came before a connection was lost can still be read`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let dealer = try Socket(context, .dealer)
                var monitor = try Monitor(context, watching: dealer, for: [.connected, .disconnected])
                var frames = FrameBuffer()
                do {
                    let router = try Socket(context, .router)
                    try dealer.connect(try router.bind(directory.endpoint()))
                    _ = try dealer.trySend(header: [1].span.bytes, body: nil)
                    var poller = Poller(capacity: 1)
                    poller.add(router, events: .readable)
                    #expect(try !poller.wait(timeout: patience).isEmpty)
                    #expect(try router.tryReceive(into: &frames) == .received)
                    let identity = frames.routingID
                    let peer = try #require(identity)
                    _ = try router.trySend(to: peer, header: [2].span.bytes, body: Message(copying: [3]))
                    var own = Poller(capacity: 1)
                    own.add(dealer, events: .readable)
                    #expect(try !own.wait(timeout: patience).isEmpty)
                    let connection = frames.sourceFileDescriptor(at: 1)
                    #expect(wiz_shutdown_both(connection ?? -1) == 0)
                }
                #expect(try next(of: .disconnected, from: &monitor) != nil)
                // Asking lets libzmq do what it has put off: with an interval of -1 it would throw the message away now.
                #expect(try dealer.readiness().contains(.readable))
                #expect(try dealer.tryReceive(into: &frames) == .received)
                #expect(frames.count == 2)
                dealer.stopMonitoring()
            }
            try context.terminate(within: patience)
        }

        @Test func `a reader on another thread sees the events`() throws {
            let context = try Context()
            let reader = MonitorReader(context: context, ready: try WakeUp())
            let thread = try OSThread.start(name: "monitor") { reader.run() }
            do {
                let router = try Socket(context, .router)
                var poller = Poller(capacity: 1)
                poller.add(reader.ready)
                let isReady = try !poller.wait(timeout: patience).isEmpty
                #expect(isReady)
                try router.startMonitoring(.listening, at: reader.endpoint)
                try router.bind("tcp://127.0.0.1:*")
                thread.join()
                #expect(reader.seen.withLock { $0 } == .listening)
            }
            try context.terminate(within: patience)
        }

        @Test func `events that nobody reads do not hold up the socket`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                var monitor = try Monitor(context, watching: router, for: .comingAndGoing)
                let endpoint = try router.bind(directory.endpoint())
                var frames = FrameBuffer()
                // More events than a queue of libzmq's default bound would take.
                for _ in 0..<700 {
                    let dealer = try Socket(context, .dealer)
                    try dealer.connect(endpoint)
                    guard try send("hello", on: dealer), try receive(router, into: &frames) == .received else {
                        throw Lost()
                    }
                }
                #expect(try next(of: .disconnected, from: &monitor) != nil)
                router.stopMonitoring()
            }
            try context.terminate(within: patience)
        }
    }
}

/// Reads one event on a thread of its own.
private final class MonitorReader: Sendable {
    let context: Context
    let ready: WakeUp
    let endpoint = MonitorEndpoint()
    let seen = Mutex<MonitorEvent.Kind?>(nil)

    init(context: Context, ready: WakeUp) {
        self.context = context
        self.ready = ready
    }

    func run() {
        do {
            var monitor = try Monitor(context, reading: endpoint)
            ready.signal()
            let kind = try next(of: .listening, from: &monitor)?.kind
            seen.withLock { $0 = kind }
        } catch {
            ready.signal()
        }
    }
}
