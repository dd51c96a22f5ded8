// The process that answers: it echoes calls, streams as far as it has credit, or stays silent. The same code behind the
// relay and behind the broker.

import MeshProtocol
import ZeroMQ

/// The service that the worker provides, and what its callers ask for.
enum Bench {
    static let service = "bench"
    static let version = "1.0.0"
    static let echo = "echo"
    static let stream = "stream"
    static let topic = "bench.event"
}

/// A raw worker.
struct Worker: ~Copyable {
    private struct Stream {
        let chunkByteCount: Int
        var remaining: Int
        var credit: UInt32
        var sequence: UInt32 = 0
    }

    private var link: Link
    private let isSilent: Bool
    private let end = Stencil(End(contentType: .bytes, id: WireID(rawValue: 1)))
    private let chunk = Stencil(Chunk(contentType: .bytes, id: WireID(rawValue: 1), sequence: 0))
    private var streams: [UInt64: Stream] = [:]
    /// What chunks are made of.
    private let filler = [UInt8](repeating: 0x63, count: 4_096)

    /// Connects, and provides the service.
    init(_ context: Context, _ target: Target, service: String, isSilent: Bool) throws {
        var link = try Link.open(context, target, part: .worker)
        if target.middle == .mesh { try Worker.provide(service, &link) }
        self.link = link
        self.isSilent = isSilent
    }

    private static func provide(_ service: String, _ link: inout Link) throws {
        guard let id = RequestID(rawValue: 1) else { return }
        try link.send(
            Provide(
                id: id,
                capacity: 65_536,
                service: service,
                version: Bench.version,
                methods: [
                    MethodDescription(name: Bench.echo),
                    MethodDescription(name: Bench.stream, flags: .replyStream),
                ]
            )
        )
        try link.awaitAnswer(.end)
    }

    /// Answers until the process is ended, or the middle ends the session.
    mutating func run() throws {
        while true {
            _ = try link.wait()
            while try link.receive() { try answer() }
            if link.middle == .mesh { try link.keepAlive() }
        }
    }

    private mutating func answer() throws {
        switch link.verb {
        case Verb.call.rawValue: if !isSilent { try take() }
        case Verb.credit.rawValue: try proceed()
        case Verb.cancel.rawValue: try stop()
        case Verb.bye.rawValue, Verb.reject.rawValue: throw BenchError("the session ended: \(link.describe())")
        default: break
        }
    }

    private mutating func take() throws {
        let id = link.id
        let isStream = link.withHeader { $0[2] & UInt8(CallFlags.replyStream.rawValue) != 0 }
        guard isStream else { return try link.sendBack(end.with(id: id)) }
        let credit = link.withHeader { $0.loadUnaligned(fromByteOffset: 32, as: UInt32.self) }
        let (count, size) = link.withPayload { bytes in
            (bytes.loadUnaligned(as: UInt32.self), bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        }
        streams[id] = try push(id, Stream(chunkByteCount: Int(size), remaining: Int(count), credit: credit))
    }

    /// Acknowledges a CANCEL, so that the broker gives the slot to others.
    private mutating func stop() throws {
        let id = link.id
        guard isSilent || streams.removeValue(forKey: id) != nil else { return }
        try link.send(end.with(id: id), nil)
    }

    private mutating func proceed() throws {
        let id = link.id
        guard var stream = streams[id] else { return }
        stream.credit += link.withHeader { $0.loadUnaligned(fromByteOffset: 16, as: UInt32.self) }
        streams[id] = try push(id, stream)
    }

    /// Sends what the credit allows; nil when the stream has ended.
    private mutating func push(_ id: UInt64, _ given: Stream) throws -> Stream? {
        var stream = given
        while stream.credit > 0, stream.remaining > 0 {
            let header = chunk.with(id: id, sequence: stream.sequence)
            try filler.withUnsafeBytes { filler in
                try link.send(header, UnsafeRawBufferPointer(rebasing: filler.prefix(stream.chunkByteCount)))
            }
            stream.credit -= 1
            stream.remaining -= 1
            stream.sequence += 1
        }
        guard stream.remaining == 0 else { return stream }
        try link.send(end.with(id: id), nil)
        return nil
    }
}
