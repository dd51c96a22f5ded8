// The caller of streams: keeps a number of reply streams open at once, takes their chunks and gives credit as it reads.

import CLinuxShims
import MeshProtocol
import ZeroMQ

/// A raw reader of streams.
struct StreamDriver: ~Copyable {
    /// Chunks that a stream may be ahead of its reader.
    static let window: UInt32 = 16
    /// Chunks in a stream, before another one begins in its place.
    static let chunkCount: UInt32 = 4_000

    private var link: Link
    private let streamCount: Int
    private let request: [UInt8]
    private let call: Stencil
    private let credit: Stencil
    private var unread: [UInt32]
    private var current: [UInt64]
    /// Begins anew in each process, so that what an earlier one left behind the relay is told apart.
    private var serial = UInt64(truncatingIfNeeded: wiz_monotonic_ns()) >> 24
    private var chunkTotal = 0

    init(_ context: Context, _ target: Target, streamCount: Int, byteCount: Int) throws {
        link = try Link.open(context, target, part: .caller)
        self.streamCount = streamCount
        var request = [UInt8](repeating: 0, count: 8)
        request.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: Self.chunkCount.littleEndian, as: UInt32.self)
            bytes.storeBytes(of: UInt32(byteCount).littleEndian, toByteOffset: 4, as: UInt32.self)
        }
        self.request = request
        let one = WireID(rawValue: 1)
        call = Stencil(
            CallHeader(
                flags: .replyStream,
                contentType: .bytes,
                id: one,
                credit: Credit(messages: Self.window, bytes: 1 << 20),
                service: Bench.service,
                method: Bench.stream
            )
        )
        credit = Stencil(
            CreditGrant(id: one, credit: Credit(messages: Self.window / 2, bytes: Self.window / 2 * UInt32(byteCount)))
        )
        unread = Array(repeating: 0, count: streamCount)
        current = unread.map(UInt64.init)
    }

    /// Reads for a while without measuring, then for `seconds`.
    mutating func run(warmUp: Double, seconds: Double) throws -> Finding {
        for place in 0..<streamCount { try open(place) }
        try turn(for: warmUp)
        let before = chunkTotal
        var finding = Finding()
        finding.seconds = try turn(for: seconds)
        finding.count = chunkTotal - before
        try link.leave()
        return finding
    }

    @discardableResult
    private mutating func turn(for seconds: Double) throws -> Double {
        let start = wiz_monotonic_ns()
        var now = start
        while now < start + Int64(seconds * 1e9) {
            var taken = 0
            while taken < 256, try link.receive() {
                try take()
                taken += 1
            }
            if taken == 0 {
                try link.awaitMessage()
                try take()
            }
            try link.flush()
            now = wiz_monotonic_ns()
        }
        return Double(now - start) / 1e9
    }

    private mutating func open(_ place: Int) throws {
        serial += 1
        unread[place] = 0
        current[place] = serial << 16 | UInt64(place)
        try request.withUnsafeBytes { try link.send(call.with(id: current[place]), $0) }
    }

    private mutating func take() throws {
        let id = link.id
        let place = Int(id & 0xffff)
        guard place < streamCount, current[place] == id else { return }
        switch link.verb {
        case Verb.chunk.rawValue:
            chunkTotal += 1
            unread[place] += 1
            guard unread[place] == Self.window / 2 else { return }
            unread[place] = 0
            try link.send(credit.with(id: id), nil)
        case Verb.end.rawValue:
            try open(place)
        default:
            throw BenchError("an answer that is none: \(link.describe())")
        }
    }
}
