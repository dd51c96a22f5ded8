// Words to small numbers and back. Sixteen bits a word, so that four words of context pack into one 64-bit key.
// Pure: the standard library alone.

/// The number of a token in a model's vocabulary.
public struct TokenID: Hashable, Sendable {
    /// The number itself: the token's place in the vocabulary.
    public let rawValue: UInt16

    init(_ rawValue: UInt16) { self.rawValue = rawValue }

    /// Stands for every word that the model was not trained on; never generated.
    public static let unknown = TokenID(0)
    /// Stands before the first token of a passage; never generated.
    public static let begin = TokenID(1)
    /// Stands after the last token of a passage.
    public static let end = TokenID(2)
}

/// The words that a model knows.
struct Vocabulary: Sendable {
    /// How many tokens a vocabulary can hold, the three special ones among them.
    static let capacity = 1 << 16

    private(set) var words: [String] = ["", "", ""]
    private var numbers: [String: TokenID] = [:]

    /// Tokens in the vocabulary, the special ones among them.
    var count: Int { words.count }

    /// The number of a word, which is added if there is room for it.
    mutating func intern(_ word: String) -> TokenID {
        if let known = numbers[word] { return known }
        guard words.count < Self.capacity else { return .unknown }
        let id = TokenID(UInt16(words.count))
        words.append(word)
        numbers[word] = id
        return id
    }

    /// The number of a word as it is written, or else in lower case, or else with a capital; else `unknown`.
    func id(of word: String) -> TokenID {
        if let exact = numbers[word] { return exact }
        let lower = word.lowercased()
        if let known = numbers[lower] { return known }
        guard let first = lower.first else { return .unknown }
        return numbers[first.uppercased() + lower.dropFirst()] ?? .unknown
    }

    /// The word that a number stands for; the special tokens have no text.
    func word(_ id: TokenID) -> String { words[Int(id.rawValue)] }
}
