// Reads a whole range: splits at `||`, reads each set, and turns every term into primitive comparators.
// One pass from left to right without backtracking, so the work is linear in the length of the text.

/// Reads one range text.
struct RangeParser {
    private var cursor: ByteCursor
    private var warnings: [RangeWarning] = []

    private enum Operation {
        case caret, tilde
        case relation(Comparator.Relation)
        case bare

        /// Whether a hyphen may follow the operand: no operator stands before it, or a needless `=` before a partial one.
        func mayStartHyphen(_ operand: RangeOperand) -> Bool {
            switch self {
            case .bare: true
            case .relation(.equal): !operand.isFull
            case .relation, .caret, .tilde: false
            }
        }
    }

    /// Reads `text`, or throws an error that may carry a suggestion.
    static func parse(
        _ text: some StringProtocol
    ) throws(RangeError) -> (range: VersionRange, warnings: [RangeWarning]) {
        let bytes = Array(text.utf8.prefix(VersionRange.maximumLength + 1))
        do {
            return try parse(bytes)
        } catch {
            throw RangeError(error, bytes: bytes, suggestion: Repair.range(bytes))
        }
    }

    static func parse(_ bytes: [UInt8]) throws(SyntaxFault) -> (range: VersionRange, warnings: [RangeWarning]) {
        guard bytes.count <= VersionRange.maximumLength else {
            throw SyntaxFault(problem: .tooLong(limit: VersionRange.maximumLength), offset: 0)
        }
        var parser = RangeParser(cursor: ByteCursor(bytes))
        var sets = [try parser.set()]
        while try parser.takeUnion() { sets.append(try parser.set()) }
        return (VersionRange(sets: sets), parser.warnings)
    }

    /// Moves past `||` and says whether there was one; throws when a single `|` is there.
    private mutating func takeUnion() throws(SyntaxFault) -> Bool {
        guard cursor.current == .pipe else { return false }
        guard cursor.peek(1) == .pipe else { throw SyntaxFault(problem: .singlePipe, offset: cursor.position) }
        cursor.position += 2
        return true
    }

    private mutating func set() throws(SyntaxFault) -> ComparatorSet {
        var comparators: [Comparator] = []
        var isFirst = true
        cursor.skipSpace()
        while let byte = cursor.current, byte != .pipe {
            let (operation, operand) = try term()
            cursor.skipSpace()
            if try takeHyphen(after: operation, operand, isFirst: isFirst) {
                comparators = try hyphenRange(from: operand)
            } else {
                comparators += try desugar(operation, operand)
            }
            isFirst = false
        }
        return ComparatorSet(comparators)
    }

    private mutating func term() throws(SyntaxFault) -> (Operation, RangeOperand) {
        let (operation, symbol) = takeOperation()
        let operand = try cursor.operand(after: symbol, warnings: &warnings)
        switch operation {
        case .relation, .bare:
            // A full version after a comparison may have one `v`; `^`, `~` and wildcards forgive more.
            guard !(operand.isFull && operand.hasLongPrefix) else {
                throw SyntaxFault(problem: .misplacedPrefix, offset: operand.offset)
            }
        case .caret, .tilde: break
        }
        return (operation, operand)
    }

    /// Moves past an operator and the white space after it.
    private mutating func takeOperation() -> (Operation, symbol: String) {
        let start = cursor.position
        switch cursor.current {
        case UInt8.caret:
            cursor.position += 1
            cursor.skipSpace()
            return (.caret, "^")
        case UInt8.tilde:
            cursor.position += 1
            cursor.skipSpace()
            if cursor.take(.greater) { cursor.skipSpace() }
            return (.tilde, "~")
        case UInt8.less, UInt8.greater:
            let isLess = cursor.current == .less
            cursor.position += 1
            let isInclusive = takeEquals()
            cursor.skipSpace()
            let relation: Comparator.Relation =
                isLess ? (isInclusive ? .lessOrEqual : .less) : (isInclusive ? .greaterOrEqual : .greater)
            return (.relation(relation), relation.rawValue)
        case UInt8.equals:
            cursor.position += 1
            cursor.skipSpace()
            return (.relation(.equal), "=")
        default:
            cursor.position = start
            return (.bare, "")
        }
    }

    /// Moves past the `=` of `<=` or `>=`; it may follow white space when its version follows at once, as in `> =1.2.3`.
    private mutating func takeEquals() -> Bool {
        if cursor.take(.equals) { return true }
        let spaces = cursor.skipSpace()
        guard spaces > 0, cursor.current == .equals, cursor.peek(1)?.isSpace == false else { return false }
        return cursor.take(.equals)
    }

    // MARK: - Hyphen ranges

    /// Moves past a hyphen between two operands and the white space after it; both must be alone in their set.
    private mutating func takeHyphen(
        after operation: Operation,
        _ operand: RangeOperand,
        isFirst: Bool
    ) throws(SyntaxFault) -> Bool {
        guard cursor.current == .hyphen else { return false }
        guard operation.mayStartHyphen(operand), isFirst, cursor.peek(1)?.isSpace == true else {
            throw SyntaxFault(problem: .misplacedHyphen, offset: cursor.position)
        }
        cursor.position += 1
        cursor.skipSpace()
        return true
    }

    private mutating func hyphenRange(from first: RangeOperand) throws(SyntaxFault) -> [Comparator] {
        let last = try cursor.operand(after: "-", warnings: &warnings)
        guard !(last.isFull && last.hasLongPrefix) else {
            throw SyntaxFault(problem: .misplacedPrefix, offset: last.offset)
        }
        cursor.skipSpace()
        guard cursor.isAtEnd || cursor.current == .pipe else {
            throw SyntaxFault(problem: .misplacedHyphen, offset: cursor.position)
        }
        var comparators: [Comparator] = []
        if !first.isWildcard { comparators.append(Comparator(.greaterOrEqual, first.floor)) }
        if last.isFull {
            comparators.append(Comparator(.lessOrEqual, last.floor))
        } else if !last.isWildcard {
            comparators.append(try last.below(raising: last.numbers.count - 1))
        }
        return comparators
    }

    // MARK: - Desugaring

    private func desugar(_ operation: Operation, _ operand: RangeOperand) throws(SyntaxFault) -> [Comparator] {
        switch operation {
        case .caret:
            guard !operand.isWildcard else { return [] }
            return [
                Comparator(.greaterOrEqual, operand.floor),
                try operand.below(raising: Self.firstSignificant(operand.numbers)),
            ]
        case .tilde:
            guard !operand.isWildcard else { return [] }
            return [
                Comparator(.greaterOrEqual, operand.floor),
                try operand.below(raising: min(operand.numbers.count - 1, 1)),
            ]
        case .bare:
            return try primitive(.equal, operand)
        case .relation(let relation):
            return try primitive(relation, operand)
        }
    }

    /// The number that `^` lets nothing change: the leftmost that is not zero, or the last one written.
    private static func firstSignificant(_ numbers: [UInt64]) -> Int {
        numbers.firstIndex { $0 != 0 } ?? numbers.count - 1
    }

    private func primitive(
        _ relation: Comparator.Relation,
        _ operand: RangeOperand
    ) throws(SyntaxFault) -> [Comparator] {
        if operand.isFull { return [Comparator(relation, operand.floor)] }
        if operand.isWildcard { return relation == .less || relation == .greater ? [.none] : [] }
        let index = operand.numbers.count - 1
        switch relation {
        case .equal:
            return [Comparator(.greaterOrEqual, operand.floor), try operand.below(raising: index)]
        case .less: return [Comparator(.less, operand.floor.lowestPrerelease)]
        case .lessOrEqual: return [try operand.below(raising: index)]
        case .greater: return [Comparator(.greaterOrEqual, try operand.ceiling(raising: index))]
        case .greaterOrEqual: return [Comparator(.greaterOrEqual, operand.floor)]
        }
    }
}
