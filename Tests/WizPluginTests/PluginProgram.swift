// The programs of the plugins in this repository, started as processes of their own.

import Glibc
import Synchronization
import Testing
import WizPlugin

/// A plugin's program, next to this test's own.
final class PluginProgram: Sendable {
    let id: Int32
    private let input: Mutex<Int32>

    /// Starts a program.
    /// - Parameters:
    ///   - endpoint: where its broker is.
    ///   - name: the program's.
    ///   - folder: where its plugin.json is.
    ///   - wrapper: a program and its arguments that start it; empty: none.
    ///   - words: its arguments.
    ///   - variables: what it is told beside the endpoint and the folder.
    ///   - line: what is written to its standard input, which then stays open.
    ///   - errors: the file that gets its standard error.
    /// - Throws: when it cannot be started.
    init(
        _ endpoint: String,
        _ name: String = "echo",
        folder: String,
        wrapper: [String] = [],
        words: [String] = [],
        variables: [String] = [],
        line: String? = nil,
        errors: String = "/dev/null"
    ) throws {
        var pipes: [Int32] = [0, 0]
        let isOpen = pipe(&pipes) == 0
        try #require(isOpen)
        for pipe in pipes { _ = fcntl(pipe, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipes[0], STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT, 0o644)
        let command = wrapper + [try Self.program(name)] + words
        var environment = ["WIZ_ENDPOINT=" + endpoint, "WIZ_PLUGIN_FOLDER=" + folder] + variables
        for name in ["LD_LIBRARY_PATH", "PATH"] {
            if let value = getenv(name) { environment.append(name + "=" + String(cString: value)) }
        }
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer {
            for pointer in arguments + variables { free(pointer) }
        }
        var id: Int32 = 0
        let result = posix_spawn(&id, command[0], &actions, nil, &arguments, &variables)
        close(pipes[0])
        self.id = id
        input = Mutex(pipes[1])
        try #require(result == 0)
        guard let line else { return }
        let bytes = Array((line + "\n").utf8)
        let written = bytes.withUnsafeBytes { write(pipes[1], $0.baseAddress, $0.count) }
        try #require(written == bytes.count)
    }

    deinit { closeInput() }

    private static func program(_ name: String) throws -> String {
        let own = try #require(realpath("/proc/self/exe", nil))
        defer { free(own) }
        // `swift test` may run the bundle through a helper elsewhere: the bundle itself is among the arguments.
        let candidates = [String(cString: own)] + CommandLine.arguments
        for candidate in candidates {
            let folder = candidate.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            let program = folder.joined(separator: "/") + "/" + name
            if program.contains(".build"), access(program, X_OK) == 0 { return program }
        }
        throw MeshError(.notFound, "\(name) is not next to any of \(candidates)")
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
