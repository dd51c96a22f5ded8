// The plugin that serves the n-gram model: trains it from the folder `text` and answers the service `llm`.

import FoundationEssentials
import NGramModel
import Synchronization
import WizPlugin

@main
final class LanguageModel: Plugin {
    struct Settings: Decodable, Sendable {
        var slots: Int?
        var tokensPerSecond: Double?
    }

    private struct Ready: Sendable {
        var model: NGramModel
        var settings: Settings
    }

    private let ready = Mutex<Ready?>(nil)

    func initialize(_ config: PluginConfig) async throws {
        let settings = try config.decode(Settings.self)
        if let rate = settings.tokensPerSecond, rate <= 0 {
            throw PluginError.configuration("tokensPerSecond is \(rate): give a number above 0, or leave it out")
        }
        if let slots = settings.slots, !(1...64).contains(slots) {
            throw PluginError.configuration("slots is \(slots): give 1 to 64")
        }
        let start = ContinuousClock.now
        let model = try Self.train(folder: config.folder + "/text")
        let took = start.duration(to: .now)
        config.logger.info("trained \(model.nGramCount) n-grams from \(model.trainingTokenCount) tokens in \(took)")
        ready.withLock { $0 = Ready(model: model, settings: settings) }
    }

    private static func train(folder: String) throws -> NGramModel {
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".txt") }
            let passages = try names.sorted().flatMap { name in
                NGramModel.passages(in: try String(contentsOfFile: folder + "/" + name, encoding: .utf8))
            }
            return try NGramModel(passages: passages)
        } catch {
            throw PluginError.configuration("the model could not be trained from \(folder): \(error)")
        }
    }

    func register(_ registry: ServiceRegistry) async throws {
        guard let ready = ready.withLock({ $0 }) else { return }
        let model = ready.model
        let speaker = Speaker(tokensPerSecond: ready.settings.tokensPerSecond)
        let slots = ready.settings.slots ?? 2
        let card = ModelCard(
            model: "wizard-ngram",
            order: model.order,
            vocabulary: model.vocabularyCount,
            nGrams: model.nGramCount,
            trainingTokens: model.trainingTokenCount,
            bytes: model.byteCount,
            slots: slots
        )
        try await registry.registerService(
            "llm",
            capacity: slots,
            attributes: [
                "model": card.model,
                "contextLength": String(model.order - 1),
                "features": "complete,chat,tokens,embed",
            ]
        ) { service in
            service.stream("complete") { (request: CompletionRequest, _, replies) in
                try checkSize([request.prompt])
                let options = try request.sampling.options()
                try await speaker.speak(try model.generate(continuing: request.prompt, options: options), to: replies)
            }
            service.stream("chat") { (request: ChatRequest, _, replies) in
                let messages = try request.conversation()
                try checkSize(messages.map(\.content))
                try await speaker.speak(try model.answer(messages, options: request.sampling.options()), to: replies)
            }
            service.method("tokens") { (request: TextRequest, _) in
                try checkSize([request.text])
                return TokenCount(count: model.tokenCount(of: request.text))
            }
            service.method("embed") { (request: TextsRequest, _) in
                try checkSize(request.texts)
                return Embeddings(
                    dimensions: NGramModel.embeddingDimensions,
                    embeddings: request.texts.map(model.embed)
                )
            }
            service.method("model") { (_: Nothing, _) in card }
        }
        await announce(card, registry)
    }

    /// Publishes that the model can be used, where the mesh file lets it.
    private func announce(_ card: ModelCard, _ registry: ServiceRegistry) async {
        do {
            try await registry.mesh.publish(
                topic: "llm.loaded",
                payload: .json(card),
                options: PublishOptions(retain: true)
            )
        } catch {
            registry.logger.info("llm.loaded was not published: \(error)")
        }
    }
}

/// Speaks a generation to a caller, at the model's own pace or a slower one.
struct Speaker: Sendable {
    let tokensPerSecond: Double?

    /// Sends the text piece by piece, or, to a caller that reads no stream, in one piece at the end.
    func speak(_ generation: Generation, to replies: ReplyWriter) async throws {
        var generation = generation
        var text = ""
        let start = ContinuousClock.now
        while let piece = generation.next() {
            try Task.checkCancellation()
            if let rate = tokensPerSecond {
                try await Task.sleep(until: start + .seconds(Double(generation.tokenCount) / rate))
            }
            if replies.isStreaming {
                try await replies.send(TextChunk(text: piece))
            } else {
                text += piece
                await Task.yield()
            }
        }
        try replies.finish(
            with: Ending(
                text: replies.isStreaming ? nil : text,
                finishReason: (generation.finishReason ?? .stop).rawValue,
                usage: .init(promptTokens: generation.promptTokenCount, completionTokens: generation.tokenCount)
            )
        )
    }
}
