// The run: starts relay, broker and NATS side by side, puts the same drivers before each in turn, round after round, and
// gathers the figures.

import CLinuxShims
import Glibc
import ZeroMQ

/// Everything that `mesh-bench` measures.
struct Suite {
    let options: Options
    let executable: String
    let rounds: Int
    let milliseconds: Int
    let folder: String

    init(_ options: Options) throws {
        self.options = options
        rounds = max(1, try options.number("rounds", default: 5))
        milliseconds = try options.number("milliseconds", default: 350)
        var path = [CChar](repeating: 0, count: 4_096)
        guard readlink("/proc/self/exe", &path, path.count - 1) > 0 else { throw BenchError("/proc is not mounted") }
        executable = Suite.string(path)
        var template = Array("/tmp/mesh-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchError("no temporary folder: errno \(errno)") }
        folder = Suite.string(template)
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Measures, and prints the table or JSON.
    func run() throws {
        defer { _ = try? Child(["rm", "-rf", folder]).wait() }
        let start = wiz_monotonic_ns()
        var report = Report(machine: Suite.machine())
        if wants("process") { try ProcessFigures(self).measure(into: &report) }
        if wants("core") { try CoreFigures.measure(self, into: &report) }
        if wants("wire") { try measureWire(into: &report) }
        report.seconds = Double(wiz_monotonic_ns() - start) / 1e9
        report.notes.append("relay, mesh and NATS take turns: \(rounds) rounds of \(milliseconds) ms each; medians.")
        report.notes.append("the run took \(report.seconds.short) s.")
        Roles.say(options.has("json") ? try report.json() : report.table())
        if options.has("check"), report.rows.contains(where: { $0.isMet == false }) {
            throw BenchError("a target was missed")
        }
    }

    /// Whether a part of the suite was asked for; all are when none was named.
    private func wants(_ part: String) -> Bool {
        guard let only = options.optional("only") else { return true }
        return only.split(separator: ",").contains { $0 == part }
    }

    /// Tells people what is being measured.
    func say(_ text: String) { Roles.say("bench: \(text)", on: STDERR_FILENO) }

    private static func machine() -> String {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return "Linux \(release), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors"
    }

    // MARK: Over sockets

    private func measureWire(into report: inout Report) throws {
        let keys = try StandKeys()
        let broker = try BrokerProcess(executable, folder: folder + "/wire", peerKey: keys.peer.publicKey)
        let wire = Wire(
            suite: self,
            local: [
                try .relay(executable, endpoint: "ipc://\(folder)/relay.sock"),
                try .mesh(executable, broker),
            ],
            single: try .mesh(executable, broker, isSingle: true),
            curve: [
                try .relay(executable, endpoint: try Suite.freeEndpoint(), keys: keys),
                try .mesh(executable, broker, keys: keys),
            ],
            plain: [try .relay(executable, endpoint: try Suite.freeEndpoint())],
            nats: try NATSStand(driver: options.optional("nats-driver"), port: try Suite.freePort())
        )
        if wire.nats == nil {
            report.notes.append("no NATS: install nats-server and libnats-dev to have it measured side by side.")
        } else {
            report.notes.append("NATS is on tcp, sending at once or gathering, whichever was faster for the figure.")
        }
        try wire.measureUnary(into: &report)
        try wire.measureStreams(into: &report)
        try wire.measureFanOut(into: &report)
    }

    /// A tcp port of the loopback that is free at this moment.
    static func freePort() throws -> Int {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 ? getsockname(socket, $0, &length) : -1
            }
        }
        guard result == 0 else { throw BenchError("no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func freeEndpoint() throws -> String { "tcp://127.0.0.1:\(try freePort())" }
}

/// The figures that are measured over sockets.
struct Wire {
    let suite: Suite
    let local: [Stand]
    /// The broker again, with peers that send and take each message by itself.
    let single: Stand
    let curve: [Stand]
    let plain: [Stand]
    let nats: NATSStand?

    /// What every subject's drivers found, round by round.
    private struct Rounds {
        var relay: [[String: Double]] = []
        var mesh: [[String: Double]] = []
        var natsAtOnce: [[String: Double]] = []
        var natsGathering: [[String: Double]] = []
    }

    private func rounds(
        _ role: String,
        count: Int,
        size: Int,
        stands: [Stand],
        withNATS: Bool = true
    ) throws -> Rounds {
        var found = Rounds()
        let time = suite.milliseconds
        for _ in 0..<suite.rounds {
            for stand in stands {
                let numbers = try stand.drive(role, count: count, size: size, milliseconds: time)
                if stand.middle == .relay { found.relay.append(numbers) } else { found.mesh.append(numbers) }
            }
            guard withNATS, let nats else { continue }
            found.natsAtOnce.append(try nats.drive(role, asap: true, count: count, size: size, milliseconds: time))
            found.natsGathering.append(try nats.drive(role, asap: false, count: count, size: size, milliseconds: time))
        }
        return found
    }

    private func row(
        _ group: String,
        _ name: String,
        _ unit: String,
        _ found: Rounds,
        isLowerBetter: Bool = false,
        _ value: ([String: Double]) -> Double
    ) -> Row {
        var row = Row(group: group, name: name, unit: unit, isLowerBetter: isLowerBetter)
        row.relay = found.relay.map(value)
        row.mesh = found.mesh.map(value)
        let ways = [found.natsAtOnce.map(value), found.natsGathering.map(value)]
        let ranked = ways.sorted { ($0.median ?? 0) < ($1.median ?? 0) }
        row.nats = (isLowerBetter ? ranked.first : ranked.last) ?? []
        return row
    }

    private func rate(_ numbers: [String: Double]) -> Double { (numbers["count"] ?? 0) / (numbers["seconds"] ?? 1) }

    /// Unary calls at several sizes and windows.
    func measureUnary(into report: inout Report) throws {
        for window in [1, 64, 1_000] {
            let group = "Unary calls, ipc, window \(window)"
            for size in [32, 256, 4_096] {
                suite.say("\(group), \(size) B")
                let found = try rounds("unary", count: window, size: size, stands: local)
                var throughput = row(group, "\(size) B", "calls/s", found, rate)
                if window == 1_000, size == 256 {
                    throughput.ratioTarget = 0.75
                    throughput.mustBeatNATS = true
                }
                report.rows.append(throughput)
                if window == 1_000, size == 256 { report.rows.append(try oneByOne(group)) }
                var shown = [("p99", "p99")]
                if window == 1 { shown = [("p50", "p50"), ("p99", "p99")] }
                for (key, label) in shown {
                    var latency = row(group, "\(size) B, \(label)", "µs", found, isLowerBetter: true) {
                        ($0[key] ?? 0) / 1e3
                    }
                    if window == 1, key == "p50", size == 256 { latency.ratioTarget = 1.25 }
                    report.rows.append(latency)
                }
            }
        }
        let group = "Unary calls, tcp, 256 B, window 1 000"
        suite.say(group)
        let open = try rounds("unary", count: 1_000, size: 256, stands: plain)
        report.rows.append(row(group, "plain (the broker has none)", "calls/s", open, rate))
        let secret = try rounds("unary", count: 1_000, size: 256, stands: curve, withNATS: false)
        var curved = row(group, "CURVE", "calls/s", secret, rate)
        curved.ratioTarget = 0.75
        report.rows.append(curved)
    }

    /// The broker as the relay is driven: each message by itself.
    private func oneByOne(_ group: String) throws -> Row {
        let stands = local.filter { $0.middle == .relay } + [single]
        let found = try rounds("unary", count: 1_000, size: 256, stands: stands, withNATS: false)
        return row(group, "256 B, one by one", "calls/s", found, rate)
    }

    /// Reply streams, 64 at once.
    func measureStreams(into report: inout Report) throws {
        let group = "Streams, ipc, 64 at once, credit \(StreamDriver.window)"
        for size in [32, 256] {
            suite.say("\(group), \(size) B")
            let found = try rounds("stream", count: 64, size: size, stands: local)
            report.rows.append(row(group, "\(size) B", "chunks/s", found, rate))
        }
    }

    /// Events to several subscribers.
    func measureFanOut(into report: inout Report) throws {
        let group = "Events, ipc, 256 B"
        for count in [1, 10, 100] {
            suite.say("\(group), \(count) subscribers")
            let found = try rounds("fan-out", count: count, size: 256, stands: local)
            report.rows.append(row(group, "\(count) subscriber\(count == 1 ? "" : "s")", "deliveries/s", found, rate))
        }
    }
}
