// Where there is no sandbox: the launcher stays as the program's parent and inherits whatever the program leaves behind,
// so that nothing of a plugin outlives it. It ends the rest when the program ends, when it is told to, or with the host.

import CLinuxShims
import Glibc

struct Supervisor {
    let status: Int32
    let failure: Int32

    /// Runs the program to its end, and ends as it did: with its code, or by its signal.
    func run(_ program: [String]) throws(LaunchError) -> Never {
        _ = wiz_set_close_on_exec(status, true)
        _ = wiz_set_close_on_exec(failure, true)
        let signals = wiz_signal_bit(SIGTERM) | wiz_signal_bit(SIGCHLD)
        try check(wiz_block_signals(signals), "blocking signals")
        try check(wiz_set_child_subreaper(), "inheriting orphans")
        try check(wiz_set_parent_death_signal(SIGTERM), "the host's death")
        let child = try spawn(program)
        tell(child)
        _ = write(failure, "+", 1)
        close(failure)
        close(STDIN_FILENO)
        close(STDOUT_FILENO)
        close(STDERR_FILENO)
        let host = getppid()
        while true {
            let signal = wiz_wait_signal(signals, 1000)
            if signal == SIGTERM || getppid() != host {
                endAll()
                end(by: SIGKILL)
            }
            if let end = reap(child) {
                endAll()
                if wiz_status_exited(end) { exit(wiz_status_code(end)) }
                self.end(by: wiz_status_signal(end))
            }
        }
    }

    /// Ends this process by a signal: an exit code could be the program's own.
    private func end(by number: Int32) -> Never {
        signal(number, SIG_DFL)
        _ = wiz_unblock_signals(wiz_signal_bit(number))
        kill(getpid(), number)
        // The first process of a namespace is not ended by its own signals.
        exit(128 + number)
    }

    /// The program with the signals' usual meaning and mask.
    private func spawn(_ program: [String]) throws(LaunchError) -> pid_t {
        guard let path = program.first else { throw LaunchError("no program") }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var child: pid_t = 0
        let code = withArguments(program) { posix_spawn(&child, path, nil, &attributes, $0, environ) }
        guard code == 0 else { throw LaunchError(path, code) }
        return child
    }

    private func tell(_ child: pid_t) {
        let line = "{ \"child-pid\": \(child) }\n"
        _ = line.utf8CString.withUnsafeBytes { write(status, $0.baseAddress, $0.count - 1) }
    }

    /// Waits for every child that has ended; the status of the one that is asked for, if it was among them.
    private func reap(_ child: pid_t) -> Int32? {
        var found: Int32?
        while true {
            var end: Int32 = 0
            let process = waitpid(-1, &end, WNOHANG)
            guard process > 0 else { return found }
            if process == child { found = end }
        }
    }

    /// Kills children, and those that they leave, until there is none.
    private func endAll() {
        while true {
            var end: Int32 = 0
            for process in children() { kill(process, SIGKILL) }
            let process = waitpid(-1, &end, 0)
            if process < 0, errno == ECHILD { return }
        }
    }

    private func children() -> [pid_t] {
        let file = open("/proc/self/task/\(getpid())/children", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ").compactMap {
            pid_t($0)
        }
    }
}
