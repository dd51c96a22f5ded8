// The pure parts of the sandbox: the exact words of bubblewrap, the filter, groups in a folder of files, the watchdog's
// judgement, and what is read of /proc and of programs.

import CLinuxShims
import Glibc
import Manifest
import Testing

@testable import PluginHost

struct SandboxPlanTests {
    private static let facts = SandboxFacts(
        bubblewrap: "/usr/bin/bwrap",
        system: [.folder("/usr"), .link("/bin", target: "usr/bin")],
        settings: ["/etc/localtime"],
        networkSettings: ["/etc/resolv.conf"],
        launcher: "/opt/wiz/wizmesh-launch",
        launchFolder: "/tmp/launch",
        temporaryBytes: 1024
    )

    private static func order(
        _ permissions: LaunchPermissions,
        _ limits: ProcessLimits = ProcessLimits()
    ) -> LaunchOrder {
        LaunchOrder(
            label: "echo#1@1",
            program: "main",
            arguments: ["--loud"],
            folder: "/srv/echo",
            permissions: permissions,
            limits: limits,
            meshFolder: "/run/mesh",
            dataFolder: "/var/data/echo"
        )
    }

    private static func program() throws -> ProgramLayout {
        var layout = try ProgramLayout("/bin/sh", folder: "/srv/echo", searchPath: "")
        layout.inside = "/plugin/main"
        layout.bindings = []
        return layout
    }

    @Test func `the words of a sandbox without permissions`() throws {
        let limits = ProcessLimits(memoryBytes: 1 << 20, processCount: 7, openFileCount: 9)
        let plan = SandboxPlan(Self.order(LaunchPermissions(), limits), program: try Self.program(), facts: Self.facts)
        let expected = """
            run --status /tmp/launch/status --failure /tmp/launch/failure --filter /tmp/launch/filter --nice 5 --scope -- \
            /usr/bin/bwrap --unshare-all --unshare-user --disable-userns --uid 1000 --gid 1000 --cap-drop ALL \
            --new-session --die-with-parent --as-pid-1 --hostname plugin --ro-bind /usr /usr --symlink usr/bin /bin \
            --ro-bind-try /etc/localtime /etc/localtime --proc /proc --dev /dev --size 1024 --tmpfs /dev/shm \
            --remount-ro /dev --size 1024 --tmpfs /tmp --ro-bind /srv/echo /plugin --ro-bind /run/mesh /run/wiz \
            --ro-bind /opt/wiz/wizmesh-launch /run/wizmesh-launch --remount-ro / --chdir /plugin --json-status-fd 3 \
            --seccomp 4 -- /run/wizmesh-launch inside --limit core=0 --limit data=270532608 --limit open-files=9 \
            --limit processes=7 -- /plugin/main --loud
            """
        #expect(plan.arguments.joined(separator: " ") == expected)
        #expect(plan.environment["WIZ_DATA"] == nil)
        #expect(plan.environment["HTTPS_PROXY"] == nil)
    }

    @Test func `networking adds the host's network and names, storage a writable folder`() throws {
        let permissions = LaunchPermissions(networking: .all, storage: true)
        let plan = SandboxPlan(Self.order(permissions), program: try Self.program(), facts: Self.facts)
        let words = plan.arguments.joined(separator: " ")
        #expect(words.contains("--unshare-all --share-net --unshare-user"))
        #expect(words.contains("--ro-bind-try /etc/resolv.conf /etc/resolv.conf"))
        #expect(words.contains("--bind /var/data/echo /data"))
        #expect(plan.environment["WIZ_DATA"] == "/data")
    }

    @Test func `networking with hosts keeps the empty network and adds a relay`() throws {
        var facts = Self.facts
        facts.egressFolder = "/tmp/launch/egress"
        let hosts = [try #require(HostPattern("example.org:443"))]
        let order = Self.order(LaunchPermissions(networking: .hosts(hosts)), ProcessLimits(processCount: 7))
        let plan = SandboxPlan(order, program: try Self.program(), facts: facts)
        let words = plan.arguments.joined(separator: " ")
        #expect(!words.contains("--share-net"))
        #expect(words.contains("--ro-bind /tmp/launch/egress /run/egress"))
        #expect(words.contains("--limit processes=8 --relay 3128=/run/egress/proxy.sock"))
        #expect(plan.environment["https_proxy"] == "http://127.0.0.1:3128")
        #expect(plan.environment["WIZ_EGRESS"] == "/run/egress/proxy.sock")
    }

    @Test func `root mounts what the plugin's user could not reach, joins groups and becomes that user`() throws {
        var facts = Self.facts
        facts.account = Account(uid: 65534, gid: 65534)
        facts.stages = true
        facts.joins = ["/sys/fs/cgroup/pids/x/cgroup.procs"]
        facts.processors = [1, 3]
        let words = SandboxPlan(Self.order(LaunchPermissions()), program: try Self.program(), facts: facts).arguments
            .joined(separator: " ")
        #expect(
            words.contains("--join /sys/fs/cgroup/pids/x/cgroup.procs --stage /tmp/launch/stage --mount m0=/srv/echo")
        )
        #expect(words.contains("--account 65534:65534 --nice 5 --processors 1,3 --scope --"))
        #expect(words.contains("--ro-bind /tmp/launch/stage/m0 /plugin --ro-bind /tmp/launch/stage/m1 /run/wiz"))
    }

    @Test(arguments: FilterArchitecture.allCases)
    func `the filter answers each call as it should`(_ architecture: FilterArchitecture) {
        let local = SeccompProgram(architecture, sockets: .local, keepsProcessors: false)
        let internet = SeccompProgram(architecture, sockets: .internet, keepsProcessors: true)
        let (socket, clone, unshare): (UInt32, UInt32, UInt32) =
            architecture == .x86_64 ? (41, 56, 272) : (198, 220, 97)
        func run(_ program: SeccompProgram, _ number: UInt32, _ argument: UInt32 = 0) -> UInt32 {
            evaluate(program, architecture.auditNumber, number, argument)
        }
        let (allow, kill, access, permission): (UInt32, UInt32, UInt32, UInt32) =
            (0x7FFF_0000, 0x8000_0000, 0x0005_000D, 0x0005_0001)
        #expect(run(local, socket, 1) == allow)
        for family: UInt32 in [0, 2, 10, 16, 17, 40] { #expect(run(local, socket, family) == access) }
        for family: UInt32 in [1, 2, 10, 16] { #expect(run(internet, socket, family) == allow) }
        for family: UInt32 in [0, 17, 38, 40] { #expect(run(internet, socket, family) == access) }
        for number: UInt32 in [425, 426, 427] { #expect(run(local, number) == access) }
        #expect(run(local, unshare) == permission)
        let setProcessors: UInt32 = architecture == .x86_64 ? 203 : 122
        #expect(run(local, setProcessors) == allow)
        #expect(run(internet, setProcessors) == permission)
        #expect(run(local, 435) == 0x0005_0026)
        #expect(run(local, clone, 0x1000_0000) == permission)
        #expect(run(local, clone, 0x0001_0000) == allow)
        #expect(run(local, architecture == .x86_64 ? 1 : 64) == allow)
        if architecture == .x86_64 { #expect(run(local, 0x4000_0001) == access) }
        #expect(evaluate(local, 0x4000_0003, 1, 0) == kill)
        #expect(local.bytes.count == local.instructions.count * 8)
    }

    /// Runs a filter as the kernel would.
    private func evaluate(
        _ program: SeccompProgram,
        _ architecture: UInt32,
        _ number: UInt32,
        _ argument: UInt32
    ) -> UInt32 {
        var accumulator: UInt32 = 0
        var next = 0
        while next < program.instructions.count {
            let step = program.instructions[next]
            next += 1
            let passes: Bool
            switch step.code {
            case 0x20:
                accumulator = step.value == 0 ? number : step.value == 4 ? architecture : argument
                continue
            case 0x06: return step.value
            case 0x15: passes = accumulator == step.value
            case 0x35: passes = accumulator >= step.value
            case 0x45: passes = accumulator & step.value != 0
            default: return 0
            }
            next += Int(passes ? step.jumpIfTrue : step.jumpIfFalse)
        }
        return 0
    }

    @Test func `a group of version 2 takes the limits, and tells of memory and refused starts`() throws {
        let tree = try GroupTree()
        tree.write("cgroup.controllers", "cpu memory pids")
        tree.write("cgroup.procs", "\(getpid())\n")
        tree.write("cgroup.type", "domain")
        tree.write("cgroup.subtree_control", "")
        tree.folder("wiz-host", ["cgroup.procs"])
        let groups = ControlGroups(root: tree.path, own: "0::/\n")
        #expect(groups.layout == .unified(parent: tree.path))
        #expect(tree.read("wiz-host/cgroup.procs") == "\(getpid())")
        #expect(groups.reason(.memory) == nil)
        let name = "wizmesh-group"
        let limits = ProcessLimits(memoryBytes: 4096, cpuPercent: 50, processCount: 6)
        // The kernel makes a group's files with it; here they are there first, and the group is made around them.
        tree.folder(
            name,
            [
                "memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight", "cpu.idle", "pids.max",
                "cgroup.kill",
            ]
        )
        let group = ControlGroup(existing: tree.path + "/" + name, limits, processors: 1)
        #expect(group.controllers == [.memory, .cpu, .pids])
        #expect(tree.read(name + "/memory.max") == "4096")
        #expect(tree.read(name + "/memory.swap.max") == "0")
        #expect(tree.read(name + "/memory.oom.group") == "1")
        #expect(tree.read(name + "/cpu.max") == "100000 200000")
        #expect(tree.read(name + "/cpu.weight") == "33")
        group.yieldsToPeers(true)
        #expect(tree.read(name + "/cpu.idle") == "1")
        tree.write(name + "/cpu.weight", "99")
        group.yieldsToPeers(false)
        #expect(tree.read(name + "/cpu.idle") == "0" && tree.read(name + "/cpu.weight") == "33")
        #expect(tree.read(name + "/pids.max") == "8")
        #expect(group.joins == [tree.path + "/wizmesh-group/cgroup.procs"])
        #expect(!group.wasOutOfMemory)
        tree.write(name + "/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 1\n")
        tree.write(name + "/pids.events", "max 5\n")
        #expect(group.wasOutOfMemory)
        #expect(group.refusedStarts == 5)
        group.kill()
        #expect(tree.read(name + "/cgroup.kill") == "1")
    }

    @Test func `a group that others share is left alone, with the reason`() throws {
        let tree = try GroupTree()
        tree.write("cgroup.controllers", "cpu memory pids")
        tree.write("cgroup.procs", "\(getpid())\n99999999\n")
        tree.write("cgroup.type", "domain")
        let groups = ControlGroups(root: tree.path, own: "0::/\n")
        #expect(groups.reason(.cpu)?.hasPrefix("1 other processes are in the control group /") == true)
        #expect(groups.make("x", ProcessLimits(memoryBytes: 1), processors: 1) == nil)
    }

    @Test func `on version 1 each controller is taken where it is free`() throws {
        let tree = try GroupTree()
        for name in ["pids", "cpu", "memory"] { tree.folder(name, ["cgroup.procs"]) }
        let groups = ControlGroups(root: tree.path, own: "8:pids:/\n4:memory:/somebody/else\n1:cpu,cpuacct:/\n0::/\n")
        #expect(
            groups.layout
                == .separate(
                    parents: [.pids: tree.path + "/pids", .cpu: tree.path + "/cpu"],
                    reasons: [
                        .memory:
                            "the memory group /somebody/else belongs to whoever put this machine's processes into it"
                    ]
                )
        )
    }

    @Test func `the watchdog judges memory by two looks and processor time by a window`() {
        let limits = ProcessLimits(memoryBytes: 256 << 20, cpuPercent: 50)
        var meter = UsageMeter(limits, held: [], cpuWindow: .seconds(10))
        let over = UsageSample(memoryBytes: 312 << 20)
        #expect(meter.take(over, at: .milliseconds(250)) == nil)
        #expect(meter.take(UsageSample(memoryBytes: 200 << 20), at: .milliseconds(500)) == nil)
        #expect(meter.take(over, at: .milliseconds(750)) == nil)
        #expect(
            meter.take(over, at: .milliseconds(1000)) == .watchdog("memory limit (RSS 312 MB > 256 MB, watchdog)")
        )
        var held = UsageMeter(limits, held: [.memory, .cpu])
        for step in 1...100 { #expect(held.take(over, at: .seconds(step)) == nil) }
        var spin = UsageMeter(limits, held: [], cpuWindow: .seconds(10))
        for second in 0..<10 { #expect(spin.take(UsageSample(cpu: .seconds(second)), at: .seconds(second)) == nil) }
        #expect(
            spin.take(UsageSample(cpu: .seconds(10)), at: .seconds(10))
                == .watchdog("processor limit (100 % > 50 % for 10 s, watchdog)")
        )
        var calm = UsageMeter(limits, held: [], cpuWindow: .seconds(10))
        for second in 0..<60 {
            #expect(calm.take(UsageSample(cpu: .milliseconds(500 * second)), at: .seconds(second)) == nil)
        }
    }

    @Test func `what takes nearly all of its share makes way, until it took less than half for a second`() {
        var meter = UsageMeter(ProcessLimits(cpuPercent: 50), held: [.cpu])
        func weigh(_ cpu: Int, _ time: Int) -> Bool {
            meter.weigh(UsageSample(cpu: .milliseconds(cpu)), at: .milliseconds(time))
            return meter.isGreedy
        }
        // Its start does not count.
        #expect(!weigh(0, 0) && !weigh(40, 40) && !weigh(150, 250))
        #expect(!weigh(240, 500) && weigh(340, 750))
        // Too soon to tell: a clock of ten milliseconds.
        #expect(weigh(340, 770))
        // It takes more than half, and then stands still until its group lets it go on.
        #expect(weigh(410, 1000) && weigh(410, 1250) && weigh(490, 1500))
        #expect(weigh(490, 1750) && weigh(540, 2250) && !weigh(540, 2500) && !weigh(620, 2750))
    }

    @Test(arguments: [(percent: 5, burst: 10), (percent: 10, burst: 20), (percent: 50, burst: 20)])
    func `who works for a moment now and then does not make way`(_ percent: Int, _ burst: Int) {
        for interval in [50, 250] {
            var meter = UsageMeter(ProcessLimits(cpuPercent: percent), held: [.cpu])
            for step in 0..<100 {
                let cpu = Duration.milliseconds(step * interval / 1000 * burst)
                meter.weigh(UsageSample(cpu: cpu), at: .milliseconds(step * interval))
                #expect(!meter.isGreedy)
            }
        }
        // Where no group holds it, none can make way.
        var free = UsageMeter(ProcessLimits(cpuPercent: percent), held: [])
        for second in 0..<4 { free.weigh(UsageSample(cpu: .seconds(second)), at: .seconds(second)) }
        #expect(!free.isGreedy)
    }

    @Test func `a plugin without a sandbox is told its processors, too`() throws {
        var facts = Self.facts
        facts.processors = [1, 3]
        let plan = BarePlan(Self.order(LaunchPermissions()), program: try Self.program(), facts: facts, isOff: true)
        #expect(plan.arguments.joined(separator: " ").contains("--nice 5 --processors 1,3 "))
    }

    @Test func `groups of two launchers of one host never have one name`() async {
        let made = (0..<2).compactMap { _ in
            ControlGroups(root: "/sys/fs/cgroup").make("twins#1@1", ProcessLimits(processCount: 5), processors: 1)
        }
        for group in made { await group.remove() }
        // None where this user may make none.
        #expect(made.isEmpty || Set(made.map(\.joins)).count == 2)
    }

    @Test func `memory that nears its limit is looked at more often`() {
        var meter = UsageMeter(ProcessLimits(memoryBytes: 256 << 20), held: [])
        func look(_ megabytes: Int64, _ time: Int) -> ExitCause? {
            meter.take(UsageSample(memoryBytes: megabytes << 20), at: .milliseconds(time))
        }
        // Nobody knows yet how fast it is.
        #expect(meter.isPressing && look(100, 0) == nil && meter.isPressing)
        #expect(look(150, 250) == nil && !meter.isPressing)
        // At this pace the next look would find it beyond its limit.
        #expect(look(220, 500) == nil && meter.isPressing)
        var calm = meter
        #expect(calm.takeMemory(UsageSample(memoryBytes: 220 << 20), at: .milliseconds(550)) == nil && !calm.isPressing)
        #expect(
            meter.takeMemory(UsageSample(memoryBytes: 257 << 20), at: .milliseconds(550)) == nil && meter.isPressing
        )
        #expect(meter.takeMemory(UsageSample(memoryBytes: 260 << 20), at: .milliseconds(600)) != nil)
        var held = UsageMeter(ProcessLimits(memoryBytes: 1), held: [.memory])
        #expect(held.take(UsageSample(memoryBytes: 2), at: .zero) == nil && !held.isPressing)
    }

    @Test func `what has used up its share stands still for a tenth of a second, within what the kernel takes`() {
        #expect(ProcessorShare(percent: 50, processors: 1).unified == "100000 200000")
        #expect(ProcessorShare(percent: 150, processors: 2).unified == "600000 400000")
        #expect(ProcessorShare(percent: 5, processors: 1).unified == "5260 105263")
        #expect(ProcessorShare(percent: 1, processors: 1).unified == "1010 101010")
        #expect(ProcessorShare(percent: 99, processors: 1).unified == "990000 1000000")
        #expect(ProcessorShare(percent: 400, processors: 4).unified == "400000 100000")
    }

    @Test func `a share gets the processors that it keeps busy or half of all, those of which the least is promised`() {
        let rooms = ProcessorRooms { [2, 3, 6, 7] }
        let first = rooms.take(percent: 50)
        #expect(first?.processors == [6, 7])
        var second = rooms.take(percent: 150)
        #expect(second?.processors == [2, 3])
        #expect(rooms.take(percent: 250)?.processors == [3, 6, 7])
        #expect(rooms.take(percent: 301) == nil && rooms.take(percent: 102_400) == nil)
        // What was given back is promised anew.
        second = nil
        #expect(second == nil && rooms.take(percent: 1)?.processors == [2, 3])
        #expect(ProcessorRooms { [0] }.take(percent: 10) == nil)
        #expect(ProcessorRooms { [] }.take(percent: 10) == nil)
        #expect(ProcessorRooms { [] }.count > 0)
        let own = ProcessorRooms.ofHost()
        #expect(!own.isEmpty && Set(own).count == own.count)
        withExtendedLifetime(first) {}
    }

    @Test func `processors are told as people write them`() {
        #expect(ProcessorRoom.text([3]) == "processor 3")
        #expect(ProcessorRoom.text([0, 1, 2, 3, 6]) == "processors 0-3,6")
    }

    @Test func `a process that starts others without end is found on a busy machine too, and a full one is let be`() {
        let limits = ProcessLimits(processCount: 12)
        var bomb = UsageMeter(limits, held: [.pids])
        // It does not run between every third look and the next.
        let verdicts = (1...40).map { look in
            bomb.take(UsageSample(taskCount: 12, refusedStarts: look - look / 3), at: .milliseconds(50 * look))
        }
        #expect(
            verdicts.compactMap(\.self).first
                == .watchdog("process limit (12 of 12, and it goes on starting, watchdog)")
        )
        // Where nobody counts what is refused, all places are taken, and a busy machine gives it little time.
        var starved = UsageMeter(limits, held: [])
        let ends = (1...40).map { look in
            let sample = UsageSample(cpu: .milliseconds(look), taskCount: 12, runnableCount: 11)
            return starved.take(sample, at: .milliseconds(50 * look))
        }
        #expect(ends.contains { $0 != nil })
        var calm = UsageMeter(limits, held: [])
        for look in 1...200 {
            let sample = UsageSample(cpu: .milliseconds(look), taskCount: 12, runnableCount: 1)
            #expect(calm.take(sample, at: .milliseconds(50 * look)) == nil)
        }
        var full = UsageMeter(limits, held: [.pids])
        for look in 1...200 {
            let sample = UsageSample(taskCount: 12, refusedStarts: look / 4)
            #expect(full.take(sample, at: .milliseconds(50 * look)) == nil)
        }
    }

    @Test func `what /proc says of a process is read, whatever its name`() throws {
        let text = "42 (a) b) (c) S 1 42 42 0 -1 4194560 100 200 0 0 70 30 5 5 20 0 3 0 1000 1 1"
        let stat = try #require(ProcessTree.Stat(text))
        #expect(stat.threads == 3 && !stat.isRunnable)
        #expect(stat.cpu == .milliseconds(1100))
        #expect(ProcessTree.privatePages("1000 300 100 1 0 200 0") == 200)
        #expect(ProcessTree.Stat("nonsense") == nil)
        let own = ProcessTree.usage(of: getpid())
        #expect(own.taskCount >= 1 && own.memoryBytes > 0)
    }

    @Test func `what becomes of a signal is read from its masks`() throws {
        let state = try #require(
            SignalState("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004000\n")
        )
        #expect(!state.hasDefault(SIGTERM))
        #expect(!state.hasDefault(SIGPIPE))
        #expect(state.hasDefault(SIGHUP))
        #expect(SignalState("nothing") == nil)
    }

    @Test func `a process id is read from a whole line only`() {
        #expect(LaunchFolder.process(in: Array("{ \"child-pid\": 12".utf8)) == nil)
        #expect(LaunchFolder.process(in: Array("{ \"child-pid\": 123 }\n".utf8)) == 123)
        #expect(LaunchFolder.process(in: Array("{ \"other\": 1 }\n{ \"child-pid\": 7, \"net\": 2 }\n".utf8)) == 7)
        #expect(LaunchFolder.process(in: []) == nil)
    }

    @Test func `a program of the tests needs the Swift runtime, and a system program nothing`() throws {
        let path = fixture("hostile-program")
        let image = try #require(ELFImage(reading: path))
        let libraries = ELFImage.libraries(of: path, isSystem: ProgramLayout.isSystem)
        #expect(image.needed.contains("libswiftCore.so") == !libraries.isEmpty)
        #expect(ELFImage.libraries(of: "/bin/sh", isSystem: ProgramLayout.isSystem) == [])
        #expect(ELFImage(reading: "/etc/hostname") == nil)
        #expect(ELFImage(reading: "/nowhere") == nil)
    }

    @Test func `what others made under a launch's name is not swept, nor what it leads to`() throws {
        let place = try Place()
        let victim = place.path + "/other"
        #expect(writeFile(victim + "/status", [1], mode: 0o600))
        let root = geteuid() == 0 ? "/tmp" : getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        // No process has this number.
        let trap = "\(root)/wiz-launch-2147483647-\(getpid())"
        #expect(symlink(victim, trap) == 0)
        defer {
            unlink(trap)
            unlink(victim + "/status")
        }
        LaunchFolder.sweep(isShared: geteuid() == 0)
        #expect(access(victim + "/status", F_OK) == 0)
    }

    @Test func `a program's file cannot have other files shown by calling them its libraries`() throws {
        let place = try Place()
        let secrets = place.path + "/other"
        mkfifo(secrets + "/pipe", 0o600)
        defer { unlink(secrets + "/pipe") }
        for names in [["secret"], ["."], [".."], ["../other/secret"], ["pipe"], ["secret", "pipe", ""]] {
            for folder in [secrets, secrets + "/../other", "/", "$ORIGIN/../other", "other"] {
                let program = place.path + "/plugin/program"
                defer { unlink(program) }
                #expect(writeFile(program, forgedProgram(needs: names, in: folder), mode: 0o755))
                #expect(ELFImage(reading: program)?.needed == names)
                let layout = try ProgramLayout(
                    "program",
                    folder: place.path + "/plugin",
                    searchPath: place.path + "/plugin"
                )
                #expect(layout.bindings.isEmpty, "\(names) in \(folder)")
            }
        }
    }

    @Test func `of an installation right in a home the programs and libraries are shown alone`() throws {
        let place = try Place()
        for name in ["bin", "share"] { mkdir("\(place.path)/other/\(name)", 0o755) }
        defer { for name in ["bin", "share"] { rmdir("\(place.path)/other/\(name)") } }
        let prefix = place.path + "/other"
        #expect(ProgramLayout.installation(prefix, home: place.path) == [prefix + "/bin"])
        #expect(ProgramLayout.installation(prefix, home: "/nowhere") == [prefix])
        #expect(
            ProgramLayout.installation("/home/me/.cargo", home: "/root").allSatisfy { $0.hasPrefix("/home/me/.cargo/") }
        )
    }

    @Test func `a library is shown alone, and not from where plugins write`() throws {
        let place = try Place()
        let library = place.path + "/other/libx.so"
        let program = place.path + "/plugin/program"
        defer { for path in [library, program] { unlink(path) } }
        #expect(writeFile(library, forgedProgram(needs: [], in: "/"), mode: 0o755))
        #expect(writeFile(program, forgedProgram(needs: ["libx.so"], in: place.path + "/other"), mode: 0o755))
        var layout = try ProgramLayout(program, folder: place.path + "/plugin", searchPath: "")
        #expect(layout.bindings == [Binding(source: library, destination: library)])
        // Where the launcher, which is trusted, has it too, the folder is shown instead.
        var whole = layout
        whole.addRuntime(of: program)
        let folder = place.path + "/other"
        #expect(whole.bindings == [Binding(source: folder, destination: folder)])
        layout.leaveOut(place.path)
        #expect(layout.bindings.isEmpty)
    }

    /// The least of an ELF file with a dynamic part that says what its author likes.
    private func forgedProgram(needs names: [String], in folder: String) -> [UInt8] {
        func bytes(_ number: UInt64, _ count: Int = 8) -> [UInt8] {
            (0..<count).map { UInt8(number >> (8 * $0) & 0xFF) }
        }
        var strings: [UInt8] = [0]
        func offset(_ text: String) -> UInt64 {
            defer { strings += Array(text.utf8) + [0] }
            return UInt64(strings.count)
        }
        var entries: [(UInt64, UInt64)] = names.map { (1, offset($0)) }
        entries.append((29, offset(folder)))
        let dynamicSize = UInt64(16 * (entries.count + 2))
        let dynamic = (entries + [(5, 176 + dynamicSize), (0, 0)]).flatMap { bytes($0.0) + bytes($0.1) }
        let size = 176 + dynamicSize + UInt64(strings.count)
        var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file += bytes(3, 2) + bytes(62, 2) + bytes(1, 4) + bytes(0) + bytes(64) + bytes(0) + bytes(0, 4)
        file += bytes(64, 2) + bytes(56, 2) + bytes(2, 2) + bytes(0, 2) + bytes(0, 2) + bytes(0, 2)
        for (kind, start, length) in [(1, 0, size), (2, 176, dynamicSize)] as [(UInt64, UInt64, UInt64)] {
            file += bytes(kind, 4) + bytes(4, 4) + bytes(start) + bytes(start) + bytes(start) + bytes(length)
            file += bytes(length) + bytes(8)
        }
        return file + dynamic + strings
    }

    @Test(.enabled(if: sandboxWorks), .timeLimit(.minutes(1)))
    func `the probe proves every permission and limit, or says why not`() async {
        let findings = await testLauncher().probe()
        #expect(
            findings.map(\.subject) == [
                "networking", "networking with hosts", "storage", "files", "processes", "privileges", "memory", "cpu",
                "pids",
                "open files",
            ]
        )
        for finding in findings { #expect(finding.isProven, "\(finding)") }
        let without = await testLauncher { $0.bubblewrap = "/nowhere/bwrap" }.probe()
        for finding in without.prefix(6) {
            #expect(!finding.isProven && finding.detail.contains("apt-get install bubblewrap"), "\(finding)")
        }
    }

    @Test func `byte counts are said in the largest unit that fits`() {
        #expect(ByteCount.text(256 << 20) == "256 MB")
        #expect(ByteCount.text(3 << 29) == "1.5 GB")
        #expect(ByteCount.text(512) == "512 bytes")
        #expect(ByteCount.text(312 * 1_048_576 + 500_000) == "312 MB")
    }
}

/// A folder of plain files in place of a tree of groups, which ends with this value.
private final class GroupTree {
    let path: String

    init() throws {
        var template = Array("/tmp/wiz-groups-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw Place.Broken() }
        path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    func write(_ name: String, _ text: String) { _ = writeFile(path + "/" + name, Array(text.utf8), mode: 0o644) }
    func read(_ name: String) -> String? { readText(path + "/" + name) }

    func folder(_ name: String, _ files: [String]) {
        mkdir(path + "/" + name, 0o755)
        for file in files { write(name + "/" + file, "") }
    }

    private static func remove(_ path: String) {
        for name in folderNames(path) where unlink(path + "/" + name) != 0 { remove(path + "/" + name) }
        rmdir(path)
    }
}
