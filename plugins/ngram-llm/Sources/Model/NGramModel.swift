// The language model: trained from passages of text, then asked how likely a token is after others.
// A value that never changes once made, so any number of tasks may read it. Pure: the standard library alone.

/// A word n-gram language model with interpolated, modified Kneser–Ney smoothing.
///
/// After S. F. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", Harvard
/// TR-10-98, 1998, section 3.2, which builds on R. Kneser and H. Ney, "Improved backing-off for m-gram language
/// modeling", ICASSP 1995: the longest n-grams are counted as they occur; a shorter one counts in how many different
/// words came before it, since it is asked only when the longer one has failed; each count gives up a discount, which
/// the next shorter order shares out. The last share is spread evenly over the vocabulary, so no text is impossible.
public struct NGramModel: Sendable {
    /// The longest n-grams a model can hold.
    public static let maximumOrder = Context.capacity + 1

    /// The length of the longest n-grams: a token is predicted from `order - 1` before it.
    public let order: Int
    /// How many tokens of text the model was trained on.
    public let trainingTokenCount: Int

    let vocabulary: Vocabulary
    let recollections: [Recollection]
    private let tables: [NGramTable]

    /// Trains a model; each passage stands by itself, with a beginning and an end.
    public init(passages: [String], order: Int = NGramModel.maximumOrder) throws(TrainingError) {
        guard (1...Self.maximumOrder).contains(order) else { throw .orderOutOfRange(order) }
        let tokenizer = Tokenizer()
        var vocabulary = Vocabulary()
        var documents: [[TokenID]] = []
        for passage in passages {
            let tokens = tokenizer.tokens(of: passage)
            guard !tokens.isEmpty else { continue }
            documents.append([.begin] + tokens.map { vocabulary.intern($0) } + [.end])
        }
        guard !documents.isEmpty else { throw .noText }
        self.order = order
        self.vocabulary = vocabulary
        trainingTokenCount = documents.reduce(0) { $0 + $1.count - 2 }
        tables = Self.train(documents, order: order)
        recollections = Recollection.all(in: documents, vocabulary: vocabulary)
    }

    /// Splits a text into passages at its lines of three hyphens.
    public static func passages(in text: String) -> [String] {
        var passages: [String] = []
        var lines: [Substring] = []
        func closePassage() {
            while lines.first?.isEmpty == true { lines.removeFirst() }
            while lines.last?.isEmpty == true { lines.removeLast() }
            if !lines.isEmpty { passages.append(lines.joined(separator: "\n")) }
            lines = []
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "---" { closePassage() } else { lines.append(line) }
        }
        closePassage()
        return passages
    }

    /// How many different tokens the model knows, the special ones among them.
    public var vocabularyCount: Int { vocabulary.count }

    /// How many different n-grams of all lengths the model holds.
    public var nGramCount: Int { tables.reduce(0) { $0 + $1.count } }

    /// Bytes that the model's tables take, roughly.
    public var byteCount: Int {
        tables.reduce(0) { $0 + $1.byteCount } + vocabulary.words.reduce(0) { $0 + 2 * ($1.utf8.count + 32) }
    }

    /// How many tokens a text has.
    public func tokenCount(of text: String) -> Int { Tokenizer().tokens(of: text).count }

    /// The numbers of a text's tokens.
    public func tokenIDs(of text: String) -> [TokenID] {
        Tokenizer().tokens(of: text).map { vocabulary.id(of: $0) }
    }

    /// The text that numbers stand for; words that the model does not know are left out.
    public func text(of tokens: some Sequence<TokenID>) -> String {
        var detokenizer = Detokenizer()
        var text = ""
        for token in tokens where token.rawValue > TokenID.end.rawValue {
            text += detokenizer.append(vocabulary.word(token))
        }
        return text
    }
}

/// Why a model could not be trained.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
    /// The passages hold no words.
    case noText
    /// The order asked for is not one that a model can have.
    case orderOutOfRange(Int)

    /// What happened, and what to do.
    public var description: String {
        switch self {
        case .noText:
            "cannot train a language model: the passages hold no words; give it at least one text file"
        case .orderOutOfRange(let order):
            "cannot train a language model of order \(order): give an order from 1 to \(NGramModel.maximumOrder)"
        }
    }
}

// MARK: - Likelihood

extension NGramModel {
    /// How likely a text is as a passage of its own: the sum of the natural logarithms over its tokens and its end.
    public func logProbability(of text: String) -> Double {
        var context = Context()
        context.append(.begin)
        var sum = 0.0
        for token in tokenIDs(of: text) + [.end] {
            sum += naturalLogarithm(Double(probability(of: token, in: context)))
            context.append(token)
        }
        return sum
    }

    /// Between how many equally likely tokens the model wavers, on average, when it reads a text; less is better.
    public func perplexity(of text: String) -> Double {
        exponential(-logProbability(of: text) / Double(tokenCount(of: text) + 1))
    }

    /// The probability that a token follows the given ones.
    public func probability(of token: TokenID, after tokens: [TokenID]) -> Double {
        Double(probability(of: token, in: context(after: tokens)))
    }

    /// The probability of every token of the vocabulary, by number, after the given ones.
    public func distribution(after tokens: [TokenID]) -> [Float] {
        distribution(in: context(after: tokens))
    }

    /// The context that tokens leave behind when they begin a passage.
    func context(after tokens: [TokenID]) -> Context {
        var context = Context()
        context.append(.begin)
        for token in tokens.suffix(Context.capacity) { context.append(token) }
        return context
    }

    func distribution(in context: Context, trust: Float = 0) -> [Float] {
        var distribution = [Float](repeating: uniform, count: vocabulary.count)
        distribution[Int(TokenID.begin.rawValue)] = 0
        for (length, table) in tables.enumerated() {
            guard let key = context.key(length: length), let row = table.find(key) else { break }
            table.interpolate(row, into: &distribution, trust: length == 0 ? 0 : trust)
        }
        return distribution
    }

    private func probability(of token: TokenID, in context: Context) -> Float {
        var probability = token == .begin ? 0 : uniform
        for (length, table) in tables.enumerated() {
            guard let key = context.key(length: length), let row = table.find(key) else { break }
            probability = probability * row.backOff + table.probability(of: token, in: row)
        }
        return probability
    }

    /// What each token gets when nothing is known; the beginning is never predicted.
    private var uniform: Float { 1 / Float(vocabulary.count - 1) }
}

// MARK: - Training

extension NGramModel {
    /// One table for each length of context, from none to `order - 1`.
    private static func train(_ documents: [[TokenID]], order: Int) -> [NGramTable] {
        var tables = [NGramTable(occurrences(in: documents, contextLength: order - 1, onlyAtStart: false))]
        for contextLength in stride(from: order - 2, through: 0, by: -1) {
            // A passage's first n-gram has nothing before it that could vary, so it is counted as it occurs.
            let first = occurrences(in: documents, contextLength: contextLength, onlyAtStart: true)
            tables.append(NGramTable(tables[tables.count - 1].shortened(contextLength: contextLength + 1) + first))
        }
        return tables.reversed()
    }

    private static func occurrences(
        in documents: [[TokenID]],
        contextLength: Int,
        onlyAtStart: Bool
    ) -> [Occurrence] {
        var result: [Occurrence] = []
        for document in documents {
            var context = Context()
            for (position, token) in document.enumerated() {
                let wanted = onlyAtStart ? position == contextLength : position >= contextLength
                if wanted, token != .begin, let key = context.key(length: contextLength) {
                    result.append(Occurrence(context: key, token: token.rawValue))
                }
                context.append(token)
            }
        }
        return result
    }
}
