// From the behaviour to what the process does: some never become a plugin at all.

import CLinuxShims
import Glibc
import WizPlugin

@main
struct Main {
    static func main() async {
        let behaviour = Behaviour.own
        switch behaviour?.kind {
        case .exit: exitProcess(Int32(clamping: behaviour?.number(0) ?? 0))
        case .signal: endBySignal(Int32(clamping: behaviour?.number(11) ?? 11))
        case .silent: waitForEver()
        case .idle: idle()
        case .helloTwice: helloTwice()
        case .claimName: setenv("WIZ_PLUGIN_NAME", behaviour?.text("echo") ?? "echo", 1)
        case .flood: flood(STDOUT_FILENO, megabytes: behaviour?.number(1024) ?? 1024)
        case .floodErrors: flood(STDERR_FILENO, megabytes: behaviour?.number(1024) ?? 1024)
        case .floodLine: flood(STDOUT_FILENO, megabytes: behaviour?.number(1024) ?? 1024, inOneLine: true)
        case .closeStandardError:
            close(STDOUT_FILENO)
            close(STDERR_FILENO)
        case .forkAndLeave:
            spawnIdle()
            exitProcess(0)
        case .orphan: spawnIdle()
        case .swarm: swarm(behaviour?.number(200) ?? 200)
        case .bomb: bomb(atMost: behaviour?.number(1000) ?? 1000)
        case .deaf: await serveDeaf()
        default: break
        }
        await Rogue.main()
    }
}
