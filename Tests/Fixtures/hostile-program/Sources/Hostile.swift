// A program that does what no plugin should: each behaviour is its first argument. Tests run it in sandboxes.

import CLinuxShims
import Glibc

@main
enum Hostile {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        say("begin")
        switch arguments.first ?? "" {
        case "exit": exit(Int32(arguments.dropFirst().first ?? "") ?? 0)
        case "hog": hog()
        case "spin": while true { _ = getpid() }
        case "bomb": bomb()
        case "deaf":
            signal(SIGTERM, SIG_IGN)
            say("deaf")
            wait()
        case "polite":
            signal(SIGTERM) { _ in _exit(0) }
            say("polite")
            wait()
        case "wait", "stay": wait()
        case "flood": flood()
        case "mute": mute(arguments.dropFirst().first ?? "/data/mute")
        case "leave": leave()
        case "brood": brood()
        case "crash":
            say("last words", to: STDERR_FILENO)
            raise(SIGKILL)
            fatalError("crash")
        case "input": input()
        case "roam": roam()
        case "write": fill(arguments.dropFirst().first ?? "/tmp")
        default: exit(64)
        }
    }

    static func say(_ text: String, to file: Int32 = STDOUT_FILENO) {
        _ = (text + "\n").utf8CString.withUnsafeBytes { write(file, $0.baseAddress, $0.count - 1) }
    }

    private static func wait() -> Never {
        while true { pause() }
    }

    /// Takes memory and touches it, 8 MB each 20 ms.
    private static func hog() {
        let size = 8 << 20
        while true {
            guard let memory = malloc(size) else {
                say("no more memory")
                wait()
            }
            memset(memory, 1, size)
            usleep(20_000)  // allowed: a process that does its harm at a pace
        }
    }

    /// Starts processes that start processes, and goes on when it may not.
    private static func bomb() {
        while true { _ = spawn(["bomb"]) }
    }

    /// Tells the processors that it has, and tries to have all.
    private static func roam() {
        var processors = [Int32](repeating: 0, count: Int(wiz_max_processors()))
        let count = Int(max(0, wiz_allowed_processors(&processors, Int32(processors.count))))
        say("has \(processors.prefix(count).map(String.init).joined(separator: ","))")
        let all = Array(0..<wiz_max_processors())
        say("takes all: \(wiz_set_processors(all, Int32(all.count)))")
    }

    private static func flood() {
        let line = [UInt8](repeating: 0x61, count: 65_535) + [0x0A]
        while write(STDOUT_FILENO, line, line.count) > 0 {}
    }

    /// Closes its outputs, makes a file that tells so, and ends when nobody holds its input any more.
    private static func mute(_ sign: String) {
        close(STDERR_FILENO)
        close(STDOUT_FILENO)
        close(open(sign, O_CREAT | O_WRONLY, 0o600))
        while readLine() != nil {}
    }

    /// Starts a process in a session of its own, and leaves it when it is told to end.
    private static func leave() {
        signal(SIGTERM) { _ in _exit(0) }
        _ = spawn(["stay"], session: true)
        say("left")
        wait()
    }

    /// Deaf to SIGTERM, with a child in a session of its own.
    private static func brood() {
        signal(SIGTERM, SIG_IGN)
        _ = spawn(["deaf"], session: true)
        wait()
    }

    private static func input() {
        say("read \(readLine() ?? "nothing")")
        say("then \(readLine() ?? "the end")")
    }

    private static func fill(_ folder: String) {
        let file = open(folder + "/full", O_CREAT | O_WRONLY, 0o600)
        guard file >= 0 else { return say("open \(errno)") }
        signal(SIGXFSZ, SIG_IGN)
        let block = [UInt8](repeating: 1, count: 1 << 20)
        var total = 0
        while true {
            let count = write(file, block, block.count)
            guard count > 0 else { return say("wrote \(total) error \(errno)") }
            total += count
        }
    }

    private static func spawn(_ words: [String], session: Bool = false) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // POSIX_SPAWN_SETSID is behind a feature macro.
        if session { posix_spawnattr_setflags(&attributes, 0x80) }
        let program = "/proc/self/exe"
        var pointers: [UnsafeMutablePointer<CChar>?] = (["hostile"] + words).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        return posix_spawn(&process, program, nil, &attributes, &pointers, environ)
    }
}
