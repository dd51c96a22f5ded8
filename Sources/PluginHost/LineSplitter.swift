// Cuts what a process writes into lines: bounded in length, and bounded in number for each second so that a process in a
// loop cannot drown the others. Pure: the time comes in as an argument.

/// Makes bounded lines of bytes that come in pieces.
struct LineSplitter: Sendable {
    /// Bytes of a line beyond which it is cut.
    let longest: Int
    private var pending: [UInt8] = []
    private var isCutting = false

    init(longest: Int = 8192) { self.longest = longest }

    /// Takes bytes and hands out each line that they complete.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ line: (String) -> Void) {
        for byte in bytes {
            if byte == 0x0A {
                end(line)
            } else if pending.count < longest {
                pending.append(byte)
            } else {
                isCutting = true
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

    init(perSecond: Int = 1000) { self.perSecond = perSecond }

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
}
