// Names in order, so that a page of them costs what it shows and not what there is. Pure.

/// A set of names in order: pieces of bounded length, each in order and before the next.
struct NameIndex: Sendable {
    /// Never empty ones.
    private var pieces: [[String]] = []
    private static var pieceCount: Int { 256 }

    /// Adds a name; nothing when it is there.
    mutating func insert(_ name: String) {
        guard !pieces.isEmpty else { return pieces = [[name]] }
        let piece = max(0, firstPlace(pieces.count) { pieces[$0][0] > name } - 1)
        let place = firstPlace(pieces[piece].count) { pieces[piece][$0] >= name }
        if place < pieces[piece].count, pieces[piece][place] == name { return }
        pieces[piece].insert(name, at: place)
        guard pieces[piece].count > Self.pieceCount else { return }
        let half = Array(pieces[piece].suffix(Self.pieceCount / 2))
        pieces[piece].removeLast(half.count)
        pieces.insert(half, at: piece + 1)
    }

    /// Removes a name; nothing when it is not there.
    mutating func remove(_ name: String) {
        let piece = firstPlace(pieces.count) { pieces[$0][0] > name } - 1
        guard piece >= 0 else { return }
        let place = firstPlace(pieces[piece].count) { pieces[piece][$0] >= name }
        guard place < pieces[piece].count, pieces[piece][place] == name else { return }
        pieces[piece].remove(at: place)
        if pieces[piece].isEmpty { pieces.remove(at: piece) }
    }

    /// The names from one on, that one included, in order, and no more than so many.
    func names(from name: String, limit: Int) -> [String] {
        var found: [String] = []
        var piece = max(0, firstPlace(pieces.count) { pieces[$0][0] > name } - 1)
        while piece < pieces.count, found.count < limit {
            let start = firstPlace(pieces[piece].count) { pieces[piece][$0] >= name }
            found += pieces[piece][start...].prefix(limit - found.count)
            piece += 1
        }
        return found
    }

    /// The first of so many places at which a condition holds that holds from there on.
    private func firstPlace(_ count: Int, _ isBeyond: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBeyond(middle) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
