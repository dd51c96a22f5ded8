// What docs/OPERATIONS.md promises: every limit with its default, and every method of the service `mesh`.

import BrokerCore
import Foundation
import Testing

@testable import Broker

@Suite struct DocumentTests {
    private static let text: String = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        return (try? String(contentsOf: folder.appending(path: "docs/OPERATIONS.md"), encoding: .utf8)) ?? ""
    }()

    /// The cells of the table's rows that follow a heading, up to the next heading.
    private func rows(after heading: String) throws -> [[String]] {
        let start = try #require(Self.text.range(of: "\n\(heading)\n")).upperBound
        let end = Self.text.range(of: "\n## ", range: start..<Self.text.endIndex)?.lowerBound
        return Self.text[start..<(end ?? Self.text.endIndex)].split(separator: "\n").filter { $0.hasPrefix("| `") }
            .map { row in
                row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            }
    }

    /// The words in backticks.
    private func names(_ cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
            .map { String($0.element) }
    }

    /// `1 MiB`, `10 000` or `700 ms` as the limit's number.
    private func number(_ text: some StringProtocol) -> Int? {
        let words = text.split { $0.isWhitespace }
        let digits = words.prefix { Int($0) != nil }
        let units = [
            "": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1, "s": 1_000, "h": 3_600_000,
        ]
        return Int(digits.joined()).flatMap { value in units[words.dropFirst(digits.count).joined()].map { $0 * value }
        }
    }

    @Test func `every limit is documented with its default`() throws {
        var documented: [String: Int] = [:]
        for row in try rows(after: "### Limits") {
            for cell in stride(from: 0, to: row.count - 1, by: 2) {
                for (name, value) in zip(names(row[cell]), row[cell + 1].split(separator: "/")) {
                    let known: Int = try #require(number(value), "\(name): \(value)")
                    documented[name] = known
                }
            }
        }
        let defaults = Limits()
        #expect(documented == Dictionary(uniqueKeysWithValues: LimitTable.entries.map { ($0.name, $0.get(defaults)) }))
    }

    @Test func `every method of the service mesh is documented`() throws {
        let documented = try rows(after: "## The service `mesh`").flatMap { names($0[0]) }
        let core = BrokerCore(
            limits: Limits(),
            policy: Policy(),
            identity: BrokerIdentity(epoch: 1, name: "test"),
            entropy: { 4 }
        )
        let service = try #require(core.services(after: nil, limit: 1).first)
        #expect(service.service == "mesh" && documented.sorted() == service.methods.map(\.name).sorted())
    }
}
