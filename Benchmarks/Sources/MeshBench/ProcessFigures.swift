// What is asked of the broker as a process: how soon it serves, how much memory it takes, how soon a lost worker is told,
// and who allocates while it forwards.

import CLinuxShims
import Glibc
import ZeroMQ

/// Measures broker processes.
struct ProcessFigures {
    private let suite: Suite
    private static let group = "Broker process"

    init(_ suite: Suite) { self.suite = suite }

    /// Adds every figure.
    func measure(into report: inout Report) throws {
        suite.say("start, memory, lost worker")
        try measureStart(into: &report)
        try measureMemory(into: &report)
        try measureLoss(into: &report)
        try measureAllocations(into: &report)
    }

    private func row(_ name: String, _ unit: String, _ values: [Double], target: Double?) -> Row {
        var row = Row(group: Self.group, name: name, unit: unit, isLowerBetter: true, mesh: values)
        row.valueTarget = target
        return row
    }

    /// From the start of the process until a peer has its WELCOME.
    private func measureStart(into report: inout Report) throws {
        let context = try Context()
        var times: [Double] = []
        for round in 0..<5 {
            let start = wiz_monotonic_ns()
            let broker = try BrokerProcess(suite.executable, folder: suite.folder + "/start\(round)")
            var link = try Link.open(context, Target(.mesh, broker.localEndpoint), part: .caller)
            times.append(Double(wiz_monotonic_ns() - start) / 1e6)
            try link.leave()
            broker.child.end()
        }
        report.rows.append(row("start until the first WELCOME", "ms", times, target: 50))
    }

    /// Resident when idle, and with a thousand idle peers.
    private func measureMemory(into report: inout Report) throws {
        let peerCount = 1_000
        let broker = try BrokerProcess(suite.executable, folder: suite.folder + "/memory")
        usleep(200_000)
        let idle = try Self.residentKiB(broker.child.process)
        report.rows.append(row("resident when idle", "MB", [idle * 1.024 / 1_000], target: 25))
        let peers = try Child(
            [suite.executable, "role", "idle", "--middle", "mesh", "--endpoint", broker.localEndpoint]
                + ["--count", "\(peerCount)"]
        )
        try peers.awaitReady()
        usleep(200_000)
        let full = try Self.residentKiB(broker.child.process)
        report.rows.append(row("each idle peer of 1 000", "KiB", [(full - idle) / Double(peerCount)], target: 45))
        peers.end()
        broker.child.end()
    }

    /// A worker killed with a call under way, until the caller has its FAIL.
    private func measureLoss(into report: inout Report) throws {
        let broker = try BrokerProcess(suite.executable, folder: suite.folder + "/loss")
        let connection = ["--middle", "mesh", "--endpoint", broker.localEndpoint]
        var times: [Double] = []
        for round in 0..<5 {
            let service = "lost\(round)"
            let worker = try Child(
                [suite.executable, "role", "worker", "--silent", "--service", service] + connection
            )
            try worker.awaitReady()
            let numbers = try Child(
                [suite.executable, "role", "loss", "--service", service, "--process", "\(worker.process)"] + connection
            ).numbers()
            worker.wait()
            if let time = numbers["milliseconds"] { times.append(time) }
        }
        broker.child.end()
        report.rows.append(row("worker killed -9 until its caller is told", "ms", times, target: 100))
    }

    static func residentKiB(_ process: pid_t) throws -> Double {
        let text = try String(file: "/proc/\(process)/status")
        for line in text.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            let digits = line.filter(\.isNumber)
            if let value = Double(digits) { return value }
        }
        throw BenchError("process \(process) tells no VmRSS")
    }

    // MARK: Allocations

    /// Counts allocations by the broker's mesh thread while calls pass at a steady rate.
    private func measureAllocations(into report: inout Report) throws {
        guard let counter = suite.options.optional("allocation-counter"), access(counter, R_OK) == 0 else {
            report.notes.append("allocations were not counted: the counter was not built (Scripts/bench.sh builds it).")
            return
        }
        suite.say("allocations")
        let path = suite.folder + "/allocations"
        let broker = try BrokerProcess(
            suite.executable,
            folder: suite.folder + "/counted",
            environment: ["LD_PRELOAD": counter, "WIZ_ALLOCATION_COUNTS": path]
        )
        let stand = try Stand.mesh(suite.executable, broker)
        let kinds = ["Swift runtime", "frames (zmq_msg_t)", "libzmq", "other"]
        for (name, role, count) in [("calls", "unary", 256), ("chunks", "stream", 64), ("deliveries", "fan-out", 10)] {
            let driver = try stand.driver(role, count: count, size: 256, milliseconds: 1_500)
            usleep(700_000)
            let start = wiz_monotonic_ns()
            let before = try AllocationTable(path, process: broker.child.process).meshThread
            usleep(700_000)
            let after = try AllocationTable(path, process: broker.child.process).meshThread
            let seconds = Double(wiz_monotonic_ns() - start) / 1e9
            let numbers = try driver.numbers()
            // A call is forwarded twice: CALL and END. A chunk and a delivery once.
            let perItem = role == "unary" ? 2.0 : 1.0
            let messages = (numbers["count"] ?? 0) / (numbers["seconds"] ?? 1) * seconds * perItem
            guard messages > 0 else { throw BenchError("nothing was forwarded") }
            for (index, kind) in kinds.enumerated() where index < 3 || after[index] > before[index] {
                let value = Double(after[index] - before[index]) * 1_000 / messages
                var row = row("\(kind), \(name)", "per 1 000", [value], target: nil)
                row.group = "Allocations of the mesh thread per 1 000 forwarded messages"
                // Below one in a thousand messages is what a table that grows now and then costs.
                if index == 0 { row.valueTarget = 1 }
                report.rows.append(row)
            }
        }
        broker.child.end()
    }
}

/// The counts that Native/allocation-counter.c keeps in a mapped file.
struct AllocationTable {
    /// By kind: Swift's runtime, the executable's own calls to malloc, libzmq, others.
    let meshThread: [Int64]
    private static let kindCount = 4

    /// Reads the file as it stands; the mesh thread is known by its name.
    init(_ path: String, process: pid_t) throws {
        let bytes = try [UInt8](file: path)
        let words = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
        let width = 1 + Self.kindCount
        for start in stride(from: 0, to: words.count - width + 1, by: width) where words[start] != 0 {
            let name = try? String(file: "/proc/\(process)/task/\(words[start])/comm")
            if name == "mesh\n" {
                meshThread = Array(words[(start + 1)..<(start + width)])
                return
            }
        }
        throw BenchError("the broker has no thread named mesh that allocates")
    }
}

extension [UInt8] {
    /// A file's bytes.
    init(file path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be read: errno \(errno)") }
        defer { close(descriptor) }
        self = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            append(contentsOf: buffer[..<count])
        }
    }
}

extension String {
    /// A file's text.
    init(file path: String) throws { self = String(decoding: try [UInt8](file: path), as: UTF8.self) }
}
