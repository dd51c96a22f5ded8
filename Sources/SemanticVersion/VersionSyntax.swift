// The grammar of SemVer 2.0.0 as npm's node-semver reads it in strict mode: `v`? major.minor.patch (-prerelease)? (+build)?
// Shared by versions and ranges. Only ByteCursor and the problem types are used here.

extension ByteCursor {
    /// Reads a number without a needless leading zero, up to 2^53 - 1.
    mutating func number(component: String) throws(SyntaxFault) -> UInt64 {
        let start = position
        let limit = SemanticVersion.maximumNumber
        var value: UInt64 = 0
        var isTooLarge = false
        while let byte = current, byte.isDigit {
            if !isTooLarge {
                value = value * 10 + UInt64(byte - .zero)
                isTooLarge = value > limit
            }
            position += 1
        }
        let digits = position - start
        guard digits > 0 else { throw SyntaxFault(problem: .missingNumber(component: component), offset: start) }
        guard digits == 1 || bytes[start] != .zero else { throw SyntaxFault(problem: .leadingZero, offset: start) }
        guard !isTooLarge else { throw SyntaxFault(problem: .numberTooLarge, offset: start) }
        return value
    }

    /// Reads the dot and the number after it.
    mutating func dotNumber(component: String) throws(SyntaxFault) -> UInt64 {
        guard take(.dot) else { throw SyntaxFault(problem: .missingDot(before: component), offset: position) }
        return try number(component: component)
    }

    /// Reads one prerelease identifier.
    mutating func prereleaseIdentifier() throws(SyntaxFault) -> SemanticVersion.Identifier {
        let start = position
        var isNumeric = true
        while let byte = current, byte.isIdentifier {
            isNumeric = isNumeric && byte.isDigit
            position += 1
        }
        guard position > start else { throw SyntaxFault(problem: .emptyIdentifier, offset: start) }
        if isNumeric, position - start > 1, bytes[start] == .zero {
            throw SyntaxFault(problem: .leadingZero, offset: start)
        }
        return SemanticVersion.Identifier(checked: text(from: start), isNumeric: isNumeric)
    }

    /// Reads `-a.b.c` when the cursor stands on the hyphen.
    mutating func prerelease() throws(SyntaxFault) -> [SemanticVersion.Identifier] {
        guard take(.hyphen) else { return [] }
        var identifiers = [try prereleaseIdentifier()]
        while take(.dot) { identifiers.append(try prereleaseIdentifier()) }
        return identifiers
    }

    /// Reads `+a.b.c` when the cursor stands on the plus sign.
    mutating func build() throws(SyntaxFault) -> [String] {
        guard take(.plus) else { return [] }
        var identifiers: [String] = []
        repeat {
            let start = position
            guard skip(while: { $0.isIdentifier }) > 0 else {
                throw SyntaxFault(problem: .emptyIdentifier, offset: start)
            }
            identifiers.append(text(from: start))
        } while take(.dot)
        return identifiers
    }

    /// Throws when a byte is left.
    func expectEnd() throws(SyntaxFault) {
        guard !isAtEnd else { return }
        throw SyntaxFault(problem: .unexpectedCharacter(displayed(current)), offset: position)
    }

    /// Reads a whole version with the white space around it.
    mutating func version() throws(SyntaxFault) -> SemanticVersion {
        guard bytes.count <= SemanticVersion.maximumLength else {
            throw SyntaxFault(problem: .tooLong(limit: SemanticVersion.maximumLength), offset: 0)
        }
        skipSpace()
        guard !isAtEnd else { throw SyntaxFault(problem: .empty, offset: position) }
        _ = take(.letterV)
        let major = try number(component: "major")
        let minor = try dotNumber(component: "minor")
        let patch = try dotNumber(component: "patch")
        if current == .dot { throw SyntaxFault(problem: .tooManyNumbers, offset: position) }
        let prerelease = try prerelease()
        let build = try build()
        skipSpace()
        try expectEnd()
        return SemanticVersion(checked: (major, minor, patch), prerelease: prerelease, build: build)
    }
}
