// Cuts what a process writes into lines: bounded in length, and bounded in number and bytes for each second so that a process
// in a loop cannot drown the others. Pure: the time comes in as an argument.

import Glibc

/// How much of what a process writes the host takes, for each of its two outputs.
///
/// All of it costs the host: reading, cutting, keeping, handing on to whoever follows the logs. A person reads some lines a
/// second, a burst that is of use (a stack trace, a start) has hundreds; what writes more is in a loop.
enum OutputBounds {
    /// Bytes beyond which a line is cut.
    static let longestLine = 8192
    /// Lines of a second beyond which they are counted and left out.
    static let linesPerSecond = 1000
    /// Bytes of a second beyond which the host stops reading until it is over: the process waits when its pipe is full.
    static let bytesPerSecond = 8 << 20
}

/// Makes bounded lines of bytes that come in pieces.
struct LineSplitter: Sendable {
    /// Bytes of a line beyond which it is cut.
    let longest: Int
    private var pending: [UInt8] = []
    private var isCutting = false

    init(longest: Int = OutputBounds.longestLine) { self.longest = longest }

    /// Takes bytes and hands out each line that they complete.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ line: (String) -> Void) {
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            let found = memchr(start, 0x0A, rest.count)
            let count = found.map { UnsafeRawPointer($0) - start } ?? rest.count
            let room = min(count, longest - pending.count)
            pending.append(contentsOf: rest.prefix(room))
            if count > room { isCutting = true }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            if found != nil {
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
                end(line)
            }
        }
    }

    /// Hands out what is left after the last line break.
    mutating func finish(_ line: (String) -> Void) {
        if !pending.isEmpty { end(line) }
    }

    private mutating func end(_ line: (String) -> Void) {
        if pending.last == 0x0D { pending.removeLast() }
        var text = String(decoding: pending, as: UTF8.self)
        if isCutting { text += " … (the line is longer than \(longest) bytes)" }
        pending.removeAll(keepingCapacity: true)
        isCutting = false
        line(text)
    }
}

/// Lets so many lines of each second through and counts the rest.
struct LineMeter: Hashable, Sendable {
    /// What to do with a line.
    enum Verdict: Hashable, Sendable {
        /// Show it; before it, tell how many were left out.
        case show(leftOut: Int)
        /// Leave it out.
        case leaveOut
    }

    let perSecond: Int
    private var second: Int64 = .min
    private var count = 0
    private var leftOut = 0

    init(perSecond: Int = OutputBounds.linesPerSecond) { self.perSecond = perSecond }

    mutating func line(at elapsed: Duration) -> Verdict {
        let now = elapsed.components.seconds
        if now != second {
            second = now
            count = 0
        }
        count += 1
        guard count <= perSecond else {
            leftOut += 1
            return .leaveOut
        }
        defer { leftOut = 0 }
        return .show(leftOut: leftOut)
    }

    /// The lines that were left out and have not been told.
    mutating func takeLeftOut() -> Int {
        defer { leftOut = 0 }
        return leftOut
    }
}

/// Lets so many bytes of each tenth of a second through without a pause.
struct ByteMeter: Hashable, Sendable {
    private static let slice = Duration.milliseconds(100)

    let perSlice: Int
    private var begin = Duration.zero
    private var count = 0

    init(perSecond: Int = OutputBounds.bytesPerSecond) { perSlice = perSecond / 10 }

    /// Takes bytes that were read.
    ///
    /// - Returns: how long to read no more; nil: go on.
    mutating func read(_ bytes: Int, at now: Duration) -> Duration? {
        if now >= begin + Self.slice {
            begin = now
            count = 0
        }
        count += bytes
        return count > perSlice ? begin + Self.slice - now : nil
    }
}
