// Remembers what a call's words led to: pool, method and verdict, keyed by the bytes themselves, so that a call that is
// like an earlier one is routed without a string. Entries of an older generation count as absent: one number drops all.

/// Decisions of one kind, found again by principal and bytes.
struct RouteCache {
    /// What the bytes say.
    enum Kind: UInt8, BitwiseCopyable {
        case service
        case capability
        case topic
    }

    private struct Entry: BitwiseCopyable {
        var hash: UInt64 = 0
        var generation: UInt32 = 0
        var principal: UInt32 = 0
        var keyOffset: UInt32 = 0
        var mainCount: UInt16 = 0
        var extraCount: UInt16 = 0
        var kind: Kind = .service
        var route = Route()
    }

    /// Where a call goes.
    struct Route: BitwiseCopyable {
        var pool = PoolIndex.none
        var method = MethodIndex.none
    }

    private var entries: [Entry]
    private var mask: Int
    private var keys: [UInt8] = []
    private var generation: UInt32 = 1
    private let seed: UInt64
    private var maximumCount: Int
    private(set) var count = 0

    init(maximumCount: Int, seed: UInt64) {
        self.maximumCount = max(16, maximumCount)
        self.seed = seed | 1
        entries = Array(repeating: Entry(), count: 64)
        mask = 63
    }

    /// Forgets everything.
    mutating func removeAll() {
        generation &+= 1
        if generation == 0 {
            generation = 1
            for place in entries.indices { entries[place].generation = 0 }
        }
        keys.removeAll(keepingCapacity: true)
        count = 0
    }

    /// Sets how many decisions are kept; when there are more, all are forgotten, and their room is given back.
    mutating func setMaximumCount(_ count: Int) {
        maximumCount = max(16, count)
        guard self.count > maximumCount || entries.count > maximumCount * 4 else { return }
        removeAll()
        entries = Array(repeating: Entry(), count: 64)
        mask = 63
        keys = []
    }

    /// Finds a decision.
    @inline(__always)
    func find(_ key: RouteKey) -> Route? {
        var place = Int(truncatingIfNeeded: key.hash) & mask
        while entries[place].generation == generation {
            if entries[place].hash == key.hash, matches(place, key) { return entries[place].route }
            place = (place &+ 1) & mask
        }
        return nil
    }

    @inline(__always)
    private func matches(_ place: Int, _ key: RouteKey) -> Bool {
        let entry = entries[place]
        guard entry.principal == key.principal.raw, entry.kind == key.kind,
            Int(entry.mainCount) == key.main.count, Int(entry.extraCount) == key.extra.count
        else { return false }
        return keys.withUnsafeBytes { keys in
            let offset = Int(entry.keyOffset)
            return Self.equal(keys, offset, key.main)
                && Self.equal(keys, offset &+ Int(entry.mainCount), key.extra)
        }
    }

    /// Compares bytes, eight at a time.
    @inline(__always)
    private static func equal(
        _ keys: UnsafeRawBufferPointer,
        _ offset: Int,
        _ other: UnsafeRawBufferPointer
    ) -> Bool {
        guard offset &+ other.count <= keys.count else { return false }
        var place = 0
        while place &+ 8 <= other.count {
            let left = keys.loadUnaligned(fromByteOffset: offset &+ place, as: UInt64.self)
            guard left == other.loadUnaligned(fromByteOffset: place, as: UInt64.self) else { return false }
            place &+= 8
        }
        while place < other.count {
            guard keys[offset &+ place] == other[place] else { return false }
            place &+= 1
        }
        return true
    }

    /// Keeps a decision; everything is dropped when there are too many.
    mutating func insert(_ key: RouteKey, _ route: Route) {
        guard key.main.count <= 0xffff, key.extra.count <= 0xffff else { return }
        if count >= maximumCount || keys.count > 1 << 26 { removeAll() }
        if (count &+ 1) &* 2 > entries.count { grow() }
        var entry = Entry()
        entry.hash = key.hash
        entry.generation = generation
        entry.principal = key.principal.raw
        entry.keyOffset = UInt32(truncatingIfNeeded: keys.count)
        entry.mainCount = UInt16(truncatingIfNeeded: key.main.count)
        entry.extraCount = UInt16(truncatingIfNeeded: key.extra.count)
        entry.kind = key.kind
        entry.route = route
        keys.append(contentsOf: key.main)
        keys.append(contentsOf: key.extra)
        place(entry)
        count &+= 1
    }

    private mutating func place(_ entry: Entry) {
        var place = Int(truncatingIfNeeded: entry.hash) & mask
        while entries[place].generation == generation { place = (place &+ 1) & mask }
        entries[place] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = Array(repeating: Entry(), count: old.count * 2)
        mask = entries.count - 1
        for entry in old where entry.generation == generation { place(entry) }
    }

    /// Makes a key; the bytes are not copied.
    @inline(__always)
    func key(
        _ kind: Kind,
        principal: PrincipalIndex,
        main: UnsafeRawBufferPointer,
        extra: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) -> RouteKey {
        var state = Self.mix(seed ^ UInt64(principal.raw), 0x9e37_79b9_7f4a_7c15 ^ UInt64(kind.rawValue))
        state = Self.fold(main, state)
        if !extra.isEmpty { state = Self.fold(extra, state) }
        return RouteKey(kind: kind, principal: principal, main: main, extra: extra, hash: state)
    }

    @inline(__always)
    private static func fold(_ bytes: UnsafeRawBufferPointer, _ start: UInt64) -> UInt64 {
        var state = start ^ UInt64(truncatingIfNeeded: bytes.count)
        var place = 0
        while place &+ 8 <= bytes.count {
            state = mix(state ^ bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self), 0xa076_1d64_78bd_642f)
            place &+= 8
        }
        var rest: UInt64 = 0
        while place < bytes.count {
            rest = rest << 8 | UInt64(bytes[place])
            place &+= 1
        }
        return mix(state ^ rest, 0xe703_7ed1_a0b4_28db)
    }

    @inline(__always)
    private static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}

/// What a decision depends on.
///
/// Lives no longer than the header it points into.
struct RouteKey {
    var kind: RouteCache.Kind
    var principal: PrincipalIndex
    /// Service, range and method with their lengths; or a topic.
    var main: UnsafeRawBufferPointer
    /// The conditions.
    var extra: UnsafeRawBufferPointer
    var hash: UInt64
}
