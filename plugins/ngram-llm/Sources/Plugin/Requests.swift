// What callers of the service `llm` send and get, as JSON.

import NGramModel
import WizPlugin

/// The options that completions and conversations share.
struct Sampling: Decodable, Sendable {
    var temperature: Double?
    var topP: Double?
    var topK: Int?
    var seed: UInt64?
    var stop: [String]?
    var maxTokens: Int?

    func options() throws -> SamplingOptions {
        var options = SamplingOptions()
        if let temperature { options.temperature = temperature }
        if let topP { options.topP = topP }
        if let topK { options.topK = topK }
        if let seed { options.seed = seed }
        if let stop { options.stop = stop }
        if let maxTokens { options.maximumTokens = maxTokens }
        do throws(SamplingError) {
            try options.validate()
        } catch {
            throw MeshError(.invalidArgument, "\(error)")
        }
        return options
    }
}

/// A prompt to continue.
struct CompletionRequest: Decodable, Sendable {
    var prompt: String
    var sampling: Sampling

    private enum CodingKeys: String, CodingKey { case prompt }

    init(from decoder: any Decoder) throws {
        prompt = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .prompt)
        sampling = try Sampling(from: decoder)
    }
}

/// A conversation to answer.
struct ChatRequest: Decodable, Sendable {
    struct Message: Decodable, Sendable {
        var role: String
        var content: String
    }

    var messages: [Message]
    var sampling: Sampling

    private enum CodingKeys: String, CodingKey { case messages }

    init(from decoder: any Decoder) throws {
        messages = try decoder.container(keyedBy: CodingKeys.self).decode([Message].self, forKey: .messages)
        sampling = try Sampling(from: decoder)
    }

    func conversation() throws -> [ChatMessage] {
        guard !messages.isEmpty else {
            throw MeshError(.invalidArgument, "there are no messages", hint: "Send at least one of role \"user\".")
        }
        return try messages.map { message in
            guard let role = ChatMessage.Role(rawValue: message.role) else {
                throw MeshError(
                    .invalidArgument,
                    "\"\(message.role)\" is no role",
                    hint: "Use \"system\", \"user\" or \"assistant\"."
                )
            }
            return ChatMessage(role: role, content: message.content)
        }
    }
}

/// A piece of the answer.
struct TextChunk: Encodable {
    var text: String
}

/// The end of an answer; the text is there when it was not streamed.
struct Ending: Encodable {
    struct Usage: Encodable {
        var promptTokens: Int
        var completionTokens: Int
    }

    var text: String?
    var finishReason: String
    var usage: Usage
}

struct TextRequest: Decodable, Sendable {
    var text: String
}

struct TextsRequest: Decodable, Sendable {
    var texts: [String]
}

struct TokenCount: Encodable {
    var count: Int
}

struct Embeddings: Encodable {
    var dimensions: Int
    var embeddings: [[Float]]
}

/// What the model is; also the event `llm.loaded`.
struct ModelCard: Encodable, Sendable {
    var model: String
    var order: Int
    var vocabulary: Int
    var nGrams: Int
    var trainingTokens: Int
    var bytes: Int
    var slots: Int
}

/// The longest text that is taken at a time.
let textByteLimit = 64 << 10

func checkSize(_ texts: some Sequence<String>) throws {
    let size = texts.reduce(0) { $0 + $1.utf8.count }
    guard size > textByteLimit else { return }
    throw MeshError(.invalidArgument, "the text has \(size) bytes, at most \(textByteLimit) are taken at a time")
}
