// Evaluates the policy: deny wins, what no rule allows is denied. Compiled once for each policy; a decision allocates
// nothing. Pure.

/// What the policy says to an action.
struct Decision: Hashable, Sendable {
    /// True when the action may go on.
    var isAllowed: Bool
    /// The rule that decided, as an index into ``Policy/rules``; nil when no rule matched or the operator role decided.
    var rule: Int?
}

/// A principal with everything that the policy says about it, ready for decisions. Valid for one engine.
struct Subject: Sendable {
    /// The principal's name.
    var principal: String
    /// Its roles.
    var roles: Set<String>
    /// Its named permissions.
    var permissions: Set<String>
    /// True when it has the operator role, and with it every right and permission.
    var isOperator: Bool
    /// The rules that speak about it, by action: indices into the engine's rules, deny rules first.
    var rules: [[Int]]
}

/// A compiled policy.
struct PolicyEngine: Sendable {
    /// The policy.
    let policy: Policy
    /// Counts the policies; caches of decisions hold for one generation.
    let generation: UInt32
    /// Compiles a policy.
    init(_ policy: Policy, generation: UInt32 = 0) {
        self.policy = policy
        self.generation = generation
    }
    /// Looks a principal up; one that the policy does not name has no roles, but rules may still speak about it.
    func subject(_ principal: String) -> Subject {
        Subject(principal: principal, roles: [], permissions: [], isOperator: false, rules: [])
    }
    /// Decides; the target is the service for PROVIDE, the topic for PUBLISH, the pattern for SUBSCRIBE.
    func decide(_ subject: borrowing Subject, _ action: Policy.Action, _ target: UnsafeRawBufferPointer) -> Decision {
        Decision(isAllowed: false, rule: nil)
    }
    /// Decides.
    func decide(_ subject: borrowing Subject, _ action: Policy.Action, _ target: String) -> Decision {
        Decision(isAllowed: false, rule: nil)
    }
    /// Decides about a CALL from the two names as they stand in its header.
    func decideCall(
        _ subject: borrowing Subject,
        service: UnsafeRawBufferPointer,
        method: UnsafeRawBufferPointer
    ) -> Decision {
        Decision(isAllowed: false, rule: nil)
    }
    /// The permissions of `required` that a subject lacks, in their order; never any for an operator.
    func missingPermissions(_ subject: borrowing Subject, required: [String]) -> [String] { [] }
    /// Explains a decision; `required` are the permissions of the method, when the target is one.
    func explain(
        principal: String,
        action: Policy.Action,
        target: String,
        required: [String] = []
    ) -> Explanation {
        Explanation(
            allowed: false,
            principal: principal,
            action: action.rawValue,
            target: target,
            reason: "",
            rule: nil,
            origin: nil,
            missingPermissions: [],
            grant: []
        )
    }
    /// The sentence and the hint for FAIL `PERMISSION_DENIED`.
    func refusal(
        principal: String,
        action: Policy.Action,
        target: String,
        required: [String] = []
    ) -> (message: String, hint: String) { ("", "") }
}
