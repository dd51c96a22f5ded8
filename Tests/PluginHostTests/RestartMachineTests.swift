// The restart policy as a pure machine: exact decisions for exact ends.

import Manifest
import PluginHost
import Testing

struct RestartMachineTests {
    private let short = Duration.seconds(1)

    @Test func `delays begin at 250 ms, double and stop growing at 30 s`() {
        var machine = RestartMachine(.permanent)
        let delays = (0..<9).map { _ in machine.ended(.exited(1), ranFor: short) }
        let milliseconds = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        #expect(delays == milliseconds.map { .restart(after: .milliseconds($0)) })
        #expect(machine.restarts == 9)
    }

    @Test func `a run of 60 s makes the next failure the first again`() {
        var machine = RestartMachine(.permanent)
        _ = machine.ended(.exited(1), ranFor: short)
        _ = machine.ended(.exited(1), ranFor: short)
        #expect(machine.ended(.exited(1), ranFor: .seconds(60)) == .restart(after: .milliseconds(250)))
        #expect(machine.ended(.exited(1), ranFor: .seconds(59)) == .restart(after: .milliseconds(500)))
    }

    @Test func `permanent restarts after a good end too, transient does not`() {
        var permanent = RestartMachine(.permanent)
        var transient = RestartMachine(.transient)
        #expect(permanent.ended(.exited(0), ranFor: short) == .restart(after: .milliseconds(250)))
        #expect(transient.ended(.exited(0), ranFor: short) == .leave(.finished))
        #expect(transient.ended(.signalled(9), ranFor: short) == .restart(after: .milliseconds(250)))
    }

    @Test(arguments: [ExitCause.exited(0), .exited(1), .signalled(11), .notStarted("x")])
    func `temporary never restarts`(_ cause: ExitCause) {
        var machine = RestartMachine(.temporary)
        #expect(machine.ended(cause, ranFor: short) == .leave(.temporary))
    }

    @Test func `exit 78 is not restarted`() {
        var machine = RestartMachine(.permanent)
        #expect(machine.ended(.exited(78), ranFor: short) == .leave(.configuration))
    }

    @Test func `what ends while the host stops is left`() {
        var machine = RestartMachine(.permanent)
        #expect(machine.ended(.signalled(15), ranFor: short, isStopping: true) == .leave(.stopping))
    }

    @Test func `causes are told in words`() {
        #expect("\(ExitCause.exited(3))" == "exit 3")
        #expect("\(ExitCause.exited(78))" == "exit 78 (its configuration is wrong)")
        #expect("\(ExitCause.signalled(9))" == "signal 9 (SIGKILL)")
        #expect("\(ExitCause.signalled(64))" == "signal 64")
    }
}
