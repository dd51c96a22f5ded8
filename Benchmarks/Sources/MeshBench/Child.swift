// The processes of a run: started with posix_spawn from this executable or from a given path, spoken with by lines on
// their standard output, ended by their ids.

import Glibc

/// A process that this one started.
final class Child {
    let process: pid_t
    private let output: Int32
    private var pending: [UInt8] = []
    private var isOver = false

    /// Starts a program.
    /// - Parameters:
    ///   - arguments: its path and arguments.
    ///   - environment: set on top of this process's.
    /// - Throws: when it does not start.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw BenchError("no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        var variables = Child.environment()
        for (name, value) in environment { variables[name] = value }
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var process: pid_t = 0
        let result = posix_spawnp(&process, arguments[0], &actions, nil, argv, envp)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            throw BenchError("\(arguments[0]) does not start: \(String(cString: strerror(result)))")
        }
        self.process = process
        output = ends[0]
    }

    private static func environment() -> [String: String] {
        var variables: [String: String] = [:]
        var pointer = environ
        while let entry = pointer.pointee {
            let text = String(cString: entry)
            if let split = text.firstIndex(of: "=") {
                variables[String(text[..<split])] = String(text[text.index(after: split)...])
            }
            pointer = pointer.advanced(by: 1)
        }
        return variables
    }

    /// The next line of its output; nil at the end.
    func line() -> String? {
        while true {
            if let end = pending.firstIndex(of: 10) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeSubrange(...end)
                return line
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            pending.append(contentsOf: buffer[..<count])
        }
    }

    /// Waits for the line by which a server says that it serves; the words after `ready`.
    @discardableResult
    func awaitReady() throws -> [String] {
        while let line = line() {
            let words = line.split(separator: " ").map(String.init)
            if words.first == "ready" { return Array(words.dropFirst()) }
        }
        throw BenchError("process \(process) ended before it was ready")
    }

    /// Waits for the one line of numbers that a driver prints, and for its end.
    func numbers() throws -> [String: Double] {
        let line = self.line()
        let status = wait()
        guard let line, status == 0 else { throw BenchError("a driver failed (status \(status))") }
        var numbers: [String: Double] = [:]
        let words = line.split(separator: " ")
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            numbers[String(words[index])] = Double(words[index + 1])
        }
        return numbers
    }

    /// Ends the process and waits for it.
    func end(_ signal: Int32 = SIGTERM) {
        guard !isOver else { return }
        kill(process, signal)
        _ = wait()
    }

    /// Waits for the process's end.
    @discardableResult
    func wait() -> Int32 {
        guard !isOver else { return 0 }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        isOver = true
        return status
    }

    deinit {
        end(SIGKILL)
        close(output)
    }
}
