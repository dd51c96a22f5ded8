// A broker, a host and plugins in temporary folders: everything real, everything gone at the end. Plugins are the program of
// Tests/Fixtures/rogue-plugin, which does what its manifest's arguments say.

import Broker
import Glibc
import Logging
import Manifest
import MeshClient
import PluginHost
import Synchronization
import Testing

/// A folder that goes away with its owner.
final class StageFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/wiz-stage-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw StageFailure("no temporary folder") }
        path = template.withUnsafeBufferPointer {
            String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var status = stat()
        guard path.hasPrefix("/tmp/wiz-stage-"), lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR, let listing = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { remove(path + "/" + name) }
        }
        closedir(listing)
        rmdir(path)
    }
}

struct StageFailure: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}

/// The folder of a plugin, which tests rewrite.
struct StagePlugin: Sendable {
    let folder: String
    let name: String

    /// What its manifest says beyond its name.
    struct Content: Sendable {
        var version = "1.0.0"
        var behaviour = "serve"
        var service: String?
        var more = ""
        var initTimeout = 5000
    }

    /// Writes manifest and program, each in one step.
    func write(_ content: Content = Content()) throws {
        mkdir(folder, 0o755)
        mkdir(folder + "/bin", 0o755)
        let program = folder + "/bin/rogue"
        unlink(program + ".new")
        try #require(copyFile(try Self.rogue, program + ".new"))
        rename(program + ".new", program)
        let methods =
            #"{"count":{"idempotent":true},"countOnce":{},"about":{"idempotent":true},"sleep":{},"hold":{"timeoutMs":60000},"end":{}}"#
        let service = content.service ?? "rogue"
        let text = """
            {"name":"\(name)","version":"\(content.version)","main":["bin/rogue","\(content.behaviour)"],
             "provides":[{"service":"\(service)","methods":\(methods)}],
             "lifecycle":{"initTimeoutMs":\(content.initTimeout),"drainTimeoutMs":1000\(content.more.contains("exclusive") ? #","reload":"exclusive""# : "")}
             \(content.more.contains("exclusive") ? "" : content.more)}
            """
        let manifest = folder + "/plugin.json"
        guard let file = fopen(manifest + ".new", "w") else { throw StageFailure("\(manifest) cannot be written") }
        fputs(text, file)
        fclose(file)
        rename(manifest + ".new", manifest)
    }

    private func copyFile(_ from: String, _ to: String) -> Bool { link(from, to) == 0 || symlink(from, to) == 0 }

    /// The program of the rogue plugin, a copy on the file system of the stages.
    static var rogue: String { get throws { try program.get() } }

    private static let program = Result<String, any Error> {
        let own = try #require(realpath("/proc/self/exe", nil))
        defer { free(own) }
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        for place in [bundle, String(cString: own)].compactMap(\.self) {
            let folder = place.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            let program = folder + "/rogue-plugin"
            if access(program, X_OK) == 0 { return program }
        }
        throw StageFailure("rogue-plugin was not found beside the tests: build it first")
    }
}

/// What a host tells, and waiting for it.
final class StageLog: Sendable {
    private let state = Mutex((events: [HostEvent](), waiters: [(Int, AsyncStream<Void>.Continuation)](), last: 0))

    private let reaction = Mutex<(@Sendable (HostEvent) -> Void)?>(nil)

    /// Does something at every event, at once.
    func react(_ body: (@Sendable (HostEvent) -> Void)?) { reaction.withLock { $0 = body } }

    func take(_ event: HostEvent) {
        reaction.withLock { $0 }?(event)
        let waiters = state.withLock { state in
            state.events.append(event)
            return state.waiters.map(\.1)
        }
        for waiter in waiters { waiter.yield() }
    }

    var events: [HostEvent] { state.withLock { $0.events } }

    /// Waits until what was told passes a test.
    func wait(
        _ what: String,
        within bound: Duration = .seconds(15),
        _ test: @escaping @Sendable ([HostEvent]) -> Bool
    ) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            state.last += 1
            state.waiters.append((state.last, continuation))
            return state.last
        }
        defer { state.withLock { $0.waiters.removeAll { $0.0 == id } } }
        let clock = Task {
            try await Task.sleep(for: bound)  // allowed: the bound itself
            continuation.finish()
        }
        defer { clock.cancel() }
        if test(events) { return }
        for await _ in stream where test(events) { return }
        if test(events) { return }
        throw StageFailure("\(what): not within \(bound); it told\n" + events.map { "  \($0)" }.joined(separator: "\n"))
    }

    func changes(_ plugin: String) -> [PluginState] {
        events.compactMap { event in
            if case .changed(let change) = event, change.plugin == plugin { change.state } else { nil }
        }
    }

    /// How a process ended.
    struct End: Sendable {
        var label: InstanceLabel
        var cause: ExitCause
        var ranFor: Duration
        var isWanted: Bool
        var lines: [String]
    }

    func ends(_ plugin: String) -> [End] {
        events.compactMap { event in
            guard case .exited(let label, _, let cause, let time, let lines, let isWanted) = event,
                label.plugin == plugin
            else { return nil }
            return End(label: label, cause: cause, ranFor: time, isWanted: isWanted, lines: lines)
        }
    }
}

/// A broker and a host with plugins.
final class Stage: Sendable {
    let folder: StageFolder
    let broker: Broker
    let client: MeshConnection
    let host: PluginHost
    let log = StageLog()
    let plugins: [StagePlugin]

    /// Makes the folders of plugins, starts a broker that knows them, and a host that does not run them yet.
    init(
        _ contents: KeyValuePairs<String, StagePlugin.Content>,
        change: @escaping @Sendable (inout PluginSource) -> Void = { _ in },
        options: (inout HostOptions) -> Void = { _ in }
    ) async throws {
        let folder = try StageFolder()
        self.folder = folder
        let plugins = contents.map { StagePlugin(folder: folder.path + "/" + $0.key, name: $0.key) }
        for (plugin, content) in zip(plugins, contents) { try plugin.write(content.value) }
        self.plugins = plugins
        let paths = plugins.map { #"{"path":"\#($0.folder)"}"# }.joined(separator: ",")
        let rules = plugins.map { #"{"allow":"\#($0.name)","provide":["rogue","shared"]}"# }.joined(separator: ",")
        let file = try MeshFile(
            text: #"{"broker":{"run":"\#(folder.path)/run"},"plugins":[\#(paths)],"rules":[\#(rules)]}"#,
            path: folder.path + "/mesh.yaml"
        )
        let quiet = Logger(label: "broker") { _ in SwiftLogNoOpLogHandler() }
        broker = try Broker.start(try BrokerConfiguration(file), logger: quiet)
        let endpoint = "ipc://\(folder.path)/run/mesh.sock"
        client = try await MeshConnection.connect(MeshConfiguration(endpoint: endpoint, name: "tester", logger: quiet))
        let mesh = try await MeshConnection.connect(MeshConfiguration(endpoint: endpoint, name: "host", logger: quiet))
        var settings = HostOptions(
            name: "local",
            workFolder: folder.path + "/work",
            dataFolder: folder.path + "/data",
            meshFolder: folder.path + "/run"
        )
        options(&settings)
        host = PluginHost(
            settings,
            control: MeshControl(mesh),
            launcher: try Self.launcher.get(),
            sources: {
                plugins.map { plugin in
                    var source = PluginSource(folder: plugin.folder)
                    source.name = plugin.name
                    source.enforcement = .off
                    change(&source)
                    return source
                }
            },
            event: { [log] in log.take($0) }
        )
    }

    /// The real launcher, once for all stages: what the machine has is looked at once.
    static let launcher: Result<any ProcessLauncher, any Error> = Result {
        let folder = try StagePlugin.rogue.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        return SystemLauncher(.init(launcher: folder.joined(separator: "/") + "/wizmesh-launch"))
    }

    subscript(_ name: String) -> StagePlugin {
        get throws { try #require(plugins.first { $0.name == name }) }
    }

    /// Ends everything.
    func end() async {
        await host.stop()
        await host.closeControl()
        await client.close()
        await broker.stop()
    }

    /// Waits until a plugin is in one of some states.
    ///
    /// - Throws: that it is in none of them after the bound.
    func until(_ plugin: String, _ states: PluginState..., within bound: Duration = .seconds(30)) async throws {
        try await log.wait("\(plugin) is \(states.map(\.rawValue).joined(separator: " or "))", within: bound) { _ in
            self.log.changes(plugin).last.map(states.contains) ?? false
        }
    }

    struct Answer: Decodable, Sendable {
        var key: String
        var count: Int
        var version: String
        var generation: Int
        var instance: String
        var process: Int32
    }

    /// Calls a method of a service.
    func call(
        _ service: String = "rogue",
        _ method: String = "count",
        key: String = "k",
        range: String = "",
        deadline: Duration = .seconds(5)
    ) async throws -> Answer {
        let reply = try await client.call(
            .service(service, range: range, method: method),
            payload: try .json(["key": key]),
            options: CallOptions(deadline: deadline)
        )
        return try reply.payload.decode(Answer.self)
    }
}

/// Whether a process is there (a zombie is not).
func isAlive(_ process: Int32) -> Bool { kill(process, 0) == 0 }
