// `wiz bench`: how fast a method answers. Closed loop: so many calls at a time, each followed by the next. Open loop: calls at a
// fixed rate whatever happens, with latencies counted from when each call was due, so that a stall shows in full.

import ArgumentParser
import ConfigDocument
import Histogram
import MeshClient
import MeshProtocol

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how fast a method answers.",
        discussion: """
            Examples:
              wiz bench echo.say --window 64              closed loop: 64 calls at a time
              wiz bench echo.say --rate 5000              open loop: 5000 calls a second, latency from when each was due
              wiz bench echo.say --size 4KiB --type bytes
            """
    )

    @OptionGroup var target: CallArguments
    @Option(help: "The payload: JSON, or - for standard input. Default: a payload of --size.")
    var payload: String?
    @Flag(help: "Read a stream of replies to its end with each call.")
    var stream = false
    @Option(help: ArgumentHelp("Calls in flight at a time; with --rate the most there may be.", valueName: "n"))
    var window: Int?
    @Option(help: ArgumentHelp("Calls a second.", valueName: "n"))
    var rate: Double?
    @Option(help: "How long to measure.")
    var duration = DurationArgument(.seconds(5))
    @Option(help: "How long to call before measuring.")
    var warmup = DurationArgument(.milliseconds(500))
    @Option(help: "The size of the payload.")
    var size = ByteCountArgument(256)
    @OptionGroup var broker: BrokerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let window, !(1...100_000).contains(window) { throw ValidationError("--window takes 1 to 100000") }
        if let rate, !(rate > 0 && rate <= 1_000_000) { throw ValidationError("--rate takes a number up to 1000000") }
    }

    func run() async throws {
        let target = try target.target()
        let payload = try madePayload()
        let recorder = Recorder()
        let elapsed = try await broker.withMesh { [self] mesh in
            do {
                _ = try await Self.call(mesh, target, payload, self.target.options, isStream: stream, since: .now)
            } catch let error as MeshError {
                let hint =
                    await error.status == .notFound || error.status == .unimplemented
                    ? mesh.suggestion(for: target) : nil
                throw CommandFailure(error, hint: hint)
            }
            return try await measure(mesh, target, payload, recorder)
        }
        let total = recorder.total
        output.show(report(total, elapsed)) { text(total, elapsed, $0.style) }
        if let error = total.firstFailure, total.histogram.totalCount == 0 { throw CommandFailure(error) }
    }

    private func madePayload() throws -> Payload {
        if let payload {
            return try PayloadArgument.payload(payload, as: target.type, command: "wiz bench " + target.method)
        }
        switch target.type {
        case .bytes: return Payload([UInt8](repeating: 0x61, count: size.count))
        case .text: return Payload([UInt8](repeating: 0x61, count: size.count), contentType: .text)
        case .json:
            let text = String(repeating: "a", count: max(0, size.count - #"{"text":""}"#.utf8.count))
            return .json(text: #"{"text":"\#(text)"}"#)
        }
    }

    private func measure(
        _ mesh: MeshConnection,
        _ target: CallTarget,
        _ payload: Payload,
        _ recorder: Recorder
    ) async throws -> Duration {
        let progress = Progress("warming up", isQuiet: output.json)
        defer { progress.finish() }
        let begin = ContinuousClock.now + warmup.duration
        let end = begin + duration.duration
        let clock = Task {
            try await Task.sleep(until: begin)
            recorder.start()
            while !Task.isCancelled {
                let done = begin.duration(to: .now)
                let count = Double(recorder.callCount)
                let perSecond = count / max(0.001, done / .seconds(1))
                progress.update(
                    "\(Units.text(done)) of \(Units.text(duration.duration)) · \(Units.grouped(Int(count))) calls · "
                        + "\(Units.grouped(Int(perSecond))) a second"
                )
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        defer { clock.cancel() }
        let options = self.target.options
        let isStream = stream
        let call: @Sendable (Int, ContinuousClock.Instant) async throws -> Void = { worker, due in
            do {
                let answer = try await Self.call(mesh, target, payload, options, isStream: isStream, since: due)
                recorder.record(worker, due.duration(to: .now), .success(answer))
            } catch let error as MeshError {
                recorder.record(worker, due.duration(to: .now), .failure(error))
            }
        }
        if let rate {
            try await openLoop(rate: rate, until: end, begin: begin - warmup.duration, call)
        } else {
            try await closedLoop(until: end, call)
        }
        return begin.duration(to: .now)
    }

    private static func call(
        _ mesh: MeshConnection,
        _ target: CallTarget,
        _ payload: Payload,
        _ options: CallOptions,
        isStream: Bool,
        since due: ContinuousClock.Instant
    ) async throws -> Recorder.Answer {
        guard isStream else {
            let reply = try await mesh.call(target, payload: payload, options: options)
            return Recorder.Answer(byteCount: reply.payload.bytes.count)
        }
        var answer = Recorder.Answer()
        let stream = try await mesh.openStream(target, payload: payload, options: options)
        for try await chunk in stream {
            if answer.first == nil { answer.first = due.duration(to: .now) }
            answer.chunkCount += 1
            answer.byteCount += chunk.bytes.count
        }
        answer.byteCount += try await stream.reply().payload.bytes.count
        return answer
    }

    private func closedLoop(
        until end: ContinuousClock.Instant,
        _ call: @escaping @Sendable (Int, ContinuousClock.Instant) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<(window ?? 1) {
                group.addTask {
                    while true {
                        let now = ContinuousClock.now
                        guard now < end else { return }
                        try await call(worker, now)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func openLoop(
        rate: Double,
        until end: ContinuousClock.Instant,
        begin: ContinuousClock.Instant,
        _ call: @escaping @Sendable (Int, ContinuousClock.Instant) async throws -> Void
    ) async throws {
        let most = window ?? 10_000
        try await withThrowingTaskGroup(of: Void.self) { group in
            var inFlight = 0
            var number = 0
            while true {
                let due = begin + .seconds(1) * (Double(number) / rate)
                guard due < end else { break }
                if due > .now { try await Task.sleep(until: due, tolerance: .zero) }
                if inFlight >= most {
                    try await group.next()
                    inFlight -= 1
                }
                let worker = number
                group.addTask { try await call(worker, due) }
                inFlight += 1
                number += 1
            }
            try await group.waitForAll()
        }
    }

    private static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
    ]

    private func report(_ total: Recorder.Shard, _ elapsed: Duration) -> JSON {
        let seconds = max(0.000_001, elapsed / .seconds(1))
        let succeeded = Int(total.histogram.totalCount)
        return .object([
            "method": .string(target.method), "loop": .string(rate == nil ? "closed" : "open"),
            "window": .integer(Int64(window ?? (rate == nil ? 1 : 10_000))), "rate": rate.map { .number($0) } ?? .null,
            "seconds": .number(seconds), "calls": .integer(Int64(total.calls)),
            "callsPerSecond": .number(Double(succeeded) / seconds),
            "chunksPerSecond": .number(Double(total.chunks) / seconds),
            "firstChunkMicroseconds": latencies(total.first),
            "bytesPerSecond": .number(Double(total.bytes) / seconds),
            "failures": .mapping(
                total.failures.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .integer(Int64($0.value))) }
            ),
            "latencyMicroseconds": latencies(total.histogram),
        ])
    }

    private func latencies(_ histogram: Histogram<UInt32>) -> JSON {
        guard histogram.totalCount > 0 else { return .null }
        return .mapping(
            Self.percentiles.map { name, value in
                .init(key: name, value: .integer(Int64(clamping: histogram.valueAtPercentile(value))))
            } + [.init(key: "mean", value: .number(histogram.mean))]
        )
    }

    private func text(_ total: Recorder.Shard, _ elapsed: Duration, _ style: Style) -> String {
        let seconds = max(0.000_001, elapsed / .seconds(1))
        let succeeded = Int(total.histogram.totalCount)
        var text = style.bold(target.method) + "  "
        text +=
            rate.map { "open loop, \(Units.grouped(Int($0))) calls a second" }
            ?? "closed loop, \(window ?? 1) at a time"
        text += ", \(Units.fixed(seconds, 2)) s\n"
        text += "  \(style.green(Units.grouped(Int(Double(succeeded) / seconds)))) calls a second"
        text += style.dim("  (\(Units.grouped(succeeded)) calls)") + "\n"
        if total.chunks > 0 {
            text += "  \(Units.grouped(Int(Double(total.chunks) / seconds))) chunks a second, the first after "
            text += Units.text(microseconds: Int64(clamping: total.first.valueAtPercentile(50))) + " (p50), "
            text += Units.text(microseconds: Int64(clamping: total.first.valueAtPercentile(99))) + " (p99)\n"
        }
        for (status, count) in total.failures.sorted(by: { $0.key < $1.key }) {
            text += "  " + style.red("\(Units.grouped(count)) failed with \(status)") + "\n"
        }
        if let error = total.firstFailure { text += style.dim("  the first: \(clean(error.message))") + "\n" }
        text += "\n"
        let longest = max(1, total.histogram.valueAtPercentile(99.99))
        for (name, value) in Self.percentiles {
            let latency = total.histogram.valueAtPercentile(value)
            let bar = String(repeating: "▇", count: Int(min(30, latency * 30 / longest)))
            text +=
                "  " + pad(name, to: 7) + pad(Units.text(microseconds: Int64(clamping: latency)), to: 11, right: true)
            text += "  " + style.cyan(bar) + "\n"
        }
        return text
    }
}
