// Runs the plugins of a mesh: drives HostCore with real processes, a real broker and a real clock. Decisions are all in the
// core; here are the effects, each plugin's in their order. Requests of operators are in PluginHost+Requests.

import ConfigDocument
internal import FoundationEssentials
internal import Glibc
public import Manifest
import MeshClient

/// Where a host works and what it is called.
public struct HostOptions: Sendable {
    /// The host's name: `local` under `wiz up`; its service is `host.<name>`.
    public var name: String
    /// A folder of the host's own, for programs that it keeps.
    public var workFolder: String
    /// The folder under which plugins with the permission may store.
    public var dataFolder: String
    /// The folder with nothing but the broker's socket.
    public var meshFolder: String
    /// Times that no manifest sets.
    public var timing = HostTiming()
    /// How long a process that is registered completely may take to say that it is ready, before it counts so all the same.
    public var silentReady = Duration.seconds(1)

    /// Options.
    public init(name: String, workFolder: String, dataFolder: String, meshFolder: String) {
        self.name = name
        self.workFolder = workFolder
        self.dataFolder = dataFolder
        self.meshFolder = meshFolder
    }
}

/// Runs plugins, each instance in a process of its own.
public actor PluginHost {
    /// Where it works and what it is called.
    public nonisolated let options: HostOptions
    nonisolated let control: any HostControl
    nonisolated let book = LogBook()
    private let launcher: any ProcessLauncher
    private let sources: @Sendable () async throws -> [PluginSource]
    private let event: @Sendable (HostEvent) -> Void

    /// Plugins that are listed, but whose manifests have problems.
    public private(set) var leftOut: [LeftOutPlugin] = []
    var core: HostCore
    /// What belongs to each revision.
    var revisions: [Int: Revision] = [:]
    private var lastRevision = 0
    private var running: [InstanceLabel: any RunningProcess] = [:]
    /// Processes that are to end and have not been started yet.
    private var endings: [InstanceLabel: Bool] = [:]
    private var lanes: [String: AsyncStream<LaneWork>.Continuation] = [:]
    private var publisher: AsyncStream<PluginMessage>.Continuation?
    private let begin = ContinuousClock.now
    private var timer: (deadline: Duration, task: Task<Void, Never>)?
    private var lastRequest = 0
    private var requests: [RequestNumber: CheckedContinuation<ReloadOutcome, Never>] = [:]
    private var waiters: [(test: (inout HostCore) -> Bool, wake: CheckedContinuation<Void, Never>)] = []
    private var silent: [InstanceLabel: ContinuousClock.Instant] = [:]
    private var watch: Task<Void, Never>?
    private var inbox: AsyncStream<HostInput>.Continuation?

    /// What is done for a plugin, one after the other.
    private enum LaneWork: Sendable {
        case action(HostAction)
        /// Everything before it is done.
        case reached(CheckedContinuation<Void, Never>)
    }

    /// A plugin as it was read once, with its program.
    struct Revision: Sendable {
        var specification: PluginSpecification
        var program: KeptProgram
    }

    /// A host that runs nothing yet.
    ///
    /// - Parameters:
    ///   - options: Where it works and what it is called.
    ///   - control: The broker.
    ///   - launcher: Starts the processes.
    ///   - sources: The plugins as operators list them now, with what is granted to them.
    ///   - event: Hears everything.
    public init(
        _ options: HostOptions,
        control: any HostControl,
        launcher: any ProcessLauncher,
        sources: @escaping @Sendable () async throws -> [PluginSource],
        event: @escaping @Sendable (HostEvent) -> Void = { _ in }
    ) {
        self.options = options
        self.control = control
        self.launcher = launcher
        self.sources = sources
        self.event = event
        core = HostCore(timing: options.timing)
    }

    /// Reads the plugins and begins to run them; returns at once.
    ///
    /// A plugin whose manifest has problems is left out: ``leftOut``.
    /// - Throws: why the list of plugins cannot be read, or why the broker cannot be listened to.
    public func start() async throws {
        let plugins = try await read()
        KeptProgram.sweep(options.workFolder)
        let plans = plugins.map(keep)
        startPublishing()
        let (inbox, continuation) = AsyncStream.makeStream(of: HostInput.self)
        self.inbox = continuation
        try await control.listen { continuation.yield($0) }
        Task { [weak self] in
            for await input in inbox { await self?.feed(input) }
        }
        watch = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(250))
                await self?.lookForReady()
            }
        }
        feed(.plugins(plans))
    }

    /// Stops every plugin, users before what they use; returns when all are gone.
    public func stop() async {
        feed(.stopAll)
        await wait { $0.isFinished }
        watch?.cancel()
        inbox?.finish()
        timer?.task.cancel()
        for lane in lanes.values { lane.finish() }
        publisher?.finish()
        for revision in revisions.values { revision.program.forget() }
        rmdir(options.workFolder)
        book.finish()
    }

    /// Returns once no plugin is on its way to being ready, well or not.
    public func settle() async {
        await wait { $0.isSettled() }
        // What the broker has been asked for by then, it has: a call to a lazy plugin finds it.
        for lane in lanes.values {
            await withCheckedContinuation { waiter in
                // The lanes of a host that has stopped have ended.
                if case .terminated = lane.yield(.reached(waiter)) { waiter.resume() }
            }
        }
    }

    /// For how long it has run.
    var uptime: Duration { begin.duration(to: .now) }

    /// How each plugin is doing.
    public var statuses: [PluginStatus] { core.statuses() }

    // MARK: - The core

    /// Tells the core what happened, and does what it says.
    func feed(_ input: HostInput) {
        let actions = core.handle(
            input,
            now: begin.duration(to: .now),
            entropy: .random(in: 0...UInt64.max)
        )
        for action in actions { perform(action) }
        forgetRevisions()
        arm()
        wake()
    }

    private func arm() {
        let deadline = core.nextDeadline
        if let timer, timer.deadline == deadline { return }
        timer?.task.cancel()
        timer = nil
        guard let deadline else { return }
        let instant = begin.advanced(by: deadline)
        let task = Task { [weak self] in
            do { try await Task.sleep(until: instant, clock: .continuous) } catch { return }
            await self?.tick()
        }
        timer = (deadline, task)
    }

    private func tick() {
        timer = nil
        feed(.tick)
    }

    /// Waits until the core passes a test.
    func wait(_ test: @escaping (inout HostCore) -> Bool) async {
        if test(&core) { return }
        await withCheckedContinuation { waiters.append((test, $0)) }
    }

    private func wake() {
        guard !waiters.isEmpty else { return }
        var left: [(test: (inout HostCore) -> Bool, wake: CheckedContinuation<Void, Never>)] = []
        for waiter in waiters { if waiter.test(&core) { waiter.wake.resume() } else { left.append(waiter) } }
        waiters = left
    }

    // MARK: - Effects

    private func perform(_ action: HostAction) {
        switch action {
        case .terminate(let label): end(label, byForce: false)
        case .kill(let label): end(label, byForce: true)
        case .tell(let event): tell(event)
        case .reloaded(_, let numbers, let outcome):
            for number in numbers { requests.removeValue(forKey: number)?.resume(returning: outcome) }
        case .askLoad(let plugin):
            Task { [control] in self.feed(.load(plugin: plugin, await control.load(plugin))) }
        case .finished: break
        case .launch(let label, _, _): lane(label.plugin).yield(.action(action))
        case .tellExited(let label, _, _): lane(label.plugin).yield(.action(action))
        case .drain(let plugin, _, _, _), .promote(let plugin, _, _, _, _, _), .expect(let plugin, _, _),
            .unexpect(let plugin, _), .prepare(let plugin):
            lane(plugin).yield(.action(action))
        }
    }

    /// What is done for a plugin is done in order.
    private func lane(_ plugin: String) -> AsyncStream<LaneWork>.Continuation {
        if let lane = lanes[plugin] { return lane }
        let (stream, continuation) = AsyncStream.makeStream(of: LaneWork.self)
        lanes[plugin] = continuation
        Task { [weak self] in
            for await work in stream {
                switch work {
                case .action(let action): await self?.performInOrder(action)
                case .reached(let waiter): waiter.resume()
                }
            }
        }
        return continuation
    }

    private func performInOrder(_ action: HostAction) async {
        switch action {
        case .launch(let label, let stage, let revision): Task { await launch(label, stage, revision) }
        case .tellExited(let label, let process, let cause):
            await control.exited(label, process: process, cause: cause)
        case .drain(_, let labels, let grace, let reason):
            if await control.promote([], retire: labels, grace: grace, reason: reason) != nil {
                // A broker that cannot be asked gives no work either: the processes are asked themselves.
                for label in labels { end(label, byForce: false) }
            }
        case .promote(let plugin, let generation, let labels, let retired, let grace, let reason):
            let problem = await control.promote(labels, retire: retired, grace: grace, reason: reason)
            feed(.promoted(plugin: plugin, generation: generation, problem: problem))
        case .expect(let plugin, let number, let services): await control.expect(plugin, number, services)
        case .unexpect(_, let number): await control.unexpect(number)
        case .prepare(let plugin): feed(.prepared(plugin: plugin, await prepare(plugin)))
        case .terminate, .kill, .tell, .reloaded, .askLoad, .finished: break
        }
    }

    private func tell(_ event: HostEvent) {
        self.event(event)
        book.tell(event)
        if let message = PluginMessage(event, host: options.name) { publisher?.yield(message) }
    }

    private func startPublishing() {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PluginMessage.self,
            bufferingPolicy: .bufferingNewest(1000)
        )
        publisher = continuation
        Task { [control] in
            for await message in stream { await control.publish(message.topic, json: message.json) }
        }
    }

    // MARK: - Processes

    private func launch(_ label: InstanceLabel, _ stage: LaunchStage, _ number: Int) async {
        guard let revision = revisions[number] else {
            return feed(.launchFailed(label, .failed("its revision is not known any more")))
        }
        if endings.removeValue(forKey: label) != nil {
            return feed(.launchFailed(label, .failed("it was ended before it started")))
        }
        if let problem = revision.specification.programProblem, access(revision.program.path, X_OK) != 0 {
            return feed(.launchFailed(label, .refused(problem)))
        }
        let admission: Admission
        do {
            admission = try await control.admit(label, stage: stage)
        } catch {
            endings[label] = nil
            return feed(.launchFailed(label, .noBroker("the broker gave no ticket: \(error)")))
        }
        let order = order(label, revision, admission)
        do throws(LaunchFailure) {
            let process = try await launcher.launch(order) { [weak self] output, text in
                self?.heard(label, output, text)
            }
            running[label] = process
            feed(.launched(label, process: process.process))
            if let byForce = endings.removeValue(forKey: label) { end(label, byForce: byForce) }
            Task {
                let end = await process.end()
                running[label] = nil
                silent[label] = nil
                feed(.exited(label, end.cause, lastLines: end.lastLines))
            }
        } catch {
            endings[label] = nil
            for line in error.lastLines { heard(label, .standardError, line) }
            feed(.launchFailed(label, error.kind == .system ? .failed(error.reason) : .refused(error.reason)))
        }
    }

    private func order(_ label: InstanceLabel, _ revision: Revision, _ admission: Admission) -> LaunchOrder {
        let specification = revision.specification
        let data = "\(options.dataFolder)/\(specification.name)"
        let kept = revision.program.path
        var environment = specification.source.environment
        environment["WIZ_HOST"] = "1"
        environment["WIZ_ENDPOINT"] = control.endpoint
        environment["WIZ_PLUGIN_FOLDER"] = specification.folder
        environment["WIZ_PLUGIN_NAME"] = specification.name
        environment["WIZ_INSTANCE"] = String(label.number)
        environment["WIZ_GENERATION"] = String(label.generation)
        if specification.permissions.storage { environment["WIZ_DATA"] = data }
        environment["WIZ_SETTINGS"] = "stdin"
        return LaunchOrder(
            label: "\(label)",
            program: specification.program.path,
            keptProgram: kept == specification.program.path ? nil : kept,
            arguments: specification.program.arguments,
            folder: specification.folder,
            manifest: revision.program.manifest,
            environment: environment,
            input: input(specification, admission),
            permissions: LaunchPermissions(specification.permissions),
            limits: specification.limits,
            enforcement: specification.source.enforcement,
            meshFolder: options.meshFolder,
            dataFolder: data,
            grace: (specification.manifest.lifecycle.drainTimeout ?? .seconds(5)) + options.timing.teardown
        )
    }

    /// The first line of standard input: settings may be secret, ticket and keys are, so they never stand in the environment
    /// or on the command line, where other processes could read them.
    private func input(_ specification: PluginSpecification, _ admission: Admission) -> String {
        var members: [String] = []
        if let config = specification.source.config {
            members.append(#""config":\#(config.replacing("\n", with: " "))"#)
        }
        var variables = ["WIZ_TICKET": admission.ticket]
        if let keys = admission.keys {
            variables["WIZ_SERVER_KEY"] = keys.server
            variables["WIZ_SECRET_KEY"] = keys.clientSecret
        }
        if let json = try? JSONEncoder().encode(variables) {
            members.append(#""variables":\#(String(decoding: json, as: UTF8.self))"#)
        }
        return "{\(members.joined(separator: ","))}"
    }

    private func end(_ label: InstanceLabel, byForce: Bool) {
        guard let process = running[label] else {
            if core.process(label) != nil { endings[label] = byForce || endings[label] ?? false }
            return
        }
        if byForce { process.kill() } else { process.terminate() }
    }

    private nonisolated func heard(_ label: InstanceLabel, _ output: HostEvent.Output, _ text: String) {
        book.add(LogLine(time: wallClock(), label: label, output: output, text: text))
        book.tell(.line(label, output, text))
        event(.line(label, output, text))
    }

    /// What holds a process in; nil: it does not run.
    func isolation(_ label: InstanceLabel) -> IsolationReport? { running[label]?.isolation }

    /// Looks at the sessions of processes that have not said that they are ready: an event may have been lost, and plugins
    /// of other making may not know that they should say so.
    private func lookForReady() async {
        let starting = core.startingLabels
        guard !starting.isEmpty, let sessions = await control.sessions() else { return }
        for session in sessions where starting.contains(session.label) {
            if session.isReady == true {
                feed(.ready(session.label))
                continue
            }
            let expected = core.serviceCount(of: session.label)
            guard session.serviceCount >= expected else { continue }
            let since = silent[session.label] ?? .now
            silent[session.label] = since
            if since.duration(to: .now) >= options.silentReady { feed(.silent(session.label)) }
        }
    }

    // MARK: - Revisions

    /// Reads every plugin that is listed now; one whose manifest has problems stays as it was read before, or is left out.
    func read() async throws -> [PluginSpecification] {
        var plugins: [PluginSpecification] = []
        var leftOut: [LeftOutPlugin] = []
        for source in try await sources() {
            do throws(ConfigErrors) {
                plugins.append(try PluginSpecification(source))
            } catch {
                if let old = known(source) {
                    plugins.append((try? PluginSpecification(old, source: source)) ?? old)
                } else {
                    leftOut.append(LeftOutPlugin(folder: source.folder, problems: error))
                }
            }
        }
        for plugin in leftOut {
            tell(.note(plugin: plugin.folder.split(separator: "/").last.map(String.init) ?? "", "\(plugin)"))
        }
        self.leftOut = leftOut
        return plugins
    }

    private func known(_ source: PluginSource) -> PluginSpecification? {
        guard let name = name(source), let revision = core.records[name]?.plan.revision else { return nil }
        return revisions[revision]?.specification
    }

    /// Keeps what was read as a new revision, with the program of another one if it is the same.
    func keep(_ specification: PluginSpecification, like other: Int) -> PluginPlan {
        guard let old = revisions[other], old.specification.program == specification.program,
            old.specification.source.executable == nil || old.program.path == specification.program.path
        else { return keep(specification) }
        lastRevision += 1
        let program = KeptProgram(old.program, in: options.workFolder, revision: lastRevision)
        revisions[lastRevision] = Revision(specification: specification, program: program)
        return specification.plan(revision: lastRevision)
    }

    /// Keeps what was read as a new revision.
    func keep(_ specification: PluginSpecification) -> PluginPlan {
        lastRevision += 1
        let program = KeptProgram(
            specification.program.path,
            manifest: specification.manifestText,
            in: options.workFolder,
            revision: lastRevision
        )
        revisions[lastRevision] = Revision(specification: specification, program: program)
        return specification.plan(revision: lastRevision)
    }

    /// Reads one plugin's folder again.
    private func prepare(_ plugin: String) async -> PreparedPlan {
        do {
            guard let source = try await sources().first(where: { name($0) == plugin }) else {
                return .problem("it is not listed any more")
            }
            let specification = try PluginSpecification(source)
            if let problem = specification.programProblem { return .problem(problem) }
            guard specification.name == plugin else {
                return .problem("its plugin.json now says that its name is \(specification.name)")
            }
            return .plan(keep(specification))
        } catch {
            return .problem("\(error)")
        }
    }

    private func name(_ source: PluginSource) -> String? {
        source.name ?? revisions.values.first { $0.specification.folder == source.folder }?.specification.name
    }

    private func forgetRevisions() {
        // What has been read and not been handed to the core yet is newer than anything there.
        let live = core.liveRevisions
        let newest = live.max() ?? 0
        for (number, revision) in revisions where number < newest && !live.contains(number) {
            revision.program.forget()
            revisions[number] = nil
        }
    }

    // MARK: - Requests

    /// Asks for something that has an outcome.
    func request(_ input: (RequestNumber) -> HostInput) async -> ReloadOutcome {
        lastRequest += 1
        let number = RequestNumber(lastRequest)
        let input = input(number)
        return await withCheckedContinuation { continuation in
            requests[number] = continuation
            feed(input)
        }
    }
}
