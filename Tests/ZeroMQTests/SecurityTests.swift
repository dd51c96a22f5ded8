// Who may connect: CURVE keys, the ZAP handler, the kernel's credentials, and throwing a peer out.

import CLinuxShims
import Glibc
import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct SecurityTests {
        @Test func `a key's text and bytes round-trip and its secret half stays hidden`() throws {
            let pair = try CurveKeyPair.generate()
            #expect(pair.publicKey.z85.count == 40)
            #expect(try CurvePublicKey(z85: pair.publicKey.z85) == pair.publicKey)
            let secret = try CurveSecretKey(z85: pair.secretKey.revealedZ85)
            #expect(secret == pair.secretKey)
            #expect(try secret.publicKey() == pair.publicKey)
            #expect(try CurveKeyPair(secretKey: secret) == pair)
            #expect(try pair.publicKey.withUnsafeBytes { try CurvePublicKey(bytes: $0) } == pair.publicKey)
            var dumped = "\(secret) \(String(reflecting: secret)) \(pair)"
            dump(pair, to: &dumped)
            #expect(!dumped.contains(secret.revealedZ85))
            let words = secret.withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
            for word in words { #expect(!dumped.contains(String(word))) }
        }

        @Test func `the key pair of RFC 26 matches itself`() throws {
            let secret = try CurveSecretKey(z85: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
            #expect(try secret.publicKey().z85 == "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID")
        }

        @Test func `text that is no key is refused with its place`() {
            #expect(throws: CurveKeyError.wrongCharacterCount(3)) { try CurvePublicKey(z85: "abc") }
            let bad = "abcd~" + String(repeating: "0", count: 35)
            #expect(throws: CurveKeyError.invalidCharacter(position: 4)) { try CurvePublicKey(z85: bad) }
            let huge = String(repeating: "0", count: 35) + "#####"
            #expect(throws: CurveKeyError.overflow(position: 35)) { try CurveSecretKey(z85: huge) }
            let wide = String(repeating: "é", count: 20)
            #expect(throws: CurveKeyError.self) { try CurvePublicKey(z85: wide) }
        }

        @Test func `CURVE with an accepted key lets messages through under its user id`() throws {
            let outcome = try Self.connectOverCurve(known: true, rightServerKey: true)
            #expect(outcome == .message(userID: "plugin:alice"))
        }

        @Test func `CURVE with an unknown key is refused and told so`() throws {
            let outcome = try Self.connectOverCurve(known: false, rightServerKey: true)
            #expect(outcome == .refused)
        }

        @Test func `CURVE against another server's key never completes`() throws {
            let outcome = try Self.connectOverCurve(known: true, rightServerKey: false)
            #expect(outcome == .refused)
        }

        @Test func `a ZAP domain without a handler lets nobody in`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                var options = SocketOptions()
                options.zapDomain = "mesh"
                // The server does not hang up; it lets the handshake run out of time.
                options.handshakeTimeout = .milliseconds(200)
                let router = try Socket(context, .router, options: options)
                let endpoint = try router.bind(directory.endpoint())
                let dealer = try Socket(context, .dealer)
                let kinds: MonitorEvent.Kind = [.handshakeSucceeded, .anyHandshakeFailure, .disconnected]
                var monitor = try Monitor(context, watching: dealer, for: kinds)
                try dealer.connect(endpoint)
                let event = try next(of: kinds, from: &monitor)
                #expect(event != nil && event?.kind != .handshakeSucceeded)
                dealer.stopMonitoring()
            }
            try context.terminate(within: patience)
        }

        @Test func `a policy on ipc sees the kernel's credentials`() throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            let zap = try ZapServer(context) { request in
                guard request.domain == "mesh", request.mechanism == .null,
                    case .process(let peer)? = request.address
                else { return .deny(reason: "not a process of this machine") }
                return .accept(userID: "\(peer.userID)/\(peer.groupID)/\(peer.processID)")
            }
            do {
                var options = SocketOptions()
                options.zapDomain = "mesh"
                let router = try Socket(context, .router, options: options)
                let endpoint = try router.bind(directory.endpoint())
                let dealer = try Socket(context, .dealer)
                try dealer.connect(endpoint)
                #expect(try send("hello", on: dealer))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
                let user = frames.property(.userID, at: 1)
                #expect(user == "\(getuid())/\(getgid())/\(getpid())")
            }
            zap.stop()
            try context.terminate(within: patience)
        }

        @Test(arguments: [
            ZapDecision.deny(reason: String(repeating: "r", count: 1000)), .failure(reason: ""),
            .accept(userID: String(repeating: "u", count: 256)),
        ])
        func `a refusal and an answer that cannot be given end the handshake`(decision: ZapDecision) throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            let zap = try ZapServer(context) { _ in decision }
            do {
                var options = SocketOptions()
                options.zapDomain = "mesh"
                let router = try Socket(context, .router, options: options)
                let endpoint = try router.bind(directory.endpoint())
                let dealer = try Socket(context, .dealer)
                let kinds: MonitorEvent.Kind = [.handshakeSucceeded, .anyHandshakeFailure, .disconnected]
                var monitor = try Monitor(context, watching: dealer, for: kinds)
                try dealer.connect(endpoint)
                let event = try next(of: kinds, from: &monitor)
                #expect(event != nil && event?.kind != .handshakeSucceeded)
                dealer.stopMonitoring()
            }
            zap.stop()
            try context.terminate(within: patience)
        }

        @Test func `a process has one ZAP handler`() throws {
            let context = try Context()
            let zap = try ZapServer(context) { _ in .deny(reason: "nobody") }
            let error = #expect(throws: ZeroMQError.self) {
                _ = try ZapServer(context) { _ in .deny(reason: "nobody") }
            }
            #expect(error?.code == .addressInUse)
            zap.stop()
            try context.terminate(within: patience)
        }

        @Test(arguments: ["ipc", "tcp"])
        func `a peer is thrown out only if it is the one that was meant`(transport: String) throws {
            let directory = try TemporaryDirectory()
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let endpoint = try router.bind(transport == "ipc" ? directory.endpoint() : "tcp://127.0.0.1:*")
                let dealer = try Socket(context, .dealer)
                var monitor = try Monitor(context, watching: dealer, for: .disconnected)
                try dealer.connect(endpoint)
                #expect(try send("hello", on: dealer))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
                let (source, property) = (frames.sourceFileDescriptor(at: 1), frames.property(.peerAddress, at: 1))
                let descriptor = try #require(source)
                let address = try #require(property.flatMap { PeerAddress($0) })
                let other = PeerAddress.process(.init(userID: 1, groupID: 1, processID: 1))
                let error = #expect(throws: ZeroMQError.self) {
                    try disconnectPeer(fileDescriptor: descriptor, expecting: other)
                }
                #expect(error?.code == .peerMismatch)
                try disconnectPeer(fileDescriptor: descriptor, expecting: address)
                #expect(try next(of: .disconnected, from: &monitor) != nil)
                dealer.stopMonitoring()
            }
            try context.terminate(within: patience)
        }

        @Test func `a peer address is read as libzmq writes it`() {
            let process = PeerAddress.process(.init(userID: 1000, groupID: 100, processID: 42))
            #expect(PeerAddress("localhost:1000:100:42") == process)
            #expect(process.description == "localhost:1000:100:42")
            #expect(PeerAddress("127.0.0.1") == .host("127.0.0.1"))
            #expect(PeerAddress("::1") == .host("::1"))
            for text in ["", "localhost:", "localhost:1:2", "localhost:a:b:c", "localhost:1:2:3:4"] {
                #expect(PeerAddress(text) == nil)
            }
        }
    }
}

/// What came of a connection.
private enum Connection: Equatable {
    case message(userID: String?)
    case refused
}

extension ZeroMQTests.SecurityTests {
    fileprivate static func connectOverCurve(known: Bool, rightServerKey: Bool) throws -> Connection {
        let (server, alice, stranger) = (
            try CurveKeyPair.generate(), try CurveKeyPair.generate(), try CurveKeyPair.generate()
        )
        let context = try Context()
        let zap = try ZapServer(context) { request in
            guard case .curve(let key) = request.mechanism, key == alice.publicKey,
                request.address == .host("127.0.0.1")
            else { return .deny(reason: "unknown key") }
            return .accept(userID: "plugin:alice")
        }
        let result = try exchange(
            context,
            server: server,
            client: known ? alice : stranger,
            serverKey: rightServerKey ? server.publicKey : stranger.publicKey
        )
        zap.stop()
        try context.terminate(within: patience)
        return result
    }

    private static func exchange(
        _ context: Context,
        server: CurveKeyPair,
        client: CurveKeyPair,
        serverKey: CurvePublicKey
    ) throws -> Connection {
        var options = SocketOptions()
        options.zapDomain = "mesh"
        options.handshakeTimeout = .milliseconds(500)
        options.security = .curveServer(server.secretKey)
        let router = try Socket(context, .router, options: options)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        options = SocketOptions()
        options.security = .curveClient(serverKey: serverKey, keys: client)
        let dealer = try Socket(context, .dealer, options: options)
        let kinds: MonitorEvent.Kind = [.handshakeSucceeded, .anyHandshakeFailure, .disconnected]
        var monitor = try Monitor(context, watching: dealer, for: kinds)
        try dealer.connect(endpoint)
        let event = try next(of: kinds, from: &monitor)
        dealer.stopMonitoring()
        guard event?.kind == .handshakeSucceeded else { return .refused }
        _ = try send("hello", on: dealer)
        var frames = FrameBuffer()
        _ = try receive(router, into: &frames)
        return .message(userID: frames.property(.userID, at: 1))
    }
}
