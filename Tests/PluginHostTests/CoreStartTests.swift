// The host core: starting in order, blocked plugins, supervision with exact times, stopping in reverse.

import Manifest
import Testing

@testable import PluginHost

struct CoreStartTests {
    private let things = #""provides":[{"service":"things","methods":{"get":{}}}]"#
    private let needsThings = #""dependencies":{"required":["things@^1.0.0"]}"#
    private let likesThings = #""dependencies":{"optional":["things@^1.0.0"]}"#

    @Test func `that a plugin is not ready counts, too, when its end is known first`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        rig.send(.launched(named("echo#1@1"), process: 11))
        rig.send(.exited(named("echo#1@1"), .exited(75), lastLines: []))
        rig.send(.notReady(named("echo#1@1"), reason: "no model", retryAfter: .seconds(60)))
        #expect(rig.status("echo")?.lastEnd?.cause == "it is not ready: no model")
        #expect(rig.pass(.seconds(59)).isEmpty)
        #expect(rig.pass(.seconds(1)).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `what the broker did with the session of a plugin that is never ready is told`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        rig.send(.launched(named("echo#1@1"), process: 11))
        rig.send(.sessionGone(named("echo#1@1"), reason: "a second HELLO"))
        _ = rig.pass(.seconds(10))
        rig.send(.exited(named("echo#1@1"), .exited(0), lastLines: []))
        let cause = "it was not ready within 10.0 seconds: its session has ended: a second HELLO"
        #expect(rig.status("echo")?.lastEnd?.cause == cause)
    }

    @Test func `a plugin starts, is ready, and is told of`() throws {
        var rig = CoreRig()
        #expect(rig.send(.plugins([try plan("echo")])).texts == ["launch echo#1@1 live r1"])
        rig.bringUp("echo#1@1")
        #expect(rig.states() == ["echo starting", "echo ready"])
        var core = rig.core
        let isSettled = core.isSettled()
        #expect(isSettled)
    }

    @Test func `several processes start at once`() throws {
        var rig = CoreRig()
        let actions = rig.send(.plugins([try plan("echo", version: "1.0.0", #""instances":{"min":2,"max":3}"#)]))
        #expect(actions.texts == ["launch echo#1@1 live r1", "launch echo#2@1 live r1"])
    }

    @Test func `a user waits for what it requires, and stops before it`() throws {
        var rig = CoreRig()
        let plans = [try plan("user", revision: 1, needsThings), try plan("provider", revision: 2, things)]
        #expect(rig.send(.plugins(plans)).texts == ["launch provider#1@1 live r2"])
        #expect(rig.state("user") == "blocked: waits for things ^1.0.0 of provider")
        rig.send(.launched(named("provider#1@1"), process: 7))
        let actions = rig.send(.ready(named("provider#1@1"))).texts
        #expect(actions == ["launch user#1@1 live r1", "expect 1 things@1.0.0"])
        rig.bringUp("user#1@1")

        #expect(rig.send(.stopAll).texts == ["terminate user#1@1", "unexpect 1"])
        let next = rig.send(.exited(named("user#1@1"), .exited(0), lastLines: [])).texts
        #expect(next == ["exited user#1@1: exit 0", "terminate provider#1@1"])
        let last = rig.send(.exited(named("provider#1@1"), .exited(0), lastLines: [])).texts
        #expect(last == ["exited provider#1@1: exit 0", "finished"])
        #expect(rig.core.nextDeadline == nil)
    }

    @Test func `a blocked plugin starts by itself when a provider appears elsewhere, and stays when it goes`() throws {
        var rig = CoreRig()
        #expect(rig.send(.plugins([try plan("user", needsThings)])).isEmpty)
        #expect(rig.state("user") == "blocked: waits for things ^1.0.0")
        let old = ServiceOffer(service: "things", version: try version("0.9.0"), provider: "far")
        #expect(rig.send(.elsewhere([old])).isEmpty)
        let offer = ServiceOffer(service: "things", version: try version("1.2.0"), provider: "far")
        #expect(rig.send(.elsewhere([offer])).texts == ["launch user#1@1 live r1"])
        rig.bringUp("user#1@1")
        #expect(rig.send(.elsewhere([])).isEmpty)
        #expect(rig.state("user") == "ready")
        // But it is not started again without it.
        rig.send(.exited(named("user#1@1"), .signalled(9), lastLines: []))
        #expect(rig.pass(.seconds(5)).isEmpty)
        #expect(rig.state("user") == "blocked: waits for things ^1.0.0")
        #expect(rig.send(.elsewhere([offer])).texts == ["launch user#1@1 live r1"])
    }

    @Test func `an optional dependency is waited for until its provider has had its turn`() throws {
        var rig = CoreRig()
        let plans = [try plan("user", likesThings), try plan("provider", revision: 2, things)]
        #expect(rig.send(.plugins(plans)).texts == ["launch provider#1@1 live r2"])
        let actions = rig.send(.exited(named("provider#1@1"), .exited(1), lastLines: [])).texts
        #expect(actions == ["exited provider#1@1: exit 1", "launch user#1@1 live r1"])
    }

    @Test func `members of a cycle are blocked with its path, others are not`() throws {
        var rig = CoreRig()
        func link(_ name: String, _ needs: String) throws -> PluginPlan {
            try plan(name, #""provides":[{"service":"\#(name)"}],"dependencies":{"required":["\#(needs)@*"]}"#)
        }
        let plans = [try link("a", "b"), try link("b", "a"), try plan("other")]
        #expect(rig.send(.plugins(plans)).texts == ["launch other#1@1 live r1"])
        #expect(rig.state("a").contains("a -> b -> a"))
    }

    @Test func `a crash is told, waited after and followed by a start`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        rig.bringUp("echo#1@1")
        _ = rig.states()
        let actions = rig.send(.exited(named("echo#1@1"), .signalled(11), lastLines: ["boom"])).texts
        #expect(actions == ["exited echo#1@1: signal 11 (SIGSEGV)"])
        #expect(rig.states() == ["echo backoff: signal 11 (SIGSEGV)"])
        #expect(rig.status("echo")?.lastEnd?.lastLines == ["boom"])
        #expect(rig.pass(.milliseconds(249)).isEmpty)
        #expect(rig.pass(.milliseconds(2)).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `the fifth crash is a quarantine, with a probe after five minutes`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", version: "1.0.0", #""instances":{"min":2,"max":2}"#)]))
        rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
        rig.send(.exited(named("echo#2@1"), .exited(1), lastLines: []))
        rig.pass(.seconds(1))
        rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
        rig.send(.exited(named("echo#2@1"), .exited(1), lastLines: []))
        rig.pass(.seconds(10))
        rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
        rig.send(.exited(named("echo#2@1"), .exited(1), lastLines: []))
        #expect(rig.state("echo").hasPrefix("quarantined: it ended 5 times within"))
        #expect(rig.pass(.seconds(299)).isEmpty)
        #expect(rig.pass(.seconds(1)).texts == ["launch echo#1@1 live r1"])
        rig.send(.launched(named("echo#1@1"), process: 1))
        #expect(rig.send(.ready(named("echo#1@1"))).texts == ["launch echo#2@1 live r1"])
    }

    @Test func `a probe that the broker gave no ticket is followed by another`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", #""restart":"permanent""#)]))
        for _ in 0..<5 {
            rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
            rig.pass(.seconds(4))
        }
        #expect(rig.state("echo").hasPrefix("quarantined"))
        #expect(rig.pass(.seconds(300)).texts == ["launch echo#1@1 live r1"])
        rig.send(.launchFailed(named("echo#1@1"), .noBroker("it is away")))
        #expect(rig.pass(.seconds(2)).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `reset ends a quarantine at once`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        for _ in 0..<5 {
            rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
            rig.pass(.seconds(9))
        }
        #expect(rig.state("echo").hasPrefix("quarantined"))
        #expect(rig.send(.reset(plugin: "echo")).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `exit 78 stays until somebody resets it, exit 75 comes back and is no crash`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("wrong"), try plan("early")]))
        rig.send(.exited(named("wrong#1@1"), .exited(78), lastLines: []))
        #expect(rig.state("wrong") == "stopped: exit 78 (its configuration is wrong)")
        for _ in 0..<10 {
            rig.send(.notReady(named("early#1@1"), reason: "the model is loading", retryAfter: .seconds(2)))
            rig.send(.exited(named("early#1@1"), .exited(75), lastLines: []))
            #expect(rig.state("early") == "backoff: it is not ready: the model is loading")
            #expect(rig.pass(.milliseconds(2100)).texts == ["launch early#1@1 live r1"])
        }
    }

    @Test func `a process that is not ready in time is ended, and that is a crash`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("slow")]))
        rig.send(.launched(named("slow#1@1"), process: 5))
        #expect(rig.pass(.milliseconds(9_999)).isEmpty)
        #expect(rig.pass(.milliseconds(1)).texts == ["terminate slow#1@1"])
        #expect(rig.pass(.seconds(2)).texts == ["kill slow#1@1"])
        let actions = rig.send(.exited(named("slow#1@1"), .signalled(9), lastLines: [])).texts
        #expect(actions == ["exited slow#1@1: it was not ready within 10.0 seconds"])
        #expect(rig.state("slow") == "backoff: it was not ready within 10.0 seconds")
    }

    @Test func `a process that ignores a cancel is killed and started again`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("deaf")]))
        rig.bringUp("deaf#1@1")
        #expect(rig.send(.suspect(named("deaf#1@1"), reason: "it ignored a cancel")).texts == ["kill deaf#1@1"])
        #expect(rig.state("deaf") == "suspect: it ignored a cancel")
        rig.send(.exited(named("deaf#1@1"), .signalled(9), lastLines: []))
        #expect(rig.state("deaf") == "backoff: it was ended by the host: it ignored a cancel")
        #expect(rig.pass(.milliseconds(251)).texts == ["launch deaf#1@1 live r1"])
    }

    @Test func `a broker that gives no ticket is no crash of the plugin, a refused launch is not tried again`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        for _ in 0..<20 {
            rig.send(.launchFailed(named("echo#1@1"), .noBroker("away")))
            #expect(rig.pass(.milliseconds(1001)).texts == ["launch echo#1@1 live r1"])
        }
        rig.send(.launchFailed(named("echo#1@1"), .refused("there is no sandbox here")))
        #expect(rig.state("echo") == "blocked: there is no sandbox here")
        #expect(rig.pass(.seconds(600)).isEmpty)
        #expect(rig.send(.reset(plugin: "echo")).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `what is missing of grants blocks, a grant starts, its end stops`() throws {
        var rig = CoreRig()
        var waiting = try plan("chat")
        waiting.missingGrants = ["storage"]
        #expect(rig.send(.plugins([waiting])).isEmpty)
        #expect(rig.state("chat") == "blocked: waits for the grant of storage")
        #expect(rig.send(.regranted([try plan("chat", revision: 2)])).texts == ["launch chat#1@1 live r2"])
        rig.bringUp("chat#1@1")
        waiting.revision = 3
        #expect(rig.send(.regranted([waiting])).texts == ["drain chat#1@1"])
        rig.send(.exited(named("chat#1@1"), .exited(0), lastLines: []))
        #expect(rig.state("chat") == "blocked: waits for the grant of storage")
    }

    @Test func `a stop drains, asks and kills within bounds; a start begins anew`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo")]))
        rig.bringUp("echo#1@1")
        #expect(rig.send(.stop(plugin: "echo")).texts == ["drain echo#1@1"])
        #expect(rig.pass(.seconds(7)).texts == ["terminate echo#1@1"])
        #expect(rig.pass(.seconds(2)).texts == ["kill echo#1@1"])
        rig.send(.exited(named("echo#1@1"), .signalled(9), lastLines: []))
        #expect(rig.state("echo") == "stopped: an operator stopped it")
        #expect(rig.pass(.seconds(100)).isEmpty)
        #expect(rig.send(.start(plugin: "echo")).texts == ["launch echo#1@1 live r1"])
    }

    @Test func `stopping everything is bounded even if nothing ends`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("a"), try plan("b")]))
        rig.bringUp("a#1@1")
        rig.send(.stopAll)
        let actions = rig.pass(.seconds(15)).texts
        #expect(actions.contains("kill a#1@1"))
        #expect(actions.contains("kill b#1@1"))
        #expect(rig.core.nextDeadline.map { $0 <= rig.now + .seconds(5) } == true)
    }

    @Test func `a plugin that is not listed any more is stopped and forgotten`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("a"), try plan("b")]))
        rig.bringUp("a#1@1")
        rig.bringUp("b#1@1")
        #expect(rig.send(.plugins([try plan("a")])).texts == ["drain b#1@1"])
        rig.send(.exited(named("b#1@1"), .exited(0), lastLines: []))
        #expect(rig.core.order == ["a"])
    }
}
