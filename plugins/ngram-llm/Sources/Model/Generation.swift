// Text as it is generated: an iterator of pieces that ends at the end of a passage, a stop sequence or the limit.
// Pure: the standard library alone; whoever iterates decides when to pause, to show and to give up.

/// Why a generation ended.
public enum FinishReason: String, Sendable {
    /// The passage ended, or a stop sequence appeared.
    case stop
    /// As many tokens as were allowed have been generated.
    case length
}

/// A text that is being generated, piece by piece.
///
/// A piece is the text of one token, or of several where a stop sequence seemed to begin. Read `finishReason` and
/// `tokenCount` once `next` has given nil; so iterate with `while let`, since `for` works on a copy.
public struct Generation: Sequence, IteratorProtocol, Sendable {
    /// How many tokens the prompt has.
    public let promptTokenCount: Int
    /// How many tokens have been generated so far.
    public private(set) var tokenCount = 0
    /// Why the generation ended, or nil while it goes on.
    public private(set) var finishReason: FinishReason?

    private let model: NGramModel
    private let maximumTokens: Int
    private let trust: Float
    private let recall: Float
    private let reminder: Reminder
    private var sampler: Sampler
    private var context: Context
    private var detokenizer = Detokenizer()
    private var stops: StopMatcher
    private var atStart: Bool

    /// Begins a generation; an answer has no space before it, and ends with its line.
    init(model: NGramModel, prompt: String, options: SamplingOptions, answering: Bool) throws(SamplingError) {
        sampler = try Sampler(options)
        self.model = model
        maximumTokens = options.maximumTokens
        trust = Float(options.contextTrust)
        recall = Float(options.recall)
        stops = StopMatcher(answering ? options.stop + [ChatPrompt.stop] : options.stop)
        atStart = answering
        var words = Tokenizer().tokens(of: prompt)
        promptTokenCount = words.count
        while words.last == " " { words.removeLast() }
        for word in words { _ = detokenizer.append(word) }
        let tokens = words.map { model.vocabulary.id(of: $0) }
        context = model.context(after: tokens)
        reminder = options.recall > 0 ? model.reminder(of: model.lastLines(of: tokens)) : Reminder(of: [])
    }

    /// The next piece of text, or nil at the end.
    public mutating func next() -> String? {
        while finishReason == nil {
            guard tokenCount < maximumTokens else { return finish(.length) }
            guard let token = sampler.sample(weights()), token != .end else { return finish(.stop) }
            tokenCount += 1
            context.append(token)
            var text = detokenizer.append(model.vocabulary.word(token))
            if atStart {
                text = String(text.drop { $0.isWhitespace })
                atStart = text.isEmpty
            }
            let released = stops.append(text)
            if stops.hasMatched { finishReason = .stop }
            if !released.isEmpty { return released }
        }
        return nil
    }

    private mutating func finish(_ reason: FinishReason) -> String? {
        finishReason = reason
        let held = stops.flush()
        return held.isEmpty ? nil : held
    }

    private func weights() -> [Float] {
        var weights = model.distribution(in: context, trust: trust)
        if recall > 0 { reminder.mix(into: &weights, in: context, share: recall) }
        weights[Int(TokenID.unknown.rawValue)] = 0
        weights[Int(TokenID.begin.rawValue)] = 0
        if tokenCount == 0 { weights[Int(TokenID.end.rawValue)] = 0 }
        return weights
    }
}

/// A text that was generated to its end.
public struct Completion: Sendable, Equatable {
    /// The text, without the prompt.
    public let text: String
    /// Why it ended.
    public let finishReason: FinishReason
    /// How many tokens the prompt has.
    public let promptTokenCount: Int
    /// How many tokens were generated.
    public let tokenCount: Int
}

extension NGramModel {
    /// Begins to continue a prompt, word for word where it left off.
    public func generate(
        continuing prompt: String,
        options: SamplingOptions = SamplingOptions()
    ) throws(SamplingError) -> Generation {
        try Generation(model: self, prompt: prompt, options: options, answering: false)
    }

    /// Continues a prompt to the end.
    public func complete(
        _ prompt: String,
        options: SamplingOptions = SamplingOptions()
    ) throws(SamplingError) -> Completion {
        Completion(of: try generate(continuing: prompt, options: options))
    }

    /// The last two lines of a prompt: in a conversation, the question and the beginning of its answer.
    func lastLines(of tokens: [TokenID]) -> [TokenID] {
        let lineBreak = vocabulary.id(of: "\n")
        let breaks = tokens.indices.filter { tokens[$0] == lineBreak }.suffix(2)
        guard lineBreak != .unknown, breaks.count == 2, let first = breaks.first else { return tokens }
        return Array(tokens[first...])
    }
}

extension Completion {
    /// Runs a generation to its end.
    init(of generation: Generation) {
        var generation = generation
        var text = ""
        while let piece = generation.next() { text += piece }
        self.text = text
        finishReason = generation.finishReason ?? .stop
        promptTokenCount = generation.promptTokenCount
        tokenCount = generation.tokenCount
    }
}

/// Finds stop sequences in text that comes in pieces, and holds back what may be the beginning of one.
struct StopMatcher: Sendable {
    private let sequences: [[UInt8]]
    private var held: [UInt8] = []
    /// Whether a stop sequence has appeared; nothing is released after it.
    private(set) var hasMatched = false

    init(_ sequences: [String]) { self.sequences = sequences.map { Array($0.utf8) } }

    /// Takes the next piece, and gives out what can no longer be part of a stop sequence.
    mutating func append(_ text: String) -> String {
        guard !hasMatched else { return "" }
        guard !sequences.isEmpty else { return text }
        held.append(contentsOf: text.utf8)
        for start in held.indices {
            let rest = held[start...]
            if sequences.contains(where: { rest.starts(with: $0) }) {
                hasMatched = true
                return release(start)
            }
            if sequences.contains(where: { $0.starts(with: rest) }) { return release(start) }
        }
        return release(held.count)
    }

    /// Gives out what was held back, at the end.
    mutating func flush() -> String {
        let end = held.indices.first { start in sequences.contains { held[start...].starts(with: $0) } }
        return hasMatched ? "" : release(end ?? held.count)
    }

    private mutating func release(_ count: Int) -> String {
        let text = String(decoding: held[..<count], as: UTF8.self)
        held.removeFirst(count)
        return text
    }
}
