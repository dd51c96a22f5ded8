// The figures of a run, and the two ways to show them: one table for people, JSON for programs. Pure.

import FoundationEssentials

/// One figure: what was measured of the mesh, of the relay and of NATS, round by round.
struct Row: Codable {
    var group: String
    var name: String
    var unit: String
    var isLowerBetter = false
    var mesh: [Double] = []
    var relay: [Double] = []
    var nats: [Double] = []
    /// What the ratio to the relay must reach; nil when none is asked for.
    var ratioTarget: Double?
    /// What the mesh's own figure must reach; nil when none is asked for.
    var valueTarget: Double?
    /// True when the mesh must be better than NATS.
    var mustBeatNATS = false

    /// The mesh against the relay: the median of the rounds' ratios, so that a slow moment of the machine touches both.
    var relayRatio: Double? { Row.ratio(mesh, relay) }
    /// The mesh against NATS.
    var natsRatio: Double? { Row.ratio(mesh, nats) }

    private static func ratio(_ left: [Double], _ right: [Double]) -> Double? {
        guard !left.isEmpty, !right.isEmpty else { return nil }
        return zip(left, right).map { $0 / $1 }.median
    }

    /// Whether every target is met; nil when there is none, or nothing to hold against it.
    var isMet: Bool? {
        var verdicts: [Bool] = []
        if let ratioTarget, let relayRatio {
            verdicts.append(isLowerBetter ? relayRatio <= ratioTarget : relayRatio >= ratioTarget)
        }
        if let valueTarget, let value = mesh.median {
            verdicts.append(isLowerBetter ? value <= valueTarget : value >= valueTarget)
        }
        if mustBeatNATS, let natsRatio { verdicts.append(isLowerBetter ? natsRatio < 1 : natsRatio > 1) }
        return verdicts.isEmpty ? nil : verdicts.allSatisfy { $0 }
    }

    fileprivate var targetText: String {
        var parts: [String] = []
        let sign = isLowerBetter ? "<=" : ">="
        if let ratioTarget { parts.append("\(sign) \(ratioTarget.short) relay") }
        if let valueTarget { parts.append("\(sign) \(valueTarget.short)") }
        if mustBeatNATS { parts.append("beat NATS") }
        return parts.joined(separator: ", ")
    }
}

/// All figures of a run.
struct Report: Codable {
    var machine: String
    var seconds = 0.0
    var rows: [Row] = []
    var notes: [String] = []

    /// The figures as JSON.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// The figures as one table.
    func table() -> String {
        let head = ["", "unit", "mesh", "relay", "mesh/relay", "NATS", "mesh/NATS", "target", ""]
        var lines = [head]
        var group = ""
        for row in rows {
            if row.group != group {
                group = row.group
                lines.append([group])
            }
            lines.append(Report.cells(row))
        }
        let widths = head.indices.map { column in
            lines.filter { $0.count > 1 }.map { $0[column].count }.max() ?? 0
        }
        var text = machine + "\n\n"
        for line in lines {
            guard line.count > 1 else {
                text += "\n" + line[0] + "\n"
                continue
            }
            let cells = line.indices.map { column in
                let space = String(repeating: " ", count: max(0, widths[column] - line[column].count))
                return column == 0 || column >= 7 ? line[column] + space : space + line[column]
            }
            text += Report.trimmed(cells.joined(separator: "  ")) + "\n"
        }
        if !notes.isEmpty { text += "\n" + notes.map { "* " + $0 }.joined(separator: "\n") + "\n" }
        return text
    }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }

    private static func cells(_ row: Row) -> [String] {
        let verdict = row.isMet.map { $0 ? "met" : "MISSED" } ?? ""
        return [
            "  " + row.name, row.unit, row.mesh.median?.short ?? "–", row.relay.median?.short ?? "–",
            row.relayRatio?.short ?? "", row.nats.median?.short ?? "", row.natsRatio?.short ?? "", row.targetText,
            verdict,
        ]
    }
}

extension [Double] {
    /// The middle value; nil when there is none.
    var median: Double? {
        guard !isEmpty else { return nil }
        let sorted = self.sorted()
        let half = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[half - 1] + sorted[half]) / 2 : sorted[half]
    }
}

extension Double {
    /// Three digits that matter, with groups of thousands.
    var short: String {
        let size = abs(self)
        let digits = size >= 100 || self == rounded() ? 0 : size >= 10 ? 1 : size >= 0.01 ? 2 : 4
        let scale = [1.0, 10, 100, 1_000, 10_000][digits]
        let scaled = Int((size * scale).rounded())
        let whole = String(scaled / Int(scale))
        var grouped = ""
        for (place, digit) in whole.reversed().enumerated() {
            if place > 0, place.isMultiple(of: 3) { grouped.append(" ") }
            grouped.append(digit)
        }
        let text = String(grouped.reversed())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + text }
        let part = String(scaled % Int(scale))
        return sign + text + "." + String(repeating: "0", count: digits - part.count) + part
    }
}
