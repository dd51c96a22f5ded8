// An open-addressing table from two numbers to a slot, for the look-ups that every frame makes: connection to session,
// and (session, request) to what the request is. The seed keeps peers, who choose their request ids, from piling them up.

/// A hash table with linear probing and without tombstones.
struct NumberTable: ~Copyable {
    struct Entry: BitwiseCopyable {
        var first: UInt64
        var second: UInt64
        /// ``vacant`` when the entry is free.
        var value: UInt32
    }

    private static var vacant: UInt32 { .max }
    private var entries: Slab<Entry>
    private var mask: Int
    private let seed: UInt64
    private let salt: UInt64
    private(set) var count = 0

    init(capacity: Int, seed: UInt64, salt: UInt64) {
        var size = 16
        while size < capacity { size *= 2 }
        entries = Slab(repeating: Entry(first: 0, second: 0, value: Self.vacant), count: size)
        mask = size - 1
        self.seed = seed
        self.salt = salt
    }

    @inline(__always)
    private func home(_ first: UInt64, _ second: UInt64) -> Int {
        let product = (first ^ seed).multipliedFullWidth(by: second ^ salt)
        return Int(truncatingIfNeeded: product.high ^ product.low) & mask
    }

    @inline(__always)
    private func find(_ first: UInt64, _ second: UInt64) -> Int {
        var place = home(first, second)
        while entries[place].value != Self.vacant {
            if entries[place].second == second, entries[place].first == first { return place }
            place = (place &+ 1) & mask
        }
        return -1
    }

    @inline(__always)
    subscript(first: UInt64, second: UInt64) -> UInt32? {
        let place = find(first, second)
        return place < 0 ? nil : entries[place].value
    }

    /// Adds a key that is not there.
    mutating func insert(_ first: UInt64, _ second: UInt64, _ value: UInt32) {
        precondition(value != Self.vacant, "NumberTable.insert: the value that marks free entries")
        if (count &+ 1) &* 4 > entries.count &* 3 { grow() }
        var place = home(first, second)
        while entries[place].value != Self.vacant { place = (place &+ 1) & mask }
        entries[place] = Entry(first: first, second: second, value: value)
        count &+= 1
    }

    /// Removes a key; nothing happens when it is not there.
    mutating func remove(_ first: UInt64, _ second: UInt64) {
        var gap = find(first, second)
        guard gap >= 0 else { return }
        var place = (gap &+ 1) & mask
        while entries[place].value != Self.vacant {
            let wanted = home(entries[place].first, entries[place].second)
            if (place &- wanted) & mask >= (place &- gap) & mask {
                entries[gap] = entries[place]
                gap = place
            }
            place = (place &+ 1) & mask
        }
        entries[gap].value = Self.vacant
        count &-= 1
    }

    private mutating func grow() {
        var larger = Slab(
            repeating: Entry(first: 0, second: 0, value: Self.vacant),
            count: entries.count * 2
        )
        mask = larger.count - 1
        for index in entries.indices where entries[index].value != Self.vacant {
            var place = home(entries[index].first, entries[index].second)
            while larger[place].value != Self.vacant { place = (place &+ 1) & mask }
            larger[place] = entries[index]
        }
        entries = larger
    }
}
