// Text to word tokens and back, without losing a character.
// Spaces are not tokens: a rule says where one stands by default, and a token is spent only where the text departs
// from the rule. Pure: the standard library alone.

/// Splits text into words, numbers, punctuation marks and line breaks.
///
/// `Detokenizer` gives back exactly the text that went in. The empty token joins its neighbours where a space would be
/// expected; whitespace that the rule does not expect is a token of its own, one for each character.
public struct Tokenizer: Sendable {
    /// Makes a tokenizer; all of them are alike.
    public init() {}

    /// The tokens of a text, in order.
    public func tokens(of text: String) -> [String] {
        let characters = Array(text)
        var tokens: [String] = []
        var spacing = Spacing()
        var gap: [Character] = []
        var position = 0
        while position < characters.count {
            if characters[position].isWhitespace {
                gap.append(characters[position])
                position += 1
                continue
            }
            let end = Self.endOfToken(in: characters, from: position)
            let token = String(characters[position..<end])
            Self.close(gap: gap, before: token, spacing: &spacing, tokens: &tokens)
            gap.removeAll(keepingCapacity: true)
            spacing.advance(past: token)
            tokens.append(token)
            position = end
        }
        tokens.append(contentsOf: gap.map { String($0) })
        return tokens
    }

    /// The text that a sequence of tokens stands for.
    public func text(of tokens: some Sequence<String>) -> String {
        var detokenizer = Detokenizer()
        var text = ""
        for token in tokens { text += detokenizer.append(token) }
        return text
    }

    private static func close(gap: [Character], before token: String, spacing: inout Spacing, tokens: inout [String]) {
        let expected = spacing.expectsSpace(before: token)
        if gap.isEmpty {
            if expected {
                tokens.append("")
                spacing.advance(past: "")
            }
        } else if !(expected && gap == [" "]) {
            for character in gap {
                tokens.append(String(character))
                spacing.advance(past: String(character))
            }
        }
    }

    private static func endOfToken(in characters: [Character], from start: Int) -> Int {
        guard isWordCharacter(characters[start]) else { return start + 1 }
        var position = start + 1
        while position < characters.count {
            let character = characters[position]
            if isWordCharacter(character) {
                position += 1
                continue
            }
            guard position + 1 < characters.count else { break }
            let before = characters[position - 1]
            let after = characters[position + 1]
            let joinsLetters = "'’-".contains(character) && before.isLetter && after.isLetter
            let joinsDigits = ".,".contains(character) && before.isNumber && after.isNumber
            guard joinsLetters || joinsDigits else { break }
            position += 2
        }
        return position
    }

    private static func isWordCharacter(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}

/// Turns tokens back into text, one at a time, so that a stream of tokens can be shown as it comes.
public struct Detokenizer: Sendable {
    private var spacing = Spacing()

    /// Makes a detokenizer that stands at the beginning of a text.
    public init() {}

    /// The text that the next token adds, with the space before it if one belongs there.
    public mutating func append(_ token: String) -> String {
        let text = spacing.expectsSpace(before: token) ? " " + token : token
        spacing.advance(past: token)
        return text
    }
}

/// The rule that says where a space stands by default.
private struct Spacing: Sendable {
    private var takesSpaceAfter = false
    private var insideQuotes = false

    /// Whether one space is expected before this token.
    func expectsSpace(before token: String) -> Bool {
        guard takesSpaceAfter, let first = token.first, !first.isWhitespace else { return false }
        if token == "\"" { return !insideQuotes }
        return !(token.count == 1 && ",.;:!?)]}’”%…".contains(first))
    }

    /// Moves past a token; straight quotes open and close in turn, and none stays open past a line.
    mutating func advance(past token: String) {
        guard let first = token.first, !first.isWhitespace else {
            takesSpaceAfter = false
            if token.first?.isNewline == true { insideQuotes = false }
            return
        }
        if token == "\"" {
            insideQuotes.toggle()
            takesSpaceAfter = !insideQuotes
        } else {
            takesSpaceAfter = !(token.count == 1 && "([{“‘#$".contains(first))
        }
    }
}
