// The byte relay with real sockets: what goes in comes out, ends are handed on, a slow side slows the other, nothing is left.

import Glibc
import Synchronization
import Testing

@testable import PluginHost

@Suite(.timeLimit(.minutes(1)))
struct RelayTests {
    @Test func `an endpoint is a host and a port`() {
        #expect(RelayTarget(endpoint: "tcp://broker.example:7400") == RelayTarget(host: "broker.example", port: 7400))
        #expect(RelayTarget(endpoint: "tcp://[::1]:7400")?.host == "::1")
        #expect(RelayTarget(endpoint: "tcp://[::1]:7400")?.description == "tcp://[::1]:7400")
        for wrong in ["ipc:///run/mesh.sock", "tcp://broker", "tcp://:7400", "tcp://broker:0", "tcp://broker:99999"] {
            #expect(RelayTarget(endpoint: wrong) == nil)
        }
    }

    @Test func `there are never more connections than can be waited for`() {
        #expect(RelayLoop.most(1_024, files: 1_024) == 511)
        #expect(RelayLoop.most(1_024, files: .max) == 1_024)
        #expect(RelayLoop.most(1_024, files: 0) == 1)
    }

    @Test func `bytes pass unchanged in both directions on many connections at a time`() async throws {
        let server = try EchoServer()
        let relay = try ByteRelay(at: socketPath(), to: server.target)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in 1...8 {
                let path = relay.path
                group.addTask {
                    let sent = noise(byteCount: 3_000_000 + seed, seed: UInt64(seed))
                    let received = try await onThread {
                        let client = try Peer(connectingTo: path)
                        let reading = Reading(client, byteCount: sent.count)
                        try client.send(sent)
                        return try reading.bytes()
                    }
                    #expect(received == sent)
                }
            }
            try await group.waitForAll()
        }
        await relay.stop()
        server.stop()
        #expect(relay.status.outwardByteCount >= 24_000_000)
    }

    @Test func `an end is handed on and answers still come back`() async throws {
        let listener = try Listener()
        let relay = try ByteRelay(at: socketPath(), to: listener.target)
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            try client.send(Array("question".utf8))
            client.endSending()
            let broker = try listener.accept()
            #expect(try broker.receiveToEnd() == Array("question".utf8))
            try broker.send(Array("answer".utf8))
            broker.endSending()
            #expect(try client.receiveToEnd() == Array("answer".utf8))
        }
        await relay.stop()
    }

    @Test func `what the broker said before it closed arrives`() async throws {
        let listener = try Listener()
        let relay = try ByteRelay(at: socketPath(), to: listener.target)
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            let broker = try listener.accept()
            let farewell = noise(byteCount: 200_000, seed: 3)
            let reading = Reading(client, byteCount: farewell.count)
            try broker.send(farewell)
            broker.close()
            #expect(try reading.bytes() == farewell)
            #expect(try client.receiveToEnd().isEmpty)
        }
        await relay.stop()
    }

    @Test func `a side that does not read slows the other one, and nothing is lost`() async throws {
        let listener = try Listener()
        let relay = try ByteRelay(at: socketPath(), to: listener.target)
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            let broker = try listener.accept()
            broker.shrinkReceiveBuffer()
            let sent = noise(byteCount: 40 << 20, seed: 9)
            let taken = try client.sendWithoutWaiting(sent)
            #expect(taken < 32 << 20, "\(taken) bytes went out though nobody read")
            let rest = Writing(client, Array(sent[taken...]))
            #expect(try broker.receive(sent.count) == sent)
            try rest.finish()
        }
        await relay.stop()
    }

    @Test func `without a broker a connection ends at once, and one that comes later is reached`() async throws {
        let listener = try Listener()
        let target = listener.target
        listener.close()
        let relay = try ByteRelay(at: socketPath(), to: target)
        try await onThread {
            #expect(try Peer(connectingTo: relay.path).receiveToEnd().isEmpty)
            #expect(relay.status.lastFailure?.description == "Connection refused")
            let again = try Listener(port: target.port)
            let client = try Peer(connectingTo: relay.path)
            try again.accept().send([1, 2, 3])
            #expect(try client.receive(3) == [1, 2, 3])
        }
        await relay.stop()
    }

    @Test func `a name is looked up, and one that is unknown ends the connection`() async throws {
        let server = try EchoServer()
        let relay = try ByteRelay(at: socketPath(), to: RelayTarget(host: "localhost", port: server.target.port))
        let lost = try ByteRelay(at: socketPath(), to: RelayTarget(host: "broker.invalid", port: 7400))
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            try client.send([7])
            #expect(try client.receive(1) == [7])
            #expect(try Peer(connectingTo: lost.path).receiveToEnd().isEmpty)
            #expect(lost.status.lastFailure?.description.contains("broker.invalid") == true)
        }
        await relay.stop()
        await lost.stop()
        server.stop()
    }

    @Test func `more connections than allowed are closed at once, and the others go on`() async throws {
        let server = try EchoServer()
        let relay = try ByteRelay(at: socketPath(), to: server.target, bounds: .init(connectionCount: 2))
        try await onThread {
            let clients = try (0..<2).map { _ in try Peer(connectingTo: relay.path) }
            for client in clients {
                try client.send([1])
                #expect(try client.receive(1) == [1])
            }
            #expect(try Peer(connectingTo: relay.path).receiveToEnd().isEmpty)
            try clients[0].send([2])
            #expect(try clients[0].receive(1) == [2])
        }
        await relay.stop()
        server.stop()
    }

    @Test func `stopping ends every connection and removes the socket`() async throws {
        let server = try EchoServer()
        let path = try socketPath()
        let relay = try ByteRelay(at: path, to: server.target)
        let client = try Peer(connectingTo: path)
        try client.send([1])
        #expect(try client.receive(1) == [1])
        await relay.stop()
        #expect(try client.receiveToEnd().isEmpty)
        #expect(access(path, F_OK) != 0)
        server.stop()
    }

    @Test func `a socket that was left behind is replaced, a path that is too long is refused`() async throws {
        let server = try EchoServer()
        let path = try socketPath()
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        let relay = try ByteRelay(at: path, to: server.target, mode: 0o660)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o660)
        await relay.stop()
        server.stop()
        let long = "/tmp/" + String(repeating: "a", count: 120)
        #expect(throws: RelayFailure.self) { try ByteRelay(at: long, to: server.target) }
    }

    @Test func `an idle relay does nothing, also with a half-closed connection`() async throws {
        let listener = try Listener()
        let relay = try ByteRelay(at: socketPath(), to: listener.target)
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            let broker = try listener.accept()
            client.endSending()
            #expect(try broker.receiveToEnd().isEmpty)
            let before = relay.status.turnCount
            var descriptor = pollfd(fd: -1, events: 0, revents: 0)
            poll(&descriptor, 1, 300)
            #expect(relay.status.turnCount - before < 5)
        }
        await relay.stop()
    }

    @Test func `a connection that one side has ended and that stays still is given up`() async throws {
        let listener = try Listener()
        let relay = try ByteRelay(at: socketPath(), to: listener.target, bounds: .init(halfClosed: .milliseconds(200)))
        try await onThread {
            let client = try Peer(connectingTo: relay.path)
            let broker = try listener.accept()
            client.endSending()
            #expect(try broker.receiveToEnd().isEmpty)
            #expect(try client.receiveToEnd().isEmpty)
        }
        await relay.stop()
    }
}
