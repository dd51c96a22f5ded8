// A set of versions written as npm's node-semver writes it in strict mode, without includePrerelease.
// Left out on purpose: accidents of node-semver's regular expressions that no grammar describes, such as `1.2.3*`, `^= 1.2.3`
// and `1.2.3+a+b`; they are errors here. White space is ASCII white space.

/// A range of versions such as `^1.2.0 || >=3.0.0 <4.0.0`.
///
/// The grammar is node-semver's: `||` unions of sets, each a hyphen range or a list of `<`, `<=`, `>`, `>=`, `=`, `~`, `~>`,
/// `^`, partial versions and wildcards. A prerelease satisfies a set only if a comparator of that same set is a prerelease
/// with the same three numbers. Two ranges are equal when their canonical forms are.
public struct VersionRange: Hashable, Sendable, CustomStringConvertible {
    /// The longest range text that is read, in bytes.
    ///
    /// node-semver has no limit; this one bounds hostile input.
    public static let maximumLength = 16_384

    /// Every released version: `*`.
    public static let any = VersionRange(sets: [ComparatorSet([])])

    let sets: [ComparatorSet]

    /// Reads a range; the empty text and `*` mean every released version.
    public init(_ text: some StringProtocol) throws(RangeError) {
        self = try RangeParser.parse(text).range
    }

    /// Makes the range that only `version` and versions of the same precedence satisfy.
    public init(exactly version: SemanticVersion) {
        sets = [ComparatorSet([Comparator(.equal, version)])]
    }

    /// Joins parsed sets: sets that match nothing are dropped, and one `*` swallows the others.
    init(sets parsed: [ComparatorSet]) {
        let useful = parsed.filter { !$0.isNone }
        if useful.isEmpty {
            sets = [ComparatorSet([.none])]
        } else {
            sets = useful.first { $0.isAny }.map { [$0] } ?? useful
        }
    }

    /// The range as primitive comparators, exactly as node-semver's `validRange` prints it.
    public var canonical: String {
        isAny ? "*" : sets.map(\.description).joined(separator: "||")
    }

    /// The canonical form.
    public var description: String { canonical }

    /// Whether the range is `*`.
    public var isAny: Bool { sets.contains { $0.isAny } }

    /// Whether `version` satisfies the range.
    public func contains(_ version: SemanticVersion) -> Bool {
        sets.contains { $0.contains(version) }
    }

    /// The highest version of `versions` in the range, or nil; among equals the first.
    public func highest(in versions: some Sequence<SemanticVersion>) -> SemanticVersion? {
        versions.reduce(nil) { best, version in
            guard contains(version) else { return best }
            guard let best else { return version }
            return best < version ? version : best
        }
    }

    /// The lowest version of `versions` in the range, or nil; among equals the first.
    public func lowest(in versions: some Sequence<SemanticVersion>) -> SemanticVersion? {
        versions.reduce(nil) { best, version in
            guard contains(version) else { return best }
            guard let best else { return version }
            return version < best ? version : best
        }
    }

    /// Whether some version satisfies both ranges.
    ///
    /// The answer is exact under the prerelease rule: true means that such a version exists.
    public func intersects(_ other: VersionRange) -> Bool {
        Extent(self).overlaps(Extent(other))
    }

    /// Whether every version of this range is in `other`; exact, and true for a range that nothing satisfies.
    public func isSubset(of other: VersionRange) -> Bool {
        Extent(self).isCovered(by: Extent(other))
    }

    /// Whether no version satisfies the range, as with `>2.0.0 <1.0.0`.
    public var isEmpty: Bool { minimumVersion == nil }

    /// The lowest version by precedence that satisfies the range, or nil when nothing does.
    public var minimumVersion: SemanticVersion? { Extent(self).lowest }

    /// What is odd about a valid range, for a linter to show.
    public static func warnings(in text: some StringProtocol) throws(RangeError) -> [RangeWarning] {
        let parsed = try RangeParser.parse(text)
        guard parsed.range.isEmpty else { return parsed.warnings }
        return parsed.warnings + [RangeWarning(kind: .matchesNothing, offset: 0)]
    }
}

/// Something odd about a range that is valid all the same.
public struct RangeWarning: Hashable, Sendable, CustomStringConvertible {
    /// The kinds of oddity.
    public enum Kind: Hashable, Sendable {
        /// The prerelease of a range with wildcards has no effect, as in `1.x.x-alpha`.
        case ignoredPrerelease
        /// No version satisfies the range.
        case matchesNothing
    }

    /// What is odd.
    public let kind: Kind
    /// Where it is: a UTF-8 offset into the text.
    public let offset: Int

    /// The warning in one sentence.
    public var description: String {
        switch kind {
        case .ignoredPrerelease: "the prerelease at offset \(offset) has no effect because it follows a wildcard"
        case .matchesNothing: "no version satisfies this range"
        }
    }
}
