// Conditions on a provider's attributes: `model=tiny;contextLength>=4096`. Parsed once for each call by capability. Pure.

import MeshProtocol

/// Why a text is not a list of conditions.
struct ConditionsError: Error, Hashable, Sendable {
    /// Where, in bytes from the start.
    var offset: Int
    /// What is wrong, as a sentence.
    var message: String
}

/// Conditions that must all hold.
struct Conditions: Hashable, Sendable {
    /// Parses conditions joined by `;`; an empty text has none and always holds.
    init(_ text: String) throws(ConditionsError) {}
    /// True when there are none.
    var isEmpty: Bool { true }
    /// True when every condition holds. An attribute that is not there satisfies only `!=`.
    func matches(_ attributes: [Attribute]) -> Bool { true }
}
