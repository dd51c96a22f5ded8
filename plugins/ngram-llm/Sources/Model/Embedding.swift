// Texts as vectors: words and pairs of words hashed into a few dimensions, so that texts that share them lie near.
// Pure: the standard library alone.

extension NGramModel {
    /// How many dimensions an embedding has.
    public static let embeddingDimensions = 64

    /// A vector of length one for a text, or all zeros if the text has no words.
    ///
    /// Signed feature hashing after K. Weinberger and others, "Feature Hashing for Large Scale Multitask Learning", ICML
    /// 2009. A word weighs as much as it surprises the model; a pair of words half as much as its second word.
    public func embed(_ text: String) -> [Float] {
        var vector = [Float](repeating: 0, count: Self.embeddingDimensions)
        let usual = distribution(in: Context())
        var previous: UInt64?
        for token in Tokenizer().tokens(of: text) where token.first?.isLetter == true || token.first?.isNumber == true {
            let word = token.lowercased()
            let hash = Self.hash(word, from: 0xCBF2_9CE4_8422_2325)
            let weight = Float(-naturalLogarithm(Double(usual[Int(vocabulary.id(of: word).rawValue)])))
            Self.add(weight, at: hash, to: &vector)
            if let previous { Self.add(weight / 2, at: Self.hash(word, from: previous), to: &vector) }
            previous = hash
        }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? vector.map { $0 / length } : vector
    }

    private static func add(_ weight: Float, at hash: UInt64, to vector: inout [Float]) {
        // The lower bits of the hash are the weakest, so the place and the sign come from a final mix of all of them.
        let mixed = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
        vector[Int(mixed >> 58)] += mixed & (1 << 57) == 0 ? weight : -weight
    }

    /// The FNV-1a hash of a text's bytes, going on from another hash.
    private static func hash(_ text: String, from basis: UInt64) -> UInt64 {
        var hash = basis
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}
