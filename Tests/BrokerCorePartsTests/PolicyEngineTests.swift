// Who may do what: subjects, targets, deny over allow, operators, permissions; and that explanations tell what to type.

import MeshProtocol
import Testing

@testable import BrokerCore

private func rule(_ effect: Policy.Effect, _ subject: String, _ action: Policy.Action, _ target: String) -> Policy.Rule
{
    Policy.Rule(effect: effect, subject: subject, action: action, target: target, origin: "mesh.yaml:7")
}

private func engine(_ rules: Policy.Rule...) -> PolicyEngine {
    var policy = Policy()
    policy.rules = rules
    policy.principals = [
        "midnight-theme": .init(roles: ["plugin"], permissions: ["storage"]),
        "ann": .init(roles: ["operator"]),
        "guest-1": .init(roles: ["guest"]),
    ]
    return PolicyEngine(policy, generation: 3)
}

extension PolicyEngine {
    fileprivate func allows(_ principal: String, _ action: Policy.Action, _ target: String) -> Bool {
        decide(subject(principal), action, target).isAllowed
    }
}

@Suite struct PolicyEngineTests {
    @Test func `what no rule allows is denied`() {
        let engine = engine()
        #expect(engine.generation == 3)
        #expect(!engine.allows("midnight-theme", .call, "ui.registerTheme"))
        #expect(!engine.allows("nobody", .publish, "a"))
        #expect(engine.decide(engine.subject("nobody"), .call, "a.b").rule == nil)
    }

    @Test(arguments: ["midnight-theme", "role:plugin", "*"])
    func `a rule speaks about a name, a role or everybody`(subject: String) {
        let engine = engine(rule(.allow, subject, .call, "ui.registerTheme"))
        #expect(engine.allows("midnight-theme", .call, "ui.registerTheme"))
        #expect(!engine.allows("midnight-theme", .call, "ui.other"))
        #expect(!engine.allows("midnight-theme", .provide, "ui.registerTheme"))
        #expect(engine.allows("guest-1", .call, "ui.registerTheme") == (subject == "*"))
    }

    @Test func `deny wins, wherever it stands`() {
        let deny = rule(.deny, "role:guest", .call, "mesh.>")
        let allow = rule(.allow, "*", .call, ">")
        for engine in [engine(deny, allow), engine(allow, deny)] {
            #expect(!engine.allows("guest-1", .call, "mesh.sessions"))
            #expect(engine.allows("guest-1", .call, "echo.say"))
            #expect(engine.allows("midnight-theme", .call, "mesh.sessions"))
        }
    }

    @Test func `an operator may do everything and has every permission`() {
        let engine = engine(rule(.deny, "*", .call, ">"))
        #expect(engine.allows("ann", .call, "mesh.kick"))
        let ann = engine.subject("ann")
        #expect(engine.missingPermissions(ann, required: ["storage"]).isEmpty)
        #expect(engine.holds(ann, ["networking"]))
        #expect(engine.explain(principal: "ann", action: .provide, target: "x", required: ["y"]).allowed)
    }

    @Test(arguments: [
        ("a.b", "a.b", true), ("a.*", "a.b", true), ("a.*", "a.b.c", false), ("a.>", "a.b.c", true),
        ("a.>", "a", false),
        (">", "a", true), ("*", "a.b", false), ("*.b", "a.b", true), ("a.b", "a.bc", false), ("a.b.c", "a.b", false),
        ("", "a", false), ("a..b", "a.b", false), (">.a", "x.a", false), ("my.service.*", "my.service.run", true),
    ])
    func `targets match word by word`(target: String, name: String, matches: Bool) {
        #expect(engine(rule(.allow, "*", .call, target)).allows("x", .call, name) == matches)
    }

    @Test(arguments: [
        ("a.>", "a.>", true), ("a.>", "a.*", true), ("a.>", ">", false), ("a.*", "a.>", false), ("a.*", "a.*", true),
        ("*.b", "a.*", false), (">", ">", true), ("a.b", "a.*", false), ("a.*.c", "a.b.c", true), ("a.*", "*.b", false),
    ])
    func `a subscription is allowed by a rule that holds all of its pattern`(
        target: String,
        pattern: String,
        holds: Bool
    ) {
        #expect(engine(rule(.allow, "*", .subscribe, target)).allows("x", .subscribe, pattern) == holds)
    }

    @Test(arguments: [
        ("mesh.>", ">", false), ("mesh.>", "*.x", false), ("mesh.>", "mesh.x", false), ("mesh.>", "mesh", true),
        ("mesh.>", "a.>", true), ("a.*.c", "a.b.*", false), ("a.*.c", "*.b.d", true), ("a.b", "a.b.c", true),
    ])
    func `a subscription is denied by a rule that holds any of its pattern`(
        target: String,
        pattern: String,
        allowed: Bool
    ) {
        let engine = engine(rule(.allow, "*", .subscribe, ">"), rule(.deny, "*", .subscribe, target))
        #expect(engine.allows("x", .subscribe, pattern) == allowed)
    }

    @Test func `containment and overlap agree with every topic of a small world`() {
        let words = ["a", "b", "*"]
        var patterns = [">"]
        for first in words {
            patterns += [first, first + ".>"]
            for second in words { patterns += ["\(first).\(second)", "\(first).\(second).>"] }
        }
        var topics: [String] = []
        for first in ["a", "b", "x"] {
            topics.append(first)
            for second in ["a", "b", "x"] {
                topics.append("\(first).\(second)")
                for third in ["a", "b", "x"] {
                    topics.append("\(first).\(second).\(third)")
                    topics.append("\(first).\(second).\(third).y")
                }
            }
        }
        for left in patterns {
            for var right in patterns {
                let mine = topics.filter { Topics.matches(pattern: left, topic: $0) }
                let theirs = topics.filter { Topics.matches(pattern: right, topic: $0) }
                let pattern = DottedPattern(left)
                let (contains, overlaps) = right.withUTF8 {
                    (pattern.contains(UnsafeRawBufferPointer($0)), pattern.overlaps(UnsafeRawBufferPointer($0)))
                }
                #expect(contains == Set(theirs).isSubset(of: mine), "\(left) contains \(right)")
                #expect(overlaps == !Set(theirs).isDisjoint(with: mine), "\(left) overlaps \(right)")
            }
        }
    }

    @Test func `a call is decided from the two names of its header`() {
        let engine = engine(rule(.allow, "*", .call, "my.service.run"))
        let subject = engine.subject("x")
        var (service, method, other) = ("my.service", "run", "stop")
        service.withUTF8 { service in
            let service = UnsafeRawBufferPointer(service)
            method.withUTF8 {
                let decision = engine.decideCall(subject, service: service, method: UnsafeRawBufferPointer($0))
                #expect(decision == Decision(isAllowed: true, rule: 0))
            }
            other.withUTF8 {
                #expect(!engine.decideCall(subject, service: service, method: UnsafeRawBufferPointer($0)).isAllowed)
            }
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            #expect(!engine.decideCall(subject, service: nothing, method: nothing).isAllowed)
        }
    }

    @Test func `an explanation of a missing rule gives the lines that grant it`() {
        let answer = engine().explain(principal: "midnight-theme", action: .call, target: "ui.registerTheme")
        #expect(!answer.allowed)
        #expect(answer.reason == #""midnight-theme" may not call "ui.registerTheme": no rule allows it"#)
        #expect(answer.grant == ["rules:", "  - allow: midnight-theme", "    call: ui.registerTheme"])
    }

    @Test func `an explanation of a denial names the rule and where it stands`() {
        let engine = engine(rule(.allow, "*", .subscribe, ">"), rule(.deny, "role:guest", .subscribe, "mesh.>"))
        let answer = engine.explain(principal: "guest-1", action: .subscribe, target: ">")
        #expect(answer.rule == #"{deny: role:guest, subscribe: "mesh.>"}"#)
        #expect(answer.origin == "mesh.yaml:7")
        #expect(
            answer.grant == [
                #"# Deny wins: take back or narrow the rule at mesh.yaml:7, {deny: role:guest, subscribe: "mesh.>"}."#
            ]
        )
    }

    @Test func `an explanation of missing permissions gives the principal's entry`() {
        let engine = engine(rule(.allow, "role:plugin", .call, "fs.*"))
        let answer = engine.explain(
            principal: "midnight-theme",
            action: .call,
            target: "fs.read",
            required: ["storage", "networking", "networking"]
        )
        #expect(!answer.allowed)
        #expect(answer.missingPermissions == ["networking"])
        #expect(answer.reason == #""midnight-theme" may not call "fs.read": it lacks the permission networking"#)
        #expect(
            answer.grant == [
                "principals:", "  midnight-theme:", "    roles: [plugin]", "    permissions: [networking, storage]",
            ]
        )
    }

    @Test func `odd names are quoted in the lines`() {
        let answer = engine().explain(principal: "a \"b\"\\\n", action: .publish, target: "*")
        #expect(answer.grant == ["rules:", #"  - allow: "a \"b\"\\\n""#, #"    publish: "*""#])
        #expect(engine().explain(principal: "true", action: .publish, target: "1").grant[1] == #"  - allow: "true""#)
    }

    @Test func `a refusal says who, what, why and what to type`() {
        let engine = engine()
        let refusal = engine.refusal(engine.subject("guest-1"), .provide, "ui")
        #expect(refusal.message == #""guest-1" may not provide "ui": no rule allows it"#)
        #expect(refusal.hint.hasPrefix("wiz explain guest-1 provide ui "))
    }
}
