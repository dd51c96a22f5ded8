// The limits of the grammar, the cost of long input, and what the parts and errors of the API promise.

import SemanticVersion
import Testing

@Suite struct LimitTests {
    @Test func `a version may have 256 bytes and no more`() throws {
        let longest = "1.2.3-" + String(repeating: "a", count: 250)
        #expect(try SemanticVersion(longest).prerelease.count == 1)
        let error = try #require(throws: VersionError.self) { try SemanticVersion(longest + "a") }
        #expect(error.problem == .tooLong(limit: 256))
        #expect(throws: VersionError.self) { try SemanticVersion("1.2.3" + String(repeating: " ", count: 252)) }
    }

    @Test func `a range keeps to its own limit and its bounds to that of versions`() throws {
        let padding = String(repeating: " ", count: VersionRange.maximumLength - 1)
        #expect(try VersionRange(padding + "1").canonical == ">=1.0.0 <2.0.0-0")
        let tooLong = try #require(throws: RangeError.self) { try VersionRange(padding + "1 ") }
        #expect(tooLong.problem == .tooLong(limit: VersionRange.maximumLength))
        let bound = "1.2.3-" + String(repeating: "a", count: 250)
        #expect(try VersionRange(">=" + bound).canonical == ">=" + bound)
        #expect(throws: RangeError.self) { try VersionRange(">=" + bound + "a") }
        #expect(try VersionRange("4.17.0+" + String(repeating: "a", count: 5000)).canonical == "4.17.0")
    }

    @Test func `ten kilobytes of any shape are read in linear time`() {
        let shapes = [
            "1.2.3 || ", "|| ", "^1.2.3-a.b.c.d ", ">1 <2 ", "~", "1.", "x.", "1.2.3-", "- ", " ", "9", "+a", "a.",
            "= ",
            "1.2.3 - 2.0.0||", "<x || ", "^ ~ ", "1.2.3+a.b||",
        ]
        let clock = ContinuousClock()
        let version = SemanticVersion(major: 1, minor: 2, patch: 3)
        for shape in shapes {
            let text = String(repeating: shape, count: 10_240 / shape.utf8.count)
            let elapsed = clock.measure {
                if let range = try? VersionRange(text) { _ = (range.contains(version), range.canonical, range.isEmpty) }
                _ = try? SemanticVersion(text)
            }
            // A quadratic pass over 10 kB is 10^8 steps: far beyond this bound in a debug build.
            #expect(elapsed < .seconds(1), "\(shape): \(elapsed)")
        }
    }

    @Test func `comparing two ranges of thousands of sets takes no quadratic time`() throws {
        let odd = (0..<1600).map { "1.\($0 * 2)" }.joined(separator: "||")
        let even = (0..<1600).map { "1.\($0 * 2 + 1)" }.joined(separator: "||")
        let (a, b) = (try VersionRange(odd), try VersionRange(even))
        let elapsed = ContinuousClock().measure {
            #expect(!a.intersects(b))
            #expect(!a.isSubset(of: b))
        }
        #expect(elapsed < .seconds(1), "\(elapsed)")
    }

    @Test func `an error says what, where and what to type`() throws {
        let range = try #require(throws: RangeError.self) { try VersionRange("^2.0.x.1") }
        #expect(
            range.description
                == #"range "^2.0.x.1" is not valid at offset 6: a version has three numbers, not four; did you mean "^2.0.1"?"#
        )
        let version = try #require(throws: VersionError.self) { try SemanticVersion("1.2") }
        #expect(
            version.description
                == #"version "1.2" is not valid at offset 3: expected "." and the patch number; did you mean "1.2.0"?"#
        )
    }

    @Test func `an error quotes hostile text short and printable`() throws {
        let text = "\u{1b}[2J\n" + String(repeating: "é", count: 5000)
        let error = try #require(throws: RangeError.self) { try VersionRange(text) }
        #expect(error.excerpt.utf8.count < 100)
        #expect(error.description.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) })
        #expect(error.suggestion == nil)
    }

    @Test func `a version made from parts always reads back`() throws {
        let version = SemanticVersion(
            major: .max,
            minor: 2,
            patch: 3,
            prerelease: [try .init("rc"), .init(7)],
            build: ["a b", "", "é"]
        )
        #expect(version.major == SemanticVersion.maximumNumber)
        #expect(version.description == "9007199254740991.2.3-rc.7+a-b.--")
        #expect(version.isIdentical(to: try SemanticVersion(version.description)))
        #expect(throws: VersionError.self) { try SemanticVersion.Identifier("01") }
        #expect(throws: VersionError.self) { try SemanticVersion.Identifier("a.b") }
        #expect(throws: VersionError.self) { try SemanticVersion.Identifier("") }
        #expect(try SemanticVersion.Identifier("99999999999999999999").number == nil)
    }

    @Test func `the highest version is picked, and among equals the first`() throws {
        let versions = try ["1.2.3", "1.2.6+a", "1.2.6+b", "1.3.0", "2.0.0-rc"].map { try SemanticVersion($0) }
        #expect(try VersionRange("~1.2.3").highest(in: versions)?.description == "1.2.6+a")
        #expect(VersionRange.any.highest(in: versions)?.description == "1.3.0")
        #expect(try VersionRange("^3").highest(in: versions) == nil)
        #expect(VersionRange(exactly: versions[4]).highest(in: versions)?.description == "2.0.0-rc")
    }

    @Test func `a lint names a prerelease without effect and a range that matches nothing`() throws {
        #expect(try VersionRange.warnings(in: "^1.2.3-a").isEmpty)
        #expect(try VersionRange.warnings(in: "1.x.x-a").map(\.kind) == [.ignoredPrerelease])
        #expect(try VersionRange.warnings(in: "1.x.x-a").map(\.offset) == [5])
        #expect(try VersionRange.warnings(in: ">2 <1").map(\.kind) == [.matchesNothing])
    }

    @Test func `any part of a string can be read`() throws {
        let line = "llm-service@^1.4.0".split(separator: "@")
        #expect(try VersionRange(line[1]).canonical == ">=1.4.0 <2.0.0-0")
        #expect(try SemanticVersion("x 1.4.0".dropFirst(2)).minor == 4)
    }
}
