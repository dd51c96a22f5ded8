// The specification's registries against the code's, so that the document cannot rot.

import MeshProtocol
import Testing

@Suite struct `docs PROTOCOL` {
    /// The cells of the tables of a section, without their heads.
    private func table(_ title: String) throws -> [[String]] {
        let lines = try Repository.specification().split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(
            lines.firstIndex { $0.hasPrefix("#") && $0.hasSuffix(" \(title)") },
            "no section \(title)"
        )
        var rows: [[String]] = []
        var isHead = true
        for line in lines[(start + 1)...].prefix(while: { !$0.hasPrefix("#") }) {
            guard line.hasPrefix("|") else {
                isHead = true
                continue
            }
            let cells = line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
                .map { String($0).trimmed }
            defer { isHead = false }
            if isHead || cells.allSatisfy({ $0.allSatisfy { "-:".contains($0) } && !$0.isEmpty }) { continue }
            rows.append(cells)
        }
        return rows
    }

    @Test func `the verbs are the code's`() throws {
        let verbs = try table("Verbs").map { "\($0[0]) \($0[1])" }
        #expect(
            verbs
                == Verb.allCases.map { verb in
                    "0x\(verb.rawValue < 16 ? "0" : "")\(String(verb.rawValue, radix: 16)) \(verb.name)"
                }
        )
    }

    @Test func `each verb has a section of its own`() throws {
        let text = try Repository.specification()
        for verb in Verb.allCases { #expect(text.contains(" \(verb.name)\n"), "\(verb.name)") }
    }

    @Test func `the statuses are the code's`() throws {
        let statuses = try table("Statuses").map { "\($0[0]) \($0[1])" }
        #expect(statuses == Status.registry.map { "\($0.status.rawValue) \($0.name)" })
        for (index, entry) in Status.registry.enumerated() { #expect(Int(entry.status.rawValue) == index) }
        #expect(Status(rawValue: 99).description == "STATUS_99")
    }

    @Test func `the flags are the code's`() throws {
        var flags: [String: UInt16] = [:]
        for row in try table("Flags") { flags["\(row[0]).\(row[2])"] = 1 << (try #require(UInt16(row[1]))) }
        #expect(flags == FlagNames.all)
    }

    @Test func `bands, clocks and phases are the code's`() throws {
        #expect(try table("Bands").map { "\($0[0]) \($0[1])" } == Band.allCases.map { "\($0.rawValue) \($0)" })
        #expect(try table("Clocks").map { "\($0[0]) \($0[1])" } == Clock.allCases.map { "\($0.rawValue) \($0)" })
        #expect(try table("Phases").map { "\($0[0]) \($0[1])" } == CallPhase.allCases.map { "\($0.rawValue) \($0)" })
    }

    @Test func `the content types are the code's`() throws {
        let named: [ContentType] = [.bytes, .json, .text, .cbor, .messagePack, .protobuf]
        #expect(try table("Content types").map { $0[0] } == named.map { String($0.rawValue) })
    }

    @Test func `the limits are the code's`() throws {
        let limits = try table("7. Limits").prefix(13).map { "\($0[0]) \($0[1])" }
        #expect(
            limits == [
                "headerByteCount \(WireLimits.headerByteCount)", "batchByteCount \(WireLimits.batchByteCount)",
                "nameByteCount \(WireLimits.nameByteCount)",
                "versionByteCount \(WireLimits.versionByteCount)", "topicByteCount \(WireLimits.topicByteCount)",
                "valueByteCount \(WireLimits.valueByteCount)", "messageByteCount \(WireLimits.messageByteCount)",
                "ticketByteCount \(WireLimits.ticketByteCount)", "methodCount \(WireLimits.methodCount)",
                "attributeCount \(WireLimits.attributeCount)", "capabilityCount \(WireLimits.capabilityCount)",
                "permissionCount \(WireLimits.permissionCount)", "hopCount \(WireLimits.hopCount)",
            ]
        )
    }

    @Test func `the headers of the example session are headers of the vectors`() throws {
        let text = try Repository.specification()
        let blocks = text.split(separator: "```hex\n").dropFirst()
        #expect(blocks.count == 8)
        for block in blocks {
            let lines = block.prefix(while: { $0 != "`" }).split(separator: "\n").filter { !$0.hasPrefix("--") }
            let bytes = lines.flatMap { unhex(String($0.prefix(while: { $0 != ";" }))) }
            let header = try Header.decode(bytes)
            let vectors = try Repository.good(type(of: header.fields).verb).vectors
            #expect(vectors.contains { $0.bytes == bytes }, "\(header)")
        }
    }

    @Test func `the patterns of the example table match what it says`() throws {
        for row in try table("4. Grammar") where row.count == 3 {
            let pattern = row[0].codeWords.first ?? ""
            #expect(Topics.isPattern(pattern))
            for topic in row[1].codeWords { #expect(Topics.matches(pattern: pattern, topic: topic)) }
            for topic in row[2].codeWords { #expect(!Topics.matches(pattern: pattern, topic: topic)) }
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// What stands between back quotes.
    fileprivate var codeWords: [String] {
        split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
            .map { String($0.element) }
    }
}
