/// Knows which word followed which: put your model in its place.
struct Model {
    private var followers: [String: String] = [:]

    init(text: String) {
        let words = text.split(separator: " ").map(String.init)
        for (word, next) in zip(words, words.dropFirst()) { followers[word] = next }
    }

    func lastWord(of prompt: String) -> String { prompt.split(separator: " ").last.map { $0.lowercased() } ?? "" }

    /// The word that follows; nil at the end of what the model knows.
    func word(after word: String) -> String? { followers[word] }
}
