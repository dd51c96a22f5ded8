// "Did you mean": the nearest of the words that would have been right. Pure.

/// The candidate that is nearest to a word, if it is near enough to be a slip of the pen (two edits, or a third of a
/// short word).
public func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let letters = Array(word.lowercased())
    guard letters.count <= 64 else { return nil }
    let bound = min(2, max(1, letters.count / 2))
    var best: (distance: Int, word: String)?
    for candidate in candidates where candidate != word {
        let distance = editDistance(letters, Array(candidate.lowercased()), bound: bound)
        guard let distance, distance < best?.distance ?? Int.max else { continue }
        best = (distance, candidate)
    }
    return best?.word
}

/// The number of letters to insert, remove, replace or swap with a neighbour, or nil if it is over the bound.
private func editDistance(_ left: [Character], _ right: [Character], bound: Int) -> Int? {
    guard abs(left.count - right.count) <= bound else { return nil }
    var beforePrevious: [Int] = []
    var previous = Array(0...right.count)
    for row in left.indices {
        var current = [row + 1]
        current.reserveCapacity(right.count + 1)
        for column in right.indices {
            let change = previous[column] + (left[row] == right[column] ? 0 : 1)
            var distance = min(change, previous[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                distance = min(distance, beforePrevious[column - 1] + 1)
            }
            current.append(distance)
        }
        if current.allSatisfy({ $0 > bound }) { return nil }
        beforePrevious = previous
        previous = current
    }
    return previous[right.count] <= bound ? previous[right.count] : nil
}
