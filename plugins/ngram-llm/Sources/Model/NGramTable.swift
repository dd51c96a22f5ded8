// The n-grams of one length: context → the tokens that followed it, with their discounted probabilities.
// Flat arrays and one dictionary; built once, then only read. Pure: the standard library alone.

/// The last tokens before the one to be predicted, at most four, packed sixteen bits each with the newest lowest.
struct Context: Sendable, Hashable {
    static let capacity = 4

    private(set) var packed: UInt64 = 0
    private(set) var length = 0

    /// Adds a token at the new end; the oldest falls out.
    mutating func append(_ token: TokenID) {
        packed = packed << 16 | UInt64(token.rawValue)
        length = min(length + 1, Self.capacity)
    }

    /// The newest `length` tokens as a key, or nil if there are not so many.
    func key(length wanted: Int) -> UInt64? {
        guard wanted <= length else { return nil }
        return packed & Self.mask(wanted)
    }

    /// The bits that the newest `length` tokens take.
    static func mask(_ length: Int) -> UInt64 {
        length == 0 ? 0 : UInt64.max >> UInt64(64 - 16 * length)
    }
}

/// One n-gram in training: its context's key and the token that followed.
struct Occurrence: Sendable {
    var context: UInt64
    var token: UInt16
}

/// Counts of n-grams of one length, made into probabilities and back-off weights.
struct NGramTable: Sendable {
    private var numbers: [UInt64: UInt32] = [:]
    private var contexts: [UInt64] = []
    /// The successors of context `c` lie at `starts[c]..<starts[c + 1]`, by rising token.
    private var starts: [UInt32] = [0]
    private var tokens: [UInt16] = []
    private var probabilities: [Float] = []
    private var backOffs: [Float] = []

    /// How many different n-grams the table holds.
    var count: Int { tokens.count }

    /// Bytes that the arrays and the dictionary take, roughly.
    var byteCount: Int {
        tokens.count * 6 + contexts.count * 16 + numbers.capacity * 16
    }

    /// Builds the table from the n-grams of a text, in any order.
    init(_ occurrences: [Occurrence]) {
        var keys: [UInt64] = []
        keys.reserveCapacity(occurrences.count)
        for occurrence in occurrences {
            keys.append(UInt64(number(of: occurrence.context)) << 16 | UInt64(occurrence.token))
        }
        keys.sort()
        fill(with: Self.tally(keys))
    }

    /// Each different n-gram once, its oldest token dropped: what the next lower order counts.
    func shortened(contextLength: Int) -> [Occurrence] {
        let mask = Context.mask(contextLength - 1)
        var result: [Occurrence] = []
        result.reserveCapacity(tokens.count)
        for number in contexts.indices {
            for index in Int(starts[number])..<Int(starts[number + 1]) {
                result.append(Occurrence(context: contexts[number] & mask, token: tokens[index]))
            }
        }
        return result
    }

    /// Where the successors of a context lie, or nil if the context was never seen.
    func find(_ key: UInt64) -> Row? {
        guard let number = numbers[key].map({ Int($0) }) else { return nil }
        return Row(range: Int(starts[number])..<Int(starts[number + 1]), backOff: backOffs[number])
    }

    /// The discounted probability of a token in a row; zero if it was not seen there.
    func probability(of token: TokenID, in row: Row) -> Float {
        var low = row.range.lowerBound
        var high = row.range.upperBound
        while low < high {
            let middle = (low + high) / 2
            if tokens[middle] < token.rawValue { low = middle + 1 } else { high = middle }
        }
        return low < row.range.upperBound && tokens[low] == token.rawValue ? probabilities[low] : 0
    }

    /// Interpolates a row into the distribution of the lower order, of whose share it keeps back a part.
    func interpolate(_ row: Row, into distribution: inout [Float], trust: Float) {
        let share = row.backOff * (1 - trust)
        let gain = row.backOff < 1 ? (1 - share) / (1 - row.backOff) : 1
        for index in distribution.indices { distribution[index] *= share }
        for index in row.range { distribution[Int(tokens[index])] += probabilities[index] * gain }
    }

    /// The successors of one context, and the share that falls to the lower order.
    struct Row: Sendable {
        var range: Range<Int>
        var backOff: Float
    }
}

extension NGramTable {
    private mutating func number(of context: UInt64) -> UInt32 {
        if let known = numbers[context] { return known }
        let number = UInt32(contexts.count)
        contexts.append(context)
        numbers[context] = number
        return number
    }

    private static func tally(_ sorted: [UInt64]) -> [(key: UInt64, count: Int)] {
        var result: [(key: UInt64, count: Int)] = []
        for key in sorted {
            if let last = result.last, last.key == key {
                result[result.count - 1].count += 1
            } else {
                result.append((key, 1))
            }
        }
        return result
    }

    private mutating func fill(with tally: [(key: UInt64, count: Int)]) {
        let discounts = Discounts(counts: tally.map { $0.count })
        tokens.reserveCapacity(tally.count)
        probabilities.reserveCapacity(tally.count)
        var index = 0
        for number in contexts.indices {
            let start = index
            var total = 0
            var withheld = 0.0
            while index < tally.count, tally[index].key >> 16 == UInt64(number) {
                total += tally[index].count
                withheld += discounts[tally[index].count]
                tokens.append(UInt16(truncatingIfNeeded: tally[index].key))
                index += 1
            }
            for entry in tally[start..<index] {
                probabilities.append(Float((Double(entry.count) - discounts[entry.count]) / Double(total)))
            }
            starts.append(UInt32(index))
            backOffs.append(Float(withheld / Double(total)))
        }
    }
}

/// What modified Kneser–Ney smoothing takes off a count of one, of two, and of three or more.
struct Discounts: Sendable {
    private var values = [0.5, 1.0, 1.5]

    /// Estimates the discounts from how many n-grams were seen once, twice, three times and four times.
    init(counts: [Int]) {
        var seen = [0.0, 0.0, 0.0, 0.0]
        for count in counts where (1...4).contains(count) { seen[count - 1] += 1 }
        guard seen.allSatisfy({ $0 > 0 }) else { return }
        let share = seen[0] / (seen[0] + 2 * seen[1])
        for index in values.indices {
            let count = Double(index + 1)
            let estimate = count - (count + 1) * share * seen[index + 1] / seen[index]
            if estimate > 0, estimate < count { values[index] = estimate }
        }
    }

    /// The discount for a count.
    subscript(count: Int) -> Double { values[min(count, 3) - 1] }
}
