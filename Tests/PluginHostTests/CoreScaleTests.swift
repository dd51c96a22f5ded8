// The host core: lazy activation, idling, and scaling by load.

import Manifest
import Testing

@testable import PluginHost

struct CoreScaleTests {
    private let lazy = #""activation":"lazy","provides":[{"service":"things","methods":{"get":{}}}]"#
    private let grows = #""instances":{"min":1,"max":3},"provides":[{"service":"things","methods":{"get":{}}}]"#

    @Test func `a lazy plugin starts with the first call and stops when nobody calls`() throws {
        var rig = CoreRig()
        #expect(rig.send(.plugins([try plan("sleepy", lazy)])).texts == ["expect 1 things@1.0.0"])
        #expect(rig.state("sleepy") == "discovered: starts with the first call")
        #expect(rig.send(.demand(service: "other", version: "1.0.0")).isEmpty)
        #expect(rig.send(.demand(service: "things", version: "1.0.0")).texts == ["launch sleepy#1@1 live r1"])
        rig.bringUp("sleepy#1@1")
        rig.pass(.seconds(1))
        rig.send(.load(plugin: "sleepy", PluginLoad(waiting: 0, running: 1, capacity: 16)))
        var asked = 0
        for _ in 0..<62 {
            let actions = rig.pass(.seconds(1)).texts
            guard actions.contains("load? sleepy") else { continue }
            asked += 1
            let answer = rig.send(.load(plugin: "sleepy", PluginLoad(waiting: 0, running: 0, capacity: 16))).texts
            if answer == ["drain sleepy#1@1"] { break }
            #expect(answer.isEmpty)
        }
        #expect(asked >= 60)
        rig.send(.exited(named("sleepy#1@1"), .exited(0), lastLines: []))
        #expect(rig.state("sleepy") == "discovered: starts with the first call")
        #expect(rig.send(.demand(service: "things", version: "1.0.0")).texts == ["launch sleepy#1@1 live r1"])
    }

    @Test func `calls that came and went between two looks keep a plugin awake`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("sleepy", lazy)]))
        rig.send(.demand(service: "things", version: "1.0.0"))
        rig.bringUp("sleepy#1@1")
        for count in 0..<200 {
            rig.pass(.seconds(1))
            let load = PluginLoad(waiting: 0, running: 0, capacity: 16, total: count)
            #expect(rig.send(.load(plugin: "sleepy", load)).isEmpty)
        }
    }

    @Test func `a call that comes while a lazy plugin leaves starts it again beside the one that leaves`() throws {
        var timing = HostTiming()
        timing.idleInterval = .seconds(1)
        var rig = CoreRig(timing: timing)
        rig.send(.plugins([try plan("sleepy", lazy)]))
        rig.send(.demand(service: "things", version: "1.0.0"))
        rig.bringUp("sleepy#1@1")
        for _ in 0..<70 {
            rig.pass(.seconds(1))
            rig.send(.load(plugin: "sleepy", PluginLoad(waiting: 0, running: 0, capacity: 16)))
            if rig.state("sleepy") == "draining" { break }
        }
        #expect(rig.state("sleepy") == "draining")
        #expect(rig.send(.demand(service: "things", version: "1.0.0")).texts == ["launch sleepy#2@1 live r1"])
    }

    @Test func `waiting calls bring further processes up to the most, calm takes them away`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", grows)]))
        rig.bringUp("echo#1@1")
        var launched: [String] = []
        for _ in 0..<20 {
            launched += rig.pass(.milliseconds(250)).texts.filter { $0.hasPrefix("launch") }
            launched += rig.send(.load(plugin: "echo", PluginLoad(waiting: 9, running: 16, capacity: 16))).texts
                .filter { $0.hasPrefix("launch") }
            for label in launched.map({ $0.split(separator: " ")[1] }) { rig.bringUp(String(label)) }
        }
        #expect(launched == ["launch echo#2@1 live r1", "launch echo#3@1 live r1"])
        #expect(rig.status("echo")?.target == 3)
        var drained: [String] = []
        for _ in 0..<300 {
            rig.pass(.milliseconds(250))
            let count = rig.status("echo")?.processes.count ?? 0
            drained +=
                rig.send(
                    .load(plugin: "echo", PluginLoad(waiting: 0, running: 1, capacity: 16 * count))
                ).texts
        }
        #expect(drained == ["drain echo#3@1", "drain echo#2@1"])
        #expect(rig.status("echo")?.target == 1)
    }

    @Test func `all slots taken is as good a reason to grow as calls that wait`() throws {
        var rig = CoreRig()
        rig.send(.plugins([try plan("echo", grows)]))
        rig.bringUp("echo#1@1")
        var launched: [String] = []
        for _ in 0..<5 {
            rig.pass(.milliseconds(250))
            launched += rig.send(.load(plugin: "echo", PluginLoad(waiting: 0, running: 16, capacity: 16))).texts
        }
        #expect(launched == ["launch echo#2@1 live r1"])
    }
}
