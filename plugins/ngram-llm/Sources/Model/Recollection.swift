// What the model remembers of its training text line by line, so that a prompt can bring the lines like it to mind.
// Pure: the standard library alone.

/// A line of the training text, and the words that bring it to mind.
struct Recollection: Sendable {
    /// Every token of the line, and the one that came after.
    var tokens: [TokenID]
    /// The different tokens of the line, or, if it is an answer, of the question.
    var cues: Set<TokenID>

    /// All lines of the training text.
    static func all(in documents: [[TokenID]], vocabulary: Vocabulary) -> [Recollection] {
        let lineBreak = vocabulary.id(of: "\n")
        let user = vocabulary.id(of: "User")
        var result: [Recollection] = []
        for document in documents {
            var start = 1
            var question = 0..<0
            for position in 1..<document.count where document[position] == lineBreak || document[position] == .end {
                if user != .unknown, document[start] == user {
                    question = start..<position
                } else if start < position {
                    let cues = question.isEmpty ? start..<position : question
                    result.append(Recollection(tokens: Array(document[start...position]), cues: Set(document[cues])))
                    question = 0..<0
                }
                start = position + 1
            }
        }
        return result
    }
}

/// The lines that a prompt has brought to mind, and what followed which words in them.
///
/// A cache language model, after R. Kuhn and R. De Mori, "A Cache-Based Natural Language Model for Speech Recognition",
/// IEEE PAMI 12(6), 1990, whose cache is filled by retrieval instead of by the last words said.
struct Reminder: Sendable {
    /// How many lines come to mind at once.
    static let lineLimit = 2

    private var contexts: [Context] = []
    private var successors: [TokenID] = []

    init(of lines: [Recollection]) {
        for line in lines {
            var context = Context()
            for token in line.tokens {
                if context.length > 0 {
                    contexts.append(context)
                    successors.append(token)
                }
                context.append(token)
            }
        }
    }

    /// Mixes what followed the longest part of the context that the lines know into a distribution.
    func mix(into distribution: inout [Float], in context: Context, share: Float) {
        for length in stride(from: context.length, to: 0, by: -1) {
            let key = context.key(length: length)
            let matches = contexts.indices.filter { contexts[$0].key(length: length) == key }
            guard !matches.isEmpty else { continue }
            // One word in common says little about the next.
            let portion = length == 1 ? share / 4 : share
            for index in distribution.indices { distribution[index] *= 1 - portion }
            for index in matches { distribution[Int(successors[index].rawValue)] += portion / Float(matches.count) }
            return
        }
    }
}

extension NGramModel {
    /// The lines most like the end of a prompt: those that share its rarest words, for their length.
    func reminder(of prompt: [TokenID]) -> Reminder {
        let cues = Set(prompt.suffix(48)).filter { $0.rawValue > TokenID.end.rawValue }
        let usual = distribution(in: Context())
        var best: [(score: Double, line: Recollection)] = []
        for line in recollections {
            var score = 0.0
            for cue in line.cues where cues.contains(cue) {
                let surprise = -naturalLogarithm(Double(usual[Int(cue.rawValue)]))
                score += surprise * surprise * surprise
            }
            score /= Double(line.cues.count).squareRoot()
            guard score > 0, best.count < Reminder.lineLimit || score > (best.last?.score ?? 0) else { continue }
            if best.count == Reminder.lineLimit { best.removeLast() }
            best.insert((score, line), at: best.firstIndex { $0.score < score } ?? best.count)
        }
        let worth = (best.first?.score ?? 0) * 0.8
        return Reminder(of: best.filter { $0.score >= worth }.map { $0.line })
    }
}
