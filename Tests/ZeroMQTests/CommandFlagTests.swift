// The command flag, which a hostile peer can put on a frame: a client that speaks ZMTP by hand shows that libzmq lets
// only SUBSCRIBE and CANCEL through, that it sends the flag on, and that rewrapping takes it off.

import Glibc
import Testing
import ZeroMQ

extension ZeroMQTests {
    @Suite struct CommandFlagTests {
        @Test func `of all commands only SUBSCRIBE and CANCEL reach the application`() throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let attacker = try RawPeer(connectingTo: try router.bind("tcp://127.0.0.1:*"))
                for name in ["FOO", "READY", "ERROR", "SUBSCRIBE", "PONG", "CANCEL", "SUBSCRIBEX", "CANCE"] {
                    try attacker.send(flags: 4, RawPeer.command(name, "topic"))
                }
                try attacker.send(flags: 0, Array("end".utf8))
                var frames = FrameBuffer()
                var seen: [String] = []
                while seen.last != "end", try receive(router, into: &frames) == .received {
                    seen.append(text(frames, 1))
                }
                #expect(seen == ["\u{9}SUBSCRIBEtopic", "\u{6}CANCELtopic", "end"])
            }
            try context.terminate(within: patience)
        }

        @Test(arguments: ["SUBSCRIBE", "CANCEL"])
        func `a command is sent on as one unless it is rewrapped`(name: String) throws {
            let context = try Context()
            do {
                let router = try Socket(context, .router)
                let endpoint = try router.bind("tcp://127.0.0.1:*")
                let victim = try RawPeer(connectingTo: endpoint)
                let attacker = try RawPeer(connectingTo: endpoint)
                try victim.send(flags: 0, Array("hello".utf8))
                var frames = FrameBuffer()
                #expect(try receive(router, into: &frames) == .received)
                let id = try routingID(frames)
                // Long enough not to be inline.
                let command = RawPeer.command(name, String(repeating: "t", count: 100))
                for rewraps in [false, true] {
                    try attacker.send(flags: 4, command)
                    #expect(try receive(router, into: &frames) == .received)
                    let body = rewraps ? frames.take(at: 1).rewrapped() : frames.take(at: 1)
                    let outcome = Outcome(try router.trySend(to: id, header: [UInt8(7)].span.bytes, body: body))
                    #expect(outcome == .sent)
                    let header = try victim.receive()
                    #expect(header == RawPeer.Frame(flags: 1, bytes: [7]))
                    let received = try victim.receive()
                    #expect(received.flags == (rewraps ? 0 : 4))
                    #expect(!rewraps || received.bytes == command)
                }
            }
            try context.terminate(within: patience)
        }
    }
}

/// A peer that speaks ZMTP 3.1 with the NULL mechanism over a plain tcp socket.
private final class RawPeer {
    struct Frame: Equatable {
        var flags: UInt8
        var bytes: [UInt8]
    }

    struct Failure: Error {
        var operation: String
        var code: Int32
    }

    private let descriptor: Int32

    init(connectingTo endpoint: String) throws {
        let port = try #require(endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var bound = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(operation: "connect", code: errno) }
        try shakeHands()
    }

    deinit { close(descriptor) }

    static func command(_ name: String, _ data: String) -> [UInt8] {
        [UInt8(name.utf8.count)] + Array(name.utf8) + Array(data.utf8)
    }

    private func shakeHands() throws {
        var greeting = [UInt8](repeating: 0, count: 64)
        greeting[0] = 0xff
        greeting[9] = 0x7f
        greeting[10] = 3
        greeting[11] = 1
        greeting.replaceSubrange(12..<16, with: Array("NULL".utf8))
        try write(greeting)
        _ = try read(64)
        let property = [UInt8(11)] + Array("Socket-Type".utf8) + [0, 0, 0, 6] + Array("DEALER".utf8)
        try send(flags: 4, [UInt8(5)] + Array("READY".utf8) + property)
        _ = try receive()
    }

    func send(flags: UInt8, _ bytes: [UInt8]) throws { try write([flags, UInt8(bytes.count)] + bytes) }

    func receive() throws -> Frame {
        let head = try read(2)
        return Frame(flags: head[0], bytes: try read(Int(head[1])))
    }

    private func write(_ bytes: [UInt8]) throws {
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(operation: "send", code: errno)
        }
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count else {
            throw Failure(operation: "receive", code: errno)
        }
        return bytes
    }
}
