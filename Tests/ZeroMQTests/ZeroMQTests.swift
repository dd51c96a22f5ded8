// The root of this room's tests and what they share. Serialized: they count the process's descriptors and threads, and a
// process should have one context at a time.

import CLinuxShims
import Glibc
import Testing
import ZeroMQ

/// All tests of the room, one after the other.
@Suite(.serialized, .timeLimit(.minutes(1))) enum ZeroMQTests {}

/// The longest a test waits for something that must come.
let patience: Duration = .seconds(10)

/// A fresh directory that goes away with the value.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/wiz-zmq-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    /// An ipc endpoint in the directory.
    func endpoint(_ name: String = "socket") -> String { "ipc://\(path)/\(name)" }

    deinit {
        for name in ["socket", "other"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}

/// Waits until a socket can be read, then receives one message.
func receive(
    _ socket: borrowing Socket,
    into frames: inout FrameBuffer,
    within bound: Duration = patience
) throws -> ReceiveOutcome {
    var poller = Poller(capacity: 1)
    poller.add(socket, events: .readable)
    let ready = try poller.wait(timeout: bound)
    return ready.isEmpty ? .nothing : try socket.tryReceive(into: &frames)
}

/// Waits for an event of one of the kinds; nil if none comes in time.
func next(
    of kinds: MonitorEvent.Kind,
    from monitor: inout Monitor,
    within bound: Duration = patience
) throws -> MonitorEvent? {
    let deadline = ContinuousClock.now + bound
    while true {
        while let event = try monitor.next() {
            if kinds.contains(event.kind) { return event }
        }
        let remaining = deadline - .now
        guard remaining > .zero else { return nil }
        var poller = Poller(capacity: 1)
        poller.add(monitor)
        _ = try poller.wait(timeout: remaining)
    }
}

/// Sends text as one frame; whether it was sent.
func send(_ text: String, on socket: borrowing Socket, more: Bool = false) throws -> Bool {
    try Array(text.utf8).withUnsafeBytes { try socket.trySend(copying: $0, more: more) }
}

/// A frame of a buffer as text.
func text(_ frames: borrowing FrameBuffer, _ index: Int) -> String {
    frames.withUnsafeBytes(at: index) { String(decoding: $0, as: UTF8.self) }
}

/// A message as text.
func text(_ message: borrowing Message) -> String {
    message.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

/// What an outcome was, and the text it gave back.
enum Outcome: Equatable {
    case sent
    case wouldBlock(String?)
    case unreachable(String?)

    init(_ outcome: consuming SendOutcome) {
        switch consume outcome {
        case .sent: self = .sent
        case .wouldBlock(let message): self = .wouldBlock(text(message))
        case .unreachable(let message): self = .unreachable(text(message))
        }
    }

    init(_ outcome: consuming EnvelopeOutcome) {
        switch consume outcome {
        case .sent: self = .sent
        case .wouldBlock(let body): self = .wouldBlock(Outcome.textOf(body))
        case .unreachable(let body): self = .unreachable(Outcome.textOf(body))
        }
    }

    private static func textOf(_ body: consuming Message?) -> String? {
        guard let body else { return nil }
        return text(body)
    }
}

/// Sends header and body to a peer of a ROUTER.
func send(_ header: String, _ body: String?, to peer: RoutingID, on socket: borrowing Socket) throws -> Outcome {
    Outcome(try socket.trySend(to: peer, header: Array(header.utf8).span.bytes, body: message(body)))
}

/// Sends header and body as one message.
func send(_ header: String, _ body: String?, on socket: borrowing Socket) throws -> Outcome {
    Outcome(try socket.trySend(header: Array(header.utf8).span.bytes, body: message(body)))
}

private func message(_ text: String?) -> Message? {
    guard let text else { return nil }
    return Message(copying: Array(text.utf8))
}

/// The connection a buffer's message came by.
func routingID(_ frames: borrowing FrameBuffer) throws -> RoutingID {
    let id = frames.routingID
    return try #require(id)
}

/// Expects a number of frames.
func expect(_ frames: borrowing FrameBuffer, count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
    let held = frames.count
    #expect(held == count, sourceLocation: sourceLocation)
}
