// One dot-separated part of a prerelease: `alpha`, `7`, `x-y`. It keeps its text and compares as SemVer 2.0.0 section 11 says.
// A numeric identifier may have any number of digits: digits are compared as text, so nothing overflows or rounds.

extension SemanticVersion {
    /// One dot-separated identifier of a prerelease, such as `alpha` or `7` in `1.0.0-alpha.7`.
    ///
    /// Numeric identifiers order by value and stand below all others; the others order by ASCII bytes, case-sensitive.
    public struct Identifier: Hashable, Comparable, Sendable, CustomStringConvertible {
        /// The identifier as it is written.
        public let description: String
        /// Whether the identifier is a number.
        public let isNumeric: Bool

        /// Makes a numeric identifier.
        public init(_ number: UInt64) {
            description = String(number)
            isNumeric = true
        }

        /// Makes an identifier from letters, digits and hyphens; a number must have no needless zero in front.
        public init(_ text: some StringProtocol) throws(VersionError) {
            let bytes = Array(text.utf8.prefix(SemanticVersion.maximumLength + 1))
            var cursor = ByteCursor(bytes)
            do throws(SyntaxFault) {
                guard bytes.count <= SemanticVersion.maximumLength else {
                    throw SyntaxFault(problem: .tooLong(limit: SemanticVersion.maximumLength), offset: 0)
                }
                self = try cursor.prereleaseIdentifier()
                try cursor.expectEnd()
            } catch {
                throw VersionError(error, bytes: bytes, suggestion: nil)
            }
        }

        /// Trusts the caller: `text` is one identifier of the grammar.
        init(checked text: String, isNumeric: Bool) {
            description = text
            self.isNumeric = isNumeric
        }

        /// The value of a numeric identifier, or nil when the identifier is not numeric or needs more than 64 bits.
        public var number: UInt64? { isNumeric ? UInt64(description) : nil }

        /// Whether `lhs` has the lower precedence.
        public static func < (lhs: Identifier, rhs: Identifier) -> Bool {
            guard lhs.isNumeric == rhs.isNumeric else { return lhs.isNumeric }
            if lhs.isNumeric {
                let (left, right) = (lhs.description.utf8.count, rhs.description.utf8.count)
                if left != right { return left < right }
            }
            return lhs.description < rhs.description
        }
    }
}
