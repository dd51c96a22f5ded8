// A range as sorted, disjoint half-open intervals of versions: the ground for exact intersection, subset and minimum.
// Released versions and prereleases are kept apart, because a prerelease counts only where its own three numbers are named.
// In both worlds every version has a successor, so `<=1.2.3` becomes "up to but without 1.2.4" and nothing is approximate.

/// The versions of a range as intervals.
struct Extent {
    /// The versions from `start` up to but without `end`; nil means without end.
    struct Interval {
        var start: SemanticVersion
        var end: SemanticVersion?

        /// Nil when no version lies between the bounds.
        init?(from start: SemanticVersion?, to end: SemanticVersion?) {
            guard let start else { return nil }
            if let end, end <= start { return nil }
            self.start = start
            self.end = end
        }

        /// Whether this interval ends no later than `other`.
        func ends(noLaterThan other: Interval) -> Bool {
            guard let limit = other.end else { return true }
            guard let end else { return false }
            return end <= limit
        }

        /// Whether the interval goes up to `version` at least, so that one starting there joins it.
        func reaches(_ version: SemanticVersion) -> Bool {
            guard let end else { return true }
            return version <= end
        }
    }

    private let released: [Interval]
    private let prereleases: [Interval]

    init(_ range: VersionRange) {
        let windows = range.sets.map(Window.init)
        released = Self.merged(windows.compactMap(\.released))
        prereleases = Self.merged(windows.flatMap(\.prereleases))
    }

    var lowest: SemanticVersion? {
        [released.first?.start, prereleases.first?.start].compactMap(\.self).min()
    }

    func overlaps(_ other: Extent) -> Bool {
        Self.overlap(released, other.released) || Self.overlap(prereleases, other.prereleases)
    }

    func isCovered(by other: Extent) -> Bool {
        Self.covered(released, by: other.released) && Self.covered(prereleases, by: other.prereleases)
    }

    private static func merged(_ intervals: [Interval]) -> [Interval] {
        var result: [Interval] = []
        for interval in intervals.sorted(by: { $0.start < $1.start }) {
            guard let last = result.last, last.reaches(interval.start) else {
                result.append(interval)
                continue
            }
            if last.ends(noLaterThan: interval) { result[result.count - 1].end = interval.end }
        }
        return result
    }

    private static func overlap(_ left: [Interval], _ right: [Interval]) -> Bool {
        var (i, j) = (0, 0)
        while i < left.count, j < right.count {
            let (a, b) = (left[i], right[j])
            if Interval(from: max(a.start, b.start), to: a.ends(noLaterThan: b) ? a.end : b.end) != nil { return true }
            if a.ends(noLaterThan: b) { i += 1 } else { j += 1 }
        }
        return false
    }

    private static func covered(_ inner: [Interval], by outer: [Interval]) -> Bool {
        var index = 0
        for interval in inner {
            while index < outer.count, !interval.ends(noLaterThan: outer[index]) { index += 1 }
            guard index < outer.count, outer[index].start <= interval.start else { return false }
        }
        return true
    }
}

/// The tightest bounds of one comparator set.
private struct Window {
    /// A bound and whether the bound itself is inside.
    typealias Bound = (version: SemanticVersion, isInclusive: Bool)

    private var lower: Bound?
    private var upper: Bound?
    /// The three numbers whose prereleases count in this set.
    private var cores: Set<SemanticVersion> = []

    init(_ set: ComparatorSet) {
        for comparator in set.comparators {
            let bound = comparator.bound
            if bound.isPrerelease { cores.insert(bound.core) }
            switch comparator.relation {
            case .equal:
                raise((bound, true))
                lower(to: (bound, true))
            case .greater: raise((bound, false))
            case .greaterOrEqual: raise((bound, true))
            case .less: lower(to: (bound, false))
            case .lessOrEqual: lower(to: (bound, true))
            }
        }
    }

    private mutating func raise(_ bound: Bound) {
        guard let old = lower, old.version >= bound.version else {
            lower = bound
            return
        }
        if old.version == bound.version { lower = (old.version, old.isInclusive && bound.isInclusive) }
    }

    private mutating func lower(to bound: Bound) {
        guard let old = upper, old.version <= bound.version else {
            upper = bound
            return
        }
        if old.version == bound.version { upper = (old.version, old.isInclusive && bound.isInclusive) }
    }

    /// The released versions between the bounds.
    var released: Extent.Interval? {
        var start: SemanticVersion? = .zero
        if let lower { start = Self.firstRelease(lower.version, orAbove: lower.isInclusive) }
        var end: SemanticVersion?
        if let upper { end = Self.firstRelease(upper.version, orAbove: !upper.isInclusive) }
        return Extent.Interval(from: start, to: end)
    }

    /// The lowest released version above `version`, or `version` itself when that is allowed.
    private static func firstRelease(_ version: SemanticVersion, orAbove isAllowed: Bool) -> SemanticVersion? {
        if version.isPrerelease { return version.core }
        return isAllowed ? version : version.nextRelease
    }

    /// The prereleases between the bounds, one interval for each named core.
    var prereleases: [Extent.Interval] {
        cores.compactMap { core in
            var start = core.lowestPrerelease
            if let lower, start <= lower.version {
                guard lower.version < core else { return nil }
                start = lower.isInclusive ? lower.version : lower.version.nextPrerelease
            }
            var end = core
            if let upper, upper.version < core {
                end = upper.isInclusive ? upper.version.nextPrerelease : upper.version
            }
            return Extent.Interval(from: start, to: end)
        }
    }
}
