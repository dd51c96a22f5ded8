// How plugins end that do not want to: each within its bound, with the right cause, and with all that they started.

import CLinuxShims
import Glibc
import Manifest
import Synchronization
import Testing

@testable import PluginHost

@Suite(.enabled(if: sandboxWorks), .timeLimit(.minutes(1)))
struct SandboxEndTests {
    /// Runs to the end, and says how and how long after the start.
    private func run(
        _ order: LaunchOrder,
        _ launcher: SystemLauncher = testLauncher(),
        until line: String? = nil,
        then act: (any RunningProcess) -> Void = { _ in }
    ) async throws -> (end: ProcessEnd, took: Duration, heard: Heard) {
        let heard = Heard()
        let process = try await launcher.launch(order, line: heard.hear)
        if let line { await heard.wait(for: line) }
        let begin = ContinuousClock.now
        act(process)
        let end = await process.end()
        return (end, begin.duration(to: .now), heard)
    }

    @Test func `an exit code is told as it is`() async throws {
        let place = try Place()
        #expect(try await run(place.order(["exit", "3"])).end.cause == .exited(3))
        #expect(try await run(place.order(["exit", "78"])).end.cause == .exited(78))
        #expect(try await run(place.order(["exit", "0"])).end.cause == .exited(0))
    }

    @Test func `an exit code that may be a signal is told as both in a sandbox, and as what it is without one`()
        async throws
    {
        let place = try Place()
        #expect(try await run(place.order(["exit", "137"])).end.cause == .exitedOrSignalled(137))
        #expect(try await run(place.order(["exit", "137"], enforcement: .off)).end.cause == .exited(137))
        #expect(try await run(place.order(["crash"], enforcement: .off)).end.cause == .signalled(SIGKILL))
    }

    @Test func `a crash is told by its signal with the last lines of standard error`() async throws {
        let place = try Place()
        let end = try await run(place.order(["crash"])).end
        // The first process of a namespace cannot kill itself by a signal; the trap after it can.
        let causes = [SIGKILL, SIGILL, SIGTRAP].map { ExitCause.exitedOrSignalled(128 + $0) }
        #expect(causes.contains(end.cause), "\(end.cause)")
        #expect(end.lastLines.first == "last words")
    }

    @Test func `SIGTERM reaches the plugin itself`() async throws {
        let place = try Place()
        let (end, took, _) = try await run(place.order(["polite"], grace: .seconds(20)), until: "polite") {
            $0.terminate()
        }
        #expect(end.cause == .exited(0))
        #expect(took < .seconds(5))
    }

    @Test func `what never heard of SIGTERM ends by it, as it would elsewhere`() async throws {
        let place = try Place()
        let (end, took, _) = try await run(place.order(["wait"], grace: .seconds(20)), until: "begin") {
            $0.terminate()
        }
        #expect(end.cause == .signalled(SIGTERM))
        #expect(took < .seconds(5))
    }

    @Test func `what is deaf to SIGTERM is killed after its grace`() async throws {
        let place = try Place()
        let (end, took, _) = try await run(place.order(["deaf"]), until: "deaf") { $0.terminate() }
        #expect(end.cause == .signalled(SIGKILL))
        #expect(took > .milliseconds(400) && took < .seconds(5))
    }

    @Test func `a memory hog is ended by its limit`() async throws {
        let place = try Place()
        let end = try await run(place.order(["hog"], limits: ProcessLimits(memoryBytes: 64 << 20))).end
        switch end.cause {
        case .outOfMemory(let limit): #expect(limit == 64 << 20)
        case .watchdog(let text): #expect(text.hasPrefix("memory limit (RSS ") && text.contains("> 64 MB, watchdog"))
        default: Issue.record("\(end.cause)")
        }
    }

    @Test(arguments: [Enforcement.require, .off])
    func `one with a share stays on its processors, in a sandbox whatever it tries`(
        _ enforcement: Enforcement
    ) async throws {
        let place = try Place()
        let own = ProcessorRooms.ofHost()
        let width = ProcessorRooms.width(percent: 20, of: own.count)
        let heard = Heard()
        let order = place.order(["roam"], limits: ProcessLimits(cpuPercent: 20), enforcement: enforcement)
        let process = try await testLauncher().launch(order, line: heard.hear)
        #expect(await process.end().cause.isSuccess)
        let lines = heard.texts(.standardOutput)
        let has = try #require(lines.first { $0.hasPrefix("has ") }).dropFirst(4).split(separator: ",")
        let processors = has.compactMap { Int32($0) }
        #expect(processors.count == width && Set(processors).isSubset(of: own), "\(lines)")
        guard width < own.count else { return }
        let mayRoam = enforcement == .off
        #expect(lines.contains("takes all: \(mayRoam ? 0 : -EPERM)"), "\(lines)")
        let line = try #require(process.isolation["cpu"])
        let verb = mayRoam ? "begins on" : "on"
        #expect(line.mechanism?.hasSuffix(", \(verb) \(ProcessorRoom.text(processors))") == true)
    }

    @Test func `an endless loop is held to its share of a core, or ended`() async throws {
        let place = try Place()
        let launcher = testLauncher {
            $0.cpuWindow = .seconds(1)
            $0.watchInterval = .milliseconds(100)
        }
        let heard = Heard()
        let order = place.order(["spin"], limits: ProcessLimits(cpuPercent: 40))
        let process = try #require(try await launcher.launch(order, line: heard.hear) as? SystemProcess)
        if process.group?.controllers.contains(.cpu) == true {
            let root = try #require(process.root)
            let before = ProcessTree.usage(of: root).cpu
            try await Task.sleep(for: .seconds(1))  // allowed: what it uses within a second is measured
            let used = ProcessTree.usage(of: root).cpu - before
            #expect(used < .milliseconds(700))
            // It has all that it may have, and makes way for others; kernels before 5.15 have no such file.
            let files = process.group?.joins.map { $0.replacing("cgroup.procs", with: "cpu.idle") } ?? []
            if let file = files.first(where: { readText($0) != nil }) {
                // The test's own time limit is the bound; the kernel tells nobody.
                while readText(file) != "1\n" { try await Task.sleep(for: .milliseconds(20)) }  // allowed: as said
            } else {
                print("this kernel has no idle groups: making way is not tried")
            }
            process.kill()
            #expect(await process.end().cause == .signalled(SIGKILL))
        } else {
            let end = await process.end()
            guard case .watchdog(let text) = end.cause else {
                Issue.record("\(end.cause)")
                return
            }
            #expect(text.hasPrefix("processor limit ("))
        }
    }

    @Test func `a fork bomb stays within its number of processes and is ended`() async throws {
        let place = try Place()
        let launcher = testLauncher { $0.watchInterval = .milliseconds(50) }
        let heard = Heard()
        let order = place.order(["bomb"], limits: ProcessLimits(processCount: 12))
        let process = try #require(try await launcher.launch(order, line: heard.hear) as? SystemProcess)
        let most = Mutex(0)
        let counting = Task {
            while !Task.isCancelled, let root = process.root {
                let count = ProcessTree.members(of: root).count
                most.withLock { $0 = max($0, count) }
                try? await Task.sleep(for: .milliseconds(20))  // allowed: samples, to the end of the process
            }
        }
        let end = await process.end()
        counting.cancel()
        guard case .watchdog(let text) = end.cause else {
            Issue.record("\(end.cause)")
            return
        }
        #expect(text.hasPrefix("process limit ("))
        // Its own, bubblewrap outside, and room for a relay.
        #expect(most.withLock { $0 } <= 14)
    }

    @Test func `a plugin that prints gigabytes is read in bounds and ends when it is told`() async throws {
        let place = try Place()
        let (end, took, heard) = try await run(place.order(["flood"]), until: "(the line is longer than") { $0.kill() }
        #expect(end.cause == .signalled(SIGKILL))
        #expect(took < .seconds(5))
        #expect(heard.lines.allSatisfy { $0.text.utf8.count < 9000 })
    }

    @Test func `a plugin that closes its outputs is still a plugin that runs`() async throws {
        let place = try Place()
        let launcher = testLauncher()
        let order = place.order(["mute"], permissions: LaunchPermissions(storage: true), grace: .seconds(20))
        let process = try await launcher.launch(order) { _, _ in }
        #expect(await holds { access(place.path + "/data/mute", F_OK) == 0 })
        // For as long as another one lives from its start to its end: it would have ended with its input.
        #expect(try await run(place.order(["exit", "0"]), launcher).end.cause == .exited(0))
        #expect((process as? SystemProcess)?.isEnded == false)
        process.terminate()
        #expect(await process.end().cause == .signalled(SIGTERM))
    }

    @Test(arguments: [Enforcement.require, .off])
    func `what a plugin leaves behind ends with it`(_ enforcement: Enforcement) async throws {
        let place = try Place()
        let heard = Heard()
        let process = try await testLauncher().launch(
            place.order(["leave"], enforcement: enforcement),
            line: heard.hear
        )
        let root = try #require((process as? SystemProcess)?.root)
        await heard.wait(for: "left")
        let members = ProcessTree.members(of: root)
        #expect(members.count >= 3)
        process.terminate()
        let end = await process.end()
        #expect(end.cause == .exited(0))
        for member in members { #expect(isGone(member)) }
    }

    @Test(arguments: [Enforcement.require, .off])
    func `a plugin yields to the mesh, and so does its session`(_ enforcement: Enforcement) async throws {
        let place = try Place()
        let process = try await testLauncher().launch(place.order(["wait"], enforcement: enforcement)) { _, _ in }
        let stat = try #require(readText("/proc/\(process.process)/stat"))
        let fields = try #require(stat.lastIndex(of: ")").map { stat[$0...].split(separator: " ") })
        #expect(Int(fields[17]) == min(19, Int(getpriority(Int32(PRIO_PROCESS.rawValue), 0)) + PluginPriority.nice))
        if enforcement == .require, readText("/proc/self/autogroup")?.hasPrefix("/autogroup-") == true {
            #expect(await holds { readText("/proc/\(process.process)/autogroup")?.contains("nice 5") == true })
        }
        process.kill()
        _ = await process.end()
    }

    @Test func `several may wait for an end, and ending twice is once`() async throws {
        let place = try Place()
        let process = try await testLauncher().launch(place.order(["wait"])) { _, _ in }
        async let first = process.end()
        async let second = process.end()
        process.kill()
        process.kill()
        process.terminate()
        let ends = await [first, second]
        #expect(ends.map(\.cause) == [.signalled(SIGKILL), .signalled(SIGKILL)])
        process.terminate()
    }

    @Test func `a program that is not there, or is none, fails with its name`() async throws {
        let place = try Place()
        let launcher = testLauncher()
        var failure = await #expect(throws: LaunchFailure.self) {
            _ = try await launcher.launch(place.order([], program: "bin/main.sh")) { _, _ in }
        }
        #expect(failure?.kind == .program)
        #expect(failure?.reason == "the program \(place.path)/plugin/bin/main.sh was not found; build the plugin first")
        let path = place.path + "/plugin/main"
        let file = open(path, O_CREAT | O_WRONLY, 0o755)
        _ = write(file, "no program", 10)
        close(file)
        defer { unlink(path) }
        failure = await #expect(throws: LaunchFailure.self) {
            _ = try await launcher.launch(place.order([], program: path)) { _, _ in }
        }
        #expect(failure?.kind == .program)
        #expect(failure?.reason == "the program could not be run: /plugin/main: Exec format error")
    }

    @Test func `where no sandbox can be made, require refuses and prefer says what is not enforced`() async throws {
        let place = try Place()
        let launcher = testLauncher { $0.bubblewrap = "/nowhere/bwrap" }
        let failure = await #expect(throws: LaunchFailure.self) {
            _ = try await launcher.launch(place.order(["exit"])) { _, _ in }
        }
        #expect(failure?.kind == .notEnforceable)
        #expect(failure?.reason.contains("bubblewrap is not installed: sudo apt-get install bubblewrap") == true)
        let heard = Heard()
        let process = try await launcher.launch(place.order(["exit", "4"], enforcement: .prefer), line: heard.hear)
        #expect(await process.end().cause == .exited(4))
        #expect(
            process.isolation.notEnforced.map(\.subject) == ["storage", "files", "processes"]
                + (geteuid() == 0 ? [] : ["privileges"])
        )
        #expect(process.isolation["files"]?.description.contains("NOT ENFORCED: bubblewrap is not installed") == true)
        let answers = try await ask(["socket:\(AF_INET):1:0"], in: place, enforcement: .prefer, launcher: launcher)
        #expect(answers["socket:\(AF_INET):1:0"] == "EACCES")
    }

    @Test(arguments: [Enforcement.require, .off])
    func `a plugin and its children end with a host that is killed`(_ enforcement: Enforcement) async throws {
        let place = try Place()
        let host = try HostProgram([
            fixture("wizmesh-launch"), place.path, enforcement.rawValue, fixture("hostile-program"), "brood",
        ])
        let words = try #require(await host.readLine()).split(separator: " ")
        let child = try #require(words.first == "child" ? words.last.flatMap { Int32($0) } : nil)
        #expect(await holds { ProcessTree.members(of: child).count == 2 })
        let members = ProcessTree.members(of: child)
        host.kill()
        #expect(await holds { members.allSatisfy(isGone) })
    }
}

/// Why there is no test as another user here; nil where there is one.
private let otherUserProblem: String? = {
    if geteuid() != 0 { return "the tests run as an ordinary user: all of them are this test" }
    return access("/usr/bin/setpriv", X_OK) == 0 ? nil : "there is no setpriv"
}()

@Suite(.enabled(if: sandboxWorks), .timeLimit(.minutes(1)))
struct SandboxUserTests {
    @Test(.enabled(if: otherUserProblem == nil, Comment(rawValue: otherUserProblem ?? "")))
    func `a host that is an ordinary user makes the same sandbox`() async throws {
        let place = try Place()
        let host = try HostProgram(
            [
                "--reuid=1000", "--regid=1000", "--clear-groups", fixture("sandbox-host"), fixture("wizmesh-launch"),
                place.path,
                "require", fixture("hostile-program"), "deaf",
            ],
            program: "/usr/bin/setpriv"
        )
        defer { host.kill() }
        let words = try #require(await host.readLine()).split(separator: " ")
        let child = try #require(words.first == "child" ? words.last.flatMap { Int32($0) } : nil, "\(words)")
        let status = try #require(readText("/proc/\(child)/status"))
        #expect(status.contains("Uid:\t1000\t1000\t1000\t1000"))
        #expect(status.contains("CapEff:\t0000000000000000"))
        #expect(status.contains("Seccomp:\t2"))
    }

    @Test(.enabled(if: geteuid() == 0, "only root gives plugins another user"))
    func `a host that is root gives its plugins another user, whatever the folders above forbid`() async throws {
        let place = try Place()
        chmod(place.path, 0o700)
        let heard = Heard()
        let process = try await testLauncher { $0.account = (uid: 4711, gid: 4712) }
            .launch(place.order(["deaf"], permissions: LaunchPermissions(storage: true)), line: heard.hear)
        let status = try #require(readText("/proc/\(process.process)/status"))
        #expect(status.contains("Uid:\t4711\t4711\t4711\t4711"))
        #expect(status.contains("Gid:\t4712\t4712\t4712\t4712"))
        process.kill()
        _ = await process.end()
    }
}

/// A program that starts plugins, as a child of the test.
final class HostProgram {
    private let process: pid_t
    private let output: Int32

    init(_ arguments: [String], program: String = fixture("sandbox-host")) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Place.Broken() }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        var pointers: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, &actions, nil, &pointers, environ)
        close(ends[1])
        output = ends[0]
        self.process = process
        guard code == 0 else { throw Place.Broken() }
    }

    deinit { close(output) }

    /// Reads on a thread of its own: the wait must not take one of the few that run tests.
    func readLine() async -> String? {
        await withCheckedContinuation { continuation in
            Worker.start(name: "host-line") { [output] in continuation.resume(returning: Self.line(output)) }
        }
    }

    private static func line(_ output: Int32) -> String? {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1 {
            if byte == 0x0A { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        return nil
    }

    func kill() {
        _ = wiz_kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
    }
}

/// Waits until something holds, at most five seconds; whether it does.
func holds(_ test: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(5)
    while !test(), ContinuousClock.now < deadline {
        try? await Task.sleep(for: .milliseconds(10))  // allowed: looks again, within a bound
    }
    return test()
}

/// Whether a process has ended, be it that it waits to be waited for.
func isGone(_ process: Int32) -> Bool { wiz_kill(process, 0) == -ESRCH || isZombie(process) }

/// Whether a process has ended and only waits to be waited for.
func isZombie(_ process: Int32) -> Bool {
    guard let text = readText("/proc/\(process)/stat"), let close = text.lastIndex(of: ")") else { return true }
    return text[close...].dropFirst(2).first == "Z"
}
