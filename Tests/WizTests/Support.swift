// What tests share that run programs: where the programs are that were built beside them, folders of their own, plugins in
// them, and processes whose output is waited for.

import Dispatch
import Glibc
import Synchronization
import Testing

@testable import wiz

/// What was built beside these tests, and where they come from.
enum Built {
    /// The repository.
    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// Where the programs are.
    static let products: Result<String, any Error> = Result {
        let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") })
        return bundle.lastIndex(of: "/").map { String(bundle[..<$0]) } ?? "."
    }

    /// The program of a name.
    static func program(_ name: String) throws -> String { try products.get() + "/" + name }
}

/// A folder of a test's own, which is removed with it.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/wiz-test-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template).map { String(cString: $0) })
        path = try #require(resolved(made))
        // Where these tests run as root, plugins run as somebody else.
        chmod(path, 0o755)
    }

    deinit { removeTree(path) }

    /// The whole path of something in it; its folder is made.
    func at(_ name: String) -> String {
        var folder = path
        for step in name.split(separator: "/").dropLast() {
            folder += "/" + step
            mkdir(folder, 0o755)
        }
        return path + "/" + name
    }

    /// Writes a file in one step, as editors and builds do.
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        let draft = at(name) + ".new"
        try writeFile(Array(text.utf8), to: draft)
        chmod(draft, mode)
        try #require(rename(draft, at(name)) == 0)
    }

    /// The text of a file.
    func text(_ name: String) throws -> String { String(decoding: try readFile(at(name)), as: UTF8.self) }

    /// A plugin that ships, with the program that was built beside these tests, in the folder `plugins/NAME`.
    func plugin(_ name: String, version: String? = nil) throws {
        try write("plugins/\(name)/plugin.json", try Self.manifest(name, version: version))
        try copyProgram(Built.program(name), to: at("plugins/\(name)/bin/\(name)"))
    }

    /// The manifest of a plugin that ships.
    static func manifest(_ name: String, version: String? = nil) throws -> String {
        let text = String(decoding: try readFile(Built.root + "/plugins/\(name)/plugin.json"), as: UTF8.self)
        return version.map { text.replacingAll(#""version": "1.0.0""#, with: #""version": "\#($0)""#) } ?? text
    }
}

/// Links a program to another place, or copies it there.
func copyProgram(_ source: String, to target: String) throws {
    if link(source, target) == 0 { return }
    try writeFile(try readFile(source), to: target)
    chmod(target, 0o755)
}

/// The bytes of a file.
func readFile(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    try #require(descriptor >= 0, "\(path) is not there")
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while case let count = read(descriptor, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return bytes
}

/// Writes a whole file.
func writeFile(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    try #require(descriptor >= 0, "\(path) cannot be written")
    defer { close(descriptor) }
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        try #require(count > 0)
        rest = rest.dropFirst(count)
    }
}

/// What did not come in time.
struct NotSeen: Error, CustomStringConvertible {
    let description: String
}

/// A process of `wiz`, whose output and end can be waited for.
final class WizProcess: Sendable {
    private struct State {
        var output = ""
        /// How much of the output was looked through.
        var seen = 0
        var code: Int32?
        /// Counts up with everything that may be waited for.
        var version = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// What is known of it.
    ///
    /// The thread that reads keeps this alone, so that the test's folder goes with the test.
    private final class Journal: Sendable {
        let state = Mutex(State())

        func wake(_ change: (inout State) -> Void) {
            let waiters = state.withLock { state in
                change(&state)
                state.version += 1
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }

    private let journal = Journal()
    private let process: pid_t
    private let folder: TestFolder

    /// Everything that it wrote.
    var output: String { journal.state.withLock { $0.output } }

    /// Starts it in a folder, with a run folder there unless the environment is to say otherwise.
    init(
        program: String? = nil,
        _ arguments: [String],
        in folder: TestFolder,
        at place: String? = nil,
        environment: [String]? = nil
    ) throws {
        let program = try program ?? Built.program("wiz")
        let shell = ["sh", "-c", #"cd "$1" && shift && exec "$@""#, "sh", place ?? folder.path, program]
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let environment = ["PATH=\(path)", "NO_COLOR=1"] + (environment ?? ["WIZ_RUN=\(folder.path)/run"])
        let (process, source) = try Self.spawning.withLock { _ in try Self.spawn(shell + arguments, environment) }
        self.process = process
        self.folder = folder
        // Reading blocks a thread, which is none of those that tests run on.
        DispatchQueue(label: "wiz-test").async { [journal] in Self.read(source, of: process, journal) }
    }

    /// One at a time, so that none inherits the pipe of another.
    private static let spawning = Mutex<Void>(())

    private static func spawn(_ words: [String], _ environment: [String]) throws -> (process: pid_t, output: Int32) {
        var pipes: [Int32] = [0, 0]
        try #require(pipe(&pipes) == 0)
        defer { close(pipes[1]) }
        for pipe in pipes { _ = fcntl(pipe, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 2)
        var arguments = words.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for word in arguments + variables { free(word) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, "/bin/sh", &actions, nil, &arguments, &variables)
        guard result == 0 else {
            close(pipes[0])
            throw NotSeen(description: "nothing can be started: \(String(cString: strerror(result)))")
        }
        return (process, pipes[0])
    }

    /// Sends it a signal.
    func signal(_ number: Int32) {
        journal.state.withLock { if $0.code == nil { kill(process, number) } }
    }

    private static func read(_ source: Int32, of process: pid_t, _ journal: Journal) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = Glibc.read(source, &buffer, buffer.count), count > 0 {
            let text = String(decoding: buffer[..<count], as: UTF8.self)
            journal.wake { $0.output += text }
        }
        close(source)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        journal.wake { $0.code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F }
    }

    /// Waits until it writes something, after what was seen before.
    func see(_ text: String, within bound: Duration = .seconds(20)) async throws {
        let isThere = await holds(within: bound) { state in
            guard let range = state.output.utf8.dropFirst(state.seen).firstRange(of: text.utf8) else {
                return state.code == nil ? nil : false
            }
            state.seen = state.output.utf8.distance(from: state.output.startIndex, to: range.upperBound)
            return true
        }
        guard isThere else { throw NotSeen(description: "\"\(text)\" was not written; all that was:\n\(output)") }
    }

    /// Waits for its end; gives its exit code.
    @discardableResult
    func end(within bound: Duration = .seconds(30)) async throws -> Int32 {
        let hasEnded = await holds(within: bound) { $0.code == nil ? nil : true }
        guard hasEnded, let code = journal.state.withLock({ $0.code }) else {
            signal(SIGKILL)
            throw NotSeen(description: "it did not end; all that it wrote:\n\(output)")
        }
        return code
    }

    /// Runs it beside a body, interrupts it, and looks at its exit code; it never outlives the body.
    static func beside(
        _ arguments: [String],
        in folder: TestFolder,
        code: Int32 = 0,
        _ body: (WizProcess) async throws -> Void
    ) async throws {
        let process = try WizProcess(arguments, in: folder)
        do {
            try await body(process)
        } catch {
            process.signal(SIGTERM)
            _ = try? await process.end()
            throw error
        }
        process.signal(SIGINT)
        let end = try await process.end()
        #expect(end == code, "\(process.output)")
    }

    /// Whether a condition is decided, and comes out true, within a bound.
    private func holds(within bound: Duration, _ condition: (inout State) -> Bool?) async -> Bool {
        let end = ContinuousClock.now + bound
        let clock = Task { [journal] in
            try await Task.sleep(until: end, clock: .continuous)  // allowed: the clock of a bounded wait
            journal.wake { _ in }
        }
        defer { clock.cancel() }
        while true {
            let (answer, version) = journal.state.withLock { (condition(&$0), $0.version) }
            if let answer { return answer }
            guard ContinuousClock.now < end else { return false }
            await withCheckedContinuation { continuation in
                let isNew = journal.state.withLock { state in
                    if state.version == version { state.waiters.append(continuation) }
                    return state.version != version
                }
                if isNew { continuation.resume() }
            }
        }
    }

    /// Runs it to its end.
    static func run(
        _ arguments: String...,
        in folder: TestFolder,
        at place: String? = nil
    ) async throws -> (output: String, code: Int32) {
        let process = try WizProcess(arguments, in: folder, at: place)
        let code = try await process.end()
        return (process.output, code)
    }
}
