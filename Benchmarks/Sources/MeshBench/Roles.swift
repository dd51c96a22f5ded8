// The other processes of a run: `mesh-bench role NAME …`. Each prints `ready` or one line of numbers.

import CLinuxShims
import Glibc
import MeshProtocol
import ZeroMQ

/// Runs one role of a benchmark.
enum Roles {
    /// Runs the role that the arguments name.
    static func run(_ name: String, _ options: Options) throws {
        // Whoever started this process reads its output; without a reader it has no purpose.
        _ = wiz_set_parent_death_signal(SIGKILL)
        _ = wiz_raise_open_file_limit(65_536)
        switch name {
        case "relay": try relay(options)
        case "core": try CoreBench.run()
        case "broker": try BrokerRole.run(options)
        case "worker": try worker(options)
        case "unary", "stream", "fan-out": try drive(name, options)
        case "idle": try idle(options)
        case "loss": try loss(options)
        default: throw BenchError("there is no role '\(name)'")
        }
    }

    /// Writes a line at once: to the process that started this one, or to people.
    static func say(_ line: String, on descriptor: Int32 = STDOUT_FILENO) {
        var rest = Array((line + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno != EINTR { return }
            rest = rest.dropFirst(max(0, count))
        }
    }

    private static func relay(_ options: Options) throws {
        let context = try Context()
        let secretKey = try options.optional("secret-key").map { try CurveSecretKey(z85: $0) }
        var relay = try Relay(context, endpoint: try options.text("endpoint"), secretKey: secretKey)
        say("ready")
        try relay.run()
    }

    private static func worker(_ options: Options) throws {
        let context = try Context()
        var worker = try Worker(
            context,
            Target(options),
            service: options.optional("service") ?? Bench.service,
            isSilent: options.has("silent")
        )
        say("ready")
        try worker.run()
    }

    private static func drive(_ name: String, _ options: Options) throws {
        let context = try Context()
        let target = try Target(options)
        let size = try options.number("size", default: 256)
        let count = try options.number("count", default: 1)
        let seconds = Double(try options.number("milliseconds", default: 1_000)) / 1_000
        let warmUp = seconds / 5
        let finding: Finding
        switch name {
        case "unary":
            var driver = try UnaryDriver(
                context,
                target,
                service: options.optional("service") ?? Bench.service,
                window: count,
                byteCount: size
            )
            finding = try driver.run(warmUp: warmUp, seconds: seconds)
        case "stream":
            var driver = try StreamDriver(context, target, streamCount: count, byteCount: size)
            finding = try driver.run(warmUp: warmUp, seconds: seconds)
        default:
            var driver = try FanOutDriver(context, target, subscriberCount: count, byteCount: size)
            finding = try driver.run(warmUp: warmUp, seconds: seconds)
        }
        say(finding.line)
    }

    /// Holds sessions that do nothing, until the process is ended.
    private static func idle(_ options: Options) throws {
        let context = try Context(maximumSocketCount: 1_023)
        let target = try Target(options)
        let count = try options.number("count", default: 1_000)
        var links = try IdleLinks(context, target, count: count)
        say("ready")
        try links.run()
    }

    /// Has a call under way, kills its worker, and prints how long it took until the caller was told.
    private static func loss(_ options: Options) throws {
        let context = try Context()
        var link = try Link.open(context, Target(options), part: .caller)
        let worker = pid_t(try options.number("process", default: 0))
        let call = CallHeader(
            contentType: .bytes,
            id: WireID(rawValue: 7),
            service: try options.text("service"),
            method: Bench.echo
        )
        try link.send(call)
        // The call is with its worker when the broker has answered what was sent after it.
        for _ in 0..<20 {
            guard try !link.receive() else { throw BenchError("the call did not reach its worker: \(link.describe())") }
            _ = try link.wait(upTo: .milliseconds(5))
        }
        let start = wiz_monotonic_ns()
        guard wiz_kill(worker, SIGKILL) == 0 else { throw BenchError("the worker could not be killed") }
        try link.awaitAnswer(.fail)
        say("milliseconds \(Double(wiz_monotonic_ns() - start) / 1e6)")
        try link.leave()
    }
}

/// Sessions that say PING now and then: groups of connections, one socket each, begun one group after the other, so that
/// the queue of connections to accept never fills.
struct IdleLinks: ~Copyable {
    private let links: UnsafeMutablePointer<Link>
    private var count = 0
    private static let groupCount = 100

    init(_ context: Context, _ target: Target, count: Int) throws {
        let groups = (count + Self.groupCount - 1) / Self.groupCount
        links = .allocate(capacity: groups)
        try open(context, target, count: count)
    }

    private mutating func open(_ context: Context, _ target: Target, count total: Int) throws {
        for start in stride(from: 0, to: total, by: Self.groupCount) {
            let size = min(Self.groupCount, total - start)
            (links + count).initialize(
                to: try Link.open(context, target, part: .subscriber, connectionCount: size)
            )
            count += 1
            try beat()
        }
    }

    deinit {
        links.deinitialize(count: count)
        links.deallocate()
    }

    mutating func run() throws {
        while true {
            _ = try links[0].wait(upTo: .milliseconds(50))
            try beat()
        }
    }

    private func beat() throws {
        for index in 0..<count {
            while try links[index].receive() {}
            if links[index].middle == .mesh { try links[index].keepAlive() }
        }
    }
}
