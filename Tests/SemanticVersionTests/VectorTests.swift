// Runs every JSON vector: versions, order, ranges, canonical forms, errors, intersections, subsets and minimums.

import SemanticVersion
import Testing

@Suite struct VectorTests {
    struct RangeRow: Decodable {
        let range: String
        let includes: [String]
        let excludes: [String]
    }

    struct CanonicalRow: Decodable {
        let range: String
        let canonical: String
    }

    struct InvalidRangeRow: Decodable {
        let range: String
        let offset: Int
        let suggestion: String?
    }

    struct Versions: Decodable {
        struct Valid: Decodable {
            let text: String
            let canonical: String
        }

        struct Invalid: Decodable {
            let text: String
            let offset: Int
            let suggestion: String?
        }

        let valid: [Valid]
        let invalid: [Invalid]
    }

    struct Ordering: Decodable {
        let ascending: [[String]]
        let equal: [[String]]
    }

    struct IntersectionRow: Decodable {
        let a: String
        let b: String
        let intersects: Bool
    }

    struct SubsetRow: Decodable {
        let inner: String
        let outer: String
        let isSubset: Bool
    }

    struct MinimumRow: Decodable {
        let range: String
        let minimum: String?
    }

    @Test func `a range contains exactly the versions its row names`() throws {
        for row in try Vectors.load("ranges", as: [RangeRow].self) {
            let range = try VersionRange(row.range)
            for text in row.includes {
                #expect(range.contains(try SemanticVersion(text)), "\(row.range) must include \(text)")
            }
            for text in row.excludes {
                #expect(!range.contains(try SemanticVersion(text)), "\(row.range) must exclude \(text)")
            }
        }
    }

    @Test func `a range prints its canonical form`() throws {
        for row in try Vectors.load("canonical", as: [CanonicalRow].self) {
            let range = try VersionRange(row.range)
            #expect(range.canonical == row.canonical, "\(row.range)")
            #expect(range.description == row.canonical)
            #expect(try VersionRange(row.canonical) == range, "\(row.range)")
        }
    }

    @Test func `an invalid range is refused with its offset and a suggestion`() throws {
        for row in try Vectors.load("invalid-ranges", as: [InvalidRangeRow].self) {
            let error = try #require(throws: RangeError.self, "\(row.range)") { try VersionRange(row.range) }
            #expect(error.offset == row.offset, "\(error)")
            #expect(error.suggestion == row.suggestion, "\(error)")
            if let suggestion = error.suggestion { _ = try VersionRange(suggestion) }
        }
    }

    @Test func `a valid version reads back as it prints`() throws {
        for row in try Vectors.load("versions", as: Versions.self).valid {
            let version = try SemanticVersion(row.text)
            #expect(version.description == row.canonical)
            #expect(version.isIdentical(to: try SemanticVersion(version.description)))
        }
    }

    @Test func `an invalid version is refused with its offset and a suggestion`() throws {
        for row in try Vectors.load("versions", as: Versions.self).invalid {
            let error = try #require(throws: VersionError.self, "\(row.text)") { try SemanticVersion(row.text) }
            #expect(error.offset == row.offset, "\(error)")
            #expect(error.suggestion == row.suggestion, "\(error)")
            if let suggestion = error.suggestion { _ = try SemanticVersion(suggestion) }
        }
    }

    @Test func `every version of a chain precedes all that follow it`() throws {
        for chain in try Vectors.load("ordering", as: Ordering.self).ascending {
            let versions = try chain.map { try SemanticVersion($0) }
            for (index, low) in versions.enumerated() {
                for high in versions[(index + 1)...] {
                    #expect(low < high && low.precedes(high) && !(high <= low) && low != high, "\(low) < \(high)")
                }
            }
        }
    }

    @Test func `versions that differ only in build metadata are equal`() throws {
        for pair in try Vectors.load("ordering", as: Ordering.self).equal {
            let versions = try pair.map { try SemanticVersion($0) }
            #expect(versions[0] == versions[1] && versions[0].hasSamePrecedence(as: versions[1]))
            #expect(versions[0].hashValue == versions[1].hashValue)
            #expect(!(versions[0] < versions[1]) && !(versions[1] < versions[0]))
        }
    }

    @Test func `two ranges intersect exactly when a version is in both`() throws {
        for row in try Vectors.load("intersections", as: [IntersectionRow].self) {
            let (a, b) = (try VersionRange(row.a), try VersionRange(row.b))
            #expect(a.intersects(b) == row.intersects, "\(a) with \(b)")
            #expect(b.intersects(a) == row.intersects, "\(b) with \(a)")
        }
    }

    @Test func `a range is a subset when it adds no version`() throws {
        for row in try Vectors.load("subsets", as: [SubsetRow].self) {
            let (inner, outer) = (try VersionRange(row.inner), try VersionRange(row.outer))
            #expect(inner.isSubset(of: outer) == row.isSubset, "\(inner) in \(outer)")
        }
    }

    @Test func `the minimum version is the lowest that satisfies the range`() throws {
        for row in try Vectors.load("minimums", as: [MinimumRow].self) {
            let range = try VersionRange(row.range)
            #expect(range.minimumVersion?.description == row.minimum, "\(range)")
            #expect(range.isEmpty == (row.minimum == nil))
            if let minimum = range.minimumVersion { #expect(range.contains(minimum)) }
        }
    }
}
