// The checks of one process of a plugin, each a question about what it does on the wire. What it is written in does not
// matter: only the broker and the process are asked.

import ConfigDocument
import Glibc
import Manifest
import MeshClient
import MeshProtocol
import PluginHost
import Synchronization

/// Asks one process of a plugin.
final class ConformanceChecks: Sendable {
    let subject: ConformanceSubject
    let mesh: ConformanceMesh
    let job: PluginJob
    private let answering = Mutex<[ConformanceProbe]>([])

    /// What the broker gives a worker to acknowledge a cancel, and room for a busy machine.
    static let releaseBound = Duration.seconds(4)

    init(subject: ConformanceSubject, mesh: ConformanceMesh, job: PluginJob) {
        self.subject = subject
        self.mesh = mesh
        self.job = job
    }

    /// A method that answered its sample: rather one that may be repeated, rather one with one reply.
    var bestSample: ConformanceProbe? {
        let probes = answering.withLock { $0 }
        let unary = probes.filter(\.directions.isEmpty)
        return unary.first(where: \.isIdempotent) ?? unary.first ?? probes.first { $0.directions == .replies }
    }

    // MARK: Start

    /// It registers what it declares, and says that it is ready, within its bound.
    func readyInTime() async throws -> String {
        let begin = ContinuousClock.now
        var missing: [String] = []
        var saysReady = true
        let isReady = try await holds(within: subject.initTimeout) {
            if job.end != nil { return true }
            guard let session = try await mesh.session(of: job.process) else { return false }
            missing = try await missingServices(session)
            saysReady = session["ready"]?.boolean ?? true
            return missing.isEmpty && saysReady
        }
        if let end = job.end {
            throw ended("before it was ready", end)
        }
        guard isReady else {
            let bound = Units.text(subject.initTimeout)
            if try await mesh.session(of: job.process) == nil {
                throw ConformanceEnd.failed(
                    "it has not said HELLO within \(bound)",
                    advice: "It finds the broker by WIZ_ENDPOINT and says who it is with the ticket."
                )
            }
            throw ConformanceEnd.failed(
                missing.isEmpty
                    ? "it has not called mesh.ready within \(bound)"
                    : "it has not registered \(missing.joined(separator: ", ")) within \(bound)",
                advice: missing.isEmpty
                    ? "Call mesh.ready when everything is registered; the Swift SDK does."
                    : "Register what provides declares, or raise lifecycle.initTimeoutMs."
            )
        }
        return "ready \(Units.text(begin.duration(to: .now))) after its start"
    }

    private func missingServices(_ session: JSON) async throws -> [String] {
        let services = try await mesh.client.list("services")
        return subject.manifest.provides.compactMap { declared in
            let isThere = services.contains { service in
                service.text("service") == declared.service && service.text("version") == "\(declared.version)"
                    && service["providers"]?.items.contains { $0.number("session") == session.number("session") }
                        == true
            }
            return isThere ? nil : "\(declared.service)@\(declared.version)"
        }
    }

    /// What it registered is what the manifest says.
    func registration() async throws -> String {
        guard let session = try await mesh.session(of: job.process) else { throw gone() }
        let services = try await mesh.client.list("services").filter { service in
            service["providers"]?.items.contains { $0.number("session") == session.number("session") } == true
        }
        var problems: [String] = []
        var methodCount = 0
        for declared in subject.manifest.provides {
            guard let service = services.first(where: { $0.text("service") == declared.service }) else { continue }
            for method in declared.methods {
                methodCount += 1
                problems += Self.problems(of: method, in: service, declared.service)
            }
        }
        for service in services
        where !subject.manifest.provides.contains(where: { $0.service == service.text("service") }) {
            problems.append("\(service.text("service")) is registered and not declared")
        }
        guard problems.isEmpty else {
            throw ConformanceEnd.failed(
                problems.joined(separator: "; "),
                advice: "Make plugin.json and what is registered say the same: callers read the one and get the other."
            )
        }
        return "\(subject.manifest.provides.count) services with \(methodCount) methods are as declared"
    }

    private static func problems(of method: ProvidedMethod, in service: JSON, _ name: String) -> [String] {
        let title = "\(name).\(method.name)"
        guard let found = service["methods"]?.items.first(where: { $0.text("name") == method.name }) else {
            return ["\(title) is declared and not registered"]
        }
        var problems: [String] = []
        let directions = StreamDirections(method.stream)
        if found["requestStream"]?.boolean != directions.contains(.requests)
            || found["replyStream"]?.boolean != directions.contains(.replies)
        {
            problems.append("\(title) streams otherwise than declared")
        }
        if method.isIdempotent, found["idempotent"]?.boolean == false {
            problems.append("\(title) is declared idempotent and not registered so")
        }
        return problems
    }

    // MARK: Calls

    /// Its methods answer.
    func answers() async throws -> String {
        var notes: [String] = []
        var count = 0
        for probe in subject.probes {
            do {
                try await probe.call(on: mesh.client)
                count += 1
                answering.withLock { $0.append(probe) }
            } catch let error as MeshError {
                try judge(error, probe.title)
                notes.append("\(probe.title) \(error.status)")
            }
        }
        guard !subject.probes.isEmpty else { throw ConformanceEnd.skipped("it declares no method that may be called") }
        try await checkHealth("after its methods were called")
        let others = notes.isEmpty ? "" : "; others: " + notes.joined(separator: ", ")
        return "\(count) of \(subject.probes.count) methods answered OK\(others)"
    }

    /// Whatever the worker itself says is an answer; what the broker has to say for it is none.
    private func judge(_ error: MeshError, _ title: String, with what: String = "input made from its schema") throws {
        guard !error.isFromWorker, [.deadlineExceeded, .unavailable].contains(error.status) else { return }
        if let end = job.end { throw ended("when \(title) was called with \(what)", end) }
        throw ConformanceEnd.failed(
            "\(title) did not answer \(what): \(error.status)",
            advice:
                "Answer within the deadline, also with an error. A method that takes long by its nature: give its schema an "
                + "example that is quick, or name it under x-conformance.skip."
        )
    }

    /// A method that there is not.
    func unknownMethod() async throws -> String {
        guard let service = subject.manifest.provides.first else {
            throw ConformanceEnd.skipped("it provides no service")
        }
        let target = CallTarget.service(
            service.service,
            range: "\(service.version)",
            method: "conformance-no-such-method"
        )
        do {
            _ = try await mesh.client.call(target, payload: .json(text: "{}"))
        } catch let error as MeshError where error.status == .unimplemented || error.status == .notFound {
            try await checkHealth("after a call of a method that it does not have")
            return "\(target.description) is \(error.status)"
        } catch let error as MeshError {
            throw ConformanceEnd.failed(
                "\(target.description) ended with \(error.status), not UNIMPLEMENTED or NOT_FOUND",
                advice: "Answer a method that you do not have with UNIMPLEMENTED."
            )
        }
        throw ConformanceEnd.failed(
            "\(target.description) was answered with OK",
            advice: "Answer a method that you do not have with UNIMPLEMENTED."
        )
    }

    /// Payloads that no caller should send.
    func malformedInput() async throws -> String {
        guard !subject.probes.isEmpty else { throw ConformanceEnd.skipped("it declares no method that may be called") }
        let size = (mesh.client.session?.maximumPayloadByteCount).map { Int($0) } ?? 1 << 20
        let inputs: [(String, Payload)] = [
            ("broken JSON", .json(text: #"{"text": "#)), ("JSON of another shape", .json(text: "[[1, null], \"x\"]")),
            ("JSON that nests deeply", .json(text: String(repeating: "[", count: 20_000))),
            ("text that is no UTF-8", Payload([0xFF, 0xFE, 0x00, 0xC3], contentType: .json)), ("nothing", .empty),
            ("an unknown content type", Payload([1, 2, 3], contentType: ContentType(rawValue: 0xF7))),
            ("the largest payload", Payload([UInt8](repeating: 0x20, count: size), contentType: .json)),
        ]
        var count = 0
        for probe in subject.probes {
            for (what, payload) in inputs {
                do {
                    try await probe.call(on: mesh.client, with: payload)
                } catch let error as MeshError {
                    try judge(error, probe.title, with: what)
                }
                count += 1
                if let end = job.end { throw ended("when \(probe.title) was called with \(what)", end) }
            }
        }
        try await checkHealth("after malformed input")
        return "\(count) malformed calls were answered, and it still serves"
    }

    // MARK: Calls that end before their answer

    /// Cancelled calls give their places back.
    func cancel() async throws -> String {
        var tried: [String] = []
        var longest = Duration.zero
        for probe in lastingProbes {
            let call = LastingCall(probe, mesh.client, deadline: .seconds(30))
            guard try await isRunning(call) else { continue }
            call.cancel()
            tried.append(probe.title)
            longest = max(longest, try await release(probe.title, "was cancelled"))
        }
        guard !tried.isEmpty else { throw Self.nothingLasts }
        try await checkHealth("after calls were cancelled")
        return "\(tried.joined(separator: ", ")) gave its place back within \(Units.text(longest))"
    }

    /// So do calls whose deadline has passed.
    func deadline() async throws -> String {
        var tried: [String] = []
        var longest = Duration.zero
        for probe in lastingProbes {
            let call = LastingCall(probe, mesh.client, deadline: .milliseconds(400))
            guard try await isRunning(call) else { continue }
            let error = await call.failure()
            guard error?.status == .deadlineExceeded else { continue }
            tried.append(probe.title)
            longest = max(longest, try await release(probe.title, "had passed its deadline"))
        }
        guard !tried.isEmpty else { throw Self.nothingLasts }
        try await checkHealth("after deadlines had passed")
        return "\(tried.joined(separator: ", ")) gave its place back within \(Units.text(longest))"
    }

    private static let nothingLasts = ConformanceEnd.skipped(
        "no call of it lasts: name one under x-conformance, such as \"slow\": {\"method\": \"echo.sleep\", \"input\": {…}}"
    )

    /// The call that the manifest names, and streams whose reader does not read.
    private var lastingProbes: [ConformanceProbe] {
        let streams = subject.probes.filter { $0.directions == .replies }
        return (subject.slowProbe.map { [$0] } ?? []) + streams
    }

    /// Whether a call has reached the plugin and stays there.
    private func isRunning(_ call: LastingCall) async throws -> Bool {
        let isThere = try await holds(within: .seconds(2)) {
            if call.hasEnded { return true }
            return try await (mesh.callsHeld(by: job.process) ?? 0) > 0
        }
        return isThere && !call.hasEnded
    }

    /// How long it takes until the plugin holds no call any more.
    private func release(_ title: String, _ what: String) async throws -> Duration {
        let begin = ContinuousClock.now
        let isFree = try await holds(within: Self.releaseBound) { try await mesh.callsHeld(by: job.process) == 0 }
        if let end = job.end { throw ended("when \(title) \(what)", end) }
        guard isFree else {
            throw ConformanceEnd.failed(
                "\(title) still ran \(Units.text(Self.releaseBound)) after it \(what)",
                advice:
                    "End the work when CANCEL comes, and acknowledge it with FAIL CANCELLED. In Swift: await something that "
                    + "heeds cancellation, or call Task.checkCancellation() in loops."
            )
        }
        return begin.duration(to: .now)
    }

    // MARK: End

    /// SIGTERM ends it in good order.
    func stop() async throws -> String {
        let begin = ContinuousClock.now
        job.terminate()
        let hasEnded = try await holds(within: subject.stopBound) { job.end != nil }
        guard hasEnded, let end = job.end else {
            throw ConformanceEnd.failed(
                "it still runs \(Units.text(subject.stopBound)) after SIGTERM",
                advice:
                    "Catch SIGTERM: answer the calls in flight, say BYE, exit with 0. As process 1 nothing is caught by itself."
            )
        }
        guard end == .exited(0) else { throw ended("on SIGTERM", end) }
        return "ended with exit code 0, \(Units.text(begin.duration(to: .now))) after SIGTERM"
    }

    /// What the broker has seen of it, in order.
    func lifecycle() async throws -> String {
        let process = job.process
        _ = try await holds(within: .seconds(2)) {
            mesh.notices.contains { $0.process == process && $0.topic == "mesh.session.gone" }
        }
        let notices = mesh.notices.filter { $0.process == process }
        let topics = notices.map(\.topic)
        guard topics.first == "mesh.session.welcomed" else {
            throw ConformanceEnd.failed("its first act was not HELLO", advice: "Say HELLO first, and once.")
        }
        if let ready = topics.firstIndex(of: "mesh.session.ready"),
            let last = topics.lastIndex(of: "mesh.service.added"), last > ready
        {
            throw ConformanceEnd.failed(
                "it said that it was ready before everything was registered",
                advice: "Call mesh.ready after the last PROVIDE."
            )
        }
        guard let gone = notices.last(where: { $0.topic == "mesh.session.gone" }) else {
            throw ConformanceEnd.failed("its session did not end with it", advice: "Say BYE before the exit.")
        }
        guard gone.cause == "left" else {
            throw ConformanceEnd.failed(
                "its session ended without BYE (\(gone.cause))",
                advice: "Say BYE, and let it leave the socket before the exit."
            )
        }
        guard topics.count(where: { $0 == "mesh.session.welcomed" }) == 1 else {
            throw ConformanceEnd.failed("it lost its session meanwhile", advice: job.lastWords)
        }
        return "HELLO, \(topics.count { $0 == "mesh.service.added" }) services, and BYE at the end"
    }

    /// It finds a broker that has been started anew.
    func brokerRestart(_ plugins: [PluginManifest]) async throws -> String {
        _ = try await readyInTime()
        try await mesh.restartBroker(plugins)
        let begin = ContinuousClock.now
        let isBack = try await holds(within: .seconds(15)) {
            if job.end != nil { return true }
            guard let session = try? await mesh.session(of: job.process) else { return false }
            return try await missingServices(session).isEmpty
        }
        if let end = job.end { throw ended("when the broker was restarted", end) }
        guard isBack else {
            throw ConformanceEnd.failed(
                "its services were not back 15 s after the broker had restarted",
                advice: "Connect again after a loss, with growing delays, say HELLO, and register everything anew."
            )
        }
        return "its services were back \(Units.text(begin.duration(to: .now))) after the broker's restart"
    }

    // MARK: Words

    /// It still runs, is connected, and holds no call.
    private func checkHealth(_ when: String) async throws {
        if let end = job.end { throw ended(when, end) }
        let isWell = try await holds(within: Self.releaseBound) {
            guard let session = try await mesh.session(of: job.process), session.text("state") == "alive" else {
                return false
            }
            return try await mesh.callsHeld(by: job.process) == 0
        }
        if let end = job.end { throw ended(when, end) }
        guard isWell else {
            throw ConformanceEnd.failed(
                "it is not well \(when): it holds calls, or its session is not alive",
                advice: job.lastWords
            )
        }
    }

    private func gone() -> ConformanceEnd { .failed("its session has ended", advice: job.lastWords) }

    private func ended(_ when: String, _ end: ExitCause) -> ConformanceEnd {
        .failed("it ended \(when): \(end)", advice: job.lastWords)
    }
}
