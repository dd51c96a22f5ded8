// Publisher and subscribers in one process and one thread: events go to the middle on one connection and come back on
// as many as there are subscribers. The publisher goes on when its events have arrived, so that nothing is dropped.

import CLinuxShims
import MeshProtocol
import ZeroMQ

/// A raw publisher with its subscribers.
struct FanOutDriver: ~Copyable {
    private var publisher: Link
    private var subscribers: Link
    private let subscriberCount: Int
    private let payload: [UInt8]
    private let publish: Stencil
    private let allowance: Int
    private var sent = 0
    private var received = 0
    private var credited = 0

    /// Events that a subscription may be ahead of its reader, and how many are given back at a time.
    private static let window: UInt32 = 2_048
    private static let grant = 512
    /// Deliveries under way, all subscribers together.
    private static let deliveryCount = 1_000

    init(_ context: Context, _ target: Target, subscriberCount: Int, byteCount: Int) throws {
        guard let id = RequestID(rawValue: 1) else { throw BenchError("no request id") }
        var subscribers = try Link.open(context, target, part: .subscriber, connectionCount: subscriberCount)
        if target.middle == .mesh {
            let credit = Credit(messages: Self.window, bytes: Self.window * UInt32(byteCount))
            for _ in 0..<subscriberCount {
                try subscribers.send(Subscribe(id: id, credit: credit, pattern: Bench.topic))
            }
            for _ in 0..<subscriberCount { try subscribers.awaitAnswer(.subscribed) }
        }
        let publisher = try Link.open(context, target, part: .publisher)
        self.subscribers = subscribers
        self.publisher = publisher
        self.subscriberCount = subscriberCount
        payload = Array(repeating: 0x62, count: byteCount)
        allowance = max(16, Self.deliveryCount / subscriberCount)
        publish = Stencil(PublishHeader(contentType: .bytes, id: id, topic: Bench.topic))
    }

    /// Publishes for a while without measuring, then for `seconds`.
    mutating func run(warmUp: Double, seconds: Double) throws -> Finding {
        try turn(for: warmUp)
        let before = received
        var finding = Finding()
        finding.seconds = try turn(for: seconds)
        finding.count = received - before
        try publisher.leave()
        try subscribers.leave()
        return finding
    }

    @discardableResult
    private mutating func turn(for seconds: Double) throws -> Double {
        let start = wiz_monotonic_ns()
        var now = start
        while now < start + Int64(seconds * 1e9) {
            while sent * subscriberCount - received < allowance * subscriberCount {
                sent += 1
                try payload.withUnsafeBytes { try publisher.send(publish.with(id: UInt64(sent)), $0) }
            }
            try publisher.flush()
            try takeEvents()
            now = wiz_monotonic_ns()
        }
        return Double(now - start) / 1e9
    }

    private mutating func takeEvents() throws {
        var taken = 0
        while taken < 512, try subscribers.receive() {
            try take()
            taken += 1
        }
        if taken == 0 {
            try awaitEvent()
            try take()
        }
        guard publisher.middle == .mesh, received - credited >= Self.grant * subscriberCount else { return }
        credited += Self.grant * subscriberCount
        let bytes = UInt32(Self.grant * payload.count)
        let credit = CreditGrant(id: WireID(rawValue: 1), credit: Credit(messages: UInt32(Self.grant), bytes: bytes))
        for _ in 0..<subscriberCount { try subscribers.send(credit) }
    }

    private mutating func awaitEvent() throws {
        do {
            try subscribers.awaitMessage()
        } catch {
            let refusal = try publisher.receive() ? ", and the publisher got \(publisher.describe())" : ""
            throw BenchError("\(error); \(sent) events sent, \(received) deliveries\(refusal)")
        }
    }

    private mutating func take() throws {
        let verb = subscribers.verb
        guard verb == Verb.event.rawValue || verb == Verb.publish.rawValue else {
            throw BenchError("a delivery that is none: \(subscribers.describe())")
        }
        received += 1
    }
}
