// The model's probabilities: they sum to one, back off where a context is new, and predict text not seen in training.

import NGramModel
import Testing

struct ModelTests {
    @Test(arguments: ["", "The", "The cat sat on", "on the mat.", "wholly unheard of words", "The zebra"])
    func `the probabilities after any context sum to one`(prompt: String) throws {
        let model = try NGramModel(passages: Samples.pets)
        let distribution = model.distribution(after: model.tokenIDs(of: prompt))
        #expect(distribution.count == model.vocabularyCount)
        #expect(abs(distribution.reduce(0, +) - 1) < 1e-4)
        #expect(distribution[Int(TokenID.begin.rawValue)] == 0)
        #expect(distribution.enumerated().allSatisfy { $0.element > 0 || $0.offset == Int(TokenID.begin.rawValue) })
    }

    @Test func `the probability of one token is its share of the distribution`() throws {
        let model = try NGramModel(passages: Samples.pets)
        let context = model.tokenIDs(of: "The cat sat on the")
        let distribution = model.distribution(after: context)
        for token in model.tokenIDs(of: "mat roof dog zebra .") + [.end] {
            let alone = model.probability(of: token, after: context)
            #expect(abs(alone - Double(distribution[Int(token.rawValue)])) < 1e-6)
        }
    }

    @Test func `what was seen after a context is likelier there than elsewhere`() throws {
        let model = try NGramModel(passages: Samples.pets)
        let mat = try #require(model.tokenIDs(of: "mat").first)
        let seen = model.probability(of: mat, after: model.tokenIDs(of: "The cat sat on the"))
        #expect(seen > model.probability(of: mat, after: model.tokenIDs(of: "A bird")))
    }

    @Test func `an unseen context backs off to its end`() throws {
        let model = try NGramModel(passages: Samples.pets)
        let known = model.distribution(after: model.tokenIDs(of: "zebra zebra zebra on the"))
        let longer = model.distribution(after: model.tokenIDs(of: "zebra house house on the"))
        #expect(known == longer)
        #expect(known != model.distribution(after: model.tokenIDs(of: "zebra")))
    }

    @Test func `a context of unknown words alone backs off to single words`() throws {
        let model = try NGramModel(passages: Samples.pets)
        let single = model.distribution(after: model.tokenIDs(of: "zebra zebra zebra zebra"))
        let the = try #require(model.tokenIDs(of: "the").first)
        let roof = try #require(model.tokenIDs(of: "roof").first)
        #expect(single[Int(the.rawValue)] > single[Int(roof.rawValue)])
    }

    @Test func `a single order counts words as they occur`() throws {
        let model = try NGramModel(passages: ["a a a b"], order: 1)
        let tokens = model.tokenIDs(of: "a b")
        let first = model.probability(of: tokens[0], after: [])
        #expect(first > model.probability(of: tokens[1], after: []))
        #expect(abs(first - model.probability(of: tokens[0], after: tokens)) < 1e-9)
    }

    @Test func `unknown words are looked up in other cases first`() throws {
        let model = try NGramModel(passages: ["The cat sat by Anna."])
        #expect(model.tokenIDs(of: "CAT anna the") == model.tokenIDs(of: "cat Anna The"))
        #expect(model.tokenIDs(of: "dog") == [.unknown])
    }

    @Test func `held-out passages are far less perplexing to five words than to one`() throws {
        let training = Samples.library.enumerated().filter { $0.offset % 5 != 0 }.map { $0.element }
        let heldOut = Samples.library.enumerated().filter { $0.offset % 5 == 0 }.map { $0.element }
        let perplexities = try [1, 2, 5].map { order in
            let model = try NGramModel(passages: training, order: order)
            let sum = heldOut.reduce(0.0) { $0 + model.logProbability(of: $1) }
            return -sum / Double(heldOut.reduce(0) { $0 + model.tokenCount(of: $1) + 1 })
        }
        // Natural logarithms: 1.1 is a third of the perplexity.
        #expect(perplexities[2] < perplexities[0] - 1.1)
        #expect(perplexities[2] < perplexities[1])
    }

    @Test func `a shuffled sentence is less likely than the sentence`() throws {
        let model = try Samples.trained.get()
        #expect(
            model.perplexity(of: "The wizards sit on the bench in the evening.")
                < model.perplexity(of: "evening the on wizards bench. in sit the The")
        )
    }

    @Test func `a model needs words and an order within bounds`() {
        #expect(throws: TrainingError.noText) { try NGramModel(passages: []) }
        #expect(throws: TrainingError.noText) { try NGramModel(passages: ["", ""]) }
        #expect(throws: TrainingError.orderOutOfRange(0)) { try NGramModel(passages: ["a"], order: 0) }
        #expect(throws: TrainingError.orderOutOfRange(6)) { try NGramModel(passages: ["a"], order: 6) }
    }

    @Test func `the library's model is small`() throws {
        let model = try Samples.trained.get()
        #expect(model.trainingTokenCount > 10_000)
        #expect(model.byteCount < 10_000_000)
        #expect(model.tokenCount(of: "How many tokens?") == 4)
        #expect(model.text(of: model.tokenIDs(of: "The workshop, in the evening.")) == "The workshop, in the evening.")
    }

    @Test func `embeddings have length one, and texts that share words lie nearer`() throws {
        let model = try Samples.trained.get()
        func similarity(_ one: String, _ other: String) -> Float {
            zip(model.embed(one), model.embed(other)).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let rain = "The rain fills the gutters of the workshop."
        #expect(model.embed(rain).count == NGramModel.embeddingDimensions)
        #expect(abs(similarity(rain, rain) - 1) < 1e-5)
        #expect(
            similarity(rain, "When it rains, the gutters of the workshop fill.")
                > similarity(rain, "Hello, who are you?")
        )
        #expect(model.embed(rain) == model.embed("the RAIN fills the gutters of the workshop"))
        #expect(model.embed("?! ").allSatisfy { $0 == 0 })
    }
}
