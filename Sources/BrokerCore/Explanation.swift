// Why the policy allows or denies something, in words and in lines for the mesh file. Pure.

/// The answer to "may this principal do that, and why?".
public struct Explanation: Encodable, Sendable, Hashable {
    /// True when it may.
    public var allowed: Bool
    /// Who asks.
    public var principal: String
    /// What: `call`, `provide`, `publish` or `subscribe`.
    public var action: String
    /// On what.
    public var target: String
    /// One sentence.
    public var reason: String
    /// The rule that decided, as text; nil when none did.
    public var rule: String?
    /// Where that rule stands.
    public var origin: String?
    /// Named permissions that the method needs and the principal lacks.
    public var missingPermissions: [String]
    /// The lines for the mesh file that would allow it; empty when it is allowed.
    public var grant: [String]
}
