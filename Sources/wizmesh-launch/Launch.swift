// Starts one plugin: outside the sandbox it prepares itself (groups, mounts, user, limits, filter) and becomes bubblewrap
// or the program; inside it sets the limits that count within the sandbox and becomes the plugin. One thread, no libraries.

import CLinuxShims
import Glibc

@main
enum Launch {
    /// The descriptors that the host and bubblewrap are told.
    enum Descriptor {
        static let status: Int32 = 3
        static let filter: Int32 = 4
        static let failure: Int32 = 5
    }

    static func main() {
        var failure: Int32 = -1
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            switch options.part {
            case .run:
                if let path = options.failurePath { failure = try open(path, O_WRONLY, as: Descriptor.failure) }
                try run(options)
            case .inside:
                failure = Descriptor.failure
                _ = wiz_set_close_on_exec(failure, true)
                try inside(options)
            case .relay:
                guard let relay = options.relay else { throw LaunchError("no --relay") }
                try Relay(listener: STDIN_FILENO, socket: relay.socket).run()
            case .probe: Inquiry.run(options.program)
            }
        } catch let error as LaunchError {
            tell(error.text, to: failure)
            exit(125)
        } catch {
            exit(125)
        }
    }

    /// Outside: becomes bubblewrap or, supervising, the parent of the program.
    private static func run(_ options: Options) throws(LaunchError) {
        if let path = options.statusPath { _ = try open(path, O_WRONLY, as: Descriptor.status) }
        if let path = options.filterPath { _ = try open(path, O_RDONLY, as: Descriptor.filter) }
        for path in options.joins { try join(path) }
        // Yielding more is always allowed; a plugin of a host that yields itself yields as much more.
        _ = nice(options.nice)
        if !options.processors.isEmpty {
            let code = wiz_set_processors(options.processors, Int32(options.processors.count))
            // They may have gone since the host looked; a plugin that may run on all of them is better than none.
            if code != 0 { tell(LaunchError("keeping to its processors", -code).text, to: -1) }
        }
        if let stage = options.stage { try mount(options.mounts, on: stage) }
        try set(options.limits)
        if let account = options.account {
            try check(wiz_become(account.uid, account.gid), "becoming user \(account.uid)")
        }
        if options.isScoped {
            // A kernel that cannot is told of in the host's report; it is no reason to fail.
            _ = wiz_landlock_scope()
        }
        if options.hasNoNewPrivileges { try check(wiz_set_no_new_privileges(), "giving up new privileges") }
        if options.installsFilter { try installFilter() }
        if options.supervises {
            try Supervisor(status: Descriptor.status, failure: Descriptor.failure).run(options.program)
        } else {
            try become(options.program)
        }
    }

    /// Inside the sandbox: what counts within its user namespace, then the plugin.
    private static func inside(_ options: Options) throws(LaunchError) {
        if let relay = options.relay { try start(relay) }
        try set(options.limits)
        // From here on an end of file without a word is the program's start.
        guard write(Descriptor.failure, "+", 1) == 1 else { throw LaunchError("reporting", errno) }
        try become(options.program)
    }

    private static func join(_ path: String) throws(LaunchError) {
        let file = Glibc.open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw LaunchError("joining \(path)", errno) }
        defer { close(file) }
        guard write(file, "0", 1) == 1 else { throw LaunchError("joining \(path)", errno) }
    }

    /// Puts folders where the plugin's user can reach them, whatever the folders above them forbid.
    private static func mount(_ mounts: [(source: String, name: String)], on stage: String) throws(LaunchError) {
        try check(wiz_unshare_mounts(), "a mount namespace")
        try check(wiz_mount_tmpfs(stage, "mode=755,size=1m"), "mounting on \(stage)")
        for (source, name) in mounts {
            let target = stage + "/" + name
            var status = stat()
            guard stat(source, &status) == 0 else { throw LaunchError(source, errno) }
            if status.st_mode & S_IFMT == S_IFDIR {
                guard mkdir(target, 0o755) == 0 else { throw LaunchError(target, errno) }
            } else {
                let file = Glibc.open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
                guard file >= 0 else { throw LaunchError(target, errno) }
                close(file)
            }
            try check(wiz_mount_bind(source, target), "mounting \(source)")
        }
    }

    private static func set(_ limits: [(resource: Int32, value: UInt64)]) throws(LaunchError) {
        for limit in limits { try check(wiz_set_limit(limit.resource, limit.value), "setting limit \(limit.resource)") }
    }

    private static func installFilter() throws(LaunchError) {
        var program = [UInt8](repeating: 0, count: 64 * 1024)
        let count = read(Descriptor.filter, &program, program.count)
        close(Descriptor.filter)
        try check(wiz_install_seccomp(program, max(0, count)), "the filter of system calls")
    }

    /// Listens first, so that the plugin's first connection waits rather than fails.
    private static func start(_ relay: (port: UInt16, socket: String)) throws(LaunchError) {
        let listener = wiz_listen_loopback(relay.port)
        try check(listener, "listening on 127.0.0.1:\(relay.port)")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, listener, STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let words = [CommandLine.arguments[0], "relay", "--relay", "\(relay.port)=\(relay.socket)"]
        var process: pid_t = 0
        let code = withArguments(words) { posix_spawn(&process, words[0], &actions, nil, $0, environ) }
        guard code == 0 else { throw LaunchError("starting the relay", code) }
        close(listener)
    }

    private static func become(_ program: [String]) throws(LaunchError) {
        guard let path = program.first else { throw LaunchError("no program") }
        _ = withArguments(program) { execv(path, $0) }
        throw LaunchError(path, errno)
    }

    /// Opens a file as a descriptor that the programs it becomes inherit.
    private static func open(_ path: String, _ flags: Int32, as number: Int32) throws(LaunchError) -> Int32 {
        let file = Glibc.open(path, flags)
        guard file >= 0 else { throw LaunchError(path, errno) }
        guard file != number else { return file }
        guard dup2(file, number) == number else { throw LaunchError(path, errno) }
        close(file)
        return number
    }

    private static func tell(_ text: String, to failure: Int32) {
        let line = failure >= 0 ? text : "wizmesh-launch: \(text)\n"
        _ = line.utf8CString.withUnsafeBytes {
            write(failure >= 0 ? failure : STDERR_FILENO, $0.baseAddress, $0.count - 1)
        }
    }
}

/// Lends words as the array of C strings that exec and spawn take.
func withArguments<Result>(
    _ words: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { buffer in
        // The array is never empty, so that it has an address.
        body(buffer.baseAddress.unsafelyUnwrapped)
    }
}
