// The host core: reloads, exact actions for each way that they can go.

import Manifest
import Testing

@testable import PluginHost

struct CoreReloadTests {
    private static let things = #""provides":[{"service":"things","methods":{"get":{}}}]"#
    private static let lockIn = #""lifecycle":{"reload":"exclusive"},"# + things

    private func running(_ more: String = things) throws -> CoreRig {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", version: "1.0.0", more)]))
        rig.bringUp("echo#1@1", process: 11)
        _ = rig.states()
        return rig
    }

    private func next(_ more: String = things, version: String = "1.1.0", revision: Int = 2) throws -> HostInput {
        .prepared(plugin: "echo", .plan(try plan("echo", version: version, revision: revision, more)))
    }

    @Test func `overlap: the new one starts in the shadow, takes over in one step, and the old one leaves`() throws {
        var rig = try running()
        #expect(rig.send(.reload(plugin: "echo", RequestNumber(1))).texts == ["prepare echo"])
        #expect(rig.send(try next()).texts == ["launch echo#1@2 shadow r2"])
        rig.send(.launched(named("echo#1@2"), process: 12))
        #expect(
            rig.send(.ready(named("echo#1@2"))).texts
                == ["expect 2 things@1.1.0", "promote echo#1@2 for echo#1@1"]
        )
        rig.now = .milliseconds(120)
        let flip = rig.send(.promoted(plugin: "echo", generation: 2, problem: nil)).texts
        #expect(flip == ["unexpect 1", "echo 1: generation 2 (version 1.1.0) serves"])
        #expect(rig.send(.exited(named("echo#1@1"), .exited(0), lastLines: [])).texts == ["exited echo#1@1: exit 0"])
        #expect(rig.state("echo") == "ready")
        #expect(rig.core.liveRevisions == [2])
    }

    @Test func `who never says that it is ready serves alone, and does not take over`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", version: "1.0.0", Self.things)]))
        rig.send(.launched(named("echo#1@1"), process: 11))
        rig.send(.silent(named("echo#1@1")))
        #expect(rig.state("echo") == "ready")
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.send(.launched(named("echo#1@2"), process: 12))
        #expect(rig.send(.silent(named("echo#1@2"))).isEmpty)
        let actions = rig.pass(.seconds(10)).texts
        #expect(actions.first == "terminate echo#1@2")
        #expect(actions.contains { $0.hasPrefix("echo 1: ") && $0.contains("never called mesh.ready") })
        #expect(rig.state("echo") == "ready")
    }

    @Test func `who says it late takes over all the same`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next(version: "1.0.0"))
        rig.send(.launched(named("echo#1@2"), process: 12))
        rig.send(.silent(named("echo#1@2")))
        #expect(rig.send(.ready(named("echo#1@2"))).texts == ["promote echo#1@2 for echo#1@1"])
    }

    @Test func `the same services keep their expectation`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next(version: "1.0.0"))
        rig.send(.launched(named("echo#1@2"), process: 12))
        #expect(rig.send(.ready(named("echo#1@2"))).texts == ["promote echo#1@2 for echo#1@1"])
    }

    @Test func `a plugin that is not listed any more leaves no reload and no expectation behind`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.send(.launched(named("echo#1@2"), process: 12))
        rig.send(.ready(named("echo#1@2")))
        rig.send(.reload(plugin: "echo", RequestNumber(2)))
        var all = rig.send(.plugins([])).texts
        #expect(all.contains("echo 1: it is not among the host's plugins any more"))
        #expect(all.contains("echo 2: it is not among the host's plugins any more"))
        for label in ["echo#1@1", "echo#1@2"] {
            all += rig.send(.exited(named(label), .exited(0), lastLines: [])).texts
        }
        #expect(all.filter { $0.hasPrefix("unexpect") }.sorted() == ["unexpect 1", "unexpect 2"])
        #expect(rig.status("echo") == nil)
        #expect(rig.send(.promoted(plugin: "echo", generation: 2, problem: nil)).isEmpty)
    }

    @Test func `an old one that does not leave is asked and killed within bounds`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.bringUp("echo#1@2")
        rig.send(.promoted(plugin: "echo", generation: 2, problem: nil))
        #expect(rig.pass(.seconds(7)).texts == ["terminate echo#1@1"])
        #expect(rig.pass(.seconds(2)).texts == ["kill echo#1@1"])
    }

    @Test func `every failure before the flip leaves the old one serving`() throws {
        let failures: [(HostInput, String)] = [
            (
                .exited(named("echo#1@2"), .exited(3), lastLines: ["no"]),
                "the new version ended before it was ready: exit 3"
            ),
            (.launchFailed(named("echo#1@2"), .refused("no program")), "not started: no program"),
        ]
        for (failure, sentence) in failures {
            var rig = try running()
            rig.send(.reload(plugin: "echo", RequestNumber(1)))
            rig.send(try next())
            let actions = rig.send(failure).texts
            #expect(actions.last?.contains(sentence) == true)
            #expect(rig.state("echo") == "ready")
            #expect(rig.status("echo")?.version == "1.0.0")
            #expect(rig.pass(.seconds(60)).isEmpty)
        }
    }

    @Test func `a new one that is never ready is given up`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.send(.launched(named("echo#1@2"), process: 12))
        #expect(
            rig.pass(.seconds(10)).texts
                == ["terminate echo#1@2", "echo 1: it was not ready within 10.0 seconds"]
        )
        #expect(rig.pass(.seconds(2)).texts == ["kill echo#1@2"])
        rig.send(.exited(named("echo#1@2"), .signalled(9), lastLines: []))
        #expect(rig.state("echo") == "ready")
    }

    @Test func `a broker that does not flip leaves the old one serving`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.bringUp("echo#1@2")
        let actions = rig.send(.promoted(plugin: "echo", generation: 2, problem: "not ready")).texts
        #expect(
            actions == [
                "terminate echo#1@2", "unexpect 2", "echo 1: the broker did not let it take over: not ready",
            ]
        )
    }

    @Test func `a folder that is wrong changes nothing`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        let actions = rig.send(.prepared(plugin: "echo", .problem("plugin.json:3:1: no"))).texts
        #expect(actions == ["echo 1: plugin.json:3:1: no"])
        #expect(rig.state("echo") == "ready")
    }

    @Test func `a new one that is killed at the flip is started again, and calls may wait for it`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        rig.bringUp("echo#1@2")
        rig.send(.exited(named("echo#1@2"), .signalled(9), lastLines: []))
        rig.send(.promoted(plugin: "echo", generation: 2, problem: nil))
        #expect(rig.state("echo") == "backoff: signal 9 (SIGKILL)")
        #expect(rig.core.records["echo"]?.expectation?.services.first?.version == (try version("1.1.0")))
        #expect(rig.pass(.milliseconds(251)).texts == ["launch echo#1@2 live r2"])
    }

    @Test func `requests while one runs become one after it`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        #expect(rig.send(.reload(plugin: "echo", RequestNumber(2))).isEmpty)
        #expect(rig.send(.reload(plugin: "echo", RequestNumber(3))).isEmpty)
        rig.bringUp("echo#1@2")
        let flip = rig.send(.promoted(plugin: "echo", generation: 2, problem: nil)).texts
        #expect(flip.suffix(2) == ["echo 1: generation 2 (version 1.1.0) serves", "prepare echo"])
        rig.send(try next(version: "1.2.0", revision: 3))
        rig.bringUp("echo#1@3")
        let second = rig.send(.promoted(plugin: "echo", generation: 3, problem: nil)).texts
        #expect(second.contains("echo 2,3: generation 3 (version 1.2.0) serves"))
    }

    @Test func `more permissions wait for the grant while the old one serves`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        var more = try plan("echo", version: "1.1.0", revision: 2, Self.things)
        more.missingGrants = ["networking"]
        let actions = rig.send(.prepared(plugin: "echo", .plan(more))).texts
        #expect(actions == ["echo 1: the new version waits for the grant of networking"])
        #expect(rig.state("echo") == "ready")
        #expect(rig.core.liveRevisions == [1, 2])
        #expect(rig.send(.regranted([try plan("echo", revision: 3, Self.things)])).texts == ["prepare echo"])
        #expect(rig.send(try next(revision: 4)).texts == ["launch echo#1@2 shadow r4"])
    }

    @Test func `other grants restart in overlap, with the sandbox that belongs to them`() throws {
        var rig = try running()
        var changed = try plan("echo", revision: 2, Self.things)
        changed.sandbox = "network"
        #expect(rig.send(.regranted([changed])).texts == ["launch echo#1@2 shadow r2"])
        var same = changed
        same.revision = 3
        rig.bringUp("echo#1@2")
        rig.send(.promoted(plugin: "echo", generation: 2, problem: nil))
        #expect(rig.send(.regranted([same])).isEmpty)
    }

    @Test func `exclusive: calls wait, the old one leaves, the new one starts`() throws {
        var rig = try running(Self.lockIn)
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        #expect(rig.send(try next(Self.lockIn)).texts == ["drain echo#1@1"])
        let empty = rig.send(.exited(named("echo#1@1"), .exited(0), lastLines: [])).texts
        #expect(empty == ["exited echo#1@1: exit 0", "launch echo#1@2 live r2"])
        rig.send(.launched(named("echo#1@2"), process: 12))
        let ready = rig.send(.ready(named("echo#1@2"))).texts
        #expect(
            ready == [
                "echo 1: generation 2 (version 1.1.0) serves", "expect 2 things@1.1.0", "unexpect 1",
            ]
        )
    }

    @Test func `exclusive: when the new one cannot start the old one comes back`() throws {
        var rig = try running(Self.lockIn)
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next(Self.lockIn))
        rig.send(.exited(named("echo#1@1"), .exited(0), lastLines: []))
        rig.send(.launched(named("echo#1@2"), process: 12))
        #expect(rig.core.liveRevisions == [1, 2])
        let actions = rig.send(.exited(named("echo#1@2"), .exited(1), lastLines: ["port in use"])).texts
        #expect(actions == ["exited echo#1@2: exit 1", "launch echo#1@3 live r1"])
        rig.send(.launched(named("echo#1@3"), process: 13))
        let ready = rig.send(.ready(named("echo#1@3"))).texts
        #expect(ready.count == 1)
        #expect(ready.first?.contains("version 1.0.0 serves again as generation 3") == true)
        #expect(rig.status("echo")?.version == "1.0.0")
        #expect(rig.state("echo") == "ready")
    }

    @Test func `a reload while a sound plugin is being started again does not give the old version up`() throws {
        var rig = try running()
        rig.send(.exited(named("echo#1@1"), .signalled(9), lastLines: []))
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        #expect(rig.send(try next()).texts == ["launch echo#1@2 shadow r2"])
        #expect(rig.pass(.milliseconds(251)).texts == ["launch echo#1@1 live r1"])
        rig.bringUp("echo#1@1")
        let actions = rig.send(.exited(named("echo#1@2"), .exited(1), lastLines: [])).texts
        #expect(actions.last == "echo 1: the new version ended before it was ready: exit 1")
        #expect(rig.state("echo") == "ready")
        #expect(rig.status("echo")?.version == "1.0.0")
    }

    @Test func `a plugin that cannot run is mended by a reload`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", Self.things)]))
        for _ in 0..<5 {
            rig.send(.exited(named("echo#1@1"), .exited(1), lastLines: []))
            rig.pass(.seconds(9))
        }
        #expect(rig.state("echo").hasPrefix("quarantined"))
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        #expect(rig.send(try next()).texts == ["launch echo#1@2 live r2"])
        rig.send(.launched(named("echo#1@2"), process: 12))
        let ready = rig.send(.ready(named("echo#1@2"))).texts
        #expect(ready.first == "echo 1: generation 2 (version 1.1.0) serves")
    }

    @Test func `a reload that comes while everything stops is refused, one that runs is given up`() throws {
        var rig = try running()
        rig.send(.reload(plugin: "echo", RequestNumber(1)))
        rig.send(try next())
        let actions = rig.send(.stopAll).texts
        #expect(actions.contains("echo 1: the host is stopping"))
        #expect(actions.contains("terminate echo#1@2"))
        #expect(rig.send(.reload(plugin: "echo", RequestNumber(2))).texts == ["echo 2: the host is stopping"])
        #expect(rig.send(.reload(plugin: "none", RequestNumber(3))).texts == ["none 3: this host has no plugin none"])
    }
}
