// Why the policy allows or denies something, in words and in lines for the mesh file. Pure.

import MeshProtocol

/// The answer to "may this principal do that, and why?".
public struct Explanation: Encodable, Sendable, Hashable {
    /// True when it may.
    public var allowed: Bool
    /// Who asks.
    public var principal: String
    /// The principal's roles, in order of name.
    public var roles: [String]
    /// What: `call`, `provide`, `publish` or `subscribe`.
    public var action: String
    /// On what.
    public var target: String
    /// One sentence.
    public var reason: String
    /// The rule that decided, as the mesh file would write it in one line; nil when none did.
    public var rule: String?
    /// Where that rule stands.
    public var origin: String?
    /// Named permissions that the method needs and the principal lacks.
    public var missingPermissions: [String]
    /// The lines for the mesh file that would allow it; empty when it is allowed.
    public var grant: [String]
}

extension PolicyEngine {
    /// Explains a decision; `required` are the permissions of the method, when the target is one.
    func explain(
        principal: String,
        action: Policy.Action,
        target: String,
        required: [String] = []
    ) -> Explanation {
        let subject = subject(principal)
        let decision = decide(subject, action, target)
        let bound = bound(subject, action, target)
        let missing = missingPermissions(subject, required: required)
        let rule = decision.rule.map { policy.rules[$0] }
        return Explanation(
            allowed: decision.isAllowed && missing.isEmpty && bound == nil,
            principal: principal,
            roles: subject.roles.sorted(),
            action: action.rawValue,
            target: target,
            reason: bound?.reason ?? reason(subject, action, target, decision, missing),
            rule: rule.map(MeshFileText.line),
            origin: rule?.origin,
            missingPermissions: missing,
            grant: (bound?.lines ?? []) + grant(subject, action, target, decision, missing)
        )
    }

    /// FAIL `PERMISSION_DENIED` with the reason; whoever is refused decides how often, so the lines that would allow it are
    /// left to ``explain(principal:action:target:required:)``.
    func refusal(_ subject: Subject, _ action: Policy.Action, _ target: String, required: [String] = []) -> Failure {
        let missing = missingPermissions(subject, required: required)
        let reason =
            bound(subject, action, target)?.reason
            ?? reason(subject, action, target, decide(subject, action, target), missing)
        let command = "wiz explain \(subject.principal) \(action.rawValue) \(target)"
        let hint = "\(command) shows the rule and the lines that would allow it"
        return Failure(.permissionDenied, message: reason, hint: hint)
    }

    private func reason(
        _ subject: Subject,
        _ action: Policy.Action,
        _ target: String,
        _ decision: Decision,
        _ missing: [String]
    ) -> String {
        let who = "\"\(subject.principal)\""
        let deed = "\(action.rawValue) \"\(target)\""
        if subject.isOperator { return "\(who) may \(deed): the role \"\(policy.operatorRole)\" may do everything" }
        guard let index = decision.rule else {
            let unknown =
                policy.principals[subject.principal] == nil ? "; the mesh file does not name this principal" : ""
            return "\(who) may not \(deed): no rule allows it\(unknown)"
        }
        let rule = policy.rules[index]
        let place = "the rule at \(rule.origin), \(MeshFileText.line(rule))"
        guard decision.isAllowed else { return "\(who) may not \(deed): denied by \(place)" }
        guard missing.isEmpty else {
            let noun = missing.count == 1 ? "permission" : "permissions"
            return "\(who) may not \(deed): it lacks the \(noun) \(missing.joined(separator: ", "))"
        }
        return "\(who) may \(deed): allowed by \(place)"
    }

    /// The lines that would turn a refusal into consent, in the form of the mesh file.
    private func grant(
        _ subject: Subject,
        _ action: Policy.Action,
        _ target: String,
        _ decision: Decision,
        _ missing: [String]
    ) -> [String] {
        var lines: [String] = []
        if !missing.isEmpty {
            let permissions = subject.permissions.union(missing).sorted().map(MeshFileText.scalar)
            lines += ["principals:", "  \(MeshFileText.scalar(subject.principal)):"]
            if !subject.roles.isEmpty {
                let roles = subject.roles.sorted().map(MeshFileText.scalar)
                lines.append("    roles: [\(roles.joined(separator: ", "))]")
            }
            lines.append("    permissions: [\(permissions.joined(separator: ", "))]")
        }
        guard !decision.isAllowed else { return lines }
        if let index = decision.rule {
            let rule = policy.rules[index]
            lines.append("# Deny wins: take back or narrow the rule at \(rule.origin), \(MeshFileText.line(rule)).")
            guard !isAllowedWithoutDenials(subject, action, target) else { return lines }
        }
        lines += [
            "rules:",
            "  - allow: \(MeshFileText.scalar(subject.principal))",
            "    \(action.rawValue): \(MeshFileText.scalar(target))",
        ]
        return lines
    }

    private func isAllowedWithoutDenials(_ subject: Subject, _ action: Policy.Action, _ target: String) -> Bool {
        var policy = policy
        policy.rules.removeAll { $0.effect == .deny }
        let engine = PolicyEngine(policy)
        return engine.decide(engine.subject(subject.principal), action, target).isAllowed
    }
}

/// How the mesh file writes things.
private enum MeshFileText {
    /// A rule in one line, in YAML's flow form.
    static func line(_ rule: Policy.Rule) -> String {
        "{\(rule.effect.rawValue): \(scalar(rule.subject)), \(rule.action.rawValue): \(scalar(rule.target))}"
    }

    /// A text as a YAML scalar: plain when it cannot be taken for anything else, else in double quotes.
    static func scalar(_ text: String) -> String {
        isPlain(text) ? text : "\"" + text.unicodeScalars.map(escaped).joined() + "\""
    }

    private static let reserved: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), !reserved.contains(text.lowercased()) else { return false }
        // `role:name` is plain in YAML because no space follows the colon.
        let bytes = text.hasPrefix("role:") && text.utf8.count > 5 ? text.utf8.dropFirst(5) : text.utf8[...]
        return bytes.allSatisfy { isLetter($0) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) && byte < 0x80 }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": "\\\""
        case "\\": "\\\\"
        case "\n": "\\n"
        case "\t": "\\t"
        default:
            scalar.value < 0x20 || scalar.value == 0x7f
                ? "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16) : String(scalar)
        }
    }
}
