// BrokerCore alone, without sockets: what a routed call costs in a large registry, and what a million pending deadlines
// cost. Runs in a process of its own, `mesh-bench role core`, since it takes some hundreds of megabytes.

import BrokerCore
import CLinuxShims
import MeshProtocol
import ZeroMQ

/// Drives a core by hand.
struct CoreBench: ~Copyable {
    private var core: BrokerCore
    private var outbox = Outbox()
    private var now = MeshInstant(nanoseconds: 1_000_000_000)
    private let answer = Stencil(End(contentType: .bytes, id: WireID(rawValue: 1)))
    private var serial: UInt64 = 100
    private static let payloadByteCount = 256

    private init() {
        var limits = Limits()
        limits.sessionCount = 20_000
        limits.sessionCountPerPrincipal = 20_000
        limits.unwelcomedCount = 20_000
        limits.registrationCount = 200_000
        limits.callCount = 1_100_000
        limits.callCountPerSession = 10_000
        // Nobody here says PING or ACCEPT, and no time passes that would ask for it.
        limits.heartbeatMilliseconds = 100_000_000
        limits.acceptMilliseconds = 100_000_000
        limits.helloMilliseconds = 100_000_000
        var policy = Policy()
        policy.principals["bench"] = Policy.Principal(roles: [policy.operatorRole])
        policy.localUsers[0] = "bench"
        core = BrokerCore(
            limits: limits,
            policy: policy,
            identity: BrokerIdentity(epoch: 1, name: "bench"),
            entropy: { 0x9e37_79b9_7f4a_7c15 }
        )
    }

    private static func peer(_ number: Int) -> PeerHandle { PeerHandle(listener: 0, routingID: UInt32(number)) }

    private mutating func receive(from peer: PeerHandle, _ header: UnsafeRawBufferPointer, _ body: BodyHandle = .none) {
        now.nanoseconds += 50
        core.received(
            from: peer,
            header: header,
            body: body,
            bodyByteCount: body.isNone ? 0 : Self.payloadByteCount,
            now: now,
            into: &outbox
        )
    }

    /// The id in the header of the last frame that the core wants sent, if it has this verb.
    private func sentID(_ verb: Verb) throws -> UInt64 {
        for action in outbox.actions.reversed() {
            guard case .send(let send) = action else { continue }
            let header = outbox.headers.withUnsafeBytes { bytes in
                Array(bytes[send.headerOffset..<(send.headerOffset + send.headerCount)])
            }
            guard header[1] == verb.rawValue else {
                throw BenchError("the core answered \((try? Header.decode(header)).map { "\($0)" } ?? "?")")
            }
            return header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self) }
        }
        throw BenchError("the core sent nothing where \(verb.name) was expected")
    }

    private mutating func join(_ number: Int) throws {
        core.connected(Self.peer(number), credentials: .local(user: 0, process: Int32(number)), now: now, into: &outbox)
        let hello = Hello(name: "plugin-\(number)", version: "1.0.0").encoded()
        hello.withUnsafeBytes { receive(from: Self.peer(number), $0) }
        _ = try sentID(.welcome)
        outbox.removeAll()
    }

    private mutating func provide(_ number: Int, _ service: String, request: UInt64) throws {
        guard let id = RequestID(rawValue: request) else { return }
        let header = Provide(
            id: id,
            capacity: 65_536,
            service: service,
            version: "1.0.0",
            methods: [MethodDescription(name: Bench.echo)]
        ).encoded()
        header.withUnsafeBytes { receive(from: Self.peer(number), $0) }
        _ = try sentID(.end)
        outbox.removeAll()
    }

    /// The lease of the call that the core just gave to a worker, read in place.
    private func lease() -> UInt64 {
        outbox.headers.withUnsafeBytes { bytes in
            bytes.count >= 16 ? bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self) : 0
        }
    }

    /// One call there and back.
    @inline(__always)
    private mutating func route(_ call: borrowing Stencil, caller: PeerHandle, worker: PeerHandle) {
        serial += 1
        receive(from: caller, call.with(id: serial), BodyHandle(rawValue: 1))
        let lease = self.lease()
        outbox.removeAll()
        receive(from: worker, answer.with(id: lease), BodyHandle(rawValue: 2))
        outbox.removeAll()
    }

    private static func call(_ service: String, milliseconds: UInt32 = 0) -> Stencil {
        Stencil(
            CallHeader(
                contentType: .bytes,
                id: WireID(rawValue: 1),
                clocks: CallClocks(total: milliseconds),
                service: service,
                method: Bench.echo
            )
        )
    }

    // MARK: The figures

    /// Prints every figure as `name value` pairs.
    static func run() throws {
        let registry = try largeRegistry()
        let deadlines = try manyDeadlines()
        Roles.say((registry + deadlines).map { "\($0.0) \($0.1)" }.joined(separator: " "))
    }

    /// 10 000 plugins with 100 000 services.
    private static func largeRegistry() throws -> [(String, Double)] {
        let pluginCount = 10_000
        let servicesPerPlugin = 10
        let serviceCount = pluginCount * servicesPerPlugin
        var bench = CoreBench()
        let start = wiz_monotonic_ns()
        for plugin in 0..<pluginCount {
            try bench.join(plugin)
            for index in 0..<servicesPerPlugin {
                try bench.provide(plugin, "service-\(plugin * servicesPerPlugin + index)", request: UInt64(index + 1))
            }
        }
        let registered = wiz_monotonic_ns()
        let caller = peer(pluginCount)
        try bench.join(pluginCount)
        var first = 0.0
        var turn = 0.0
        // The headers are made outside of the clock, a thousand at a time.
        for pass in 0..<2 {
            for block in stride(from: 0, to: pass == 0 ? serviceCount : 50_000, by: 1_000) {
                let calls = Headers((block..<(block + 1_000)).map { "service-\($0)" })
                let start = wiz_monotonic_ns()
                for index in 0..<1_000 {
                    bench.route(calls, index, caller: caller, worker: peer((block + index) / servicesPerPlugin))
                }
                let elapsed = Double(wiz_monotonic_ns() - start)
                if pass == 0 { first += elapsed } else { turn += elapsed }
            }
        }
        let hot = bench.hot("service-77", caller: caller, worker: peer(7), count: 500_000)
        let windowed = bench.windowed("service-77", caller: caller, worker: peer(7), count: 500_000)
        try bench.check()
        return [
            ("register", Double(registered - start) / 1e3 / Double(serviceCount)),
            ("cold", first / Double(serviceCount)), ("turn", turn / 50_000), ("hot", hot),
            ("windowed", windowed),
        ]
    }

    private mutating func route(_ calls: borrowing Headers, _ index: Int, caller: PeerHandle, worker: PeerHandle) {
        serial += 1
        receive(from: caller, calls.with(id: serial, at: index), BodyHandle(rawValue: 1))
        let lease = self.lease()
        outbox.removeAll()
        receive(from: worker, answer.with(id: lease), BodyHandle(rawValue: 2))
        outbox.removeAll()
    }

    /// Nanoseconds of one call to a service that was called before.
    private mutating func hot(_ service: String, caller: PeerHandle, worker: PeerHandle, count: Int) -> Double {
        let call = Self.call(service)
        for _ in 0..<10_000 { route(call, caller: caller, worker: worker) }
        let start = wiz_monotonic_ns()
        for _ in 0..<count { route(call, caller: caller, worker: worker) }
        return Double(wiz_monotonic_ns() - start) / Double(count)
    }

    /// Nanoseconds of one call when a thousand are under way, the oldest answered first.
    private mutating func windowed(_ service: String, caller: PeerHandle, worker: PeerHandle, count: Int) -> Double {
        let call = Self.call(service)
        let window = 1_000
        var leases = [UInt64](repeating: 0, count: window)
        let give = { (bench: inout CoreBench) in
            bench.serial += 1
            bench.receive(from: caller, call.with(id: bench.serial), BodyHandle(rawValue: 1))
            let lease = bench.lease()
            bench.outbox.removeAll()
            return lease
        }
        for index in 0..<window { leases[index] = give(&self) }
        let start = wiz_monotonic_ns()
        for index in 0..<count {
            receive(from: worker, answer.with(id: leases[index % window]), BodyHandle(rawValue: 2))
            outbox.removeAll()
            leases[index % window] = give(&self)
        }
        let time = Double(wiz_monotonic_ns() - start) / Double(count)
        for lease in leases {
            receive(from: worker, answer.with(id: lease), BodyHandle(rawValue: 2))
            outbox.removeAll()
        }
        return time
    }

    /// A million calls under way, each with its deadline.
    private static func manyDeadlines() throws -> [(String, Double)] {
        let total = 1_000_000
        let callers = 200
        let workers = 20
        var bench = CoreBench()
        for number in 0...(callers + workers) { try bench.join(number) }
        for worker in 0..<workers { try bench.provide(callers + worker, "held", request: 1) }
        try bench.provide(callers + workers, "free", request: 1)
        let idle = bench.hot("free", caller: peer(0), worker: peer(callers + workers), count: 300_000)
        let start = wiz_monotonic_ns()
        for index in 0..<total {
            // Ten minutes to an hour, as they come.
            let milliseconds = UInt32(600_000 + (index &* 2_654_435_761) % 3_000_000)
            if index.isMultiple(of: 100_000) { try bench.checkGiven(index) }
            bench.hold(milliseconds, caller: peer(index % callers))
        }
        let scheduled = Double(wiz_monotonic_ns() - start) / Double(total)
        let full = bench.hot("free", caller: peer(0), worker: peer(callers + workers), count: 300_000)
        let ticks = 60_000
        let tickStart = wiz_monotonic_ns()
        for _ in 0..<ticks {
            bench.now = bench.now.advanced(milliseconds: 1)
            bench.core.timePassed(now: bench.now, into: &bench.outbox)
        }
        let tick = Double(wiz_monotonic_ns() - tickStart) / Double(ticks)
        bench.outbox.removeAll()
        let expireStart = wiz_monotonic_ns()
        let expired = bench.expire(milliseconds: 3_700_000)
        let expiry = Double(wiz_monotonic_ns() - expireStart) / Double(max(1, expired))
        guard expired == total else { throw BenchError("\(expired) of \(total) deadlines ran out") }
        return [
            ("idle", idle), ("schedule", scheduled), ("full", full), ("tick", tick), ("expiry", expiry),
        ]
    }

    private static let held = HeldCall()

    private mutating func hold(_ milliseconds: UInt32, caller: PeerHandle) {
        serial += 1
        var header = Self.held.bytes
        header.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: serial.littleEndian, toByteOffset: 8, as: UInt64.self)
            bytes.storeBytes(of: milliseconds.littleEndian, toByteOffset: 16, as: UInt32.self)
        }
        header.withUnsafeBytes { receive(from: caller, $0, BodyHandle(rawValue: 3)) }
        outbox.removeAll()
    }

    /// Runs the clock in steps of 100 ms until every deadline has passed; the calls that ended.
    private mutating func expire(milliseconds: UInt64) -> Int {
        var expired = 0
        for _ in 0..<(milliseconds / 100) {
            now = now.advanced(milliseconds: 100)
            core.timePassed(now: now, into: &outbox)
            while let next = core.nextDeadline, next <= now, !outbox.isEmpty {
                expired += failures()
                core.timePassed(now: now, into: &outbox)
            }
            expired += failures()
        }
        return expired
    }

    /// How many FAILs the core wants sent; forgets them.
    private mutating func failures() -> Int {
        var count = 0
        for action in outbox.actions {
            if case .send(let send) = action, outbox.headers[send.headerOffset + 1] == Verb.fail.rawValue { count += 1 }
        }
        outbox.removeAll()
        return count
    }

    private func checkGiven(_ index: Int) throws {
        let live = core.calls(after: nil, limit: 1, now: now)
        guard index == 0 || !live.isEmpty else { throw BenchError("the core holds no calls") }
    }

    /// Whether the calls did what they were meant to: none failed, none is left.
    private func check() throws {
        guard core.calls(after: nil, limit: 1, now: now).isEmpty else { throw BenchError("calls were left over") }
        let problems = core.checkInvariants()
        guard problems.isEmpty else { throw BenchError("the core's books are wrong: \(problems[0])") }
    }
}

/// A CALL for the service `held`, to be copied.
private struct HeldCall: Sendable {
    let bytes = CallHeader(contentType: .bytes, id: WireID(rawValue: 1), service: "held", method: Bench.echo).encoded()
}

/// Many headers, in one piece of memory.
private struct Headers: ~Copyable {
    private let stencils: UnsafeMutablePointer<Stencil>
    private let count: Int

    init(_ services: [String]) {
        count = services.count
        stencils = .allocate(capacity: services.count)
        for (index, service) in services.enumerated() {
            (stencils + index).initialize(
                to: Stencil(
                    CallHeader(contentType: .bytes, id: WireID(rawValue: 1), service: service, method: Bench.echo)
                )
            )
        }
    }

    deinit {
        stencils.deinitialize(count: count)
        stencils.deallocate()
    }

    func with(id: UInt64, at index: Int) -> UnsafeRawBufferPointer { stencils[index].with(id: id) }
}

/// Puts the core's figures into the report.
enum CoreFigures {
    /// Runs the process, and reads its figures.
    static func measure(_ suite: Suite, into report: inout Report) throws {
        suite.say("registry of 100 000 services, a million deadlines")
        let numbers = try Child([suite.executable, "role", "core"]).numbers()
        let registry = "BrokerCore, 10 000 plugins with 100 000 services"
        let deadlines = "BrokerCore, a million pending deadlines"
        let rows = [
            (registry, "register a service", "µs", "register"),
            (registry, "call there and back, never called before", "ns", "cold"),
            (registry, "call there and back, 50 000 services in turn", "ns", "turn"),
            (registry, "call there and back, same service", "ns", "hot"),
            (registry, "call there and back, 1 000 under way", "ns", "windowed"),
            (deadlines, "call there and back, nothing pending", "ns", "idle"),
            (deadlines, "call there and back, a million pending", "ns", "full"),
            (deadlines, "take in a call and set its deadline", "ns", "schedule"),
            (deadlines, "a millisecond's tick with nothing due", "ns", "tick"),
            (deadlines, "a deadline that runs out", "ns", "expiry"),
        ]
        for (group, name, unit, key) in rows {
            guard let value = numbers[key] else { continue }
            report.rows.append(Row(group: group, name: name, unit: unit, isLowerBetter: true, mesh: [value]))
        }
    }
}
