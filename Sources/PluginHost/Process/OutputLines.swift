// What a process writes, as lines for whoever listens: bounded in length and number, with the last of standard error kept.

import Subprocess
import Synchronization

/// Reads one of a process's outputs to its end.
struct OutputLines: Sendable {
    let line: @Sendable (String) -> Void

    func read(_ sequence: SubprocessOutputSequence) async {
        var splitter = LineSplitter()
        var lines = LineMeter()
        var bytes = ByteMeter()
        let start = ContinuousClock.now
        let tell = { (leftOut: Int) in
            if leftOut > 0 { line("… \(leftOut) lines were left out: more than \(lines.perSecond) in a second") }
        }
        let show = { (text: String) in
            switch lines.line(at: start.duration(to: .now)) {
            case .leaveOut: return
            case .show(let leftOut):
                tell(leftOut)
                line(text)
            }
        }
        do {
            for try await buffer in sequence {
                buffer.withUnsafeBytes { splitter.feed($0, show) }
                if let pause = bytes.read(buffer.count, at: start.duration(to: .now)) {
                    try await Task.sleep(for: pause)
                }
            }
        } catch {
            // Reading ends with the process; what was read is kept.
        }
        splitter.finish(show)
        tell(lines.takeLeftOut())
    }
}

/// The last lines that somebody wrote.
final class LastLines: Sendable {
    private let count: Int
    private let kept = Mutex<[String]>([])

    init(_ count: Int = 20) { self.count = count }

    func add(_ line: String) {
        kept.withLock { kept in
            if kept.count == count { kept.removeFirst() }
            kept.append(line)
        }
    }

    var lines: [String] { kept.withLock { $0 } }
}
