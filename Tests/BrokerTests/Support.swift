// Brokers in temporary folders, and raw peers: a DEALER of our own that speaks headers, so that a test sees every frame.

import Broker
import CLinuxShims
import Glibc
import Logging
import MeshProtocol
import Synchronization
import Testing
import ZeroMQ

/// The peers' context; the brokers have their own.
enum PeerContext {
    static let shared: Context? = try? Context(maximumSocketCount: 4096)

    static func get() throws -> Context { try #require(shared) }
}

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    private static let next = Atomic<Int>(0)
    let path: String

    init() {
        let number = TemporaryFolder.next.add(1, ordering: .relaxed).oldValue
        path = "/tmp/wbt-\(getpid())-\(number)"
        mkdir(path, 0o700)
    }

    func file(_ name: String, _ text: String, mode: mode_t = 0o600) -> String {
        let file = path + "/" + name
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, mode)
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
        close(descriptor)
        return file
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if let listing = opendir(path) {
            while let entry = readdir(listing) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { remove(path + "/" + name) }
            }
            closedir(listing)
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

/// A logger that says nothing.
func quietLogger() -> Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

/// Runs a test with a broker of its own, which has stopped when this returns.
func withBroker<Result>(
    _ change: (inout BrokerConfiguration, TemporaryFolder) throws -> Void = { _, _ in },
    _ body: (Broker, TemporaryFolder) throws -> Result
) throws -> Result {
    let folder = TemporaryFolder()
    var configuration = BrokerConfiguration(runFolder: folder.path + "/run")
    try change(&configuration, folder)
    let broker = try Broker.start(configuration, logger: quietLogger())
    defer { broker.stopAndBlock() }
    return try body(broker, folder)
}

/// A message as a peer gets it.
struct Incoming {
    var header: Header
    var payload: [UInt8]
    var text: String { String(decoding: payload, as: UTF8.self) }
}

/// A raw peer; lives on the thread that made it.
struct TestPeer: ~Copyable {
    let socket: Socket
    private var frames = FrameBuffer(capacity: 3)
    private var poller = Poller(capacity: 1)

    init(_ endpoint: String, options: SocketOptions = TestPeer.options()) throws {
        let socket = try Socket(PeerContext.get(), .dealer, options: options)
        try socket.connect(endpoint)
        self.socket = socket
        poller.add(self.socket, events: .readable)
    }

    static func options() -> SocketOptions {
        var options = SocketOptions()
        options.linger = .zero
        // With reconnecting off, libzmq drops what has come but was not read when the broker ends the connection.
        options.reconnect = .every(.seconds(3600), maximum: nil)
        options.receiveHighWaterMark = 0
        options.sendHighWaterMark = 0
        return options
    }

    /// Breaks the connection of the message received last as the kernel does when a process is killed.
    func breakConnection() -> Bool {
        guard frames.count > 0, let descriptor = frames.sourceFileDescriptor(at: frames.count - 1) else { return false }
        return wiz_shutdown_both(descriptor) == 0
    }

    func send(_ fields: some HeaderFields, payload: [UInt8]? = nil) throws {
        try send(header: fields.encoded(), payload: payload)
    }

    func send(_ fields: some HeaderFields, json: String) throws { try send(fields, payload: Array(json.utf8)) }

    func send(header: [UInt8], payload: [UInt8]?) throws {
        var body: Message?
        if let payload { body = Message(copying: payload) }
        switch try socket.trySend(header: header.span.bytes, body: body.take()) {
        case .sent: break
        case .wouldBlock: Issue.record("a peer could not send")
        case .unreachable: Issue.record("a peer could not send")
        }
    }

    /// Sends a message of frames as they are.
    func send(frames: [[UInt8]]) throws {
        for (index, frame) in frames.enumerated() {
            _ = try frame.withUnsafeBytes { try socket.trySend(copying: $0, more: index < frames.count - 1) }
        }
    }

    /// The next message, nil when none comes in time; PINGs are answered on the way.
    mutating func receive(within bound: Duration = .seconds(5)) throws -> Incoming? {
        let clock = ContinuousClock()
        let end = clock.now + bound
        while true {
            if case .received = try socket.tryReceive(into: &frames) {
                let header = try frames.withUnsafeBytes(at: 0) { try Header.decode($0) }
                let payload = frames.count > 1 ? frames.withUnsafeBytes(at: 1) { Array($0) } : []
                if case .ping(let ping) = header {
                    try send(Pong(nonce: ping.nonce))
                    continue
                }
                return Incoming(header: header, payload: payload)
            }
            let left = end - clock.now
            guard left > .zero else { return nil }
            _ = try poller.wait(timeout: left)
        }
    }

    /// The next message that is not of the connection's own life.
    mutating func expect(within bound: Duration = .seconds(5)) throws -> Incoming {
        while true {
            let incoming = try #require(try receive(within: bound), "nothing came")
            if case .pong = incoming.header { continue }
            return incoming
        }
    }

    @discardableResult
    mutating func hello(_ name: String = "tester", ticket: String = "") throws -> Welcome {
        try send(Hello(name: name, version: "1.0.0", ticket: ticket, sdk: "test"))
        let incoming = try expect()
        guard case .welcome(let welcome) = incoming.header else {
            throw UnexpectedHeader(header: incoming.header)
        }
        return welcome
    }

    mutating func provide(
        _ service: String,
        version: String = "1.0.0",
        methods: [MethodDescription] = [MethodDescription(name: "run")],
        capacity: UInt32 = 1000
    ) throws {
        let id = try #require(RequestID(rawValue: 1))
        try send(Provide(id: id, capacity: capacity, service: service, version: version, methods: methods), json: "{}")
        let incoming = try expect()
        guard case .end = incoming.header else { throw UnexpectedHeader(header: incoming.header) }
    }

    func call(
        _ service: String,
        _ method: String,
        id: UInt64,
        payload: [UInt8] = [],
        clocks: CallClocks = CallClocks(),
        credit: Credit = .none,
        flags: CallFlags = []
    ) throws {
        try send(
            CallHeader(
                flags: flags,
                id: WireID(rawValue: id),
                clocks: clocks,
                credit: credit,
                service: service,
                method: method
            ),
            payload: payload
        )
    }

    /// Calls and waits for the end.
    mutating func ask(_ service: String, _ method: String, _ json: String = "", id: UInt64) throws -> Incoming {
        try call(service, method, id: id, payload: Array(json.utf8))
        return try expect()
    }
}

struct UnexpectedHeader: Error, CustomStringConvertible {
    let header: Header
    var description: String { "unexpected \(header)" }
}

/// Waits for something that another thread brings about.
func eventually(within bound: Duration = .seconds(5), _ condition: () throws -> Bool) rethrows -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + bound
    while clock.now < end {
        if try condition() { return true }
        usleep(1_000)  // allowed: what other suites hold tells nobody when it goes
    }
    return try condition()
}
