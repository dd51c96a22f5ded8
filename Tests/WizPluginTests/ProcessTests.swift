// The plugin echo as a process of its own: what ends it, and with which code.

import Glibc
import Synchronization
import Testing
import WizPlugin

@Suite(.timeLimit(.minutes(1)), .serialized)
struct ProcessTests {
    static let folder = PluginInfoTests.root + "/plugins/echo"

    @Test func `SIGTERM ends it in good order`() async throws {
        try await withMesh { mesh in
            let process = try EchoProcess(mesh.endpoint, folder: Self.folder)
            try await mesh.awaitService("echo")
            #expect(try await mesh.call("echo", "say", ["a": 1]) == ["a": 1])
            kill(process.id, SIGTERM)
            #expect(await process.end() == 0)
        }
    }

    @Test func `the end of standard input ends it when it has a host`() async throws {
        try await withMesh { mesh in
            let process = try EchoProcess(mesh.endpoint, folder: Self.folder, variables: ["WIZ_HOST=1"])
            try await mesh.awaitService("echo")
            process.closeInput()
            #expect(await process.end() == 0)
        }
    }

    @Test func `a second signal ends it at once`() async throws {
        try await withMesh { mesh in
            let process = try EchoProcess(mesh.endpoint, folder: Self.folder)
            try await mesh.awaitService("echo")
            let options = CallOptions(deadline: .seconds(30))
            let sleep = Task { try await mesh.call("echo", "sleep", ["milliseconds": 30_000], options: options) }
            var isRunning = false
            while !isRunning {
                let calls = try await mesh.call("mesh", "calls")
                isRunning = calls["items"]?.array?.contains { $0["method"] == "sleep" } ?? false
            }
            kill(process.id, SIGTERM)
            kill(process.id, SIGINT)
            let code = await process.end()
            #expect(code == 128 + SIGTERM || code == 128 + SIGINT)
            await #expect(throws: MeshError.self) { try await sleep.value }
        }
    }

    @Test func `without plugin.json it ends with 78`() async throws {
        let process = try EchoProcess("ipc:///tmp/none/mesh.sock", folder: "/tmp")
        #expect(await process.end() == 78)
    }

    @Test func `a setting of the wrong type ends it with 78`() async throws {
        try await withMesh { mesh in
            let setting = #"WIZ_PLUGIN_CONFIG={"capacity":"many"}"#
            let process = try EchoProcess(mesh.endpoint, folder: Self.folder, variables: [setting])
            #expect(await process.end() == 78)
        }
    }
}

/// The program echo, next to this test's own.
final class EchoProcess: Sendable {
    let id: Int32
    private let input: Mutex<Int32>

    init(_ endpoint: String, folder: String, variables: [String] = []) throws {
        var pipes: [Int32] = [0, 0]
        let isOpen = pipe(&pipes) == 0
        try #require(isOpen)
        for pipe in pipes { _ = fcntl(pipe, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipes[0], STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        let program = try Self.program()
        var environment = ["WIZ_ENDPOINT=" + endpoint, "WIZ_PLUGIN_FOLDER=" + folder] + variables
        for name in ["LD_LIBRARY_PATH", "PATH"] {
            if let value = getenv(name) { environment.append(name + "=" + String(cString: value)) }
        }
        var arguments = [strdup(program), nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer {
            for pointer in arguments + variables { free(pointer) }
        }
        var id: Int32 = 0
        let result = posix_spawn(&id, program, &actions, nil, &arguments, &variables)
        close(pipes[0])
        self.id = id
        input = Mutex(pipes[1])
        try #require(result == 0)
    }

    deinit { closeInput() }

    private static func program() throws -> String {
        let own = try #require(realpath("/proc/self/exe", nil))
        defer { free(own) }
        // `swift test` may run the bundle through a helper elsewhere: the bundle itself is among the arguments.
        let candidates = [String(cString: own)] + CommandLine.arguments
        for candidate in candidates {
            let folder = candidate.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            let program = folder.joined(separator: "/") + "/echo"
            if program.contains(".build"), access(program, X_OK) == 0 { return program }
        }
        throw MeshError(.notFound, "echo is not next to any of \(candidates)")
    }

    func closeInput() {
        input.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    /// Waits for its end, on a thread of its own; returns the exit code, or 128 and the signal.
    func end() async -> Int32 {
        await withCheckedContinuation { continuation in
            let id = id
            let waiting = Waiting(id, continuation)
            var thread = pthread_t()
            pthread_create(
                &thread,
                nil,
                { argument in
                    if let argument { Unmanaged<Waiting>.fromOpaque(argument).takeRetainedValue().wait() }
                    return nil
                },
                Unmanaged.passRetained(waiting).toOpaque()
            )
            pthread_detach(thread)
        }
    }

    private final class Waiting: Sendable {
        let id: Int32
        let continuation: CheckedContinuation<Int32, Never>

        init(_ id: Int32, _ continuation: CheckedContinuation<Int32, Never>) {
            self.id = id
            self.continuation = continuation
        }

        func wait() {
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7f
            continuation.resume(returning: signal == 0 ? (status >> 8) & 0xff : 128 + signal)
        }
    }
}
