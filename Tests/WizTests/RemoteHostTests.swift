// A host whose broker is elsewhere: which processes count as lost, and the whole with real processes.

import Glibc
import PluginHost
import Testing

@testable import wiz

struct LostSessionsTests {
    private let echo = InstanceLabel("echo#1@1")
    private let other = InstanceLabel("echo#2@1")
    private let ui = InstanceLabel("ui#1@1")

    @Test func `a process may be away for a while`() throws {
        let labels = try [#require(echo), #require(ui)]
        var lost = LostSessions(patience: .seconds(12))
        func look(_ sessions: Set<InstanceLabel>, _ second: Int) -> [String] {
            lost.look(serving: labels, sessions: sessions, isNewBroker: false, now: .seconds(second))
        }
        #expect(look([labels[0], labels[1]], 0).isEmpty)
        #expect(look([labels[0]], 1).isEmpty)
        #expect(look([labels[0]], 12).isEmpty)
        #expect(look([labels[0]], 13) == ["ui"])
    }

    @Test func `one that comes back starts over`() throws {
        let label = try #require(echo)
        var lost = LostSessions(patience: .seconds(12))
        #expect(lost.look(serving: [label], sessions: [], isNewBroker: false, now: .seconds(0)).isEmpty)
        #expect(lost.look(serving: [label], sessions: [label], isNewBroker: false, now: .seconds(10)).isEmpty)
        #expect(lost.look(serving: [label], sessions: [], isNewBroker: false, now: .seconds(15)).isEmpty)
    }

    @Test func `a new broker knows none of them, and each plugin is named once`() throws {
        let labels = try [#require(ui), #require(echo), #require(other)]
        var lost = LostSessions()
        #expect(lost.look(serving: labels, sessions: [], isNewBroker: true, now: .seconds(1)) == ["ui", "echo"])
        #expect(lost.look(serving: labels, sessions: Set(labels), isNewBroker: false, now: .seconds(2)).isEmpty)
    }
}

struct RemoteHostTests {
    @Test(.timeLimit(.minutes(3)))
    func `plugins of another machine answer, and come back after the broker was killed`() throws {
        let programs = try Built.products.get()
        let pipe = try #require(popen("timeout 150 bash '\(Built.root)/Scripts/try-host.sh' '\(programs)' 2>&1", "r"))
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            guard count > 0 else { break }
            output += buffer[..<count]
        }
        let status = pclose(pipe)
        #expect(status == 0, "\(String(decoding: output, as: UTF8.self))")
    }
}
