// Bad input of every kind beside calls that were accepted: each is answered with its status and a sentence that names what
// is wrong, is counted, and costs nobody else anything.

import MeshProtocol
import Testing

@testable import BrokerCore

/// One thing that a peer does wrong.
struct BadInput: CustomTestStringConvertible, Sendable {
    /// What it is.
    var testDescription: String
    /// The status of the REJECT or FAIL.
    var status: Status
    /// What the sentence or its hint must say.
    var words: [String]
    /// What must have grown.
    var counter: @Sendable (Counters) -> UInt64
    /// Does it: as a peer with a session that has room for one call.
    var act: @Sendable (Peer) throws -> Void

    init(
        _ name: String,
        _ status: Status,
        _ words: [String],
        _ counter: @escaping @Sendable (Counters) -> UInt64,
        _ act: @escaping @Sendable (Peer) throws -> Void
    ) {
        testDescription = name
        self.status = status
        self.words = words
        self.counter = counter
        self.act = act
    }

    private static func offences(_ name: String) -> @Sendable (Counters) -> UInt64 { { $0.offencesByName[name] ?? 0 } }
    private static func fails(_ status: Status) -> @Sendable (Counters) -> UInt64 {
        { $0.fails[Int(status.rawValue)] }
    }
    private static let declined: @Sendable (Counters) -> UInt64 = { $0.requestsDeclined }
    private static let rejected: @Sendable (Counters) -> UInt64 = { $0.sessionsRejected }

    /// A connection of its own that says HELLO; what comes back is the peer's to read.
    private static func say(_ hello: Hello, _ peer: Peer, _ credentials: Credentials = .key(principal: "root")) {
        let stranger = peer.bench.stranger(credentials)
        stranger.send(.hello(hello))
        peer.stranger = stranger
    }

    static let frames: [BadInput] = [
        BadInput("bytes that are no header", .protocolError, ["version"], offences("undecodable")) {
            $0.sendRaw(Array(repeating: 0xAA, count: 40))
        },
        BadInput("a header that is cut", .protocolError, ["totalMilliseconds", "byte 16"], offences("undecodable")) {
            $0.sendRaw([1, 0x20, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
        },
        BadInput("a verb that there is not", .protocolError, ["verb", "200"], offences("undecodable")) {
            $0.sendRaw([1, 200] + Array(repeating: 0, count: 14))
        },
        BadInput("a verb that the broker sends", .protocolError, ["EVENT", "broker"], offences("unexpected-verb")) {
            $0.send(
                .event(
                    Event(
                        id: try $0.id(),
                        numbers: .init(sequence: 1, delivery: 1, dropped: 0, timestamp: 0),
                        topic: "a"
                    )
                )
            )
        },
        BadInput("too many frames", .protocolError, ["4 frames"], offences("framing")) { peer in
            peer.bench.run { $0.violated(by: peer.handle, .tooManyFrames(4), now: $1, into: &$2) }
        },
        BadInput("an empty message", .protocolError, ["without a header"], offences("framing")) { peer in
            peer.bench.run { $0.violated(by: peer.handle, .emptyMessage, now: $1, into: &$2) }
        },
        BadInput("a payload over the limit", .resourceExhausted, ["1000001", "1000000", "stream"], offences("framing"))
        {
            try $0.call("echo", bytes: 1_000_001)
        },
        BadInput("a chunk for a call without a stream", .invalidArgument, ["stream"], offences("no-stream")) {
            let id = try $0.call("parked")
            $0.send(.chunk(Chunk(id: id.wire, sequence: 0)), bytes: 1)
        },
        BadInput("a chunk without credit", .protocolError, ["credit"], offences("overdraw")) {
            let id = try $0.call("parked", flags: .requestStream)
            $0.send(.chunk(Chunk(id: id.wire, sequence: 0)), bytes: 1)
        },
        BadInput("a live id again", .alreadyExists, ["id 1", "count ids up"], offences("duplicate-id")) {
            let id = try $0.call("parked")
            $0.send(.subscribe(Subscribe(id: id, credit: .none, pattern: "a")))
        },
    ]

    static let sessions: [BadInput] = [
        BadInput("something before HELLO", .protocolError, ["HELLO"], rejected) {
            let stranger = $0.bench.stranger()
            stranger.send(.ping(Ping(nonce: 1)))
            $0.stranger = stranger
        },
        BadInput("a second HELLO", .alreadyExists, ["second HELLO"], offences("unexpected-verb")) {
            $0.send(.hello(Hello(name: "again")))
        },
        BadInput("a version of later days", .failedPrecondition, ["9 to 12", "1"], rejected) {
            let (from, to) = (ProtocolVersion(rawValue: 9), ProtocolVersion(rawValue: 12))
            say(Hello(minimumVersion: from, maximumVersion: to, name: "future"), $0)
        },
        BadInput("a name that is none", .invalidArgument, ["No Name"], rejected) { say(Hello(name: "No Name"), $0) },
        BadInput("a ticket for the second time", .unauthenticated, ["used before"], rejected) { peer in
            let ticket = peer.bench.run { core, now, _ in
                core.issueTicket(TicketGrant(name: "twice", principal: "guest"), now: now)
            }
            let local = Credentials.local(user: 9, process: 9)
            say(Hello(name: "twice", ticket: ticket), peer, local)
            say(Hello(name: "twice", ticket: ticket), peer, local)
        },
        BadInput("a user whom nobody knows", .unauthenticated, ["user 9", "users:"], rejected) {
            say(Hello(name: "wiz"), $0, .local(user: 9, process: 9))
        },
    ]

    static let requests: [BadInput] = [
        BadInput("a service that there is not", .notFound, ["nothing"], fails(.notFound)) { try $0.call("nothing") },
        BadInput("a version that there is not", .notFound, ["^7", "1.0.0"], fails(.notFound)) {
            try $0.call("echo", range: "^7")
        },
        BadInput("a method that there is not", .unimplemented, ["fly", "run"], fails(.unimplemented)) {
            try $0.call("echo", "fly")
        },
        BadInput("a range that is none", .invalidArgument, ["one.two"], fails(.invalidArgument)) {
            try $0.call("echo", range: "one.two")
        },
        BadInput("conditions that are none", .invalidArgument, ["="], fails(.invalidArgument)) {
            try $0.call("text", flags: .byCapability, conditions: "=;")
        },
        BadInput("a parent that is not held", .invalidArgument, ["parent"], fails(.invalidArgument)) {
            try $0.call("echo", parent: WireID(rawValue: 5 | WireID.leaseBit))
        },
        BadInput("a full queue", .resourceExhausted, ["echo", "retry"], fails(.resourceExhausted)) {
            try $0.call("echo")
        },
        BadInput("more calls than the quota", .resourceExhausted, ["1 call"], fails(.resourceExhausted)) {
            try $0.call("parked")
            try $0.call("parked")
        },
        BadInput("a service twice", .alreadyExists, ["mine@1.0.0", "replace"], declined) {
            try $0.provide("mine")
            $0.send(.provide(Provide(id: try $0.id(), service: "mine", version: "1.0.0", methods: [])))
        },
        BadInput("a version of a service that is none", .invalidArgument, ["1.0", "semantic"], declined) {
            $0.send(.provide(Provide(id: try $0.id(), service: "mine", version: "1.0", methods: [])))
        },
        BadInput("a method twice", .invalidArgument, ["run", "twice"], declined) {
            let methods = [MethodDescription(name: "run"), MethodDescription(name: "run")]
            $0.send(.provide(Provide(id: try $0.id(), service: "mine", version: "1.0.0", methods: methods)))
        },
        BadInput("the broker's own service", .permissionDenied, ["mesh"], declined) {
            $0.send(.provide(Provide(id: try $0.id(), service: "mesh", version: "9.0.0", methods: [])))
        },
        BadInput("a registration that there is not", .notFound, ["registration 1"], declined) {
            $0.send(.withdraw(Withdraw(id: try $0.id())))
        },
        BadInput("a subscription that there is not", .notFound, ["subscription 1"], declined) {
            $0.send(.unsubscribe(Unsubscribe(id: try $0.id())))
        },
        BadInput("a pattern that is none", .invalidArgument, ["a..b", "dots"], declined) {
            $0.send(.subscribe(Subscribe(id: try $0.id(), credit: .none, pattern: "a..b")))
        },
        BadInput("a topic that is none", .invalidArgument, ["a.>", "dots"], declined) {
            $0.send(.publish(Publish(id: try $0.id(), topic: "a.>")), bytes: 1)
        },
        BadInput("a topic of the broker's", .permissionDenied, ["mesh.x"], declined) {
            $0.send(.publish(Publish(id: try $0.id(), topic: "mesh.x")), bytes: 1)
        },
    ]
}

struct BadInputTests {
    @Test(arguments: BadInput.frames + BadInput.sessions + BadInput.requests)
    func `bad input has its status and a sentence, is counted, and costs nobody else anything`(_ input: BadInput) throws
    {
        var limits = Limits()
        limits.payloadByteCount = 1_000_000
        limits.queueCount = 1
        let bench = CoreBench(limits: limits)
        let worker = try bench.peer("worker")
        try worker.provide("echo", capabilities: ["text"])
        try worker.provide("parked", capacity: 0)
        let caller = try bench.peer("caller")
        let accepted = try [caller.call("echo"), caller.call("echo")]
        let lease = try worker.expectCall().id
        worker.accept(lease)
        limits.callCountPerSession = 1
        bench.run { $0.setLimits(limits, into: &$2) }
        let peer = try bench.peer("bad")
        let before = bench.core.counters

        try input.act(peer)

        let answer = try #require((peer.stranger ?? peer).take().last, "no answer")
        let (status, sentence) =
            switch answer {
            case .fail(let fail):
                (fail.status, fail.message + " " + fail.hint + (fail.retryAfterMilliseconds > 0 ? " retry" : ""))
            case .reject(let reject): (reject.status, reject.message)
            default: throw BenchError.unexpected("\(answer)")
            }
        #expect(status == input.status, "\(sentence)")
        for word in input.words { #expect(sentence.contains(word), "\(sentence)") }
        let after = bench.core.counters
        #expect(input.counter(after) > input.counter(before), "\(after)")

        worker.end(lease)
        worker.end(try worker.expectCall().id)
        for call in accepted { try caller.expectEnd(call) }
        #expect(bench.core.counters.ends == 2 && caller.next() == nil)
    }
}
