// Conversations: messages made into a prompt of the kind that the training text has, and the answer to it.
// Pure: the standard library alone.

/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// Who speaks.
    public enum Role: String, Sendable {
        /// Whoever set the scene.
        case system
        /// Whoever asks.
        case user
        /// The model.
        case assistant
    }

    /// Who speaks.
    public var role: Role
    /// What is said.
    public var content: String

    /// Makes a message.
    public init(role: Role, content: String) {
        self.role = role
        self.content = content
    }
}

/// A conversation as the model reads it: a line for each message, and the beginning of the next answer.
public struct ChatPrompt: Sendable {
    /// Ends an answer: every turn is one line.
    public static let stop = "\n"

    /// The prompt's text.
    public let text: String

    /// Writes the messages down; line breaks within one become spaces, so that none can pass for another's turn.
    public init(_ messages: [ChatMessage]) {
        var text = ""
        for message in messages {
            let content = message.content.split { $0.isWhitespace }.joined(separator: " ")
            guard !content.isEmpty else { continue }
            switch message.role {
            case .system: text += content + "\n"
            case .user: text += "User: " + content + "\n"
            case .assistant: text += "Wizard: " + content + "\n"
            }
        }
        self.text = text + "Wizard:"
    }
}

extension NGramModel {
    /// Begins to answer a conversation; ends at its line's end or at the options' stop sequences.
    public func answer(
        _ messages: [ChatMessage],
        options: SamplingOptions = SamplingOptions()
    ) throws(SamplingError) -> Generation {
        try Generation(model: self, prompt: ChatPrompt(messages).text, options: options, answering: true)
    }

    /// Answers a conversation to the end.
    public func chat(
        _ messages: [ChatMessage],
        options: SamplingOptions = SamplingOptions()
    ) throws(SamplingError) -> Completion {
        Completion(of: try answer(messages, options: options))
    }
}
