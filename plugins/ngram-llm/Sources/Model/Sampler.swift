// Choosing the next token from a distribution: temperature, the k likeliest, the likeliest share p, a seed.
// The same seed gives the same choices on every machine. Pure: the standard library alone.

/// How text is generated.
public struct SamplingOptions: Sendable, Equatable {
    /// The most tokens that one generation may be asked for.
    public static let tokenLimit = 4096
    /// The most stop sequences that one generation may have.
    public static let stopLimit = 16

    /// How freely to choose, from 0 (always the likeliest token) to 2; 1 is as the model has it.
    public var temperature = 0.7
    /// Choose among this many of the likeliest tokens, or among all if nil.
    public var topK: Int? = 40
    /// Choose among the likeliest tokens that together have this share of the probability, above 0 and up to 1.
    public var topP = 0.95
    /// Where the random numbers start: the same seed, prompt and options give the same text.
    public var seed: UInt64 = 0
    /// Texts that end the generation where they appear; they are not part of what is given out.
    public var stop: [String] = []
    /// After how many tokens to end at the latest.
    public var maximumTokens = 128
    /// How much of what smoothing gives to shorter contexts is kept back for the longest one, from 0 to 1.
    ///
    /// 0 is the distribution that predicts unseen text best; more makes smoother sentences that are nearer to the
    /// training text.
    public var contextTrust = 0.6
    /// How much the lines of the training text that are most like the prompt count, from 0 to 1.
    public var recall = 0.65

    /// Makes options with the defaults.
    public init() {}

    /// Checks that every option is one that a sampler can follow.
    public func validate() throws(SamplingError) {
        try Self.check("temperature", temperature, in: 0...2)
        try Self.check("topK", Double(topK ?? 1), in: 1...Double(Vocabulary.capacity))
        try Self.check("topP", topP, in: Double.leastNormalMagnitude...1, "above 0, up to 1")
        try Self.check("maximumTokens", Double(maximumTokens), in: 0...Double(Self.tokenLimit))
        try Self.check("contextTrust", contextTrust, in: 0...1)
        try Self.check("recall", recall, in: 0...1)
        try Self.check("stop.count", Double(stop.count), in: 0...Double(Self.stopLimit))
        guard !stop.contains("") else {
            throw SamplingError(option: "stop", value: "an empty text", allowed: "texts of at least one character")
        }
    }

    private static func check(
        _ option: String,
        _ value: Double,
        in range: ClosedRange<Double>,
        _ allowed: String? = nil
    ) throws(SamplingError) {
        guard !range.contains(value) else { return }
        let bounds = allowed ?? "\(plain(range.lowerBound)) to \(plain(range.upperBound))"
        throw SamplingError(option: option, value: plain(value), allowed: bounds)
    }

    private static func plain(_ value: Double) -> String {
        Int(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}

/// An option that a sampler cannot follow.
public struct SamplingError: Error, Equatable, CustomStringConvertible {
    /// The option's name.
    public let option: String
    /// The value it was given.
    public let value: String
    /// The values it may have.
    public let allowed: String

    /// What happened, and what to do.
    public var description: String { "\(option) is \(value), which is out of bounds: give \(allowed)" }
}

/// Chooses tokens from distributions, as the options say.
public struct Sampler: Sendable {
    private let options: SamplingOptions
    private var random: Xoshiro256

    /// Makes a sampler, or says which option is out of bounds.
    public init(_ options: SamplingOptions) throws(SamplingError) {
        try options.validate()
        self.options = options
        random = Xoshiro256(seed: options.seed)
    }

    /// Chooses a token from weights by token number; those of weight zero are never chosen.
    ///
    /// - Returns: The token, or nil if every weight is zero.
    public mutating func sample(_ weights: [Float]) -> TokenID? {
        let limit = options.temperature == 0 ? 1 : options.topK ?? weights.count
        let candidates = Self.likeliest(limit, of: weights)
        guard let best = candidates.first else { return nil }
        guard candidates.count > 1 else { return best.token }
        let largest = naturalLogarithm(Double(best.weight))
        let scaled = candidates.map { candidate in
            exponential((naturalLogarithm(Double(candidate.weight)) - largest) / options.temperature)
        }
        return candidates[choose(from: scaled)].token
    }

    /// Draws an index by falling weights, of which only the first `topP` count.
    private mutating func choose(from weights: [Double]) -> Int {
        let wanted = weights.reduce(0, +) * options.topP
        var kept = 0
        var total = 0.0
        repeat {
            total += weights[kept]
            kept += 1
        } while kept < weights.count && total < wanted
        var rest = random.unitInterval() * total
        for index in 0..<kept {
            rest -= weights[index]
            if rest < 0 { return index }
        }
        return kept - 1
    }

    private struct Candidate {
        var token: TokenID
        var weight: Float
    }

    /// The tokens of the largest weights, falling; of equals the one with the lower number comes first.
    private static func likeliest(_ limit: Int, of weights: [Float]) -> [Candidate] {
        var best: [Candidate] = []
        if limit >= weights.count {
            best = weights.indices.lazy.filter { weights[$0] > 0 }
                .map { Candidate(token: TokenID(UInt16($0)), weight: weights[$0]) }
            best.sort { ($1.weight, $0.token.rawValue) < ($0.weight, $1.token.rawValue) }
            return best
        }
        for (index, weight) in weights.enumerated() where weight > 0 {
            if best.count == limit {
                guard let worst = best.last, weight > worst.weight else { continue }
                best.removeLast()
            }
            var place = best.count
            while place > 0, best[place - 1].weight < weight { place -= 1 }
            best.insert(Candidate(token: TokenID(UInt16(index)), weight: weight), at: place)
        }
        return best
    }
}

/// The generator xoshiro256**, seeded by SplitMix64.
///
/// Both as published by D. Blackman and S. Vigna at prng.di.unimi.it.
struct Xoshiro256: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Starts the generator; every seed is good.
    init(seed: UInt64) {
        var counter = seed
        func split() -> UInt64 {
            counter &+= 0x9E37_79B9_7F4A_7C15
            var mixed = counter
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
        state = (split(), split(), split(), split())
    }

    /// The next 64 bits.
    mutating func next() -> UInt64 {
        let result = Self.rotate(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotate(state.3, by: 45)
        return result
    }

    /// A number from 0 up to but not 1.
    mutating func unitInterval() -> Double { Double(next() >> 11) * 0x1p-53 }

    private static func rotate(_ value: UInt64, by count: UInt64) -> UInt64 {
        value << count | value >> (64 - count)
    }
}
