// When a process that ended is started again: exact verdicts for exact ends.

import Manifest
import PluginHost
import Testing

struct SupervisionTests {
    private func end(_ cause: ExitCause, ran: Duration = .seconds(1)) -> Supervision.End {
        Supervision.End(cause: cause, ranFor: ran)
    }

    @Test func `delays begin at 250 ms, double and stop growing at 30 s`() {
        var supervision = Supervision()
        // An end every two minutes, each after a second: never five within a minute.
        let verdicts = (0..<9).map { count in
            supervision.ended(end(.exited(1)), policy: .permanent, now: .seconds(120 * count), jitter: 1)
        }
        let milliseconds = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        #expect(verdicts == milliseconds.map { .restart(after: .milliseconds($0)) })
        #expect(supervision.restarts == 9)
    }

    @Test func `jitter scales the delay`() {
        var supervision = Supervision()
        let verdict = supervision.ended(end(.exited(1)), policy: .permanent, now: .zero, jitter: 0.8)
        #expect(verdict == .restart(after: .milliseconds(200)))
        #expect(supervision.notBefore == .milliseconds(200))
    }

    @Test func `a run of 60 s makes the next failure the first again`() {
        var supervision = Supervision()
        _ = supervision.ended(end(.exited(1)), policy: .permanent, now: .zero, jitter: 1)
        _ = supervision.ended(end(.exited(1)), policy: .permanent, now: .seconds(70), jitter: 1)
        let verdict = supervision.ended(
            end(.exited(1), ran: .seconds(60)),
            policy: .permanent,
            now: .seconds(200),
            jitter: 1
        )
        #expect(verdict == .restart(after: .milliseconds(250)))
    }

    @Test func `the fifth crash within 60 s is a quarantine, a crash of the probe another one`() {
        var supervision = Supervision()
        for second in 0..<4 {
            _ = supervision.ended(end(.exited(1)), policy: .permanent, now: .seconds(10 * second), jitter: 1)
        }
        let fifth = supervision.ended(end(.signalled(11)), policy: .permanent, now: .seconds(40), jitter: 1)
        #expect(fifth == .quarantine)
        #expect(supervision.quarantine?.probeAt == .seconds(340))
        supervision.probe()
        let probe = supervision.ended(end(.exited(1)), policy: .permanent, now: .seconds(341), jitter: 1)
        #expect(probe == .quarantine)
        #expect(supervision.quarantine?.probeAt == .seconds(641))
        supervision.becameReady()
        #expect(supervision.quarantine == nil)
    }

    @Test func `five crashes in more than 60 s are no quarantine`() {
        var supervision = Supervision()
        for second in 0..<20 {
            let verdict = supervision.ended(end(.exited(1)), policy: .permanent, now: .seconds(16 * second), jitter: 1)
            #expect(verdict != .quarantine)
        }
    }

    @Test func `permanent restarts after a good end too, transient does not`() {
        var permanent = Supervision()
        var transient = Supervision()
        #expect(
            permanent.ended(end(.exited(0)), policy: .permanent, now: .zero, jitter: 1)
                == .restart(after: .milliseconds(250))
        )
        #expect(transient.ended(end(.exited(0)), policy: .transient, now: .zero, jitter: 1) == .leave(.finished))
        #expect(
            transient.ended(end(.signalled(9)), policy: .transient, now: .zero, jitter: 1)
                == .restart(after: .milliseconds(250))
        )
    }

    @Test(arguments: [ExitCause.exited(0), .exited(1), .signalled(11), .notStarted("x")])
    func `temporary never restarts`(_ cause: ExitCause) {
        var supervision = Supervision()
        #expect(supervision.ended(end(cause), policy: .temporary, now: .zero, jitter: 1) == .leave(.temporary))
    }

    @Test func `exit 78 is not restarted`() {
        var supervision = Supervision()
        #expect(
            supervision.ended(end(.exited(78)), policy: .permanent, now: .zero, jitter: 1) == .leave(.configuration)
        )
    }

    @Test func `not being ready is no crash: it is tried again when the plugin says, or ever more slowly`() {
        var supervision = Supervision()
        let wish = Supervision.End(
            cause: .exited(75),
            ranFor: .seconds(1),
            notReady: .init(reason: "no model", retryAfter: .seconds(7))
        )
        #expect(
            supervision.ended(wish, policy: .transient, now: .zero, jitter: 1) == .restart(after: .seconds(7))
        )
        for count in 1..<20 {
            let verdict = supervision.ended(end(.exited(75)), policy: .transient, now: .seconds(count), jitter: 1)
            let seconds = min(30, 1 << count)
            #expect(verdict == .restart(after: .seconds(seconds)))
        }
        #expect(supervision.quarantine == nil)
    }

    @Test func `one that asks to be tried again at once without end is tried ever more slowly`() {
        var supervision = Supervision()
        let wish = Supervision.NotReady(reason: "soon", retryAfter: .milliseconds(1))
        func next(ran: Duration) -> Supervision.Verdict {
            // Readiness in between takes nothing back.
            supervision.becameReady()
            let end = Supervision.End(cause: .exited(75), ranFor: ran, notReady: wish)
            return supervision.ended(end, policy: .transient, now: .zero, jitter: 1)
        }
        for _ in 0..<10 { #expect(next(ran: .zero) == .restart(after: .milliseconds(50))) }
        #expect(next(ran: .zero) == .restart(after: .seconds(30)))
        #expect(next(ran: .seconds(60)) == .restart(after: .milliseconds(50)))
    }

    @Test func `causes are told in words`() {
        #expect("\(ExitCause.exited(3))" == "exit 3")
        #expect("\(ExitCause.exited(78))" == "exit 78 (its configuration is wrong)")
        #expect("\(ExitCause.signalled(9))" == "signal 9 (SIGKILL)")
        #expect("\(ExitCause.signalled(64))" == "signal 64")
        #expect("\(ExitCause.exitedOrSignalled(137))" == "exit 137 (perhaps SIGKILL inside the sandbox)")
        #expect("\(ExitCause.exitedOrSignalled(139))" == "exit 139 (perhaps SIGSEGV, or abort, inside the sandbox)")
        #expect("\(ExitCause.exitedOrSignalled(192))" == "exit 192 (perhaps signal 64 inside the sandbox)")
    }
}
