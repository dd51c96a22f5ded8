// What can be wrong with the text of a version or a range, in words a plugin author can act on.
// The parsers throw SyntaxFault inside the module; VersionError and RangeError add the text and a suggestion.

/// One way in which the text of a version or a range breaks the grammar.
public enum SyntaxProblem: Hashable, Sendable {
    /// Nothing but white space where a version must stand.
    case empty
    /// More bytes than the limit allows.
    case tooLong(limit: Int)
    /// A number is missing: the major, minor or patch number, in this order.
    case missingNumber(component: String)
    /// A dot is missing before the minor or the patch number.
    case missingDot(before: String)
    /// A number starts with a needless zero.
    case leadingZero
    /// A number is greater than 2^53 - 1.
    case numberTooLarge
    /// A prerelease or build identifier has no character.
    case emptyIdentifier
    /// A character that cannot stand at this place.
    case unexpectedCharacter(String)
    /// A fourth number follows major, minor and patch.
    case tooManyNumbers
    /// A prerelease follows a range operand that lacks its minor or patch number.
    case prereleaseOnPartial
    /// An operator has no version after it.
    case missingOperand(operator: String)
    /// A number follows `x`, `X` or `*`, as in `1.x.5`.
    case numberAfterWildcard
    /// A hyphen range is not alone in its set of comparators.
    case misplacedHyphen
    /// A single `|` where `||` must stand.
    case singlePipe
    /// A range operand has a prefix that only a partial version may have, as in `>==1.2.3`.
    case misplacedPrefix
    /// The upper bound that a range operand implies is greater than 2^53 - 1.
    case boundTooLarge

    /// The problem in words, to follow "at offset N:".
    public var explanation: String {
        switch self {
        case .empty: "there is no version"
        case .tooLong(let limit): "it is longer than \(limit) bytes"
        case .missingNumber(let component): "expected the \(component) number"
        case .missingDot(let component): "expected \".\" and the \(component) number"
        case .leadingZero: "a number must not start with a needless zero"
        case .numberTooLarge: "the number is greater than \(SemanticVersion.maximumNumber)"
        case .emptyIdentifier: "expected an identifier of letters, digits and hyphens"
        case .unexpectedCharacter(let character): "unexpected \(character)"
        case .tooManyNumbers: "a version has three numbers, not four"
        case .prereleaseOnPartial: "a prerelease needs a full major.minor.patch before it"
        case .missingOperand(let symbol): "expected a version after \"\(symbol)\""
        case .numberAfterWildcard: "a number must not follow a wildcard"
        case .misplacedHyphen: "a hyphen range \"A - B\" must stand alone between \"||\""
        case .singlePipe: "alternatives are separated by \"||\""
        case .misplacedPrefix: "expected at most one operator and one \"v\" before a full version"
        case .boundTooLarge: "the upper bound would be greater than \(SemanticVersion.maximumNumber)"
        }
    }
}

/// A problem and the UTF-8 offset where it is, as the parsers throw it.
struct SyntaxFault: Error {
    let problem: SyntaxProblem
    let offset: Int
}

/// Shows one byte of the input: printable ASCII as itself, everything else by its code.
func displayed(_ byte: UInt8?) -> String {
    guard let byte else { return "end" }
    if byte == 0x22 { return "'\"'" }
    if (0x21...0x7E).contains(byte) { return "\"\(Character(UnicodeScalar(byte)))\"" }
    if byte.isSpace { return "white space" }
    return "byte 0x" + String(byte, radix: 16, uppercase: true)
}

/// The first bytes of an input for an error text, with everything unprintable shown as "?".
func printable(_ bytes: [UInt8]) -> String {
    let limit = 80
    let shown = bytes.prefix(limit).map { (0x20...0x7E).contains($0) ? $0 : 0x3F }
    return String(decoding: shown, as: UTF8.self) + (bytes.count > limit ? "..." : "")
}

/// The one sentence that both error types print.
func sentence(
    subject: String,
    excerpt: String,
    problem: SyntaxProblem,
    offset: Int,
    suggestion: String?
) -> String {
    let hint = suggestion.map { "; did you mean \"\($0)\"?" } ?? ""
    return "\(subject) \"\(excerpt)\" is not valid at offset \(offset): \(problem.explanation)\(hint)"
}
