// Laws that hold for all input, checked on input made from a seed; every failure prints what broke the law.
// The universe of versions is small on purpose, so that random ranges meet and miss each other often.

import SemanticVersion
import Testing

@Suite struct PropertyTests {
    static let rounds = 3000

    /// Every version TextMaker can write with the numbers 0 and 1, and the successor of each as well as its successor's.
    static let universe: [SemanticVersion] = {
        let singles = TextMaker.identifiers
        let written = singles + singles.flatMap { first in singles.map { first + "." + $0 } }
        let tails = written.flatMap { ["-" + $0, "-" + $0 + ".0", "-" + $0 + ".0.0"] }
        let cores = (0..<27).map { "\($0 / 9).\($0 / 3 % 3).\($0 % 3)" }
        let prereleases = cores.filter { !$0.contains("2") }.flatMap { core in tails.map { core + $0 } }
        return (cores + prereleases).compactMap { try? SemanticVersion($0) }
    }()

    @Test func `the canonical form means the same and is its own canonical form`() throws {
        var maker = TextMaker(seed: 1)
        for _ in 0..<Self.rounds {
            let text = maker.range()
            let range = try VersionRange(text)
            let again = try VersionRange(range.canonical)
            #expect(again.canonical == range.canonical, "\(text)")
            #expect(again == range && again.hashValue == range.hashValue, "\(text)")
            for _ in 0..<20 {
                let version = try SemanticVersion(maker.version())
                #expect(again.contains(version) == range.contains(version), "\(text) with \(version)")
            }
        }
    }

    @Test func `a union contains what either side contains`() throws {
        var maker = TextMaker(seed: 2)
        for _ in 0..<Self.rounds {
            let (left, right) = (maker.range(), maker.range())
            let (a, b) = (try VersionRange(left), try VersionRange(right))
            let union = try VersionRange(left + " || " + right)
            for _ in 0..<20 {
                let version = try SemanticVersion(maker.version())
                // `*` swallows the other sets, prereleases they name included: node-semver's rule.
                guard !union.isAny else { continue }
                #expect(union.contains(version) == (a.contains(version) || b.contains(version)), "\(union) \(version)")
            }
        }
    }

    @Test func `two sets side by side contain the released versions of both`() throws {
        var maker = TextMaker(seed: 3)
        for _ in 0..<Self.rounds {
            let (left, right) = ("^" + maker.partial(), ">=" + maker.partial())
            let both = try VersionRange(left + " " + right)
            let (a, b) = (try VersionRange(left), try VersionRange(right))
            for version in Self.universe where !version.isPrerelease {
                #expect(both.contains(version) == (a.contains(version) && b.contains(version)), "\(both) \(version)")
            }
        }
    }

    @Test func `intersects, isSubset and minimumVersion agree with a search through all versions`() throws {
        var maker = TextMaker(seed: 4)
        maker.numbers = ["0", "1"]
        for _ in 0..<(Self.rounds / 5) {
            let (a, b) = (try VersionRange(maker.range()), try VersionRange(maker.range()))
            let inA = Self.universe.filter(a.contains)
            let inBoth = inA.contains(where: b.contains)
            #expect(a.intersects(b) == b.intersects(a), "\(a) with \(b)")
            #expect(!inBoth || a.intersects(b), "\(a) with \(b): a common version was found")
            #expect(inBoth || !a.intersects(b), "\(a) with \(b): no common version was found")
            let isSubset = inA.allSatisfy(b.contains)
            #expect(!a.isSubset(of: b) || isSubset, "\(a) in \(b)")
            #expect(a.isSubset(of: b) || !isSubset, "\(a) not in \(b)")
            #expect(a.isSubset(of: a) && a.intersects(a) == !a.isEmpty, "\(a)")
            #expect(a.minimumVersion == inA.min(), "\(a)")
            #expect(a.highest(in: Self.universe) == inA.max(), "\(a)")
            #expect(a.lowest(in: Self.universe) == inA.min(), "\(a)")
        }
    }

    @Test func `precedence is a strict total order`() throws {
        var maker = TextMaker(seed: 5)
        for _ in 0..<Self.rounds {
            let a = try SemanticVersion(maker.version())
            let b = try SemanticVersion(maker.version())
            let c = try SemanticVersion(maker.version())
            #expect([a < b, a == b, a > b].count(where: { $0 }) == 1, "\(a) \(b)")
            if a < b, b < c { #expect(a < c, "\(a) \(b) \(c)") }
            if a == b { #expect(a.hashValue == b.hashValue) }
        }
    }

    @Test func `hostile text never traps and every error points into it`() {
        var maker = TextMaker(seed: 6)
        for round in 0..<(Self.rounds * 4) {
            var text = maker.hostile(length: round % 40)
            if round % 3 == 0 {
                text = maker.range()
                let index = text.index(text.startIndex, offsetBy: maker.below(text.count + 1))
                text.insert(contentsOf: maker.hostile(length: 1), at: index)
            }
            do throws(RangeError) {
                let range = try VersionRange(text)
                #expect((try? VersionRange(range.canonical)) == range, "\(text)")
                _ = (range.minimumVersion, range.intersects(.any), range.isSubset(of: .any))
            } catch {
                #expect((0...text.utf8.count).contains(error.offset), "\(error)")
                #expect(error.suggestion.map { (try? VersionRange($0)) != nil } ?? true, "\(error)")
            }
            do throws(VersionError) {
                #expect(!(try SemanticVersion(text)).description.isEmpty)
            } catch {
                #expect((0...text.utf8.count).contains(error.offset), "\(error)")
                #expect(error.suggestion.map { (try? SemanticVersion($0)) != nil } ?? true, "\(error)")
            }
        }
    }
}
