// Evaluates the policy: deny wins, what no rule allows is denied. Compiled once for each policy; a decision allocates
// nothing. Pure.

/// What the policy says to an action.
struct Decision: Hashable, Sendable {
    /// True when the action may go on.
    var isAllowed: Bool
    /// The rule that decided, as an index into ``Policy/rules``; nil when no rule matched or the operator role decided.
    var rule: Int?
}

/// A principal with everything that the policy says about it, ready for decisions.
///
/// Valid for the engine that made it; after a change of policy it is looked up anew.
struct Subject: Sendable, Hashable {
    /// The principal's name.
    var principal: String
    /// Its roles.
    var roles: Set<String>
    /// Its named permissions.
    var permissions: Set<String>
    /// By which it may go besides its own.
    var names: Set<String>
    /// True when it has the operator role, and with it every right and permission.
    var isOperator: Bool
    /// The rules that speak about it, as indices into the policy's: deny rules first, then the order of the file.
    fileprivate(set) var rules: ActionTable<[Int]>
}

/// A value for each action.
struct ActionTable<Value: Sendable & Hashable>: Sendable, Hashable {
    private var call: Value
    private var provide: Value
    private var publish: Value
    private var subscribe: Value

    init(repeating value: Value) {
        call = value
        provide = value
        publish = value
        subscribe = value
    }

    subscript(action: Policy.Action) -> Value {
        get {
            switch action {
            case .call: call
            case .provide: provide
            case .publish: publish
            case .subscribe: subscribe
            }
        }
        set {
            switch action {
            case .call: call = newValue
            case .provide: provide = newValue
            case .publish: publish = newValue
            case .subscribe: subscribe = newValue
            }
        }
    }
}

/// A compiled policy.
struct PolicyEngine: Sendable {
    /// The policy.
    let policy: Policy
    /// Counts the policies; what is remembered of decisions holds for one generation.
    let generation: UInt32

    /// By index of the rule.
    private let targets: [DottedPattern]
    /// Indices of rules by subject as the rules write it.
    private let rulesOfSubject: [String: [Int]]
    /// Principals by their names as one word of a topic.
    private let principalsByWord: [String: [String]]

    /// Compiles a policy.
    init(_ policy: Policy, generation: UInt32 = 0) {
        self.policy = policy
        self.generation = generation
        targets = policy.rules.map { DottedPattern($0.target) }
        rulesOfSubject = Dictionary(grouping: policy.rules.indices) { policy.rules[$0].subject }
        principalsByWord = Dictionary(grouping: policy.principals.keys) { String($0.map { $0 == "." ? "-" : $0 }) }
    }

    /// The principals whose names make a word of a topic, a dot being a hyphen there; the word itself when none does.
    func principals(ofWord word: String) -> [String] { principalsByWord[word]?.sorted() ?? [word] }

    /// Looks a principal up; one that the policy does not name has no roles, but rules may still speak about it.
    func subject(_ principal: String) -> Subject {
        let known = policy.principals[principal] ?? Policy.Principal()
        var subject = Subject(
            principal: principal,
            roles: known.roles,
            permissions: known.permissions,
            names: known.names,
            isOperator: known.roles.contains(policy.operatorRole),
            rules: ActionTable(repeating: [])
        )
        var indices: Set<Int> = []
        for name in [principal, "*"] + known.roles.map({ "role:" + $0 }) {
            indices.formUnion(rulesOfSubject[name] ?? [])
        }
        let ordered = indices.sorted()
        let deniesFirst =
            ordered.filter { policy.rules[$0].effect == .deny } + ordered.filter { policy.rules[$0].effect == .allow }
        for index in deniesFirst { subject.rules[policy.rules[index].action].append(index) }
        return subject
    }

    /// Decides about an action on a target: the service for PROVIDE, the topic for PUBLISH, the pattern for SUBSCRIBE.
    ///
    /// A pattern is allowed by a rule that holds all of it, and denied by one that holds any of it.
    func decide(_ subject: borrowing Subject, _ action: Policy.Action, _ target: UnsafeRawBufferPointer) -> Decision {
        if subject.isOperator { return Decision(isAllowed: true, rule: nil) }
        for index in subject.rules[action] {
            switch policy.rules[index].effect {
            case .deny:
                let isDenied =
                    action == .subscribe ? targets[index].overlaps(target) : targets[index].contains(target)
                if isDenied { return Decision(isAllowed: false, rule: index) }
            case .allow:
                if targets[index].contains(target) { return Decision(isAllowed: true, rule: index) }
            }
        }
        return Decision(isAllowed: false, rule: nil)
    }

    /// Decides about an action on a target given as text.
    func decide(_ subject: borrowing Subject, _ action: Policy.Action, _ target: String) -> Decision {
        var target = target
        return target.withUTF8 { decide(subject, action, UnsafeRawBufferPointer($0)) }
    }

    /// Decides about a CALL from the two names as they stand in its header.
    func decideCall(
        _ subject: borrowing Subject,
        service: UnsafeRawBufferPointer,
        method: UnsafeRawBufferPointer
    ) -> Decision {
        if subject.isOperator { return Decision(isAllowed: true, rule: nil) }
        let count = service.count + 1 + method.count
        return withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { joined in
            joined.copyMemory(from: service)
            joined[service.count] = UInt8(ascii: ".")
            UnsafeMutableRawBufferPointer(rebasing: joined[(service.count + 1)...]).copyMemory(from: method)
            return decide(subject, .call, UnsafeRawBufferPointer(joined))
        }
    }

    /// True when a rule allows an action and no bound keeps it out of reach.
    func permits(_ subject: borrowing Subject, _ action: Policy.Action, _ target: String) -> Bool {
        decide(subject, action, target).isAllowed && bound(subject, action, target) == nil
    }

    /// True when a subject has every permission.
    func holds(_ subject: borrowing Subject, _ required: [String]) -> Bool {
        subject.isOperator || required.allSatisfy(subject.permissions.contains)
    }

    /// The permissions that a subject lacks, in the order in which they are required; never any for an operator.
    func missingPermissions(_ subject: borrowing Subject, required: [String]) -> [String] {
        guard !subject.isOperator else { return [] }
        var missing: [String] = []
        for permission in required where !subject.permissions.contains(permission) && !missing.contains(permission) {
            missing.append(permission)
        }
        return missing
    }
}
