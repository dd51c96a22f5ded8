// A rule's target: words joined by dots, `*` for one word and, last, `>` for the rest. Compared with names, topics and
// other patterns as bytes. Pure; allocates nothing after it is made.

/// A compiled target.
struct DottedPattern: Sendable, Hashable {
    private let bytes: [UInt8]
    private let words: [Range<Int>]

    private static var dot: UInt8 { UInt8(ascii: ".") }

    /// Compiles a target; any text is one, though not every text can be matched.
    init(_ text: String) {
        bytes = Array(text.utf8)
        var words: [Range<Int>] = []
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == Self.dot {
            words.append(start..<index)
            start = index + 1
        }
        words.append(start..<bytes.count)
        self.words = words
    }

    /// True when every name that `other` stands for lies within this pattern; a name stands for itself.
    func contains(_ other: UnsafeRawBufferPointer) -> Bool {
        compare(other) { mine, theirs in
            if Self.isStar(mine) { return !Self.isRest(theirs) }
            return Self.isSame(mine, theirs) && !Self.isRest(theirs)
        } atRest: { isMine in
            isMine
        }
    }

    /// True when some name lies both within this pattern and within `other`.
    func overlaps(_ other: UnsafeRawBufferPointer) -> Bool {
        compare(other) { mine, theirs in
            Self.isStar(mine) || Self.isStar(theirs) || Self.isSame(mine, theirs)
        } atRest: { _ in
            true
        }
    }

    /// Walks both word by word; a `>` on either side, last in its pattern, decides by `atRest`.
    private func compare(
        _ other: UnsafeRawBufferPointer,
        word: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool,
        atRest: (_ isMine: Bool) -> Bool
    ) -> Bool {
        bytes.withUnsafeBytes { own in
            var offset = 0
            for (index, range) in words.enumerated() {
                guard offset <= other.count else { return false }
                let mine = UnsafeRawBufferPointer(rebasing: own[range])
                if Self.isRest(mine), index == words.count - 1 { return atRest(true) }
                var end = offset
                while end < other.count, other[end] != Self.dot { end += 1 }
                let theirs = UnsafeRawBufferPointer(rebasing: other[offset..<end])
                if Self.isRest(theirs), end == other.count { return atRest(false) }
                guard word(mine, theirs) else { return false }
                offset = end + 1
            }
            return offset == other.count + 1
        }
    }

    private static func isStar(_ word: UnsafeRawBufferPointer) -> Bool {
        word.count == 1 && word[0] == UInt8(ascii: "*")
    }
    private static func isRest(_ word: UnsafeRawBufferPointer) -> Bool {
        word.count == 1 && word[0] == UInt8(ascii: ">")
    }
    private static func isSame(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && left.elementsEqual(right)
    }
}
