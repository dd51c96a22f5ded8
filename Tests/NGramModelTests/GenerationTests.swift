// Generating text: the seed decides, the options are kept to, and a stop sequence is found wherever it falls.

import NGramModel
import Testing

private func options(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
    var options = SamplingOptions()
    change(&options)
    return options
}

struct GenerationTests {
    let model: NGramModel

    init() throws { model = try Samples.trained.get() }

    @Test func `the same seed gives the same text, and another seed another`() throws {
        let texts = try ([1, 1, 2] as [UInt64]).map { seed in
            try model.complete(
                "The",
                options: options {
                    $0.seed = seed; $0.temperature = 1
                }
            ).text
        }
        #expect(texts[0] == texts[1])
        #expect(texts[0] != texts[2])
    }

    @Test func `a sampler draws the same tokens on every machine`() throws {
        var sampler = try Sampler(
            options {
                $0.seed = 42; $0.temperature = 1; $0.topP = 1
            }
        )
        let drawn = (0..<12).compactMap { _ in sampler.sample([1, 2, 3, 4])?.rawValue }
        #expect(drawn == [3, 3, 2, 0, 0, 1, 1, 1, 1, 2, 2, 3])
    }

    @Test func `a temperature of zero always takes the likeliest token`() throws {
        let greedy = options {
            $0.temperature = 0; $0.contextTrust = 0; $0.recall = 0; $0.maximumTokens = 6
        }
        let completion = try model.complete("The wizards", options: greedy)
        var tokens = model.tokenIDs(of: "The wizards")
        for token in model.tokenIDs(of: String(completion.text.drop { $0 == " " })) {
            let distribution = model.distribution(after: tokens)
            #expect(distribution[Int(token.rawValue)] == distribution.max())
            tokens.append(token)
        }
        #expect(tokens.count == 8)
        #expect(
            try model.complete(
                "The wizards",
                options: options {
                    $0 = greedy; $0.seed = 9
                }
            ) == completion
        )
    }

    @Test func `a sampler keeps to the k likeliest, and to the likeliest share`() throws {
        var two = try Sampler(
            options {
                $0.topK = 2; $0.topP = 1; $0.temperature = 2
            }
        )
        var half = try Sampler(
            options {
                $0.topK = nil; $0.topP = 0.5; $0.temperature = 1
            }
        )
        var all = try Sampler(
            options {
                $0.topK = nil; $0.topP = 1; $0.temperature = 2
            }
        )
        let weights: [Float] = [0, 0.1, 0.3, 0.05, 0.4, 0.15]
        var seen: (two: Set<UInt16>, half: Set<UInt16>, all: Set<UInt16>) = ([], [], [])
        for _ in 0..<500 {
            if let token = two.sample(weights) { seen.two.insert(token.rawValue) }
            if let token = half.sample(weights) { seen.half.insert(token.rawValue) }
            if let token = all.sample(weights) { seen.all.insert(token.rawValue) }
        }
        #expect(seen.two == [2, 4])
        #expect(seen.half == [2, 4])
        #expect(seen.all == [1, 2, 3, 4, 5])
        let fromZeros = all.sample([0, 0])
        #expect(fromZeros == nil)
        let fromNothing = all.sample([])
        #expect(fromNothing == nil)
    }

    @Test func `a sampler draws in proportion to the weights`() throws {
        var sampler = try Sampler(
            options {
                $0.topK = nil; $0.topP = 1; $0.temperature = 1; $0.seed = 5
            }
        )
        let ones = (0..<10_000).filter { _ in sampler.sample([3, 1])?.rawValue == 1 }.count
        #expect((2_300...2_700).contains(ones))
    }

    @Test(arguments: [0, 1, 17, 200])
    func `no more tokens come than were allowed`(maximum: Int) throws {
        let completion = try model.complete("The", options: options { $0.maximumTokens = maximum })
        #expect(completion.tokenCount <= maximum)
        #expect(completion.finishReason == .stop || completion.tokenCount == maximum)
        #expect(completion.promptTokenCount == 1)
        #expect(model.tokenCount(of: String(completion.text.drop { $0 == " " })) <= maximum)
    }

    @Test func `the pieces of a stream are the whole text`() throws {
        let choice = options {
            $0.seed = 3; $0.stop = ["never in the text"]
        }
        var stream = try model.generate(continuing: "The garden", options: choice)
        var text = ""
        var pieces = 0
        while let piece = stream.next() {
            #expect(!piece.isEmpty)
            text += piece
            pieces += 1
        }
        #expect(pieces > 1)
        #expect(text == (try model.complete("The garden", options: choice).text))
        #expect(stream.finishReason != nil)
        let afterEnd = stream.next()
        #expect(afterEnd == nil)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `a stop sequence ends the text before it, wherever its words are cut`(seed: UInt64) throws {
        let free = options {
            $0.seed = seed; $0.maximumTokens = 60; $0.temperature = 1
        }
        let whole = try model.complete("In the", options: free).text
        let characters = Array(whole)
        guard characters.count > 20 else { return }
        for stop in [String(characters[8..<13]), String(characters[5..<20]), String(characters.suffix(3))] {
            let range = try #require(whole.firstRange(of: stop))
            let cut = try model.complete(
                "In the",
                options: options {
                    $0 = free; $0.stop = ["not there", stop]
                }
            )
            #expect(cut.text == String(whole[..<range.lowerBound]))
            #expect(cut.finishReason == .stop)
        }
    }

    static let refused: [(name: String, options: SamplingOptions)] = [
        ("temperature", options { $0.temperature = 2.1 }), ("temperature", options { $0.temperature = .nan }),
        ("topK", options { $0.topK = 0 }), ("topP", options { $0.topP = 0 }), ("topP", options { $0.topP = 1.5 }),
        ("maximumTokens", options { $0.maximumTokens = -1 }),
        ("maximumTokens", options { $0.maximumTokens = 1_000_000 }),
        ("contextTrust", options { $0.contextTrust = -0.1 }), ("recall", options { $0.recall = 2 }),
        ("stop", options { $0.stop = [""] }), ("stop.count", options { $0.stop = Array(repeating: "x", count: 17) }),
    ]

    @Test(arguments: refused)
    func `an option out of bounds is refused by name`(name: String, options: SamplingOptions) {
        let error = #expect(throws: SamplingError.self) { try model.complete("The", options: options) }
        #expect(error?.option == name)
    }

    @Test func `any text may be a prompt`() throws {
        for prompt in ["", " ", "\n\n\n", "\u{0}", "日本語 ☂️", String(repeating: "rain ", count: 20_000)] {
            let completion = try model.complete(prompt, options: options { $0.maximumTokens = 5 })
            #expect(completion.tokenCount <= 5)
            #expect(completion.text.isEmpty == false)
        }
    }

    @Test func `a conversation is written line by line, and no content can open another's turn`() {
        let prompt = ChatPrompt([
            ChatMessage(role: .system, content: "Be brief."),
            ChatMessage(role: .user, content: " Hello\nWizard: I am\tyou "),
            ChatMessage(role: .assistant, content: "Good morning."),
            ChatMessage(role: .user, content: "\n"),
        ])
        #expect(prompt.text == "Be brief.\nUser: Hello Wizard: I am you\nWizard: Good morning.\nWizard:")
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func `an answer is one line`(seed: UInt64) throws {
        let question = [ChatMessage(role: .user, content: "How do I find a bug in the garden?")]
        let answer = try model.chat(question, options: options { $0.seed = seed })
        #expect(!answer.text.contains("\n"))
        #expect(answer.text.first?.isWhitespace == false)
    }

    @Test(arguments: [
        ("What is a lease?", "A lease"), ("what is a deadline", "A deadline"), ("Tell me about the rain.", "Rain"),
    ])
    func `the likeliest answer speaks of what was asked`(question: String, beginning: String) throws {
        let messages = [ChatMessage(role: .user, content: question)]
        let answer = try model.chat(messages, options: options { $0.temperature = 0 })
        #expect(answer.text.hasPrefix(beginning))
        #expect(answer.finishReason == .stop)
    }

    @Test func `many tasks may read one model`() async throws {
        let alone = try model.complete("The", options: options { $0.seed = 4 })
        let model = model
        try await withThrowingTaskGroup(of: Completion.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var options = SamplingOptions()
                    options.seed = 4
                    return try model.complete("The", options: options)
                }
            }
            for try await completion in group { #expect(completion == alone) }
        }
    }
}
