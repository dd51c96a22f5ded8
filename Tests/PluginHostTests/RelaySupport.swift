// Blocking sockets with a bound, for the tests of the relay: peers, a listener, a server that echoes.

import Glibc
import Synchronization
import Testing

@testable import PluginHost

/// Runs something that blocks on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let isStarted = RelayThread.start("test") { continuation.resume(with: Result { try body() }) }
        if !isStarted { continuation.resume(throwing: SocketError(description: "no thread")) }
    }
}

/// A fresh path for a socket.
func socketPath() throws -> String {
    var template = Array("/tmp/relay.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SocketError(description: "no folder") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/mesh.sock"
}

/// Bytes that follow from a seed: a block of an odd length again and again, since making each would take long.
func noise(byteCount: Int, seed: UInt64) -> [UInt8] {
    var state = seed | 1
    let block = (0..<min(byteCount, 65_521)).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount + block.count)
    while bytes.count < byteCount { bytes += block }
    bytes.removeLast(bytes.count - byteCount)
    return bytes
}

struct SocketError: Error, CustomStringConvertible {
    let description: String

    init(description: String) { self.description = description }

    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// A connected socket whose reads and writes give up after ten seconds.
final class Peer: Sendable {
    let descriptor: Int32
    private let isClosed = Atomic(false)

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var bound = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
    }

    convenience init(connectingTo path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard result == 0 else { throw SocketError("connect") }
        self.init(descriptor)
    }

    deinit { close() }

    func close() { if !isClosed.exchange(true, ordering: .relaxed) { Glibc.close(descriptor) } }
    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    func shrinkReceiveBuffer() {
        var size: Int32 = 64 << 10
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SocketError("send") }
            sent += count
        }
    }

    /// Sends until nobody has taken anything for 300 ms.
    func sendWithoutWaiting(_ bytes: [UInt8]) throws -> Int {
        var sent = 0
        while sent < bytes.count {
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&ready, 1, 300) > 0 else { return sent }
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, flags)
            }
            if count > 0 { sent += count } else if errno != EAGAIN { throw SocketError("send") }
        }
        return sent
    }

    func receive(_ wanted: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < wanted {
            let count = recv(descriptor, &piece, min(piece.count, wanted - bytes.count), 0)
            guard count != 0 else { throw SocketError(description: "the end came after \(bytes.count) bytes") }
            guard count > 0 else { throw SocketError("receive") }
            bytes += piece[..<count]
        }
        return bytes
    }

    func receiveToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return bytes }
            guard count > 0 else { throw SocketError("receive") }
            bytes += piece[..<count]
        }
    }
}

/// Something that goes on on a thread of its own.
private final class Errand<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)

    init(_ body: @escaping @Sendable () throws -> Value) {
        _ = RelayThread.start("test") { [self] in
            let outcome = Result { try body() }
            result.withLock { $0 = outcome }
        }
    }

    func value() throws -> Value {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            if let result = result.withLock({ $0 }) { return try result.get() }
            var nothing = pollfd(fd: -1, events: 0, revents: 0)
            poll(&nothing, 1, 5)
        }
        throw SocketError(description: "it did not end")
    }
}

/// Reads while somebody writes.
final class Reading: Sendable {
    private let errand: Errand<[UInt8]>

    init(_ peer: Peer, byteCount: Int) { errand = Errand { try peer.receive(byteCount) } }

    func bytes() throws -> [UInt8] { try errand.value() }
}

/// Writes while somebody reads.
final class Writing: Sendable {
    private let errand: Errand<Void>

    init(_ peer: Peer, _ bytes: [UInt8]) { errand = Errand { try peer.send(bytes) } }

    func finish() throws { try errand.value() }
}

/// A tcp socket that listens on loopback.
final class Listener: Sendable {
    let target: RelayTarget
    private let descriptor: Int32
    private let isClosed = Atomic(false)

    init(port: UInt16 = 0) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isGood = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        guard isGood else { throw SocketError("listen") }
        target = RelayTarget(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
    }

    deinit { close() }

    func accept() throws -> Peer {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, 10_000) > 0 else { throw SocketError(description: "nobody came") }
        let peer = Glibc.accept(descriptor, nil, nil)
        guard peer >= 0 else { throw SocketError("accept") }
        return Peer(peer)
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
        Glibc.close(descriptor)
    }
}

/// Gives back what it gets, on any number of connections.
final class EchoServer: Sendable {
    private let listener: Listener
    var target: RelayTarget { listener.target }

    init() throws {
        let listener = try Listener()
        self.listener = listener
        _ = RelayThread.start("echo") {
            while let peer = try? listener.accept() {
                _ = RelayThread.start("echo") {
                    var piece = [UInt8](repeating: 0, count: 1 << 16)
                    while true {
                        let count = recv(peer.descriptor, &piece, piece.count, 0)
                        guard count > 0, (try? peer.send(Array(piece[..<count]))) != nil else { return }
                    }
                }
            }
        }
    }

    func stop() { listener.close() }
}
