// What the tests of the language model share: a tiny text that can be reckoned by hand, and the plugin's own text.

import FoundationEssentials
import NGramModel

enum Samples {
    static let pets = [
        "The cat sat on the mat. The dog sat on the rug.",
        "The cat saw the dog. The dog saw the cat and sat down.",
        "A bird sat on the roof of the house.",
    ]

    /// The passages of every file in the plugin's folder `text`, in the order of the files' names.
    static let library: [String] = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        let folder = "/" + parts.joined(separator: "/") + "/plugins/ngram-llm/text"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".txt") }.sorted().flatMap { name in
            let text = try? String(contentsOfFile: folder + "/" + name, encoding: .utf8)
            return NGramModel.passages(in: text ?? "")
        }
    }()

    /// A model of the plugin's own text.
    static let trained = Result { try NGramModel(passages: library) }
}
