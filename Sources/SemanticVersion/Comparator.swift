// One primitive comparison, such as `>=1.2.0`, and a set of them that must all hold.
// Ranges are nothing but a union of such sets; the prerelease rule lives here.

/// One comparison of a version with a bound, by precedence.
struct Comparator: Hashable, Sendable, CustomStringConvertible {
    enum Relation: String, Hashable, Sendable {
        case equal = ""
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    let relation: Relation
    let bound: SemanticVersion

    init(_ relation: Relation, _ bound: SemanticVersion) {
        self.relation = relation
        self.bound = bound
    }

    var description: String { relation.rawValue + bound.precedenceText }

    /// Whether every released version satisfies the comparator; `>=0.0.0` is written `*`.
    var isAny: Bool { relation == .greaterOrEqual && bound == .zero }

    /// Whether this is `<0.0.0-0`, the canonical comparator that nothing satisfies.
    var isNone: Bool { self == .none }

    static let none = Comparator(.less, SemanticVersion.zero.lowestPrerelease)

    func holds(for version: SemanticVersion) -> Bool {
        switch relation {
        case .equal: version == bound
        case .less: version < bound
        case .lessOrEqual: version <= bound
        case .greater: version > bound
        case .greaterOrEqual: version >= bound
        }
    }
}

/// Comparators that must all hold.
///
/// The empty set is `*`: every released version.
struct ComparatorSet: Hashable, Sendable, CustomStringConvertible {
    let comparators: [Comparator]

    /// Brings parsed comparators into canonical form: no `*`, no repeats, and `<0.0.0-0` alone when it occurs.
    init(_ parsed: [Comparator]) {
        guard !parsed.contains(where: \.isNone) else {
            comparators = [.none]
            return
        }
        var seen = Set<Comparator>()
        comparators = parsed.filter { !$0.isAny && seen.insert($0).inserted }
    }

    var isAny: Bool { comparators.isEmpty }

    var isNone: Bool { comparators.first?.isNone ?? false }

    var description: String { comparators.map(\.description).joined(separator: " ") }

    /// Whether all comparators hold and, for a prerelease, one of them is a prerelease of the same three numbers.
    func contains(_ version: SemanticVersion) -> Bool {
        guard comparators.allSatisfy({ $0.holds(for: version) }) else { return false }
        guard version.isPrerelease else { return true }
        return comparators.contains { $0.bound.isPrerelease && $0.bound.hasSameCore(as: version) }
    }
}
