// Tables for people: columns as wide as they need, cut to the terminal's width where it has one. Pure.

/// A table.
struct Table {
    /// A column's heading and side.
    struct Column {
        let title: String
        let isRight: Bool
        let paint: (@Sendable (Style, String) -> String)?

        /// Text, to the left.
        static func text(_ title: String, paint: (@Sendable (Style, String) -> String)? = nil) -> Column {
            Column(title: title, isRight: false, paint: paint)
        }

        /// Numbers, to the right.
        static func number(_ title: String) -> Column { Column(title: title, isRight: true, paint: nil) }
    }

    let columns: [Column]
    var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ row: [String]) { rows.append(row.map { clean($0) }) }

    /// The table's text, each line with its end.
    func text(width: Int?, style: Style) -> String {
        let widths = widths(fitting: width)
        var text = ""
        text += line(columns.map(\.title), widths) { style.bold($1) }
        for row in rows {
            text += line(row, widths) { index, cell in columns[index].paint?(style, cell) ?? cell }
        }
        return text
    }

    private func line(_ cells: [String], _ widths: [Int], paint: (Int, String) -> String) -> String {
        var text = ""
        for (index, cell) in cells.enumerated() where index < widths.count {
            let short = cut(cell, to: widths[index])
            let space = String(repeating: " ", count: max(0, widths[index] - short.count))
            let painted = paint(index, short)
            let isLast = index == widths.count - 1
            text += columns[index].isRight ? space + painted : painted + (isLast ? "" : space)
            if !isLast { text += "  " }
        }
        return text + "\n"
    }

    private func widths(fitting width: Int?) -> [Int] {
        var widths = columns.indices.map { index in
            rows.reduce(columns[index].title.count) { max($0, index < $1.count ? $1[index].count : 0) }
        }
        guard let width else { return widths }
        var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - width
        while excess > 0,
            let widest = widths.indices.filter({ !columns[$0].isRight }).max(by: { widths[$0] < widths[$1] }),
            widths[widest] > 8
        {
            widths[widest] -= 1
            excess -= 1
        }
        return widths
    }
}
