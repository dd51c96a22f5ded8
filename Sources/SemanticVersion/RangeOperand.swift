// What stands after an operator in a range: a full version, or a partial one such as `1`, `1.x` or `*`.
// Reading and widening operands is here; RangeParser puts operators and operands together.

/// A version in a range that may lack its last numbers.
struct RangeOperand {
    /// The numbers before the first wildcard or the end; three make a full version.
    var numbers: [UInt64] = []
    var prerelease: [SemanticVersion.Identifier] = []
    /// Where the operand starts, its prefix included.
    var offset = 0
    /// Whether the operand has more in front than one `v`.
    var hasLongPrefix = false

    var isFull: Bool { numbers.count == 3 }
    var isWildcard: Bool { numbers.isEmpty }

    /// The lowest version the operand names; missing numbers are 0.
    ///
    /// A partial operand has no prerelease.
    var floor: SemanticVersion {
        SemanticVersion(checked: (number(0), number(1), number(2)), prerelease: isFull ? prerelease : [])
    }

    private func number(_ index: Int) -> UInt64 { index < numbers.count ? numbers[index] : 0 }

    /// The lowest released version after all that share the number at `index` and those before it.
    func ceiling(raising index: Int) throws(SyntaxFault) -> SemanticVersion {
        let raised = number(index) + 1
        guard raised <= SemanticVersion.maximumNumber else {
            throw SyntaxFault(problem: .boundTooLarge, offset: offset)
        }
        return switch index {
        case 0: SemanticVersion(checked: (raised, 0, 0), prerelease: [])
        case 1: SemanticVersion(checked: (number(0), raised, 0), prerelease: [])
        default: SemanticVersion(checked: (number(0), number(1), raised), prerelease: [])
        }
    }

    /// `<X.Y.Z-0`: below the ceiling and below all of its prereleases.
    func below(raising index: Int) throws(SyntaxFault) -> Comparator {
        Comparator(.less, try ceiling(raising: index).lowestPrerelease)
    }
}

extension ByteCursor {
    private static var components: [String] { ["major", "minor", "patch"] }

    /// Reads an operand with its prefix.
    ///
    /// `symbol` is the operator before it, for the error text.
    mutating func operand(after symbol: String, warnings: inout [RangeWarning]) throws(SyntaxFault) -> RangeOperand {
        var operand = RangeOperand()
        operand.offset = position
        let prefixStart = position
        skip { $0 == .letterV || $0 == .equals }
        operand.hasLongPrefix = position - prefixStart > 1 || (position > prefixStart && bytes[prefixStart] == .equals)
        guard let first = current, first.isDigit || first.isWildcard else {
            if isAtEnd || current?.isSpace == true || current == .pipe, !symbol.isEmpty || position > prefixStart {
                let shown = symbol + text(from: prefixStart)
                throw SyntaxFault(problem: .missingOperand(operator: shown), offset: position)
            }
            throw SyntaxFault(problem: .unexpectedCharacter(displayed(current)), offset: position)
        }
        let versionStart = position
        let count = try numbers(into: &operand)
        try prerelease(into: &operand, isAllowed: count == 3, warnings: &warnings)
        guard position - versionStart <= SemanticVersion.maximumLength else {
            throw SyntaxFault(problem: .tooLong(limit: SemanticVersion.maximumLength), offset: versionStart)
        }
        _ = try build()
        guard isAtEnd || current?.isSpace == true || current == .pipe else {
            throw SyntaxFault(problem: .unexpectedCharacter(displayed(current)), offset: position)
        }
        return operand
    }

    /// Reads up to three numbers or wildcards and returns how many there were.
    private mutating func numbers(into operand: inout RangeOperand) throws(SyntaxFault) -> Int {
        var sawWildcard = false
        var count = 0
        repeat {
            guard count < 3 else { throw SyntaxFault(problem: .tooManyNumbers, offset: position - 1) }
            if let byte = current, byte.isWildcard {
                position += 1
                sawWildcard = true
            } else {
                let start = position
                let value = try number(component: Self.components[count])
                if sawWildcard { throw SyntaxFault(problem: .numberAfterWildcard, offset: start) }
                operand.numbers.append(value)
            }
            count += 1
        } while take(.dot)
        return count
    }

    private mutating func prerelease(
        into operand: inout RangeOperand,
        isAllowed: Bool,
        warnings: inout [RangeWarning]
    ) throws(SyntaxFault) {
        let start = position
        guard current == .hyphen else { return }
        guard isAllowed else { throw SyntaxFault(problem: .prereleaseOnPartial, offset: start) }
        operand.prerelease = try prerelease()
        if !operand.isFull { warnings.append(RangeWarning(kind: .ignoredPrerelease, offset: start)) }
    }
}
