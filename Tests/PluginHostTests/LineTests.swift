// Output in pieces becomes bounded lines.

import FoundationEssentials
import Testing

@testable import PluginHost

struct LineTests {
    private func lines(_ pieces: [String], longest: Int = 8) -> [String] {
        var splitter = LineSplitter(longest: longest)
        var lines: [String] = []
        for piece in pieces {
            var bytes = Array(piece.utf8)
            bytes.withUnsafeMutableBytes { splitter.feed(UnsafeRawBufferPointer($0)) { lines.append($0) } }
        }
        splitter.finish { lines.append($0) }
        return lines
    }

    @Test func `lines may come in pieces, end with CR LF, and the last needs no end`() {
        #expect(lines(["a\nb", "c\r\n\n", "d"]) == ["a", "bc", "", "d"])
    }

    @Test func `a line that is too long is cut and says so`() {
        #expect(lines(["123456789\nab\n"]) == ["12345678 … (the line is longer than 8 bytes)", "ab"])
    }

    @Test func `as many lines go into a piece as its bytes hold, and always one`() throws {
        let label = try #require(InstanceLabel("echo#1@1"))
        func lines(_ texts: [String]) -> [LogAnswer] {
            texts.map { LogAnswer(LogLine(time: 0, label: label, output: .standardError, text: $0)) }
        }
        let long = String(repeating: "\u{1}", count: 8192)
        let piece = Array(
            lines(Array(repeating: long, count: 100)).prefix(LogAnswer.count(lines([long, long]), 60_000))
        )
        #expect(piece.count == 1)
        #expect(LogAnswer.count(lines([long]), 10) == 1)
        #expect(LogAnswer.count(lines(["a", "b"]), 10_000) == 2)
        #expect(LogAnswer.count([], 10) == 0)
        let many = lines(Array(repeating: long, count: 1000))
        let count = LogAnswer.count(many, 512 << 10)
        let size = try JSONEncoder().encode(Array(many.prefix(count))).count
        #expect(count > 8 && size <= 512 << 10)
    }

    @Test func `lines beyond the rate of a second are counted and told in the next`() {
        var meter = LineMeter(perSecond: 2)
        #expect(meter.line(at: .milliseconds(0)) == .show(leftOut: 0))
        #expect(meter.line(at: .milliseconds(10)) == .show(leftOut: 0))
        #expect(meter.line(at: .milliseconds(20)) == .leaveOut)
        #expect(meter.line(at: .milliseconds(999)) == .leaveOut)
        #expect(meter.line(at: .milliseconds(1000)) == .show(leftOut: 2))
        #expect(meter.line(at: .milliseconds(1001)) == .show(leftOut: 0))
    }

    @Test func `lines that were left out at the end are told, too`() {
        var meter = LineMeter(perSecond: 1)
        _ = meter.line(at: .zero)
        _ = meter.line(at: .zero)
        #expect(meter.takeLeftOut() == 1 && meter.takeLeftOut() == 0)
    }

    @Test func `a process that writes more bytes than its share is read no more until its tenth of a second is over`() {
        var meter = ByteMeter(perSecond: 1000)
        #expect(meter.read(100, at: .milliseconds(10)) == nil)
        #expect(meter.read(1, at: .milliseconds(60)) == .milliseconds(40))
        #expect(meter.read(90, at: .milliseconds(120)) == nil)
        #expect(meter.read(20, at: .milliseconds(150)) == .milliseconds(70))
    }
}
