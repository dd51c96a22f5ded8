// What the sandbox's tests share: a place with a plugin's folder, a broker's socket and storage; what a process wrote; and the
// answers of the launcher's probe from inside a sandbox.

import CLinuxShims
import Glibc
import Manifest
import Synchronization

@testable import PluginHost

/// A temporary folder with what an order names, which ends with this value.
final class Place: Sendable {
    let path: String
    private let listener: Int32

    init() throws {
        var template = Array("/tmp/wiz-place-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw Broken() }
        path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
        for name in ["plugin", "mesh", "other"] {
            mkdir(path + "/" + name, 0o755)
        }
        listener = wiz_listen_unix(path + "/mesh/mesh.sock")
        _ = wiz_set_close_on_exec(listener, true)
        guard let file = fopen(path + "/other/secret", "w") else { throw Broken() }
        fputs("secret", file)
        fclose(file)
    }

    deinit {
        close(listener)
        var list = ["/mesh/mesh.sock", "/other/secret", "/other/other.sock"]
        list += folderNames(path + "/data").map { "/data/" + $0 }
        for name in list { unlink(path + name) }
        for name in ["/plugin", "/mesh", "/other", "/data", ""] { rmdir(path + name) }
    }

    struct Broken: Error {}

    /// An order for the hostile program, or another.
    func order(
        _ arguments: [String],
        program: String = fixture("hostile-program"),
        permissions: LaunchPermissions = LaunchPermissions(),
        limits: ProcessLimits = ProcessLimits(),
        enforcement: Enforcement = .require,
        environment: [String: String] = [:],
        grace: Duration = .milliseconds(500)
    ) -> LaunchOrder {
        LaunchOrder(
            label: "hostile#1@1",
            program: program,
            arguments: arguments,
            folder: path + "/plugin",
            environment: environment,
            permissions: permissions,
            limits: limits,
            enforcement: enforcement,
            meshFolder: path + "/mesh",
            dataFolder: path + "/data",
            grace: grace
        )
    }
}

/// A program that was built beside the tests.
func fixture(_ name: String) -> String {
    guard let own = realpath("/proc/self/exe", nil) else { return name }
    defer { free(own) }
    let path = String(cString: own)
    let beside = path.split(separator: "/").dropLast().joined(separator: "/")
    return "/" + beside + "/" + name
}

/// The launcher that tests use: its own program is beside the tests.
func testLauncher(_ change: (inout SystemLauncher.Configuration) -> Void = { _ in }) -> SystemLauncher {
    var configuration = SystemLauncher.Configuration(launcher: fixture("wizmesh-launch"))
    change(&configuration)
    return SystemLauncher(configuration)
}

/// Keeps lines, and lets tests wait for one.
final class Heard: Sendable {
    struct Line: Sendable {
        let output: HostEvent.Output
        let text: String
    }

    private struct State {
        var lines: [Line] = []
        var waiters: [(test: @Sendable ([Line]) -> Bool, wake: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var lines: [Line] { state.withLock { $0.lines } }
    func texts(_ output: HostEvent.Output) -> [String] { lines.filter { $0.output == output }.map(\.text) }

    var hear: @Sendable (HostEvent.Output, String) -> Void {
        { [self] output, text in
            let woken = state.withLock { state in
                state.lines.append(Line(output: output, text: text))
                let woken = state.waiters.filter { $0.test(state.lines) }
                state.waiters.removeAll { $0.test(state.lines) }
                return woken
            }
            for waiter in woken { waiter.wake.resume() }
        }
    }

    /// Waits for a line; the test's own time limit is the bound.
    func wait(for text: String) async {
        let test: @Sendable ([Line]) -> Bool = { $0.contains { $0.text.contains(text) } }
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if test(state.lines) { return true }
                state.waiters.append((test, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// Runs the launcher's probe in the sandbox of an order, and gives its answers by question.
func ask(
    _ questions: [String],
    in place: Place,
    permissions: LaunchPermissions = LaunchPermissions(),
    limits: ProcessLimits = ProcessLimits(),
    enforcement: Enforcement = .require,
    launcher: SystemLauncher = testLauncher()
) async throws -> [String: String] {
    let heard = Heard()
    let order = place.order(
        ["probe", "--"] + questions,
        program: fixture("wizmesh-launch"),
        permissions: permissions,
        limits: limits,
        enforcement: enforcement
    )
    let process = try await launcher.launch(order, line: heard.hear)
    _ = await process.end()
    var answers: [String: String] = [:]
    for line in heard.texts(.standardOutput) {
        guard let equals = line.lastIndex(of: "=") else { continue }
        answers[String(line[..<equals])] = String(line[line.index(after: equals)...])
    }
    if answers.isEmpty { throw NoAnswer(lines: heard.lines.map(\.text)) }
    return answers
}

struct NoAnswer: Error {
    let lines: [String]
}

/// Whether a sandbox can be made here; says why where it cannot.
let sandboxWorks: Bool = {
    guard access("/usr/bin/bwrap", X_OK) == 0 else {
        print("sandbox tests are left out: bubblewrap is not installed")
        return false
    }
    return true
}()

/// A socket that listens while this value is there.
final class TestServer: Sendable {
    let name: String
    let port: UInt16
    private let file: Int32

    init?(unix path: String) {
        file = wiz_listen_unix(path)
        (name, port) = (path, 0)
        if file < 0 { return nil }
    }

    init?(abstract name: String) {
        file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        (self.name, port) = (name, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            for (index, byte) in bytes.enumerated() { path[index + 1] = byte }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + bytes.count)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(file, $0, length) }
        }
        guard bound == 0, listen(file, 8) == 0 else { return nil }
    }

    /// Listens on the loopback; what connects is answered with `hello`.
    init?(port: UInt16) {
        let file = wiz_listen_loopback(port)
        self.file = file
        guard file >= 0 else { return nil }
        name = ""
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let told = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(file, $0, &length) }
        }
        guard told == 0 else { return nil }
        self.port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(file) }
}

/// The version of Landlock that the kernel has; 0: none.
let landlockVersion = Int(wiz_landlock_version())
