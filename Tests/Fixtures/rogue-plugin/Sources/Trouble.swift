// The misdeeds that need no mesh: processors, memory, output, children, ends.

import CLinuxShims
import Glibc
import Synchronization

func waitForEver() -> Never {
    while true { pause() }
}

/// Never returns, and does not heed a cancellation.
func sleepForEver() async {
    await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
}

/// A child's life: it waits, and ends by itself after two minutes so that a failed test leaves nothing behind.
func idle() -> Never {
    alarm(120)
    waitForEver()
}

func endBySignal(_ number: Int32) -> Never {
    signal(number, SIG_DFL)
    wiz_unblock_signals(wiz_signal_bit(number))
    kill(getpid(), number)
    // Process 1 of a namespace cannot end itself by a signal; a trap it cannot survive.
    fatalError("signal \(number) did not end it")
}

/// Burns a processor on the present thread; for ever without a bound.
func spin(milliseconds: Int?) {
    let end = milliseconds.map { ContinuousClock.now + .milliseconds($0) }
    var word: UInt64 = 1
    while true {
        for _ in 0..<100_000 { word = word &* 6_364_136_223_846_793_005 &+ 1 }
        burnt.store(word, ordering: .relaxed)
        if let end, ContinuousClock.now > end { return }
    }
}

private let burnt = Atomic<UInt64>(0)

/// Runs something on a thread of its own.
func onThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var handle: UInt64 = 0
    let context = Unmanaged.passRetained(Box(body))
    let result = wiz_thread_start(
        &handle,
        256 << 10,
        { context in
            if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        },
        context.toOpaque()
    )
    if result == 0 { wiz_thread_detach(handle) } else { context.release() }
}

/// Takes memory, touches every page of it, and never gives it back.
/// - Returns: whether there was as much.
@discardableResult
func eat(megabytes: Int) -> Bool {
    let count = megabytes << 20
    // Not malloc: an optimised build would leave out an allocation that nobody reads.
    let memory = mmap(nil, max(0, count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return false }
    for offset in stride(from: 0, to: count, by: 4096) {
        memory.storeBytes(of: UInt8.random(in: 1...255), toByteOffset: offset, as: UInt8.self)
    }
    return true
}

func eatForEver(megabytes: Int) {
    while true {
        if !eat(megabytes: megabytes) { say("no more memory") }
        usleep(20_000)  // allowed: it is told to
    }
}

func flood(_ descriptor: Int32, megabytes: Int, inOneLine: Bool = false) {
    var line = Array(String(repeating: "all work and no play ", count: 48).utf8)
    line.append(UInt8(ascii: inOneLine ? " " : "\n"))
    var left = megabytes << 20
    while left > 0 {
        let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard written > 0 || errno == EINTR else { return }
        left -= max(0, written)
    }
}

/// POSIX_SPAWN_SETSID, which glibc shows to GNU sources only.
private let newSession: Int16 = 0x80

/// Starts a child in a session of its own that holds none of this process's files.
/// - Returns: its id; nil when it could not be started.
@discardableResult
func spawnIdle() -> Int32? {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, newSession)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor in 0...2 as ClosedRange<Int32> {
        posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
    }
    for descriptor in 3..<1024 as Range<Int32> { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    let mark = getenv("ROGUE_MARK").map { String(cString: $0) } ?? "-"
    let words = ["rogue-plugin", "idle", mark]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var child: Int32 = 0
    guard posix_spawn(&child, "/proc/self/exe", &actions, &attributes, &arguments, environ) == 0 else { return nil }
    return child
}

/// Starts children that sleep.
/// - Returns: how many there are.
@discardableResult
func swarm(_ count: Int) -> Int {
    let started = (0..<max(0, count)).count { _ in spawnIdle() != nil }
    say("\(started) of \(count) children were started")
    return started
}

/// Starts children without end.
func bomb(atMost count: Int) -> Never {
    var living = 0
    while true {
        while living < count, spawnIdle() != nil { living += 1 }
        var status: Int32 = 0
        while waitpid(-1, &status, WNOHANG) > 0 { living -= 1 }
    }
}
