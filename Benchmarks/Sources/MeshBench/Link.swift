// One connection to what is in the middle, relay or broker, without any SDK: a DEALER, headers by MeshProtocol, and the
// few words by which a session begins. The same for both, so that the middle is the only thing that differs.

import CLinuxShims
import MeshProtocol
import ZeroMQ

/// What stands between caller and worker.
enum Middle: String {
    /// The bare relay: see Relay.swift.
    case relay
    /// The broker.
    case mesh
}

/// What a process is to the relay, which knows nothing of sessions: the second byte of its first message, after a zero
/// byte that no header of the protocol begins with.
enum Part: UInt8 {
    case caller = 0
    case worker = 1
    case subscriber = 2
    case publisher = 3
}

/// Where to connect, and how.
struct Target {
    let endpoint: String
    let middle: Middle
    let security: SocketSecurity
    /// Whether messages that are ready together are sent in one BATCH, as the SDK sends them; never to the relay.
    let isJoining: Bool

    init(_ middle: Middle, _ endpoint: String) {
        self.middle = middle
        self.endpoint = endpoint
        security = .none
        isJoining = middle == .mesh
    }

    init(_ options: Options) throws {
        endpoint = try options.text("endpoint")
        guard let middle = Middle(rawValue: try options.text("middle")) else {
            throw BenchError("--middle is relay or mesh")
        }
        self.middle = middle
        isJoining = middle == .mesh && !options.has("single")
        if let serverKey = options.optional("server-key") {
            security = .curveClient(
                serverKey: try CurvePublicKey(z85: serverKey),
                keys: try CurveKeyPair(secretKey: CurveSecretKey(z85: try options.text("secret-key")))
            )
        } else {
            security = .none
        }
    }
}

/// A DEALER with a session, or several: every connection of the socket is a peer of its own to the middle, and what is
/// sent goes to them in turn.
struct Link: ~Copyable {
    let socket: Socket
    let middle: Middle
    let connectionCount: Int
    var poller: Poller
    private var frames: FrameBuffer
    private var lastPing: Int64
    private let isJoining: Bool
    private let takesBatches: Bool
    private let batchHeader = Batch().encoded()
    /// The largest BATCH that the broker takes.
    private var batchByteCount = 0
    /// Messages that leave together.
    private var joined: [UInt8] = []
    /// The batch that is being read, and how far.
    private var batch: Message?
    private var reader = BatchReader(UnsafeRawBufferPointer(start: nil, count: 0))
    /// The message of it that was received last; nil: one that came by itself is in the frame buffer.
    private var item: Batch.Item?

    /// How long a middle may stay silent before the run is given up.
    static let patience = Duration.seconds(5)
    /// How often an idle peer shows that it lives; the broker asks for it every 700 ms.
    private static let pingNanoseconds: Int64 = 400_000_000

    /// Connects and begins the sessions.
    static func open(
        _ context: Context,
        _ target: Target,
        part: Part,
        connectionCount: Int = 1
    ) throws -> Link {
        var options = SocketOptions()
        options.sendHighWaterMark = 0
        options.receiveHighWaterMark = 0
        options.linger = .milliseconds(200)
        options.security = target.security
        let socket = try Socket(context, .dealer, options: options)
        // A socket with several connections sends in turn to each: what is joined would all go to one.
        var link = Link(socket, target, connectionCount, isJoining: target.isJoining && connectionCount == 1)
        try link.greet(part, at: target.endpoint)
        return link
    }

    private mutating func greet(_ part: Part, at endpoint: String) throws {
        for spelling in 0..<connectionCount { try socket.connect(Link.spell(endpoint, spelling)) }
        let greeting =
            middle == .relay
            ? [0, part.rawValue]
            : Hello(
                name: "bench",
                version: "1.0.0",
                sdk: "mesh-bench",
                batchByteCount: takesBatches ? UInt32(WireLimits.batchByteCount) : 0
            ).encoded()
        for _ in 0..<connectionCount { try greeting.withUnsafeBytes { try sendAlone($0, nil) } }
        for _ in 0..<connectionCount {
            try awaitMessage()
            guard middle == .mesh else { continue }
            guard let welcome = withHeader({ try? Welcome.decode($0) }) else {
                throw BenchError("the broker did not take the session in: \(describe())")
            }
            batchByteCount = Int(welcome.batchByteCount)
        }
    }

    /// Spells an ipc endpoint in one of many ways, by slashes that do not count: a DEALER connects only once to the same text.
    private static func spell(_ endpoint: String, _ number: Int) -> String {
        var (diagonal, first) = (0, number)
        while first > diagonal {
            diagonal += 1
            first -= diagonal
        }
        guard number > 0, let last = endpoint.lastIndex(of: "/") else { return endpoint }
        let head = endpoint[..<last]
        guard let before = head.lastIndex(of: "/") else { return endpoint }
        let slashes = { (count: Int) in String(repeating: "/", count: count) }
        return head[..<before] + slashes(first) + head[before...] + slashes(diagonal - first) + endpoint[last...]
    }

    private init(_ socket: consuming Socket, _ target: Target, _ connectionCount: Int, isJoining: Bool) {
        var poller = Poller(capacity: 1)
        poller.add(socket, events: .readable)
        self.socket = socket
        self.isJoining = isJoining
        takesBatches = target.isJoining
        middle = target.middle
        self.connectionCount = connectionCount
        self.poller = poller
        frames = FrameBuffer(capacity: 3)
        lastPing = wiz_monotonic_ns()
    }

    /// Lends the header received last.
    func withHeader<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        if let item { return body(item.header) }
        return frames.withUnsafeBytes(at: 0) { body($0) }
    }

    /// Lends the payload received last; empty when there is none.
    func withPayload<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        if let item { return body(item.payload ?? UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard frames.count > 1 else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return frames.withUnsafeBytes(at: 1) { body($0) }
    }

    /// The second byte of the header received last.
    var verb: UInt8 { withHeader { $0.count > 1 ? $0[1] : 0 } }

    /// The id of the header received last.
    var id: UInt64 {
        withHeader { bytes in
            bytes.count >= 16 ? UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) : 0
        }
    }

    /// The header received last, in words.
    func describe() -> String {
        let bytes = withHeader { Array($0) }
        guard let header = try? Header.decode(bytes) else { return "\(bytes)" }
        switch header {
        case .fail(let fail): return "FAIL \(fail.status): \(fail.message) \(fail.hint)"
        case .reject(let reject): return "REJECT \(reject.status): \(reject.message)"
        default: return "\(header)"
        }
    }

    /// Sends a header, and a payload if there is one: with others, where they are joined, at the next ``flush()``.
    mutating func send(_ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer?) throws {
        guard isJoining, payload?.count ?? 0 <= Batch.joinedPayloadByteCount else {
            try flush()
            return try sendAlone(header, payload.map { Message(copying: $0) })
        }
        let byteCount = Batch.byteCount(header: header.count, payload: payload?.count)
        if joined.count + byteCount > batchByteCount { try flush() }
        Batch.append(header: header, payload: payload, to: &joined)
    }

    /// Answers with a header and the payload that was received last.
    mutating func sendBack(_ header: UnsafeRawBufferPointer) throws {
        if let item { return try send(header, item.payload) }
        guard frames.count > 1 else { return try send(header, nil) }
        try flush()
        try sendAlone(header, frames.take(at: 1))
    }

    /// Sends what is joined; one message by itself.
    mutating func flush() throws {
        guard !joined.isEmpty else { return }
        let whole = joined
        defer { joined.removeAll(keepingCapacity: true) }
        try whole.withUnsafeBytes { bytes in
            var reader = BatchReader(bytes)
            guard let first = try reader.next() else { return }
            if Batch.byteCount(header: first.header.count, payload: first.payload?.count) == bytes.count {
                return try sendAlone(first.header, first.payload.map { Message(copying: $0) })
            }
            try batchHeader.withUnsafeBytes { try sendAlone($0, Message(copying: bytes)) }
        }
    }

    /// Sends a message, waiting for room.
    private mutating func sendAlone(_ header: UnsafeRawBufferPointer, _ body: consuming Message?) throws {
        var body = body
        while true {
            switch try socket.trySend(header: header, body: body.take()) {
            case .sent: return
            case .wouldBlock(let back): body = back
            case .unreachable(let back): body = back
            }
            poller.setEvents(.writable, at: 0)
            defer { poller.setEvents(.readable, at: 0) }
            guard try !poller.wait(timeout: Self.patience).isEmpty else {
                throw BenchError("nobody reads what is sent to \(middle.rawValue)")
            }
        }
    }

    /// Sends a header made from fields.
    mutating func send(_ fields: some HeaderFields) throws {
        let bytes = fields.encoded()
        try bytes.withUnsafeBytes { try send($0, nil) }
    }

    /// Takes in a message if one is there, else sends what is joined; heartbeats are not shown.
    mutating func receive() throws -> Bool {
        while try next() {
            if middle == .relay { return true }
            let verb = self.verb
            if verb == Verb.pong.rawValue { continue }
            if verb == Verb.ping.rawValue {
                try send(Pong(nonce: id))
                continue
            }
            return true
        }
        try flush()
        return false
    }

    /// Goes on to the next message, of a batch or by itself.
    private mutating func next() throws -> Bool {
        while true {
            if item != nil {
                item = try reader.next()
                if item != nil { return true }
                batch = nil
            }
            guard try socket.tryReceive(into: &frames) == .received else { return false }
            guard frames.count > 1, frames.withUnsafeBytes(at: 0, { Batch.begins($0) }) else { return true }
            let taken = frames.take(at: 1)
            reader = taken.withUnsafeBytes { BatchReader($0) }
            batch = consume taken
            item = try reader.next()
            if item != nil { return true }
        }
    }

    /// Waits until something can be received or the time is over, and says PING when it has been quiet for long.
    mutating func wait(upTo limit: Duration = .milliseconds(300)) throws -> Bool {
        try flush()
        let isReady = try !poller.wait(timeout: limit).isEmpty
        if middle == .mesh, !isReady { try keepAlive() }
        return isReady
    }

    /// Says PING on every connection when the last one was long ago.
    mutating func keepAlive() throws {
        let now = wiz_monotonic_ns()
        guard now - lastPing > Self.pingNanoseconds else { return }
        lastPing = now
        for _ in 0..<connectionCount { try send(Ping(nonce: 1)) }
        try flush()
    }

    /// Waits for a message.
    mutating func awaitMessage(patience: Duration = Link.patience) throws {
        let end = wiz_monotonic_ns() + Int64(patience.components.seconds) * 1_000_000_000
        while try !receive() {
            guard wiz_monotonic_ns() < end else { throw BenchError("no answer from \(middle.rawValue)") }
            _ = try wait(upTo: .milliseconds(100))
        }
    }

    /// Waits for the answer to a request of the session's beginning.
    mutating func awaitAnswer(_ expected: Verb) throws {
        try awaitMessage()
        guard verb == expected.rawValue else { throw BenchError("\(expected.name) was expected: \(describe())") }
    }

    /// Leaves in good order.
    mutating func leave() throws {
        guard middle == .mesh else { return }
        for _ in 0..<connectionCount { try send(Bye()) }
        try flush()
    }
}

/// A header that is written once; only its id changes from message to message.
struct Stencil: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ fields: some HeaderFields) {
        let encoded = fields.encoded()
        bytes = .allocate(byteCount: encoded.count, alignment: 8)
        bytes.copyBytes(from: encoded)
    }

    deinit { bytes.deallocate() }

    /// The header with this id.
    func with(id: UInt64) -> UnsafeRawBufferPointer {
        bytes.storeBytes(of: id.littleEndian, toByteOffset: 8, as: UInt64.self)
        return UnsafeRawBufferPointer(bytes)
    }

    /// The header with this id and this number in the first field after the prefix.
    func with(id: UInt64, sequence: UInt32) -> UnsafeRawBufferPointer {
        bytes.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt32.self)
        return with(id: id)
    }
}
