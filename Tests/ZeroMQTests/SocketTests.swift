// Sockets on ipc, tcp and inproc: what is sent arrives, what cannot be sent comes back, what is too much is refused.

import CLinuxShims
import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct SocketTests {
        @Test(arguments: ["ipc", "tcp"])
        func `a dealer's message reaches a router and its answer comes back`(transport: String) throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let endpoint = try router.bind(transport == "ipc" ? directory.endpoint() : "tcp://127.0.0.1:*")
                #expect(!endpoint.contains("*"))
                let dealer = try Socket(context, .dealer)
                try dealer.connect(endpoint)
                #expect(try send("head", "body", on: dealer) == .sent)
                var frames = FrameBuffer(capacity: 3)
                #expect(try receive(router, into: &frames) == .received)
                expect(frames, count: 3)
                #expect(text(frames, 1) == "head")
                #expect(text(frames, 2) == "body")
                let peer = try routingID(frames)
                let (address, descriptor) = (frames.property(.peerAddress, at: 1), frames.sourceFileDescriptor(at: 1))
                #expect(descriptor != nil)
                #expect(transport == "ipc" ? address?.hasPrefix("localhost:") == true : address == "127.0.0.1")
                #expect(try send("answer", "more", to: peer, on: router) == .sent)
                #expect(try receive(dealer, into: &frames) == .received)
                expect(frames, count: 2)
                #expect(text(frames, 0) == "answer")
                #expect(try send("alone", nil, to: peer, on: router) == .sent)
                #expect(try receive(dealer, into: &frames) == .received)
                expect(frames, count: 1)
                #expect(try dealer.tryReceive(into: &frames) == .nothing)
            }
            try context.terminate(within: patience)
        }

        @Test func `a dealer without a peer gives the message back`() throws {
            let context = try Context()
            do {
                let dealer = try Socket(context, .dealer)
                #expect(Outcome(try dealer.trySend(Message(copying: Array("kept".utf8)))) == .wouldBlock("kept"))
                #expect(try send("head", "body", on: dealer) == .wouldBlock("body"))
            }
            try context.terminate(within: patience)
        }

        @Test func `a router reports a peer it never had or has lost`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                var monitor = try Monitor(context, watching: router, for: .comingAndGoing)
                let endpoint = try router.bind(directory.endpoint())
                #expect(try send("head", "body", to: RoutingID(number: 1), on: router) == .unreachable("body"))
                var frames = FrameBuffer()
                var peer: RoutingID?
                do {
                    let dealer = try Socket(context, .dealer)
                    try dealer.connect(endpoint)
                    #expect(try send("hello", on: dealer))
                    #expect(try receive(router, into: &frames) == .received)
                    peer = frames.routingID
                }
                #expect(try next(of: .disconnected, from: &monitor) != nil)
                let lost = try #require(peer)
                // The event comes a moment before the socket itself has noticed, and a full queue says "full" until the
                // socket, by receiving, sees that its peer is gone.
                var outcome = Outcome.sent
                let deadline = ContinuousClock.now + patience
                while outcome != .unreachable("body"), .now < deadline {
                    outcome = try send("head", "body", to: lost, on: router)
                    #expect(try router.tryReceive(into: &frames) == .nothing)
                }
                #expect(outcome == .unreachable("body"))
                #expect(try send("head", nil, to: lost, on: router) == .unreachable(nil))
                router.stopMonitoring()
            }
            try context.terminate(within: patience)
        }

        @Test func `a router gives the body back when a peer is full`() throws {
            let context = try Context()
            do {
                var options = SocketOptions()
                options.sendHighWaterMark = 2
                options.receiveHighWaterMark = 2
                let router = try Socket(context, .router, options: options)
                try router.bind("inproc://full")
                let dealer = try Socket(context, .dealer, options: options)
                try dealer.connect("inproc://full")
                #expect(try send("hello", on: dealer))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
                let peer = try routingID(frames)
                var sent = 0
                var outcome = try send("head", "body", to: peer, on: router)
                while outcome == .sent, sent < 100 {
                    sent += 1
                    outcome = try send("head", "body", to: peer, on: router)
                }
                #expect(outcome == .wouldBlock("body"))
                #expect(sent == 4)
            }
            try context.terminate(within: patience)
        }

        @Test func `a message of too many frames is thrown away and the next one is whole`() throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                try router.bind("inproc://frames")
                let dealer = try Socket(context, .dealer)
                try dealer.connect("inproc://frames")
                for index in 0..<10 { #expect(try send("frame \(index)", on: dealer, more: index < 9)) }
                #expect(try send("one", on: dealer))
                var frames = FrameBuffer(capacity: 3)
                #expect(try receive(router, into: &frames) == .tooManyFrames(total: 11))
                _ = try routingID(frames)
                #expect(text(frames, 2) == "frame 1")
                #expect(try receive(router, into: &frames) == .received)
                expect(frames, count: 2)
                #expect(text(frames, 1) == "one")
            }
            try context.terminate(within: patience)
        }

        @Test(arguments: [
            "tcp://*:*", "tcp://0.0.0.0:*", "tcp://[::]:*", "tcp://0:0", "tcp://[::ffff:0.0.0.0]:0", "tcp://:5000",
            "tcp://0x0.0.0.0:*", "tcp://[0:0:0:0:0:0:0:0]:*",
        ])
        func `binding to every address is refused`(endpoint: String) throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let error = #expect(throws: ZeroMQError.self) { try router.bind(endpoint) }
                #expect(error?.code == .addressNotAvailable)
                #expect(error?.operation == .bind)
            }
            try context.terminate(within: patience)
        }

        @Test func `binding to every address works when it is asked for`() throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let endpoint = try router.bind("tcp://0.0.0.0:*", allowsAnyAddress: true)
                #expect(endpoint.hasPrefix("tcp://0.0.0.0:"))
                try router.unbind(endpoint)
            }
            try context.terminate(within: patience)
        }

        @Test func `an error names the operation, the endpoint and what to do`() throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                try router.bind("inproc://taken")
                let second = try Socket(context, .router)
                let error = #expect(throws: ZeroMQError.self) { try second.bind("inproc://taken") }
                #expect(error?.code == .addressInUse)
                let description = error?.description ?? ""
                #expect(description.contains("bind"))
                #expect(description.contains("inproc://taken"))
                #expect(description.contains("choose another endpoint"))
            }
            try context.terminate(within: patience)
        }

        @Test func `a taken message leaves an empty frame and keeps its bytes`() throws {
            let context = try Context()
            do {
                let left = try Socket(context, .pair)
                try left.bind("inproc://take")
                let right = try Socket(context, .pair)
                try right.connect("inproc://take")
                #expect(try send("first message, long enough not to be inline", on: right))
                #expect(try send("second", on: right))
                var frames = FrameBuffer(capacity: 1)
                #expect(try receive(left, into: &frames) == .received)
                let taken = frames.take(at: 0)
                #expect(text(frames, 0).isEmpty)
                #expect(try receive(left, into: &frames) == .received)
                #expect(text(taken) == "first message, long enough not to be inline")
                #expect(text(frames, 0) == "second")
                frames.clear()
                expect(frames, count: 0)
                #expect(try left.readiness() == .writable)
            }
            try context.terminate(within: patience)
        }

        @Test func `routing ids do not begin where an unseeded generator begins`() throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                try router.bind("inproc://seed")
                let dealer = try Socket(context, .dealer)
                try dealer.connect("inproc://seed")
                #expect(try send("hello", on: dealer))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
                let number = UInt32(bigEndian: try routingID(frames).number)
                let unseeded: [UInt32] = [0x6b8b_4567, 0xe43c_9869, 0xf4b0_dc51]
                for start in unseeded { #expect(number &- start > 64) }
            }
            try context.terminate(within: patience)
        }

        @Test func `a socket of another thread is a trap`() async {
            await #expect(processExitsWith: .failure) {
                let context = try Context()
                let thread = try OSThread.start(name: "thief") {
                    do {
                        Smuggler.store(try Socket(context, .pair))
                    } catch {}
                }
                thread.join()
                Smuggler.drop()
            }
        }
    }
}

/// Carries a socket past the compiler to another thread, to see it refused.
private enum Smuggler {
    private final class Box {
        let socket: Socket

        init(_ socket: consuming Socket) { self.socket = socket }
    }

    nonisolated(unsafe) private static var box: Box?

    static func store(_ socket: consuming Socket) { box = Box(socket) }
    static func drop() { box = nil }
}
